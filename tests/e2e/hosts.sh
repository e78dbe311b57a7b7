#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# hosts.sh ENXAME MAKE_TINY_MODELS RELAY ROUNDS - four hosts in network namespaces, one job.
#
# A host for broker and lead, three for workers, each with an address of its own on a bridge; the
# third is 200 ms away.  ROUNDS jobs are done, with a fault in each: a host is cut off, packets are
# lost, a worker, the broker or the lead is killed, clocks jump, a disk is full.  Every answer and
# every bill is that of one machine.  Prints CSV: the round, its fault, how long the job took, and
# how long it may take: half as long again as without a fault, and what the fault itself takes.
if [ "$(id -u)" = 0 ] && [ -z "${OWN_MOUNTS-}" ]; then
    # namespaces and a full disk are mounts, which nobody else is to see
    OWN_MOUNTS=1 exec unshare --mount bash "$0" "$@"
fi
. "$(dirname "$0")/common.sh"
relay=$3
rounds=$4
skip() { echo "SKIPPED: $*"; exit 77; }
command -v nats-server > /dev/null || skip "no nats-server"
[ "$(id -u)" = 0 ] || skip "making network namespaces needs root"
command -v ip > /dev/null || skip "no ip (package iproute2)"
tag=enx$$
bridge=b$tag
ip netns add $tag-0 2> "$work/err" || skip "no network namespaces: $(head -1 "$work/err")"
RANDOM=${SEED:-1}
pids=()
end() {
    for pid in "${pids[@]}"; do kill -9 "$pid" 2> /dev/null; done
    wait 2> /dev/null
    for i in 0 1 2 3; do ip netns del $tag-$i 2> /dev/null; done
    umount "$work/full" 2> /dev/null
    rm -rf "$work"
}
trap end EXIT

# ---- Hosts: the bridge is inside host 0, so nothing of the machine's own network changes
net=10.213.77
url=nats://$net.10:4222
# Not for what is signalled: that process would be the shell's.
on() { ip netns exec "$tag-$1" "${@:2}"; }
for i in 1 2 3; do ip netns add $tag-$i || fail "no namespace $i"; done
on 0 ip link add $bridge type bridge || skip "no bridges in this kernel"
on 0 ip addr add $net.10/24 dev $bridge
on 0 ip link set $bridge up
on 0 ip link set lo up
for i in 1 2 3; do
    ip link add v$i netns $tag-0 type veth peer name eth netns $tag-$i || skip "no veth pairs"
    on 0 ip link set v$i master $bridge up
    on $i ip addr add $net.1$i/24 dev eth
    on $i ip link set eth up
    on $i ip link set lo up
done
until_open() { # HOST ADDRESS PORT, seen from the host
    for _ in {1..100}; do
        on "$1" bash -c ": < /dev/tcp/$2/$3" 2> /dev/null && return
        sleep 0.1
    done
    fail "nothing at $2:$3, seen from host $1"
}
start_broker() {
    ip netns exec $tag-0 nats-server -js -sd "$work/js" -a 0.0.0.0 -p 4222 >> "$work/broker.log" \
        2>&1 &
    broker=$!
    pids+=($broker)
    until_open 0 $net.10 4222
}
models=(-m "$work/models/scout.gguf" -m "$work/models/es.gguf" -m "$work/models/pt_BR.gguf")

