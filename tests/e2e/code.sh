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

# sometimes right: more rounds find it; one seed of one writer is one history
passed=0
for seed in 1 2 3 4 5 6; do
    for n in one two; do
        code --test "$work/test.sh" --grammar "$work/some" --rounds 16 --writers 1 --temp 3 \
            --seed $seed --json > "$work/$n.json" 2> "$work/err" && passed=$((passed + 1))
    done
    python3 - "$work/one.json" "$work/two.json" <<'END' || fail "seed $seed: two histories"
import json, sys
a, b = (json.load(open(p)) for p in sys.argv[1:])
assert a["attempts"] == b["attempts"] and a["program"] == b["program"] and a["usage"] == b["usage"]
END
done
[ $passed -ge 6 ] || fail "only $passed of 12 runs found it"

# several writers: each try is the same one in every history, and nobody writes after one has passed
for ahead in 0 0.3 8; do
    expect 0 code --test "$work/test.sh" --grammar "$work/some" --rounds 8 --writers 4 --temp 3 \
        --ahead $ahead --json
    cp "$work/out" "$work/$ahead.json"
    json "$work/out" '[a["passed"] for a in d["attempts"]].count(True) == 1'
    json "$work/out" 'd["attempts"][-1]["passed"]'
done
python3 - "$work"/{0,0.3,8}.json <<'END' || fail "a try has two outcomes"
import json, sys
known = {}
for path in sys.argv[1:]:
    for a in json.load(open(path))["attempts"]:
        assert known.setdefault((a["writer"], a["round"]), a) == a, (known, a)
END

# the one that passes stops a program that would run for long, and a writer
echo 'root ::= "f() { echo $(($1 * 2)); }\n" | "f() { sleep 20; }\n"' > "$work/slow"
start=$(date +%s)
for seed in 1 2 3; do
    expect 0 code --test "$work/test.sh" --grammar "$work/slow" --writers 8 --ahead 8 --temp 3 \
        --time 30 --rounds 1 --seed $seed
done
[ $(($(date +%s) - start)) -lt 20 ] || fail "a program that is of no use was waited for"

# examples: the program's input and output; calls of functions
echo 'root ::= "read a b; echo $((a + b))\n"' > "$work/add"
echo '{"input": "3 4\n", "output": "7"}' > "$work/pairs"
echo '{"input": "1 1", "output": "2\n\n"}' >> "$work/pairs"
expect 0 code --examples "$work/pairs" --grammar "$work/add" --json
json "$work/out" 'd["ok"] and d["test"] is None and d["artifact"] is None'
echo '{"input": "5 5", "output": "11"}' >> "$work/pairs"
expect 75 code --examples "$work/pairs" --grammar "$work/add" --rounds 1 --json
json "$work/out" '"example 3 of 3" in d["log"] and "expected:\n11\nprinted:\n10" in d["log"]'
echo '{"call": "f(2)", "output": 4}' > "$work/calls"
expect 69 code --examples "$work/calls" --grammar "$work/right"
echo 'root ::= "f = lambda x: 2 * x\n"' > "$work/python"
expect 0 "$enxame" code -m "$model" --lang python --examples "$work/calls" \
    --grammar "$work/python" x
echo '{"call": "f(2)", "output": 5}' > "$work/calls"
expect 75 "$enxame" code -m "$model" --lang python --examples "$work/calls" --rounds 1 \
    --grammar "$work/python" --json x
json "$work/out" '"f(2) gives 4, and should give 5" in d["log"] and d["test"]["by"] == "examples"'
echo '{"input": 3, "output": "7"}' > "$work/pairs"
expect 65 code --examples "$work/pairs" --grammar "$work/add"
says "pairs:1: no example"

# a tree: changed as a whole when its own test passes, and not at all otherwise
mkdir -p "$work/tree/src"
printf 'echo one\necho two\n' > "$work/tree/src/say.sh"
printf '#!/bin/sh\n[ "$(sh src/say.sh | tail -n 1)" = three ]\n' > "$work/tree/check"
chmod 755 "$work/tree/check"
cp -r "$work/tree" "$work/tree.kept"
diff='--- a/src/say.sh\n+++ b/src/say.sh\n@@ -2 +2 @@\n-echo two\n+echo three\n'
echo "root ::= \"$diff\"" > "$work/patch"
edit() { "$enxame" code -m "$model" -n 300 --rounds 1 --edit "$work/tree" "$@" "say three"; }
expect 75 edit --run 'false' --grammar "$work/patch"
diff -r "$work/tree" "$work/tree.kept" || fail "touched though its test fails"
expect 0 edit --run './check && touch src/trace' --grammar "$work/patch" --json
json "$work/out" 'd["ok"] and d["program"].startswith("--- a/src/say.sh")'
[ "$(cat "$work/tree/src/say.sh")" = $'echo one\necho three' ] || fail "not changed"
[ ! -e "$work/tree/src/trace" ] || fail "the test's own files came out"
rm -r "$work/tree"; cp -r "$work/tree.kept" "$work/tree"
for bad in '--- a/../x\n+++ b/../x\n@@ -0,0 +1 @@\n+x\n' '--- /dev/null\n+++ b//tmp/x\n@@\n+x\n' \
    '--- a/src/say.sh\n+++ b/src/say.sh\n@@ -2 +2 @@\n-echo nine\n+echo three\n' 'no patch\n' \
    '--- a/none\n+++ b/none\n@@ -1 +1 @@\n-a\n+b\n'; do
    echo "root ::= \"$bad\"" > "$work/bad"
    expect 75 edit --run true --grammar "$work/bad" --json
    json "$work/out" '"the patch cannot be used" in d["log"]'
