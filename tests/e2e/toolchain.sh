#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# toolchain.sh ENXAME MAKE_TINY_MODELS PROVIDER ROOT - a toolchain that is removed between two runs:
# told at once, with the package that it belongs to; nothing is delivered and nothing is left.
#
# In a mount namespace of its own, where something else is put over a tool.
if [ "${5-}" != inside ]; then
    own=(unshare --mount)
    [ "$(id -u)" = 0 ] || own=(unshare --mount --user --map-current-user --keep-caps)
    if ! "${own[@]}" mount --bind /dev/null "$1" 2> /dev/null; then
        echo "skipped: no mount namespace of its own on this host"
        exit 77
    fi
    exec "${own[@]}" bash "$0" "$1" "$2" "$3" "$4" inside
fi
. "$(dirname "$0")/common.sh"
root=$4
. "$(dirname "$0")/cloud.sh" "$3"
# without what the namespace gave us, as it would be started outside
as_usual=(setpriv --inh-caps=-all --ambient-caps=-all "$enxame")
[ "$(id -u)" = 0 ] && as_usual=("$enxame")
export TMPDIR=$work/tmp
mkdir "$TMPDIR"
chmod 755 "$work" "$TMPDIR" # as root, weaker runs are those of nobody
"${as_usual[@]}" sandbox /dev/stdin --lang sh <<< 'exit 0' > /dev/null 2> "$work/err"
if [ $? = 69 ]; then
    echo "skipped: $(cat "$work/err")"
    exit 77
fi

cat > "$work/swarm.yaml" <<END2
name: one
lead:
  remote: {api: openai, url: "http://127.0.0.1:$port/v1", model: big-1}
  usd_per_mtok_in: 3
  usd_per_mtok_out: 15
END2
echo 1 > "$work/cloud/delay"

# gone CODE TOOL PACKAGE SIGN ARGUMENT…: TOOL is removed once SIGN is there
gone() {
    local want=$1 tool=$2 package=$3 sign=$4
    shift 4
    if [ ! -x "$tool" ]; then
        echo "left out: no $tool"
        return
    fi
    : > "$meter"
    : > "$work/err"
    "${as_usual[@]}" "$@" > "$work/out" 2> "$work/err" &
    local pid=$!
    for ((i = 0; i < 400; i++)); do
        grep -q "$sign" "$work/err" "$meter" && break
        sleep 0.02
    done
    mount --bind /dev/null "$tool" || fail "cannot take $tool away"
    wait $pid
    local got=$?
    umount "$tool"
    [ $got = "$want" ] || fail "exit $got: $tool"
    says "no $tool "
    says "install the package $package"
    silent
    [ ! -e "$work/none" ] || fail "delivered"
    [ -z "$(ls "$TMPDIR")" ] || fail "left behind: $(ls "$TMPDIR")"
}

says_json() { python3 -c 'import json, sys
print(json.dumps({sys.argv[1]: sys.argv[2]}))' "$1" "$2" > "$work/cloud/says.json"; }
code() { # code TOOL PACKAGE LANGUAGE OPTION…
    gone 66 "$1" "$2" "round 1: " code -s "$work/swarm.yaml" --writers 1 -o "$work/none" \
        "${@:4}" --lang "$3" "a program"
}

# between the first program, which fails, and the second
for weak in "" --weak; do
    "${as_usual[@]}" sandbox $weak --lang sh /dev/stdin <<< : > /dev/null 2>&1
    if [ $? = 69 ]; then
        echo "left out: no weaker mode"
        continue
    fi
    says_json "a program" $'```c\nint main(void) { return 1; }\n```'
    code /usr/bin/gcc "gcc and libc6-dev" c ${weak:+"$weak"}
    says_json "a program" $'```python\nraise SystemExit(1)\n```'
    code /usr/bin/python3 python3 python ${weak:+"$weak"}
done
says_json "a program" $'```sql\nselect x;\n```'
code /usr/bin/sqlite3 sqlite3 sql

# while the lead repairs what the ranker left undecided
printf 'def f(a):\n    return len(a\n' > "$work/broken.py"
cp "$work/broken.py" "$work/kept.py"
says_json "what a parser said" $'```\ndef f(a):\n    return max(a)\n```'
gone 75 /usr/bin/python3 python3 big-1 fix -m "$root/models/fix.gguf" -s "$work/swarm.yaml" \
    --sure 1 --write "$work/broken.py"
cmp "$work/broken.py" "$work/kept.py" || fail "touched"
exit 0
