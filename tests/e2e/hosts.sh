#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# hosts.sh ENXAME MAKE_TINY_MODELS RELAY ROUNDS - four hosts in network namespaces, one job.
#
# A host for broker and lead, three for workers, each with an address of its own on a bridge.  The
# answers and the bill are those of one machine: with whole links, with 5 % of the packets lost,
# with 200 ms on the way, and when a host is cut off in the middle and comes back.
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
    rm -rf "$work"
}
trap end EXIT

# The bridge is inside host 0, so nothing of the machine's own network changes.
net=10.213.77
# Not for what runs on: that process would be the shell's.
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
url=nats://$net.10:4222
ip netns exec $tag-0 nats-server -js -sd "$work/js" -a 0.0.0.0 -p 4222 > "$work/broker.log" 2>&1 &
pids+=($!)
start_worker() { # HOST URL
    ENXAME_HOME=$work/home$1 ip netns exec "$tag-$1" \
        "$enxame" worker --join "$2" --name "host$1" --lease 2 \
        -m "$work/models/scout.gguf" -m "$work/models/es.gguf" -m "$work/models/pt_BR.gguf" \
        > /dev/null 2>> "$work/host$1.log" &
    pids+=($!)
    for _ in {1..300}; do
        grep -q ready "$work/host$1.log" && return
        sleep 0.1
    done
    fail "host $1: $(tail -n 3 "$work/host$1.log")"
}
records 80 > "$work/in.jsonl"
printf 'goal: all\nreport: how\n' > "$work/job.yaml"
map=("$enxame" map --fresh -s "$swarm" --plan "$plan" --labels 0 --threads 1 --json "$work/job.yaml"
    "$work/in.jsonl")
expect 0 "${map[@]}" -o "$work/whole.jsonl"
cp "$work/out" "$work/whole.json"
turn=0
same() { # NAME: one more job over the queue
    turn=$((turn + 1))
    rm -f "$work/part.jsonl"
    expect 0 on 0 "${map[@]}" -o "$work/part.jsonl" --queue $url --seed $turn
    cmp -s "$work/whole.jsonl" "$work/part.jsonl" || fail "$1: another output"
    python3 - "$work/whole.json" "$work/out" <<'END' || fail "$1: another bill"
import json, sys
whole, job = (json.load(open(path))["bill"] for path in sys.argv[1:])
for bill in whole, job:
    for model in bill["models"]:
        model.pop("fixed_usd")
assert whole["models"] == job["models"], (whole, job)
END
    echo "$1: $(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["seconds"])' \
        "$work/out") s"
}

until_open() { # HOST ADDRESS PORT, seen from the host
    for _ in {1..100}; do
        on "$1" bash -c ": < /dev/tcp/$2/$3" 2> /dev/null && return
        sleep 0.1
    done
    fail "nothing at $2:$3, seen from host $1"
}
until_open 1 $net.10 4222
for i in 1 2; do start_worker $i $url; done
ip netns exec $tag-3 python3 "$relay" 127.0.0.1:4333 $net.10:4222 200 > "$work/relay.log" 2>&1 &
pids+=($!)
until_open 3 127.0.0.1 4333
start_worker 3 nats://127.0.0.1:4333
same "whole links, and 200 ms to one host"
for ((round = 0; round < rounds; round++)); do
    # cut off in the middle, for longer than a lease
    (sleep 0.3; on 0 ip link set v1 down; sleep 4; on 0 ip link set v1 up) &
    same "host 1 cut off"
    wait $!
done
if on 2 nft list tables > /dev/null 2>&1 && on 2 nft add table inet t 2> /dev/null; then
    on 2 nft 'add chain inet t in { type filter hook input priority 0; }'
    on 2 nft 'add rule inet t in numgen random mod 100 < 5 drop'
    same "5 % of the packets to host 2 lost"
else
    echo "no nft here: the part with lost packets is left out"
fi
