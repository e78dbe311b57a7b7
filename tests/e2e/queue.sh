#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# queue.sh ENXAME MAKE_TINY_MODELS NATS_SAY ROUNDS - a job over a broker is the job of one machine.
#
# Answers and bill must be those of a run without a queue, whatever happens meanwhile: workers that
# come and go, kill -9 of workers, of the lead and of the broker, and reports that nobody asked for.
. "$(dirname "$0")/common.sh"
say=$3
rounds=$4
. "$(dirname "$0")/broker.sh"
models=(-m "$work/models/scout.gguf" -m "$work/models/es.gguf" -m "$work/models/pt_BR.gguf")

records 120 > "$work/in.jsonl"
printf 'goal: all\nreport: how\n' > "$work/job.yaml"
map=("$enxame" map --fresh -s "$swarm" --plan "$plan" --seed 7 --labels 10 --threads 1 --json
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
expect 64 "$enxame" worker --join $url --name host.1
says "letters, digits, - and _"
expect 64 "$enxame" worker --join $url --user somebody
says "--user goes with --password or --nkey"
nats-server -a 127.0.0.1 -p $port > "$work/broker.log" 2>&1 &
pids+=($!)
sleep 0.5
expect 69 "$enxame" workers --join $url
says "nats-server -js"
kill "${pids[-1]}"; wait "${pids[-1]}" 2> /dev/null

# ---- One worker with its own files, one that fetches what the swarm wants
start_broker
start_worker early --folder "$work/early" # waits until somebody wants something
early=$worker
until_said "$work/early.log" "wants no models yet"
start_worker own "${models[@]}"
own=$worker
until_said "$work/own.log" ready
expect 0 "${map[@]}" -o "$work/part.jsonl" --queue $url
same "one worker"
until_said "$work/early.log" "worker early: ready"
until_said "$work/early.log" "fetched"
kill $early
wait $early || fail "the worker that came early says $?"
{ cat "$swarm"; echo "queue: {url: '$url', slots: 64, hedge: true}"; } > "$work/models/queued.yaml"
expect 0 "${map[@]}" -s "$work/models/queued.yaml" -o "$work/part.jsonl"
cmp -s "$work/whole.jsonl" "$work/part.jsonl" || fail "queue in the swarm file: another output"
rm -f "$work/part.jsonl"
echo "queue: {url: '$url', user: somebody}" | cat "$swarm" - > "$work/models/queued.yaml"
expect 64 "${map[@]}" -s "$work/models/queued.yaml" -o "$work/part.jsonl"
says "user goes with password or nkey"
start_worker fetched --folder "$work/fetched"
until_said "$work/fetched.log" ready
expect 0 "${map[@]}" -o "$work/part.jsonl" --queue $url --seed 8 --labels 0
"$enxame" workers --join $url --json > "$work/workers.json"
json "$work/workers.json" '{"own", "fetched"} <= {w["worker"] for w in d["workers"]}'
json "$work/workers.json" 'all(m["waiting"] == 0 and m["running"] == 0 for m in d["models"])'
kill "$worker"
wait "$worker" || fail "a worker that was asked to stop says $?"
grep -q "calls answered" "$work/fetched.log" || fail "no count at the end"
truncate -s 0 "$work/fetched"/*.gguf
expect 65 "$enxame" worker --join $url --folder "$work/fetched"
says "is not the file that it should be"
rm -f "$work/part.jsonl"

# ---- Strangers: malformed, too long, of another model, for more than was reserved, again
digest=$(sha256sum "$work/models/es.gguf" | cut -d' ' -f1)
echo 'version=1' | python3 "$say" $port "enx.enxame.work.$digest.1.0000000000000000"
until_said "$work/own.log" "a call is dead"
kill $own
wait $own 2> /dev/null # no worker is left: the job waits
"${map[@]}" -o "$work/part.jsonl" --queue $url --seed 9 > "$work/out" 2> "$work/err" &
lead=$!
salt=
for _ in {1..100}; do
    salt=$(sqlite3 "$ENXAME_HOME/enxame.db" \
        "select printf('%016x', created_us) from jobs where state = 'running'" 2> /dev/null)
    [ -n "$salt" ] && break
    sleep 0.1
done
[ -n "$salt" ] || fail "no job is running"
until_waiting() {
    for _ in {1..100}; do
        "$enxame" workers --join $url --json > "$work/workers.json" 2> /dev/null &&
            python3 -c 'import json, sys
sys.exit(sum(m["waiting"] for m in json.load(open(sys.argv[1]))["models"]) == 0)' \
                "$work/workers.json" && return
        sleep 0.1
    done
    fail "nothing waits in the queue"
}
until_waiting
job=$(sqlite3 "$ENXAME_HOME/enxame.db" "select max(id) from jobs")
python3 - "$salt" "$job" "$digest" "$work" <<'END'
import sys
salt, job, digest, folder = sys.argv[1:]
head = dict(version=1, salt=salt, call=(int(job) << 32) + 1, model=digest, worker="liar", status=0,
            language="es", level=1, confidence=1, sum_logprob=-1, min_logprob=-1, tokens=1,
            error_chance=0, flags=0, tokens_in=1, tokens_cached=0, tokens_out=1,
            tokens_reasoning=0, latency_us=1, answer_bytes=4, error_bytes=0)
def write(name, **changes):
    with open(f"{folder}/{name}", "w") as out:
        words = (f"{key}={value}" for key, value in {**head, **changes}.items())
        out.write(" ".join(words) + "\nlies")
write("short", answer_bytes=400)
write("other", worker="somebody")
write("greedy", model="0" * 64)
write("foreign", salt="0" * 16)
END
head -c 600000 /dev/zero | tr '\0' x > "$work/long"
call=$(((job << 32) + 1))
for lie in short other greedy foreign long; do
    python3 "$say" $port "enx.enxame.done.liar.$salt.$call" "$work/$lie"
done
start_worker honest "${models[@]}"
wait $lead || fail "strangers ended the job"
for word in "liar" "bytes of text" "somebody else's" "no first line"; do says "$word"; done
same "strangers"
expect 0 "${map[@]}" -o "$work/part.jsonl" --queue $url --seed 10
same "after strangers"

# ---- A machine in reserve takes nothing while others have room, and helps when calls wait
kill $worker
wait $worker
start_worker reserve "${models[@]}" --reserve 60
reserve=$worker
start_worker cheap "${models[@]}" --slots 64
until_said "$work/reserve.log" ready
until_said "$work/cheap.log" ready
answered() { # WORKER
    "$enxame" workers --join $url --json | python3 -c 'import json, sys
print(next(w["done"] for w in json.load(sys.stdin)["workers"] if w["worker"] == sys.argv[1]))' "$1"
}
expect 0 "${map[@]}" -o "$work/part.jsonl" --queue $url --seed 11
same "with a machine in reserve"
sleep 5.5 # until each has said again how many it answered
[ "$(answered reserve)" = 0 ] || fail "the machine in reserve worked though another had room"
kill $worker $reserve
wait $worker $reserve
start_worker eager "${models[@]}" --reserve 0.3
expect 0 "${map[@]}" -o "$work/part.jsonl" --queue $url --seed 12
same "a machine in reserve alone"
kill $worker
wait $worker
grep -q " 0 calls answered" "$work/eager.log" && fail "the machine in reserve did nothing"

# ---- Rounds of faults
start_worker steady "${models[@]}"
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
        stop_broker
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
