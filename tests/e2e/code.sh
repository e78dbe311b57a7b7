#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# code.sh - write, run, repair: a tiny model that knows nothing, held by a grammar to a few
# programs, stands for one that is right now and then.
. "$(dirname "$0")/common.sh"
model=$work/models/chat.gguf
code() { "$enxame" code -m "$model" --lang sh -n 200 "$@" "a function f that doubles"; }

"$enxame" sandbox /dev/stdin --lang sh <<< 'exit 0' > /dev/null 2> "$work/err"
if [ $? = 69 ]; then
    echo "skipped: $(cat "$work/err")"
    exit 77
fi

cat > "$work/test.sh" <<'END'
. ./program.sh
[ "$(f 21)" = 42 ]
END
right='"f() { echo $(($1 * 2)); }\n"'
wrong='"f() { echo $1; }\n"'
echo "root ::= $right" > "$work/right"
echo "root ::= $wrong" > "$work/wrong"
echo "root ::= $right | $wrong | $wrong | $wrong" > "$work/some"

# right at once: the program and nothing else on stdout
expect 0 code --test "$work/test.sh" --grammar "$work/right"
[ "$(cat "$work/out")" = 'f() { echo $(($1 * 2)); }' ] || fail "another program"
says "round 1: passed"
expect 0 code --test "$work/test.sh" --grammar "$work/right" -o "$work/program" --json
json "$work/out" 'd["ok"] and d["rounds"] == 1 and "f()" in d["program"]'
json "$work/out" 'd["log"].startswith("passed") and d["usage"]["tokens_out"] > 0'
grep -q 'f()' "$work/program" || fail "-o wrote nothing"

# never right: as many rounds as allowed, and then an honest end
expect 75 code --test "$work/test.sh" --grammar "$work/wrong" --rounds 3 --writers 2 --json
json "$work/out" 'not d["ok"] and d["rounds"] == 3 and len(d["attempts"]) == 6'
json "$work/out" 'all(not a["passed"] and a["outcome"] == "exit code 1" for a in d["attempts"])'
says "no program passed in 3 rounds"
expect 75 code --test "$work/test.sh" --grammar "$work/wrong" -o "$work/none"
[ ! -e "$work/none" ] || fail "a program that fails was delivered"
silent

# sometimes right: more rounds find it; one seed is one history
passed=0
for seed in 1 2 3 4 5 6; do
    code --test "$work/test.sh" --grammar "$work/some" --rounds 8 --writers 2 --temp 3 \
        --seed $seed --json > "$work/one.json" 2> "$work/err" && passed=$((passed + 1))
    code --test "$work/test.sh" --grammar "$work/some" --rounds 8 --writers 2 --temp 3 \
        --seed $seed --json > "$work/two.json" 2> "$work/err"
    python3 - "$work/one.json" "$work/two.json" <<'END' || fail "seed $seed: two histories"
import json, sys
a, b = (json.load(open(p)) for p in sys.argv[1:])
assert a["attempts"] == b["attempts"] and a["program"] == b["program"] and a["usage"] == b["usage"]
END
done
[ $passed -ge 3 ] || fail "only $passed of 6 seeds found it"

# without a test it must run; what it says comes back in the log
echo 'root ::= "echo hello >&2\n"' > "$work/hello"
expect 0 code --grammar "$work/hello" --json
json "$work/out" '"hello" in d["log"]'
echo 'root ::= "while :; do :; done\n"' > "$work/endless"
expect 75 code --grammar "$work/endless" --time 0.3 --rounds 1 --json
json "$work/out" '"limit of" in d["log"]'

# what cannot be
expect 64 "$enxame" code --lang sh x
expect 64 "$enxame" code -m "$model" x
expect 64 "$enxame" code -m "$model" --lang cobol x
expect 64 code --rounds 0
expect 66 code --test "$work/nothing"
expect 66 "$enxame" code -m "$work/none.gguf" --lang sh x
expect 69 "$enxame" code -m "$work/models/es.gguf" --lang sh x
exit 0
