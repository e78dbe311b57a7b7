#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# goal.sh - a goal as stages of tasks: dependencies, plans that are not sound, kill -9 on the way.
. "$(dirname "$0")/common.sh"
sed '/^scout/d' "$swarm" > "$work/models/goal.yaml"
swarm=$work/models/goal.yaml
seq 100 115 > "$work/in.txt"
stage() { # stage ID EACH NEEDS OUTPUT
    printf '{"id":"%s","for_each":"%s","needs":[%s],"instruction":"do","output":[%s],"checks":[],
        "on_fail":"escalate"}' "$@"
}
plan() { # plan STAGES KIND
    printf '{"mode":"swarm","why":"","advice":"","stages":[%s],
        "assembly":{"kind":"%s","instruction":"put it together"},"done_when":""}' "$1" "$2"
}
run=("$enxame" run --fresh -s "$swarm" -i "$work/in.txt" "count the numbers")
number='{"name":"n","type":"integer"}'
flag='{"name":"is_even","type":"boolean"}'
two="$(stage again answer '"reading"' "$flag"),$(stage reading line '' "$number")"

# a task for each line, then one for each answer: the last stage's answers, in order
expect 0 "${run[@]}" --plan "$(plan "$two" join)" --json
json "$work/out" 'd["state"] == "done" and d["tasks"]["accepted"] == 32 == len(d["answers"])'
json "$work/out" '[a["class"] for a in d["answers"]] == ["reading"] * 16 + ["again"] * 16'
json "$work/out" 'd["answer"].count("is_even") == 16 and "\"n\"" not in d["answer"]'
expect 0 "${run[@]}" --plan "$(plan "$two" join)"
cp "$work/out" "$work/first"
expect 0 "${run[@]}" --plan "$(plan "$two" join)" --threads 3
cmp -s "$work/out" "$work/first" || fail "the answer depends on threads"

# all answers of a stage together
expect 0 "${run[@]}" --plan "$(plan "$two,$(stage gather once '"again"' "$number")" join)" --json
json "$work/out" 'len(d["answers"]) == 33 and d["answer"].startswith("{\"n\":")'

# killed at random moments, audits or not, it goes on where it was: the same answer, nothing paid
# twice
newest_job() {
    "$enxame" jobs --json | python3 -c 'import json, sys
print(json.load(sys.stdin)["jobs"][0]["job"])'
}
seq 100 299 > "$work/many.txt"
long=("$enxame" run --fresh \
    -s "$swarm" -i "$work/many.txt" --plan "$(plan "$two" join)" --labels 30 --seed 7 "count them")
expect 0 "${long[@]}" --threads 1
cp "$work/out" "$work/whole"
kills=0
RANDOM=3
for ((round = 0; round < 4; round++)); do
    before=$(newest_job)
    "${long[@]}" --threads 1 > "$work/out" 2> "$work/err" &
    pid=$!
    until id=$(newest_job) && [ "$id" != "$before" ]; do
        sleep 0.02
    done
    sleep "0.$(printf %03d $((RANDOM % 900)))"
    kill -9 $pid 2> /dev/null && kills=$((kills + 1))
    wait $pid 2> /dev/null
    expect 0 "$enxame" resume "$id"
    cmp -s "$work/out" "$work/whole" || fail "round $round: another answer after kill -9"
    expect 0 "$enxame" bill "$id" --json --calls
    json "$work/out" 'len({(r["task"], r["role"]) for r in d["receipts"]}) == len(d["receipts"])'
done
((kills > 0)) || fail "each job was done before it could be killed"

# every stage has its certificate before the next one begins, and all of them hold at once
expect 0 "${run[@]}" --plan "$(plan "$two" join)" --accuracy 0.9 --confidence 0.9 --json
json "$work/out" 'd["certificate"]["form"] == "stages" and d["certificate"]["delta"] < 0.1 + 1e-9'
json "$work/out" '[s["class"] for s in d["certificate"]["stages"]] == ["reading", "again"]'
json "$work/out" 'all(abs(s["claim"]["delta"] - 0.05) < 1e-9 for s in d["certificate"]["stages"])'
json "$work/out" 'all(s["claim"]["labels"] > 0 for s in d["certificate"]["stages"])'
json "$work/out" 'd["certificate"]["stages"][1]["read"] == 16'
expect 0 "$enxame" jobs --json
json "$work/out" 'd["jobs"][0]["tasks"] == d["jobs"][0]["finished"] == 32' # of one input
expect 0 "$enxame" bill --json
json "$work/out" '[s["class"] for s in d["certificate"]["stages"]] == ["reading", "again"]'
expect 0 "$enxame" bill
grep -q "^stage       again" "$work/out" || fail "a stage's certificate is not told"
expect 0 "${run[@]}" --plan "$(plan "$two" join)" --labels 8
says "certificate stages, all of it at once with confidence 95.0 %"

# a budget that ends on the way: what waits is left as it is, and goes on later
expect 73 "${run[@]}" --plan "$(plan "$two" join)" --max-calls 20
says "resume"
id=$(newest_job)
expect 0 "$enxame" resume "$id" --max-calls 1000
cmp -s "$work/out" "$work/first" || fail "another answer after a pause"

# plans that are not sound: told why, nothing paid
bad() { # bad TEXT PLAN
    expect 69 "${run[@]}" --plan "$2"
    says "$1"
    expect 0 "$enxame" bill --json
    json "$work/out" 'd["bill"]["calls"] == 0'
}
bad "can never begin" "$(plan "$(stage reading answer '"again"' "$flag"),$(stage again answer \
    '"reading"' "$flag")" join)"
bad "there is no such stage" "$(plan "$(stage reading answer '"nobody"' "$flag")" join)"
bad "two stages are called reading" "$(plan "$(stage reading line '' ''),$(stage reading line '' \
    '')" join)"
bad "parts of the inputs none" "$(plan "$(stage reading line '' ''),$(stage again line \
    '"reading"' '')" join)"
bad "cannot do tasks of class cooking" "$(plan "$(stage cooking line '' '')" join)"
bad "nothing has been done yet" '{"mode":"deliver"}'
bad "not JSON" '{"mode":'
expect 69 "${run[@]}" --plan "$(plan "$two" join)" --budget 0.000000001
says "worst case"

# a lead that does it alone is approved of as well, or it does nothing
printf 'one line\n' > "$work/one.txt"
expect 130 "$enxame" run --fresh -s "$swarm" -i "$work/one.txt" --approve "say it again" < /dev/null
says "worst case  1 task"
says "gate        lead alone: too few tasks for a swarm"
expect 0 "$enxame" bill --json
json "$work/out" 'd["bill"]["calls"] == 0'
