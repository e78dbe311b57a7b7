#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# sandbox.sh - enxame sandbox as a person types it: `sandbox.sh ENXAME`.
set -uo pipefail
enxame=$(realpath "$1")
work=$(mktemp -d /tmp/enxame-e2e-XXXXXX)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

fail() {
    echo "FAILED: $*"
    head -c 2000 out err
    exit 1
}
expect() { # expect CODE ARGUMENT…: of enxame sandbox
    local want=$1 got
    shift
    "$enxame" sandbox "$@" > out 2> err
    got=$?
    [ "$got" = "$want" ] || fail "exit $got instead of $want: $*"
}
says() { grep -qF -- "$1" err || fail "not said: $1"; }
json() { python3 -c 'import json, sys
d = json.load(open("out")); assert eval(sys.argv[1]), d' "$1" || fail "json: $1"; }

# the weaker mode, which needs no namespaces: said, confined, and gone
echo "cat $work/secret; echo x > $work/out2; ls $work; echo \$HOME; touch here" > weak.sh
echo "sleep 63.5 & exit 3" >> weak.sh
echo secret > secret
chmod 755 "$work"
"$enxame" sandbox weak.sh --weak --json > out 2> err
code=$?
if [ $code = 69 ]; then
    grep -q Landlock err || fail "refused without a reason"
    echo "the weaker mode: skipped: $(cat err)"
else
    [ $code = 3 ] || fail "weak: exit $code"
    json 'd["weak"] and d["landlock"] > 0 and "secret\n" not in d["stdout"]'
    [ ! -e out2 ] || fail "weak: a file outside was written"
    [ ! -e "$(python3 -c 'import json; print(json.load(open("out"))["stdout"].split()[-1])')" ] ||
        fail "weak: its folder is still there"
    grep -qa '63[.]5' /proc/[0-9]*/cmdline 2> /dev/null && fail "weak: something runs on"
    expect 3 weak.sh --weak
    says "weaker sandbox"
    printf 'int main(void) { return 5; }\n' > weak.c
    expect 5 weak.c --weak
    echo '<p>' > weak.html
    expect 69 weak.html --weak
fi

echo 'exit 0' > fine.sh
"$enxame" sandbox fine.sh 2> err
if [ $? = 69 ]; then
    echo "skipped: $(cat err)"
    exit 77
fi

# what it prints and returns is the program's
printf 'echo "$1"; cat; echo oops >&2; exit 42\n' > a.sh
echo in > input
expect 42 a.sh --stdin input -- hello
[ "$(cat out)" = $'hello\nin' ] || fail "another output"
[ "$(cat err)" = oops ] || fail "another error output"
echo 'kill -TERM $$' > b.sh
expect 143 b.sh
says "signal 15"

# limits
echo 'while :; do :; done' > c.sh
expect 75 c.sh --time 0.3
says "stopped at the limit of wall"
expect 75 c.sh --time 0.3 --json
json 'd["stopped"] and d["limit"] == "wall" and d["signal"] == 9 and d["wall_us"] >= 300000'
echo 'print("x" * 3000000)' > d.py
expect 75 d.py --output 1
says "limit of stdout"
[ "$(wc -c < out)" = 1024 ] || fail "more than the limit"

# files in and out; names are the program's, and lead nowhere else
cat > e.py <<'END'
import os
os.mkdir("deep"); open("deep/x", "w").write(open("data/in.txt").read() * 2)
open("new\nline", "w").write("1"); os.symlink("/etc/passwd", "link"); os.mkfifo("pipe")
END
expect 0 e.py -i data/in.txt=input -o made --json
json 'not d["weak"]'
json 'd["files_left_out"] == 2 and [f["name"] for f in d["files"]] == ["deep/x", "new\nline"]'
[ "$(cat made/deep/x)" = $'in\nin' ] || fail "another file"
[ -f "made/new"$'\n'"line" ] && [ ! -e made/link ] && [ ! -e made/pipe ] || fail "other files"
expect 64 e.py -i data/in.txt=input -o made
says "not empty"

# languages
printf '#include <stdio.h>\nint main(void) { puts("c"); }\n' > f.c
expect 0 f.c --json
json 'd["stdout"] == "c\n" and d["step"] == "run"'
echo 'int main(void) { return x; }' > g.c
expect 1 g.c
says "does not compile"
expect 1 g.c --json
json 'd["step"] == "compile" and "main.c:1" in d["stderr"]'
echo 'select 6 * 7;' > h.txt
expect 0 h.txt --lang sql
[ "$(cat out)" = 42 ] || fail "sql"

# what cannot be
expect 64 h.txt
says "which language"
expect 64 a.sh --lang cobol
expect 66 none.py
says "none.py"
expect 66 a.sh -i none
expect 64 a.sh --time 0
expect 64 a.sh --processes 0
expect 64 a.sh -i ../x=input
head -c 3000000 /dev/urandom > large
expect 75 a.sh -i large --disk 1
says "do not fit"

running() { grep -qa '63[.]25' /proc/[0-9]*/cmdline 2> /dev/null; }

# Ctrl-C ends it, and all that it started
echo 'sleep 63.25 & sleep 63.25' > i.sh
"$enxame" sandbox i.sh > out 2> err &
pid=$!
for ((i = 0; i < 500; i++)); do
    running && break
    sleep 0.02
done
kill -INT $pid
wait $pid
[ $? = 130 ] || fail "an interrupt was not told"
running && fail "something runs on"
exit 0