done
diff -r "$work/tree" "$work/tree.kept" || fail "touched by a patch that cannot be used"
mkdir "$work/outside"; ln -s "$work/outside" "$work/tree/link"
echo 'root ::= "--- /dev/null\n+++ b/link/x\n@@ -0,0 +1 @@\n+x\n"' > "$work/bad"
expect 64 edit --run true --grammar "$work/bad"
says "leads through a link"
[ -z "$(ls "$work/outside")" ] || fail "wrote through a link"
rm "$work/tree/link"
# one file of two cannot be written: the other one is as it was again
mkfifo "$work/tree/zz"
new='--- /dev/null\n+++ b/zz/y\n@@ -0,0 +1 @@\n+x\n'
echo "root ::= \"$diff$new\"" > "$work/two"
expect 74 edit --run true --grammar "$work/two"
rm "$work/tree/zz"
diff -r "$work/tree" "$work/tree.kept" || fail "half of a patch was written"
expect 64 edit --grammar "$work/patch"
expect 66 "$enxame" code -m "$model" --edit "$work/none" --run true x

# a page, where there is a browser
if [ -x /usr/lib/chromium/chromium ]; then
    page() { "$enxame" code -m "$model" --lang html --rounds 1 --time 60 -n 300 "$@" "a page"; }
    head='<!doctype html><html><head><title>t</title></head><body><p>hi</p>'
    echo "root ::= \"$head<script>window.x = 42;</script></body></html>\\n\"" > "$work/page"
    expect 0 page --grammar "$work/page" --json
    json "$work/out" 'd["artifact"] == {"name": "program.html", "type": "text/html", "version": 1}'
    echo 'if (x !== 42) throw new Error("x is " + x);' > "$work/test.js"
    expect 0 page --grammar "$work/page" --test "$work/test.js"
    echo 'if (x !== 43) throw new Error("x is " + x);' > "$work/test.js"
    expect 75 page --grammar "$work/page" --test "$work/test.js" --json
    json "$work/out" '"x is 42" in d["log"]'
    echo "root ::= \"$head<script>missing();</script></body></html>\\n\"" > "$work/page"
    expect 75 page --grammar "$work/page" --json
    json "$work/out" '"missing is not defined (line 1)" in d["log"]'
else
    echo "left out: no Chromium for pages"
fi

# without a test it must run; what it says comes back in the log
echo 'root ::= "echo hello >&2\n"' > "$work/hello"
expect 0 code --grammar "$work/hello" --json
json "$work/out" '"hello" in d["log"]'
echo 'root ::= "while :; do :; done\n"' > "$work/endless"
expect 75 code --grammar "$work/endless" --time 0.3 --rounds 1 --json
json "$work/out" '"limit of" in d["log"]'

# an endless flood, another language, binary garbage, nothing at all: told, bounded, not delivered
refuse() { # refuse WHAT GRAMMAR CONDITION
    echo "root ::= $2" > "$work/bad"
    expect 75 code --grammar "$work/bad" --rounds 1 --writers 1 -o "$work/none" --json
    json "$work/out" "$3" || fail "$1"
    [ ! -e "$work/none" ] || fail "$1: delivered"
}
refuse flood '"yes 0123456789abcdef\n"' '"limit of stdout" in d["log"] and len(d["log"]) < 8000'
refuse language '"def f(x):\n    return 2 * x\n"' '"yntax error" in d["log"]'
refuse garbage '"\x01\x7f\x1b[2J\x02\n"' '"not found" in d["log"]'
refuse nothing '"\n"' '"no code" in d["log"]'
# ... and of the test: it never ends, or prints without end
echo 'while :; do :; done' > "$work/test.bad"
expect 75 code --test "$work/test.bad" --grammar "$work/right" --time 0.3 --rounds 1 --json
json "$work/out" '"limit of" in d["log"]'
echo 'yes 0123456789abcdef' > "$work/test.bad"
expect 75 code --test "$work/test.bad" --grammar "$work/right" --rounds 1 --json
json "$work/out" '"limit of stdout" in d["log"] and len(d["log"]) < 8000'

# what cannot be
expect 64 "$enxame" code --lang sh x
expect 64 "$enxame" code -m "$model" x
expect 64 "$enxame" code -m "$model" --lang cobol x
expect 64 code --rounds 0
expect 64 code --ahead -1
expect 64 code --test "$work/test.sh" --examples "$work/pairs"
expect 64 code --approve
expect 66 code --test "$work/nothing"
expect 66 "$enxame" code -m "$work/none.gguf" --lang sh x
expect 69 "$enxame" code -m "$work/models/es.gguf" --lang sh x
exit 0
