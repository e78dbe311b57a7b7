#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# map.sh - jobs of a class: records through schema and checks, bounds, and files that are not sound.
. "$(dirname "$0")/common.sh"
sed '/^scout/d' "$swarm" > "$work/models/class.yaml"
swarm=$work/models/class.yaml
records 24 > "$work/in.jsonl"
schema='{type: object, properties: {n: {type: integer, minimum: 10, maximum: 42},
    word: {enum: [yes, no]}}, required: [n, word], additionalProperties: false}'
job() { # job LINE…: a job's file of the class `reading` with these lines
    printf '%s\n' 'class: reading' 'input: text' "$@" > "$work/job.yaml"
}
map() { "$enxame" map --fresh -s "$swarm" --seed 7 "$work/job.yaml" "$work/in.jsonl" "$@"; }
out=$work/out.jsonl

# every answer is a value of the schema, whatever the models say
job "schema: $schema" 'checks: [schema]' 'report: how'
expect 0 map -o "$out" --json
json "$work/out" 'd["state"] == "done" and d["tasks"]["accepted"] == 24 == d["records"]'
python3 - "$out" <<'END' || fail "an answer is not what the schema says"
import json, sys
for line in open(sys.argv[1]):
    answer = json.loads(line)["answer"]
    assert list(answer) == ["n", "word"] and 10 <= answer["n"] <= 42, answer
    assert answer["word"] in ("yes", "no")
END
cp "$out" "$work/first"
expect 0 map -o "$out" --threads 3
cmp -s "$out" "$work/first" || fail "the answers depend on threads"

# a check that refuses all of a worker's answers sends them up, and the reason is told
job "schema: $schema" 'report: how' 'checks: [schema, {check: compute, that: "n > 100"}]'
expect 0 map -o "$out" --json
json "$work/out" 'd["escalated"] == 24 and d["tasks"]["failed"] == 24'
grep -q 'a condition on the answer does not hold' "$out" || fail "the failing check is not told"
job "schema: $schema" 'on_fail: skip' 'checks: [{check: regex, field: word, pattern: "maybe"}]'
expect 0 map -o "$out" --json
json "$work/out" 'd["escalated"] == 0 and d["tasks"]["failed"] == 24'
job "schema: $schema" 'on_fail: abort' 'checks: [{check: citation, field: word}]'
expect 75 map -o "$out"
says "what the answer cites is not in the input"
expect 0 "$enxame" cancel 5

# before anything is spent: whether a swarm is worth it, and why, in words and as JSON
gate() { # gate SINGLE WORDS OPTION…: what the forecast of the job says
    local single=$1 words=$2
    shift 2
    expect 0 map -o "$work/dry.jsonl" --dry-run --json "$@"
    json "$work/out" "d['single'] is $single and d['gate'] == '$words' and d['lead']['calls'] > 0"
    expect 0 map -o "$work/dry.jsonl" --dry-run "$@"
    says "gate        $([ "$single" = True ] && echo 'lead alone' || echo swarm): $words"
    says "lead alone  "
}
job "schema: $schema" 'checks: [schema]'
gate False "many tasks that can be checked"
gate False "asked for" --mode swarm
job "schema: $schema"
gate True "no deterministic check"
gate False "many tasks that can be checked" --accuracy 0.9
job "schema: $schema" 'checks: [{check: second, ahead: 2}]'
gate True "to do and to check a task costs as much as the lead"
head -1 "$work/in.jsonl" > "$work/few.jsonl"
mv "$work/in.jsonl" "$work/all.jsonl"
mv "$work/few.jsonl" "$work/in.jsonl"
job "schema: $schema" 'checks: [schema]' 'report: how'
gate True "too few tasks for a swarm"
expect 0 map -o "$out" --json
json "$work/out" 'd["single"] and d["gate"] == "too few tasks for a swarm"'
mv "$work/all.jsonl" "$work/in.jsonl"

