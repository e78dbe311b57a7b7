#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# fix.sh ENXAME ROOT - enxame fix as a person types it, with the model that is shipped.
set -uo pipefail
enxame=$(realpath "$1")
model=$(realpath "$2")/models/fix.gguf
work=$(mktemp -d /tmp/enxame-e2e-XXXXXX)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

fail() {
    echo "FAILED: $*"
    head -c 2000 out err
    exit 1
}
expect() { # expect CODE ARGUMENT…: of enxame fix
    local want=$1 got
    shift
    "$enxame" fix -m "$model" "$@" > out 2> err
    got=$?
    [ "$got" = "$want" ] || fail "exit $got instead of $want: $*"
}
says() { grep -qF -- "$1" err || fail "not said: $1"; }
json() { python3 -c 'import json, sys
d = json.load(open("out")); assert eval(sys.argv[1]), d' "$1" || fail "json: $1"; }

printf 'def f(a):\n    return len(a)\n' > whole.py
printf 'def f(a):\n    return len(a\n' > broken.py
cp broken.py kept.py

# the weaker sandbox, for who asks for it
"$enxame" fix -m "$model" broken.py --weak --json > out 2> err
code=$?
if [ $code != 69 ]; then
    [ $code = 0 ] || fail "weak: exit $code"
    says "weaker sandbox"
    json 'd["weak"] and d["program"] == open("whole.py").read()'
fi

# a host without user namespaces: which setting, and what there is instead
alone=(unshare -U --map-user=1000 --keep-caps
    sh -c 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"' sh)
if "${alone[@]}" true 2> /dev/null; then
    "${alone[@]}" "$enxame" fix -m "$model" broken.py > out 2> err
    [ $? = 69 ] || fail "repaired without a sandbox"
    says "sysctl user.max_user_namespaces="
    says "--weak"
    [ ! -s out ] || fail "something on stdout"
    if [ $code = 0 ]; then
        "${alone[@]}" "$enxame" fix -m "$model" broken.py --weak > out 2> err ||
            fail "weak, without namespaces"
    fi
else echo "no user namespaces to switch off: skipped"
fi

"$enxame" fix -m "$model" whole.py > out 2> err
if [ $? = 69 ]; then
    echo "skipped: $(cat err)"
    exit 77
fi
says "whole.py: parses, nothing to do"
[ ! -s out ] || fail "something on stdout"

# a difference that can be applied; the file stays as it is
expect 0 broken.py
cmp -s broken.py kept.py || fail "changed without --write"
says "broken.py: repaired by 1 edit"
git apply -p0 out || fail "no difference that can be applied"
cmp -s broken.py whole.py || fail "another repair"

# to another file, in place, as JSON
cp kept.py broken.py
expect 0 broken.py -o made.py
cmp -s made.py whole.py && cmp -s broken.py kept.py || fail "-o"
expect 0 broken.py --json
json 'd["ok"] and not d["weak"] and d["rounds"] == 1 and d["program"] == open("whole.py").read()'
json 'd["edits"] == [{"line": 2, "column": 17, "remove": 0, "insert": ")"}]'
json 'd["log"].startswith("line 2") and d["usage"]["judged"] > 0 and 0.5 < d["chance"] <= 1'
expect 0 broken.py whole.py --write
cmp -s broken.py whole.py || fail "--write"

# a long file: only the neighbourhood is ranked
python3 - <<'END'
lines = []
for i in range(1500):
    lines += [f"def f{i}(a, b=None):", f'    """Number {i}."""', f"    return g(a[{i}], b)", "", ""]
lines[3502] = lines[3502].replace("])", ")").replace(f"[{700}]", f"[{700}")
open("long.py", "w").write("\n".join(lines).replace("return g(a[700], b)", "return g(a[700, b)"))
END
expect 0 long.py --json
json 'd["ok"] and "return g(a[700], b)" in d["program"] and d["usage"]["ranked"] < 5000'

# what is doubtful or beyond repair stays as it is
printf 'this is no program at all, is it? no no\n' > prose.py
cp prose.py prose.kept
expect 75 prose.py --write
cmp -s prose.py prose.kept || fail "touched"
says "not repaired, left as it is; line 1"
cp kept.py broken.py
expect 75 broken.py --write --sure 1
cmp -s broken.py kept.py || fail "touched though undecided"
says "undecided, left as it is"
expect 75 broken.py prose.py --json
json 'not d["ok"] and [f["ok"] for f in d["files"]] == [True, False]'

# bad input
expect 66 missing.py
expect 64 whole.txt
says "which language is whole.txt"
printf 'a\0b' > zero.py
expect 65 zero.py
says "zero byte"
expect 64 broken.py --rounds 0
expect 64 broken.py --lang cobol
expect 64 broken.py whole.py -o made.py
head -c 5000000 /dev/zero | tr '\0' 'a' > huge.py
expect 75 huge.py
echo fine
