#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# authors.sh ENXAME MAKE_TINY_MODELS PROVIDER - programs by models behind an API: the whole loop of
# `enxame code`, what providers do wrong, and a bill that equals their meter.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/cloud.sh" "$3"
"$enxame" sandbox /dev/stdin --lang sh <<< 'exit 0' > /dev/null 2> "$work/err"
if [ $? = 69 ]; then
    echo "skipped: $(cat "$work/err")"
    exit 77
fi

# provides API NAME: a model of the provider
provides() {
    echo "{remote: {api: $1, url: \"http://127.0.0.1:$port/v1\", model: $2, first_byte_s: 25}," \
        "usd_per_mtok_in: 3, usd_per_mtok_out: 15, usd_per_mtok_cached: 0.3}"
}
for api in openai anthropic; do
    printf 'name: cloud\nlead: %s\nworkers:\n  - %s\n  - %s\n' "$(provides $api lead-1)" \
        "$(provides $api writer-1)" "$(provides $api tester-1)" > "$work/$api.yaml"
done
# the lead is a file
printf 'name: mixed\nlead: {model: models/chat.gguf}\nworkers:\n  - %s\n  - %s\n' \
    "$(provides openai writer-1)" "$(provides openai tester-1)" > "$work/mixed.yaml"

says_json() { python3 -c 'import json, sys
print(json.dumps({k: json.loads(v) if v[:1] == "[" else v
                  for k, v in zip(sys.argv[1::2], sys.argv[2::2])}))' "$@" > "$work/cloud/says.json"
}
api=openai
code() { "$enxame" code -s "$work/$api.yaml" --lang sh --json "$@" "f doubles"; }

# The bill and what the provider charged: the same, to the token, where its count can be true, else
# the worst case; MORE over d (answer), m (meter)
same_bill() {
    python3 - "$work/out" "$meter" "${1-True}" <<'END2' || fail "bill: ${1-}"
import json, sys
d, m = json.load(open(sys.argv[1])), [json.loads(line) for line in open(sys.argv[2])]
b = d["bill"]
lost = [x for x in m if x["fault"] in ("cut", "hang")]
told = [x for x in m if x not in lost]
assumed = any(x["fault"] in ("malformed", "no_usage", "huge_usage") for x in told)
for key, name in ("in", "tokens_in"), ("cached", "tokens_cached"), ("out", "tokens_out"):
    want = sum(x[key] for x in told)
    assert b[name] == want or assumed, (name, b, m)
usd = sum(3 * x["in"] + .3 * x["cached"] + 15 * x["out"] for x in told) * 1e-6
assert usd - 1e-12 <= b["usd"] and (assumed or b["usd"] <= usd + 1e-9 * len(told)), (b, usd)
assert (b["unknown_usd"] > 0) == (len(lost) > 0), b
assert eval(sys.argv[3]), (d, m)
END2
    : > "$meter"
}

right=$'```sh\nf() { echo $(($1 * 2)); }\n```'
wrong=$'```sh\nf() { echo $1; }\n```'
good=$'```sh\n. ./program.sh\n[ "$(f 21)" = 42 ]\n```'
bad=$'```sh\n. ./program.sh\n[ "$(f 21)" = 43 ]\n```'
json_list() { python3 -c 'import json, sys; print(json.dumps(sys.argv[1:]))' "$@"; }
printf '. ./program.sh\n[ "$(f 21)" = 42 ]\n' > "$work/test.sh"
: > "$meter"

# ---- the loop, over both APIs -------------------------------------------------------------------
for api in openai anthropic; do
    # one worker writes, another has written the test; what fails comes back with what was said
    says_json "Write a short test" "$good" "Say which of the two" 'I cannot say.' \
        "f doubles" "$(json_list "$wrong" "$wrong" "$right")"
    expect 0 code --rounds 4 --writers 1
    json "$work/out" 'd["ok"] and d["model"] == "writer-1" and d["test"]["by"] == "tester-1"'
    json "$work/out" '[a["passed"] for a in d["attempts"]] == [False, False, True]'
    says "the lead was no help"
    same_bill 'len(m) == d["bill"]["calls"] == 5 and "It fails" in str(m[4]["body"]["messages"])'
done
api=openai
# which test is right says the lead, here a file
api=mixed
says_json "Write a short test" "$good" "f doubles" "$(json_list "$wrong" "$wrong" "$right")"
expect 0 code --rounds 4 --writers 1
json "$work/out" 'd["test"]["wrong"] in ("program", "test")'
says "programs and test disagree; "
: > "$meter"
api=openai
says_json "Say which of the two" '{"wrong": "test"}' "by another" "$good" \
    "Write a short test" "$(json_list "$bad" "$good")" "f doubles" "$right"
