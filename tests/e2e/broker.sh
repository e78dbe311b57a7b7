# SPDX-License-Identifier: Apache-2.0
# broker.sh - what tests with a broker on this machine begin with, after common.sh.
#
# Gives $url and: start_broker ARGUMENTS… ($broker) · stop_broker · start_worker NAME ARGUMENTS…
# ($worker, its words in $work/NAME.log) · until_said FILE TEXT.  All of them end with the test.
command -v nats-server > /dev/null || { echo "SKIPPED: no nats-server"; exit 77; }
RANDOM=${SEED:-1}
pids=()
stop_all() {
    for pid in "${pids[@]}"; do kill -9 "$pid" 2> /dev/null; done
    wait 2> /dev/null
}
trap 'stop_all; chmod -R u+w "$work"; rm -rf "$work"' EXIT

port=$((20000 + (RANDOM + $$) % 12000)) # below those that the system gives to clients
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
stop_broker() {
    kill -9 $broker
    wait $broker 2> /dev/null
}
start_worker() {
    local name=$1
    shift
    "$enxame" worker --join $url --name "$name" --lease 2 "$@" > /dev/null 2> "$work/$name.log" &
    worker=$!
    pids+=($worker)
}
until_said() {
    for _ in {1..300}; do
        grep -qF -- "$2" "$1" && return
        sleep 0.1
    done
    fail "$1 never says: $2 ($(tail -n 3 "$1"))"
}
