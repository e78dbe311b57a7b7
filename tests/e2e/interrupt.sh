#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# interrupt.sh - Ctrl-C saves, says how to go on, and the job goes on.
. "$(dirname "$0")/common.sh"
records 2000 > "$work/in.jsonl"
echo 'goal: all' > "$work/job.yaml"
"$enxame" map --fresh -s "$swarm" --plan "$plan" --threads 1 "$work/job.yaml" "$work/in.jsonl" \
    -o "$work/o.jsonl" > "$work/out" 2> "$work/err" &
pid=$!
for ((i = 0; i < 100; i++)); do
    [ -e "$ENXAME_HOME/enxame.db" ] && break
    sleep 0.02
done
sleep 0.4
kill -INT $pid
wait $pid
code=$?
[ $code = 130 ] || fail "exit $code instead of 130"
says "enxame resume 1"
[ ! -e "$work/o.jsonl" ] || fail "half an output"
expect 0 "$enxame" jobs --json
json "$work/out" 'd["jobs"][0]["state"] == "partial"'
expect 0 "$enxame" resume 1
[ "$(wc -l < "$work/o.jsonl")" = 2000 ] || fail "records are missing"

# while a job runs, nobody else works on it: it is too long to end before we have looked
records 20000 > "$work/long.jsonl"
"$enxame" map --fresh -s "$swarm" --plan "$plan" --threads 1 "$work/job.yaml" "$work/long.jsonl" \
    -o "$work/p.jsonl" > /dev/null 2>&1 &
pid=$!
for ((i = 0; i < 400; i++)); do
    "$enxame" jobs | grep '^ *2 ' > "$work/out" && break
    sleep 0.05
done
expect 75 "$enxame" resume 2
says "another process"
kill -9 $pid
wait $pid 2> /dev/null
exit 0
