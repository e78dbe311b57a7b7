#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# generate.sh - every way to choose tokens does what it says, and refuses what it cannot do.
. "$(dirname "$0")/common.sh"
model=$work/models/lead.gguf
generate() { "$enxame" generate -m "$model" -p "ela e a" -n 40 "$@"; }
same() { cmp -s "$work/$1" "$work/$2" || fail "$3"; }
differ() { cmp -s "$work/$1" "$work/$2" && fail "$3"; return 0; }
keep() { cp "$work/out" "$work/$1"; }

# without chance: always the same, whatever the seed and the threads
expect 0 generate
keep greedy
expect 0 generate --seed 9 --threads 2 --top-p 0.5 --min-p 0.1
same out greedy "greedy text depends on the seed or on filters that keep the likeliest"

# with chance: the seed decides, and nothing else
expect 0 generate --temp 1.5 --seed 7
keep seven
expect 0 generate --temp 1.5 --seed 7 --threads 2
same out seven "one seed, two texts"
expect 0 generate --temp 1.5 --seed 8
differ out seven "two seeds, one text"

# filters that leave the likeliest alone, at any temperature
for filter in "--top-k 1" "--top-p 0" "--min-p 1"; do
    expect 0 generate --temp 1.5 --seed 7 $filter
    same out greedy "$filter is not greedy"
done
expect 0 generate --temp 1.5 --seed 7 --top-k 0 --top-p 1 --min-p 0 --typical-p 1
same out seven "filters that are off change the text"
for filter in "--top-k 2" "--top-p 0.3" "--min-p 0.5" "--typical-p 0.2"; do
    expect 0 generate --temp 5 --seed 7 -n 200 $filter
    keep filtered
    expect 0 generate --temp 5 --seed 7 -n 200
    differ out filtered "$filter changes nothing in 200 tokens at temperature 5"
done

# penalties: none by default, and text that repeats itself changes under each
expect 0 generate --repeat-penalty 1 --frequency-penalty 0 --presence-penalty 0 --dry-multiplier 0
same out greedy "penalties that are off change the text"
for penalty in "--repeat-penalty 8" "--frequency-penalty 8" "--presence-penalty 30" \
               "--dry-multiplier 20" "--dry-multiplier 9 --dry-base 3 --dry-allowed 1"; do
    expect 0 generate $penalty
    differ out greedy "$penalty changes nothing"
done
expect 0 generate --repeat-penalty 8 --repeat-last 0
same out greedy "a penalty of the last 0 tokens changes the text"
expect 0 generate --dry-multiplier 20 --dry-allowed 100
same out greedy "DRY takes off what repeats less than allowed"
expect 0 generate --presence-penalty 100 --repeat-last 1000 --json
json "$work/out" 'len(set(d["tokens"])) == len(d["tokens"])'

# biases: never, always, and what the probabilities say is the model's alone
expect 0 generate --json
keep plain.json
first=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["tokens"][0])' \
    "$work/plain.json")
expect 0 generate --json --logit-bias "$first=-inf"
json "$work/out" "$first not in d['tokens']"
expect 0 generate --json --temp 1 --logit-bias 120=1000 --logit-bias "$first=-5"
json "$work/out" 'd["text"] == "x" * 40 and all(p <= 0 for p in d["logprobs"])'
expect 0 generate --json --temp 1.5 --logprobs 3 --logit-bias 120=1000
json "$work/out" 'd["top_logprobs"][0] and d["tokens"][0] == 120'
json "$work/out" 'd["logprobs"][0] < d["top_logprobs"][0][0]["logprob"]'

# stop texts: cut before, whatever the tokens are; the tokens tell up to where it went
echo 'root ::= [a-z]*' > "$work/letters"
expect 0 generate --grammar "$work/letters"
text=$(cat "$work/out") stop=${text:20:3}
before=${text%%"$stop"*}
expect 0 generate --grammar "$work/letters" --json --stop "never there" --stop "$stop"
cp "$work/out" "$work/stopped.json"
BEFORE=$before json "$work/stopped.json" 'd["text"] == __import__("os").environ["BEFORE"]'
json "$work/stopped.json" 'd["finish"] == "stop" and len(d["tokens"]) == len(d["text"]) + 3'
json "$work/stopped.json" 'len(d["logprobs"]) == len(d["tokens"]) == d["usage"]["tokens_out"]'
expect 0 generate --grammar "$work/letters" --stop "$stop"
[ "$(cat "$work/out")" = "$before" ] || fail "the stop text is shown"

