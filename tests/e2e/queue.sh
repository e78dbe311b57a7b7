#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# queue.sh ENXAME MAKE_TINY_MODELS NATS_SAY ROUNDS - a job over a broker is the job of one machine.
#
# Answers and bill must be those of a run without a queue, whatever happens meanwhile: workers that
# come and go, kill -9 of workers, of the lead and of the broker, and reports that nobody asked for.
. "$(dirname "$0")/common.sh"
say=$3
rounds=$4
command -v nats-server > /dev/null || { echo "SKIPPED: no nats-server"; exit 77; }
RANDOM=${SEED:-1}
pids=()
stop_all() {
    for pid in "${pids[@]}"; do kill -9 "$pid" 2> /dev/null; done
    wait 2> /dev/null
}
trap 'stop_all; chmod -R u+w "$work"; rm -rf "$work"' EXIT

port=$((20000 + RANDOM % 20000 + $$ % 1000))
url=nats://127.0.0.1:$port
start_broker() {
    nats-server -js -sd "$work/js" -a 127.0.0.1 -p $port "$@" > "$work/broker.log" 2>&1 &
    broker=$!
    pids+=($broker)
    for _ in {1..100}; do
        (: < /dev/tcp/127.0.0.1/$port) 2> /dev/null && return
        sleep 0.1
    done
    fail "the broker does not come up: $(cat "$work/broker.log")"
}
# start_worker NAME ARGUMENTS…: $worker is its process
start_worker() {
    local name=$1
    shift
    "$enxame" worker --join $url --name "$name" --lease 2 "$@" > /dev/null 2> "$work/$name.log" &
    worker=$!
    pids+=($worker)
}
until_said() { # FILE TEXT
    for _ in {1..300}; do
        grep -qF -- "$2" "$1" && return
        sleep 0.1
    done
    fail "$1 never says: $2 ($(tail -n 3 "$1"))"
}
models=(-m "$work/models/scout.gguf" -m "$work/models/es.gguf" -m "$work/models/pt_BR.gguf")

records 120 > "$work/in.jsonl"
printf 'goal: all\nreport: how\n' > "$work/job.yaml"
map=("$enxame" map -s "$swarm" --plan "$plan" --seed 7 --labels 10 --threads 1 --json
    "$work/job.yaml" "$work/in.jsonl")
expect 0 "${map[@]}" -o "$work/whole.jsonl"
cp "$work/out" "$work/whole.json"
same() { # NAME: output and bill are those of one machine
    cmp -s "$work/whole.jsonl" "$work/part.jsonl" || fail "$1: another output"
    "$enxame" bill --json > "$work/bill.json"
    python3 - "$work/whole.json" "$work/bill.json" <<'END' || fail "$1: another bill"
import json, sys
whole, job = (json.load(open(path))["bill"] for path in sys.argv[1:])
for key in "calls", "tokens_in", "tokens_out", "cost_usd":
    assert whole[key] == job[key], (key, whole[key], job[key])
END
    rm -f "$work/part.jsonl"
}

# ---- Refusals
expect 66 "${map[@]}" -o "$work/part.jsonl" --queue $url
says "no broker at $url"
expect 64 "$enxame" worker
says "--join: where is the broker"
expect 64 "$enxame" worker --join $url --user somebody
says "--user and --password go together"
nats-server -a 127.0.0.1 -p $port > "$work/broker.log" 2>&1 &
pids+=($!)
sleep 0.5
expect 69 "$enxame" workers --join $url
says "nats-server -js"
kill "${pids[-1]}"; wait "${pids[-1]}" 2> /dev/null

# ---- One worker with its own files, one that fetches what the swarm wants
start_broker
expect 66 "$enxame" worker --join $url --name early
says "wants no models yet"
start_worker own "${models[@]}"
until_said "$work/own.log" ready
expect 0 "${map[@]}" -o "$work/part.jsonl" --queue $url
same "one worker"
{ cat "$swarm"; echo "queue: {url: '$url', slots: 64, hedge: true}"; } > "$work/models/queued.yaml"
expect 0 "${map[@]}" -s "$work/models/queued.yaml" -o "$work/part.jsonl"
cmp -s "$work/whole.jsonl" "$work/part.jsonl" || fail "queue in the swarm file: another output"
rm -f "$work/part.jsonl"
echo "queue: {url: '$url', user: somebody}" | cat "$swarm" - > "$work/models/queued.yaml"
expect 64 "${map[@]}" -s "$work/models/queued.yaml" -o "$work/part.jsonl"
says "user and password go together"
start_worker fetched --folder "$work/fetched"
until_said "$work/fetched.log" ready
expect 0 "${map[@]}" -o "$work/part.jsonl" --queue $url --seed 8 --labels 0
"$enxame" workers --join $url --json > "$work/workers.json"
json "$work/workers.json" '{w["worker"] for w in d["workers"]} == {"own", "fetched"}'
json "$work/workers.json" 'all(m["waiting"] == 0 and m["running"] == 0 for m in d["models"])'
kill "$worker"
wait "$worker" || fail "a worker that was asked to stop says $?"
grep -q "calls answered" "$work/fetched.log" || fail "no count at the end"
truncate -s 0 "$work/fetched"/*.gguf
expect 65 "$enxame" worker --join $url --folder "$work/fetched"
says "is not the file that it should be"
rm -f "$work/part.jsonl"

# ---- Strangers: malformed, foreign, replayed
salt=00000000000000aa
for k in {1..5}; do echo "noise $k" | python3 "$say" $port "enx.enxame.done.liar.$salt.$k"; done
digest=$(sha256sum "$work/models/es.gguf" | cut -d' ' -f1)
echo '{"version":1}' | python3 "$say" $port "enx.enxame.work.$digest.1"
until_said "$work/own.log" "a call is dead"

# ---- Rounds of faults
rm -f "$work/whole.jsonl"
expect 0 "${map[@]}" -o "$work/whole.jsonl" --labels 0
cp "$work/out" "$work/whole.json"
for ((round = 0; round < rounds; round++)); do
    start_worker "w$round" "${models[@]}"
    until_said "$work/w$round.log" ready
    job=("${map[@]}" -o "$work/part.jsonl" --queue $url --seed $((100 + round)) --labels 0)
    "${job[@]}" > "$work/out" 2> "$work/err" &
    lead=$!
    sleep "0.$((RANDOM % 9))"
    case $((round % 4)) in
    0) kill -9 $worker ;;
    1)
        kill -9 $broker
        wait $broker 2> /dev/null
        start_broker
        ;;
    2) kill -9 $lead ;;
    3) kill $worker ;;
    esac
    wait $lead
    [ -e "$work/part.jsonl" ] || expect 0 "${job[@]}"
    same "round $round"
    kill -9 $worker 2> /dev/null
done
echo "$rounds rounds"
