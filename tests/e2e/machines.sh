# SPDX-License-Identifier: Apache-2.0
# machines.sh - the machines of a queue, as the server shows them: over the API and in /metrics.
. "$(dirname "$0")/common.sh" "$1" "$2"
. "$(dirname "$0")/broker.sh"
{ cat "$swarm"; echo "queue: {url: '$url'}"; } > "$work/models/queued.yaml"
serve() { # SWARM: $base is its address
    "$enxame" serve --port 0 --json --quiet -s "$1" > "$work/server" 2> "$work/server.log" &
    server=$!
    pids+=($server)
    for _ in {1..100}; do [ -s "$work/server" ] && break; sleep 0.1; done
    base=$(python3 -c 'import json, sys; print(json.load(sys.stdin)["url"].rstrip("/"))' \
        < "$work/server") || fail "no server: $(cat "$work/server.log")"
}
get() { curl -s -o "$work/out" -w '%{http_code}' "$base$1" > "$work/code" 2> "$work/err"; }
answers() { get "$2"; [ "$(cat "$work/code")" = "$1" ] || fail "$2: $(cat "$work/code")"; }

# a swarm without a queue has no machines
serve "$swarm"
answers 404 /enxame/v1/workers
answers 200 /enxame/v1/info
json "$work/out" 'd["machines"] is False'
kill "$server"; wait "$server" || fail "the server says $?"

# no broker yet: said, and looked for again with each question
serve "$work/models/queued.yaml"
answers 502 /enxame/v1/workers
json "$work/out" '"no broker at" in d["error"]["message"]'
answers 200 /metrics
grep -q enxame_machine_slots "$work/out" && fail "machines of a broker that is away"
start_broker
start_worker ida -m "$work/models/es.gguf" --slots 7
until_said "$work/ida.log" ready
sleep 1.1 # what was seen last counts for a second
answers 200 /enxame/v1/workers
cp "$work/out" "$work/seen.json"
expect 0 "$enxame" workers --join "$url" --json
python3 - "$work/out" "$work/seen.json" <<'END' || fail "not what enxame workers shows"
import json, sys
mine, seen = (json.load(open(path)) for path in sys.argv[1:])
assert mine.keys() == seen.keys() and mine["models"] == seen["models"], (mine, seen)
(mine,), (seen,) = mine["workers"], seen["workers"]
for key in "worker", "host", "pid", "slots":
    assert mine[key] == seen[key], (key, mine, seen)
(mine,), (model,) = mine["models"], seen["models"]
assert mine["digest"] == model["digest"] and mine["name"] == model["name"] == "es.gguf"
assert abs(mine["tokens_in_per_s"] - model["tokens_in_per_s"]) < 1e-6 * mine["tokens_in_per_s"]
assert seen["worker"] == "ida" and seen["slots"] == 7
END
answers 200 /enxame/v1/info
json "$work/out" 'd["machines"] is True'
answers 200 /metrics
host=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["workers"][0]["host"])' \
    "$work/seen.json")
grep -qF "enxame_machine_slots{machine=\"$host\",worker=\"ida\"} 7" "$work/out" ||
    fail "no gauge of the machine: $(grep machine "$work/out")"
grep -q 'enxame_machine_tokens_out_per_s{machine=.*model="es.gguf"} [0-9]' "$work/out" ||
    fail "no speed of the model"

# the broker goes, and comes back
stop_broker
sleep 1.1
get /enxame/v1/workers
[ "$(cat "$work/code")" = 200 ] && sleep 6 && get /enxame/v1/workers
[ "$(cat "$work/code")" = 502 ] || fail "a broker that is gone: $(cat "$work/code")"
start_broker
for _ in {1..100}; do
    get /enxame/v1/workers
    [ "$(cat "$work/code")" = 200 ] && grep -q '"ida"' "$work/out" && break
    sleep 0.3
done
grep -q '"ida"' "$work/out" || fail "the machine is not seen again"
kill "$server"; wait "$server" || fail "the server says $?"
exit 0