expect 0 code --rounds 3 --writers 2
json "$work/out" 'd["ok"] and d["test"]["wrong"] == "test" and d["test"]["by"] == "lead-1"'
same_bill
# another of its models, by name; with a test nobody else is asked
says_json "f doubles" "$right"
expect 0 code -m tester-1 --test "$work/test.sh"
same_bill 'd["model"] == "tester-1" and [x["body"]["model"] for x in m] == ["tester-1"]'
# a tree
mkdir "$work/tree"
echo 'echo two' > "$work/tree/say.sh"
says_json "say three" $'--- a/say.sh\n+++ b/say.sh\n@@ -1 +1 @@\n-echo two\n+echo three\n'
expect 0 "$enxame" code -s "$work/openai.yaml" --edit "$work/tree" --json \
    --run '[ "$(sh say.sh)" = three ]' "say three"
[ "$(cat "$work/tree/say.sh")" = "echo three" ] || fail "not changed"
same_bill 'len(m) == 1'

# ---- what goes wrong ----------------------------------------------------------------------------
once() { # once FAULT ANSWER CONDITION: a single try, which fails
    echo "$1" > "$work/cloud/faults"
    says_json "f doubles" "$2"
    expect 75 code --test "$work/test.sh" --writers 1 --rounds 1 -o "$work/none"
    json "$work/out" "$3"
    [ ! -e "$work/none" ] || fail "delivered"
    same_bill 'len(m) == 1'
}
once "" "" '"no code" in d["log"]'
once "" $'```python\ndef f(x):\n    return 2 * x\n```' '"yntax error" in d["log"]'
once length $'```sh\nf() { echo $(($1' '"cut off at its end" in d["log"]'
once refusal "" 'd["attempts"][0]["outcome"].startswith("no answer: the model refused")'
once filter "" '"filter" in d["log"]'
once cut "$right" 'd["attempts"][0]["outcome"].startswith("no answer: ")'
once malformed "$right" '"no answer: " in d["log"]'
once huge_usage "$wrong" 'd["bill"]["usd"] > 0.015'

# a try that was lost counts, and is asked for again as the first was
echo cut > "$work/cloud/faults"
says_json "f doubles" "$right"
expect 0 code --test "$work/test.sh" --writers 1
json "$work/out" 'd["rounds"] == 2 and [a["passed"] for a in d["attempts"]] == [False, True]'
same_bill '"It fails" not in str(m)'
# too many requests: it waits as it is told to, and nothing is paid twice
echo "429 429" > "$work/cloud/faults"
expect 0 code --test "$work/test.sh"
same_bill 'len(m) == 1 and d["rounds"] == 1'
# a provider that refuses for good: its words, at once
echo 400 > "$work/cloud/faults"
expect 74 code --test "$work/test.sh"
says "not now"
OPENAI_API_KEY=e2e-other-key expect 74 code --test "$work/test.sh"
says "is the key right?"
[ ! -s "$meter" ] || fail "something was charged"

# who loses is broken off: what that cost is not known, and told
echo " hang hang hang" > "$work/cloud/faults"
says_json "f doubles" "$right"
start=$(date +%s)
sed 's/first_byte_s: 25/first_byte_s: 1/' "$work/openai.yaml" > "$work/soon.yaml"
api=soon
expect 0 code --test "$work/test.sh" --writers 4 --ahead 8
[ $(($(date +%s) - start)) -lt 15 ] || fail "a writer of no use was waited for"
says "broken off"
: > "$meter"
# Ctrl-C ends a call that hangs
api=openai
echo hang > "$work/cloud/faults"
hangs=("$enxame" code -s "$work/openai.yaml" --lang sh --test "$work/test.sh" "f doubles")
"${hangs[@]}" > "$work/out" 2> "$work/err" &
pid=$!
for ((i = 0; i < 100; i++)); do [ -s "$meter" ] && break; sleep 0.05; done
kill -INT $pid
wait $pid
[ $? = 130 ] || fail "not interrupted"
says "broken off"
: > "$meter"

# ---- money --------------------------------------------------------------------------------------
says_json "f doubles" "$wrong"
expect 73 code --test "$work/test.sh" --budget 0.000001
[ ! -s "$meter" ] || fail "asked though it may not fit"
# the worst case of a try is some 0.0162 USD, and grows with what it is told: a few fit
expect 73 code --test "$work/test.sh" --budget 0.017 --rounds 9
says "another question may cost"
says "round 1: exit code 1"
[ "$(wc -l < "$meter")" -lt 9 ] || fail "asked too often"
# money that others hold back is waited for: three tries, one at a time
expect 75 code --test "$work/test.sh" --budget 0.0175 --writers 3 --rounds 1 --ahead 8
json "$work/out" 'len(d["attempts"]) == 3 and d["bill"]["usd"] <= 0.0175'

# ---- what cannot be -----------------------------------------------------------------------------
echo 'root ::= "x"' > "$work/grammar"
expect 64 code --test "$work/test.sh" --grammar "$work/grammar"
says "is for models that are files"
expect 64 code --test "$work/test.sh" --template chatml
expect 64 code --test "$work/test.sh" --top-k 3
exit 0
