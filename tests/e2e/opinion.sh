#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# opinion.sh ENXAME MAKE_TINY_MODELS PROVIDER ROOT - what other models are asked: a test of the
# request, who is wrong when programs fail it, and repairs that `fix` leaves undecided.
. "$(dirname "$0")/common.sh"
root=$4
. "$(dirname "$0")/cloud.sh" "$3"
says_json() { python3 -c 'import json, sys
print(json.dumps(dict(zip(sys.argv[1::2], sys.argv[2::2]))))' "$@" > "$work/cloud/says.json"; }

remote="remote: {api: openai, url: \"http://127.0.0.1:$port/v1\", model: big-1, total_s: 9}"
prices="usd_per_mtok_in: 3, usd_per_mtok_out: 15"
cat > "$work/swarm.yaml" <<END
name: opinion
lead: {$remote, $prices}
workers:
  - {model: models/chat.gguf}
  - {$remote, $prices, family: other}
END
"$enxame" sandbox /dev/stdin --lang sh <<< 'exit 0' > /dev/null 2> "$work/err"
if [ $? = 69 ]; then
    echo "skipped: $(cat "$work/err")"
    exit 77
fi

# ---- tests by a model ---------------------------------------------------------------------------
right='"f() { echo $(($1 * 2)); }\n"'
wrong='"f() { echo $1; }\n"'
echo "root ::= $right" > "$work/right"
echo "root ::= $wrong" > "$work/wrong"
code() { "$enxame" code -s "$work/swarm.yaml" --lang sh -n 200 --json "$@" "f doubles"; }
good=$'Here it is:\n```sh\n. ./program.sh\n[ "$(f 21)" = 42 ]\n```'
bad=$'```sh\n. ./program.sh\n[ "$(f 21)" = 43 ]\n```'

# the other worker writes it, it is shown, and the writer is told
says_json "Write a short test" "$good"
expect 0 code --grammar "$work/right"
json "$work/out" 'd["ok"] and d["test"]["by"] == "big-1" and "= 42" in d["test"]["text"]'
json "$work/out" 'd["bill"]["calls"] == 1 and d["bill"]["usd"] > 0 and d["test"]["wrong"] is None'
says '[ "$(f 21)" = 42 ]'
says "writer 1, round 1: passed"

# one that accepts an empty program is no test
says_json "Write a short test" $'```sh\ntrue\n```'
expect 65 code --grammar "$work/right"
says "accepts an empty program, too"

# programs fail it twice: the lead says who is wrong.  The program: it goes on as it was
says_json "Say which of the two" '{"wrong": "program"}' "Write a short test" "$good"
expect 75 code --grammar "$work/wrong" --rounds 2 --writers 1
json "$work/out" 'd["test"]["wrong"] == "program" and len(d["attempts"]) == 2'
says "says that the program is wrong"
# the test: the lead writes another, and what failed by the first is judged again
says_json "Say which of the two" '{"wrong": "test"}' "Write a short test" "$bad"
expect 75 code --grammar "$work/right" --rounds 2 --writers 1
json "$work/out" 'd["test"]["wrong"] == "test" and len(d["attempts"]) == 3'
says "says that the test is wrong"

# a lead that is no help: the loop goes on with the test that there is
says_json "Say which of the two" 'I cannot say.' "Write a short test" "$good"
expect 75 code --grammar "$work/wrong" --rounds 2 --writers 1
json "$work/out" 'd["test"]["wrong"] is None and len(d["attempts"]) == 2'
says "the lead was no help"

# money: nothing is asked that might not fit; a yes is waited for
expect 73 code --grammar "$work/right" --budget 0.000001
says_json "Write a short test" "$good"
expect 130 code --grammar "$work/right" --approve < /dev/null
says "nothing was written"
echo y > "$work/yes"
approved() { code --grammar "$work/right" --approve < "$work/yes"; }
expect 0 approved

# ---- fix ----------------------------------------------------------------------------------------
fix() { "$enxame" fix -m "$root/models/fix.gguf" -s "$work/swarm.yaml" --seed 7 "$@"; }
cd "$work" || exit 1
printf 'def f(a):\n    return len(a)\n' > whole.py
for ((i = 0; i < 24; i++)); do
    printf 'def f%d(a):\n    return len(a\n' $i > "b$i.py"
done
says_json "what a parser said" $'```\ndef f(a):\n    return max(a)\n```'

# undecided: the lead repairs it, and the parser proves it
expect 0 fix b0.py --sure 1 --json
json out 'd["ok"] and d["by"] == "lead" and "max(a)" in d["program"] and d["bill"]["calls"] == 1'
expect 0 fix b0.py --sure 1
grep -q '^+    return max(a)' out || fail "no difference"
says_json "what a parser said" 'def f(a:'
expect 75 fix b0.py --sure 1 --write
says "what the lead wrote does not parse"
grep -q 'len(a$' b0.py || fail "touched"

# a certificate: audits that agree prove the class without asking about every file
python3 - > cloud/says.json <<'END'
import json
print(json.dumps({f"def f{i}(a)": f"def f{i}(a):\n    return len(a)\n" for i in range(24)}))
END
expect 0 fix b?.py b1?.py b2?.py --accuracy 0.8 --json
json out 'd["ok"] and len(d["certificates"]) == 1 and d["certificates"][0]["class"] == "python"'
json out 'd["certificates"][0]["certified"] and d["certificates"][0]["wrong"] == 0'
json out '0 < d["certificates"][0]["labels"] == d["bill"]["calls"] < 24'
json out 'all(f["by"] == "ranker" for f in d["files"])'

# audits that differ: only what needs no proof stays (of 24 at most 10 %), the lead writes the rest
python3 - > cloud/says.json <<'END'
import json
print(json.dumps({f"def f{i}(a)": f"def f{i}(a):\n    return min(a)\n" for i in range(24)}))
END
expect 0 fix b?.py b1?.py b2?.py --accuracy 0.9 --json
json out 'd["certificates"][0]["labels"] == d["bill"]["calls"] >= 22'
json out 'sum(f["by"] == "lead" and "min" in f["program"] for f in d["files"]) >= 22'

# a budget that is soon spent: what was not proved stays as it is
expect 75 fix b?.py --accuracy 0.9 --budget 0.02 --json
json out 'not d["ok"] and d["bill"]["usd"] + d["bill"]["unknown_usd"] <= 0.02'
expect 64 "$enxame" fix -m "$root/models/fix.gguf" whole.py --accuracy 0.9
says "give it by -s"
exit 0