# log-probabilities: falling, of different tokens, and the greedy one is the first
expect 0 generate --json --logprobs 5
keep top.json
json "$work/top.json" 'len(d["top_logprobs"]) == len(d["logprobs"]) > 0'
json "$work/top.json" 'all(p[0]["token"] == t for p, t in zip(d["top_logprobs"], d["tokens"]))'
json "$work/top.json" 'all(abs(p[0]["logprob"] - l) < 1e-6
    for p, l in zip(d["top_logprobs"], d["logprobs"]))'
json "$work/top.json" 'all([e["logprob"] for e in p] == sorted((e["logprob"] for e in p),
    reverse=True) and len({e["token"] for e in p}) == 5 and p[0]["logprob"] <= 0
    and sum(2.718281828459045 ** e["logprob"] for e in p) < 1.0001 for p in d["top_logprobs"])'

# several answers: each is what its seed gives alone
expect 0 generate --temp 1.5 --seed 7 --answers 3 --json --logprobs 2
keep three.json
json "$work/three.json" '[a["seed"] for a in d["answers"]] == [7, 8, 9]'
json "$work/three.json" 'all(d[k] == d["answers"][0][k] for k in d if k != "answers")'
json "$work/three.json" 'len({a["text"] for a in d["answers"]}) == 3'
for n in 0 1 2; do
    expect 0 generate --temp 1.5 --seed $((7 + n)) --json --logprobs 2
    python3 -c 'import json, sys
one, many = (json.load(open(p)) for p in sys.argv[1:3])
many["answers"][int(sys.argv[3])].pop("seed")
assert one == many["answers"][int(sys.argv[3])] and "answers" not in one' \
        "$work/out" "$work/three.json" $n || fail "answer $n is another one in company"
done
expect 0 generate --temp 1.5 --seed 7 --answers 2 --stop "$stop"
grep -q "^--- seed 7" "$work/out" && grep -q "^--- seed 8" "$work/out" || fail "no seeds"

# grammars and schemas hold for every answer, in any company
cat > "$work/grammar" <<'END'
root ::= ("sim" | "nao") " " [0-9]{3}
END
expect 0 generate --temp 1 --answers 4 --json --grammar "$work/grammar"
json "$work/out" 'all(__import__("re").fullmatch("(sim|nao) [0-9]{3}", a["text"])
    and a["finish"] == "stop" for a in d["answers"])'
echo '{"type": "array", "items": {"enum": [1, "a"]}, "minItems": 2, "maxItems": 4}' > "$work/schema"
expect 0 generate --temp 1 --answers 4 --json --json-schema "$work/schema"
json "$work/out" 'all(2 <= len(v) <= 4 and set(map(str, v)) <= {"1", "a"}
    for v in (json.loads(a["text"]) for a in d["answers"]))'
echo 'root ::= ( "a"' > "$work/grammar"
expect 65 generate --grammar "$work/grammar"
says "$work/grammar"

# what is refused, and how it is said
refuse() { expect 64 generate "${@:2}"; says "$1"; silent; }
refuse "--temp -1: from 0 to 1000 is possible" --temp -1
refuse "--temp hot: a number is needed" --temp hot
refuse "--temp nan: a number is needed" --temp nan
refuse "--top-p 1.5: from 0 to 1 is possible" --top-p 1.5
refuse "--min-p -0.1: from 0 to 1 is possible" --min-p=-0.1
refuse "--typical-p 2: from 0 to 1 is possible" --typical-p 2
refuse "--top-k -3: a whole number" --top-k -3
refuse "--repeat-penalty 0: from 0.01" --repeat-penalty 0
refuse "--frequency-penalty 101: from -100" --frequency-penalty 101
refuse "--presence-penalty -101: from -100" --presence-penalty=-101
refuse "--dry-multiplier -1: from 0" --dry-multiplier=-1
refuse "--dry-base 0.5: from 1" --dry-base 0.5
refuse "--dry-allowed 0: from 1" --dry-allowed 0
refuse "--logit-bias 7: ID=VALUE is needed" --logit-bias 7
refuse "--logit-bias x=1: ID=VALUE is needed" --logit-bias x=1
refuse "--logit-bias 7=inf: ID=VALUE is needed" --logit-bias 7=inf
refuse "token 0 of the logit bias is 9999" --logit-bias 9999=1
refuse "--stop: a stop text is empty" --stop ""
refuse "--answers: from 1 to 64" --answers 0
refuse "--answers: from 1 to 64" --answers 65
refuse "--logprobs: at most 20" --logprobs 21
refuse "did you mean --top-p?" --topp 1
expect 75 generate --stop "$(printf 'a%.0s' {1..300})"
says "--stop: a stop text has 300 bytes"
expect 75 generate --context 7
says "the context holds 7"

# memory is for what can be filled, and how much it is changes nothing
expect 0 generate --context 200
same out greedy "the size of the context changes the answer"
exit 0