# ---- Clocks: libfaketime moves a process's time of day by what its host's file says
fake=$(ls /usr/lib/*/faketime/libfaketimeMT.so.1 2> /dev/null)
# It does not go with sanitizers.
if [ -n "$fake" ]; then
    LD_PRELOAD=$fake timeout 20 "$enxame" --help > "$work/out" 2> "$work/err" || fake=
    [ ! -s "$work/err" ] || fake=
fi
clock() { echo "$2" > "$work/clock$1"; } # HOST SECONDS
for i in 0 1 2 3; do clock $i +0; done
# as_host HOST: $env is what its programs start with
as_host() {
    env=()
    [ "$1" = 0 ] || env+=(ENXAME_HOME="$work/home$1")
    [ -z "$fake" ] || env+=(LD_PRELOAD="$fake" FAKETIME_TIMESTAMP_FILE="$work/clock$1"
        FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_CACHE_DURATION=1)
}
start_worker() { # HOST URL ARGUMENTS…
    local host=$1 where=$2
    shift 2
    as_host "$host"
    : > "$work/host$host.log"
    ip netns exec "$tag-$host" env "${env[@]}" "$enxame" worker --join "$where" \
        --name "host$host" --lease 2 "$@" > /dev/null 2>> "$work/host$host.log" &
    workers[$host]=$!
    pids+=($!)
}
until_ready() { # HOST
    for _ in {1..300}; do
        grep -q ready "$work/host$1.log" && return
        sleep 0.1
    done
    fail "host $1: $(tail -n 3 "$work/host$1.log")"
}

# ---- The job
records 80 > "$work/in.jsonl"
printf 'goal: all\nreport: how\n' > "$work/job.yaml"
map=("$enxame" map -s "$swarm" --fresh --plan "$plan" --labels 0 --threads 1 --json "$work/job.yaml"
    "$work/in.jsonl")
expect 0 "${map[@]}" -o "$work/whole.jsonl"
cp "$work/out" "$work/whole.json"
turn=0
begin() {
    turn=$((turn + 1))
    rm -f "$work/part.jsonl"
    as_host 0
    job=(ip netns exec $tag-0 env "${env[@]}" "${map[@]}" -o "$work/part.jsonl" --queue $url
        --seed $turn)
    before=$(jobs)
    started=$EPOCHREALTIME
    "${job[@]}" > "$work/out" 2> "$work/err" &
    lead=$!
}
finish() { # FAULT SECONDS: the job is that of one machine
    wait $lead 2> /dev/null || [ "$1" = lead ] || fail "$1: the job failed"
    [ -e "$work/part.jsonl" ] || expect 0 "${job[@]}"
    local end=$EPOCHREALTIME
    cmp -s "$work/whole.jsonl" "$work/part.jsonl" || fail "$1: another output"
    "$enxame" bill --json > "$work/bill.json"
    python3 - "$work/whole.json" "$work/bill.json" <<'END' || fail "$1: another bill"
import json, sys
whole, job = (json.load(open(path))["bill"] for path in sys.argv[1:])
for bill in whole, job:
    for model in bill["models"]:
        model.pop("fixed_usd")
assert whole["models"] == job["models"], (whole, job)
END
    seconds=$(python3 -c "print(round($end - $started, 3))")
    echo "$turn,$1,$seconds,$(python3 -c "print(round(1.5 * ${without:-$seconds} + $2, 3))")"
}

# ---- Faults: each strikes in the middle of a job.  A dead machine's calls wait for the lease.
jobs() { sqlite3 -cmd ".timeout 9000" "$ENXAME_HOME/enxame.db" "select count(*) from jobs"; }
middle() {
    until [ "$(jobs)" -gt "$before" ]; do sleep 0.05; done
    sleep "0.$((1 + RANDOM % 4))"
}
fault_none() { finish none 0; }
fault_cut() { # for longer than a lease
    middle
    (on 0 ip link set v1 down; sleep 4; on 0 ip link set v1 up) &
    finish cut 6
    wait $!
}
fault_worker() {
    middle
    kill -9 ${workers[2]}
    wait ${workers[2]} 2> /dev/null
    finish worker 3
    start_worker 2 $url "${models[@]}"
    until_ready 2
}
fault_broker() {
    middle
    kill -9 $broker
    wait $broker 2> /dev/null
    start_broker
    finish broker 4
}
fault_lead() {
    middle
    kill -9 $lead
    finish lead 2
}
fault_clock() { # an hour forward on one host, an hour back on two
    middle
    clock 0 -3600
    clock 1 +3600
    clock 2 -3600
    finish clock 0
    clock 0 +0
    clock 1 +0
    clock 2 +0
}
fault_loss() {
    on 2 nft add table inet t
    on 2 nft 'add chain inet t in { type filter hook input priority 0; }'
    on 2 nft 'add rule inet t in numgen random mod 100 < 5 drop'
    finish loss 2
    on 2 nft delete table inet t
}
fault_disk() { # a worker that cannot keep what it fetches says so; the others do the job
    kill ${workers[2]}
    wait ${workers[2]} 2> /dev/null
    mkdir -p "$work/full"
    mount -t tmpfs -o size=16k tmpfs "$work/full" || fail "no tmpfs"
    start_worker 2 $url --folder "$work/full/fetched"
    wait ${workers[2]} && fail "a worker without room says 0"
    grep -q "No space left" "$work/host2.log" || fail "not said: $(cat "$work/host2.log")"
    ls "$work/full/fetched" | grep gguf > "$work/out" && fail "half a model is left"
    umount "$work/full"
    finish disk 2
    start_worker 2 $url "${models[@]}"
    until_ready 2
}

faults=(cut worker broker lead disk)
if [ -n "$fake" ]; then faults+=(clock)
else echo "no libfaketime here: clocks do not jump"
fi
if on 2 nft list tables > /dev/null 2>&1; then faults+=(loss)
else echo "no nft here: no packets are lost"
fi

start_broker
for i in 1 2; do start_worker $i $url "${models[@]}"; done
ip netns exec $tag-3 python3 "$relay" 127.0.0.1:4333 $net.10:4222 200 > "$work/relay.log" 2>&1 &
pids+=($!)
until_open 3 127.0.0.1 4333
start_worker 3 nats://127.0.0.1:4333 "${models[@]}"
for i in 1 2 3; do until_ready $i; done
echo "round,fault,seconds,seconds_max"
for ((i = 0; i < 3; i++)); do # the slowest of three is what a job takes without a fault
    begin
    fault_none
    without=$(python3 -c "print(max($seconds, ${without:-0}))")
done
for ((i = 0; i < rounds; i++)); do
    begin
    "fault_${faults[i % ${#faults[@]}]}"
done