# votes: two random workers seldom agree, and what they do not agree on goes up
job "schema: $schema" 'checks: [{check: second, ahead: 2}]'
expect 0 map -o "$out" --mode swarm --json
json "$work/out" 'd["escalated"] > 0 and d["bill"]["calls"] >= 48'

# what the checks were worth, class by class: a table without blanks at the ends of its lines
expect 0 "$enxame" checks
grep -q '^class  ' "$work/out" || fail "no class"
grep -q '^  second' "$work/out" || fail "no votes"
! grep -n ' $' "$work/out" || fail "blanks at the end of a line"

# a command of the user's judges what it reads on stdin, in either sandbox
echo 'exit 0' > "$work/true.sh"
for weak in "" --weak; do
    "$enxame" sandbox "$work/true.sh" $weak > /dev/null 2>&1 || continue
    job "schema: $schema" 'on_fail: skip' 'checks: [{check: command, run: "grep -q yes"}]'
    expect 0 map -o "$out" --json $weak
    [ -z "$weak" ] || says "weaker sandbox"
    python3 - "$out" <<'END' || fail "the command did not decide"
import json, sys
rows = [json.loads(line)["answer"] for line in open(sys.argv[1])]
assert all(row is None or row["word"] == "yes" for row in rows), rows
assert any(rows)
END
done

# the budget of the file holds: calls, and the rest is told
job "schema: $schema" 'checks: [schema]' 'budget: {calls: 5}'
expect 73 map -o "$out"
says "resume"
expect 0 "$enxame" bill --json
json "$work/out" 'd["bill"]["calls"] == 5'

# ... and the same output is not begun by another job before that one ends
job "schema: $schema" 'checks: [schema]' 'budget: {calls: 5}' 'advice: hurry'
expect 64 map -o "$out"
says '`advice` was another one when it began'
job "schema: {type: string}" 'checks: [schema]' 'budget: {calls: 5}'
expect 64 map -o "$out"
says '`schema` was another one when it began'

# files that are not sound: told what, and nothing paid
paid() { "$enxame" jobs --json | grep -o '"job":' | wc -l; }
before=$(paid)
bad() { # bad CODE TEXT LINE…
    local code=$1 text=$2
    shift 2
    job "$@"
    expect "$code" map -o "$work/bad.jsonl"
    says "$text"
}
bad 65 'unknown key "chekcs"; did you mean "checks"?' 'chekcs: [schema]'
bad 65 'no check is called "shema"; nearest: schema' "schema: $schema" 'checks: [shema]'
bad 66 'no function is called lenn' \
    "schema: $schema" 'checks: [{check: compute, that: "lenn(word)"}]'
bad 65 'missing' "schema: $schema" 'checks: [{check: regex, field: word, pattern: "(a"}]'
bad 64 'no number of at most 15 digits lies between' \
    'schema: {type: integer, minimum: 3, maximum: 2}' 'checks: [schema]'
bad 64 'no worker has the specialty cooking' 'specialty: cooking'
bad 65 'anchors and aliases' 'advice: &a x'
printf 'class: other\ninput: text\n' > "$work/job.yaml"
expect 69 map -o "$work/bad.jsonl"
says "cannot do tasks of class other"
job "schema: $schema" 'input2: x'
sed -i 's/input2/advice/; s/input: text/input: nothing/' "$work/job.yaml"
expect 65 map -o "$work/bad.jsonl"
says 'no text under "nothing"'
[ "$(paid)" = "$before" ] || fail "a job that is not sound was begun"

# ten megabytes in one field: told, the others are done
python3 -c 'import json; print(json.dumps({"text": "a " * 5000000}))' > "$work/in.jsonl"
records 5 >> "$work/in.jsonl"
job "schema: $schema" 'checks: [schema]' 'report: how'
expect 0 map -o "$work/long.jsonl" --json
json "$work/out" 'd["tasks"]["abstained"] == 1 and d["tasks"]["accepted"] == 5'
grep -q 'longer than a task may be' "$work/long.jsonl" || fail "the long record is not told"
