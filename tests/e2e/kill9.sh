#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# kill9.sh ENXAME MAKE_TINY_MODELS ROUNDS - kill a map job at random moments, go on, compare.
#
# The output must be that of a job that was left alone, and so must the bill, to the token: then no
# call of a finished task was paid twice.
. "$(dirname "$0")/common.sh"
rounds=$3
RANDOM=${SEED:-1}
records 240 > "$work/in.jsonl"
printf 'goal: all\nreport: how\n' > "$work/job.yaml"
map=("$enxame" map --fresh -s "$swarm" --plan "$plan" --seed 7 --labels 10 --threads 1 --json
    "$work/job.yaml" "$work/in.jsonl" -o) # a command, not a function: its process is what is killed
start_ns=$(date +%s%N)
expect 0 "${map[@]}" "$work/whole.jsonl"
whole_ms=$((($(date +%s%N) - start_ns) / 1000000))
cp "$work/out" "$work/whole.json"

kills=0
for ((round = 0; round < rounds; round++)); do
    rm -f "$work/part.jsonl"
    # each job is killed up to three times on its way
    for ((k = 0; k < 3; k++)); do
        "${map[@]}" "$work/part.jsonl" > "$work/out" 2> "$work/err" &
        pid=$!
        sleep "$(printf '0.%03d' $((RANDOM % (whole_ms < 900 ? whole_ms + 50 : 950))))"
        kill -9 $pid 2> /dev/null && kills=$((kills + 1))
        wait $pid 2> /dev/null
        [ -e "$work/part.jsonl" ] && break
    done
    if [ ! -e "$work/part.jsonl" ]; then
        if ((round % 2)); then
            expect 0 "${map[@]}" "$work/part.jsonl"
        else
            id=$("$enxame" jobs --json | python3 -c 'import json, sys
print(json.load(sys.stdin)["jobs"][0]["job"])')
            expect 0 "$enxame" resume "$id" --json
        fi
    fi
    cmp -s "$work/whole.jsonl" "$work/part.jsonl" || fail "round $round: another output"
    expect 0 "$enxame" bill --json --calls
    python3 - "$work/whole.json" "$work/out" <<'END' || fail "round $round: another bill"
import collections, json, sys
whole, job = (json.load(open(path)) for path in sys.argv[1:])
for key in "calls", "tokens_out":
    assert whole["bill"][key] == job["bill"][key], (key, whole["bill"][key], job["bill"][key])
def read(bill): return bill["tokens_in"] + bill["tokens_cached"]
assert read(whole["bill"]) == read(job["bill"])
counts = collections.Counter((r["task"], r["role"]) for r in job["receipts"])
assert max(counts.values()) == 1 and all(r["status"] == "ok" for r in job["receipts"])
END
done
echo "$rounds rounds, $kills kills, whole job $whole_ms ms"
((kills > 0)) || fail "no job was killed: make it longer"
