#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# bench.sh ENXAME - what is promised about errors holds in every world, and threads change nothing;
# what the swarm adds to its models is measured.
. "$(dirname "$0")/expect.sh"
json() { python3 -c "import json,sys; d = json.load(open(sys.argv[1])); assert $1, d" "$work/out" ||
    fail "$1"; }
certificate() { local code=$1; shift; expect "$code" "$enxame" bench certificate "$@"; }

# every regime; with few trials only a broken proof reaches these bounds
certificate 0 --trials 4 --json
json 'len(d["regimes"]) == 17 * 8 and d["trials"] == 4'
json 'all(r["violation_low99"] <= r["delta"] + .25 for r in d["regimes"])'
json 'all(0 < r["lead_share"] <= 1 and 0 < r["bargain_share"] <= 1 for r in d["regimes"])'
json 'd["bargain_ratio"] < .95'
certificate 0 --trials 40 --regime strong --json
json 'all(r["violation_low99"] <= r["delta"] for r in d["regimes"])'

for threads in 1 3; do
    certificate 0 --trials 9 --regime drift --threads $threads --json
    mv "$work/out" "$work/threads$threads"
done
cmp -s "$work/threads1" "$work/threads3" || fail "threads change the result"
certificate 0 --trials 2 --regime "easy"
grep -q "easy" "$work/out" || fail "no table"

# a job over HTTP and a store; and one with calls that hang, on a virtual clock
expect 0 "$enxame" bench swarm --tasks 500 --slots 16 --flood 4000 --json
json 'd["dispatch_per_s"] > 50 and d["rss_mb"] > 0 and d["p99_ms"] >= d["p50_ms"] > 0'
json 'd["flood_tasks"] == 4000 and d["flood_per_s"] > 50 and d["flood_rss_mb"] > 0'
json '0 < d["makespan_ratio"] <= .2 and 0 < d["extra_calls"] <= .07'
expect 0 "$enxame" bench swarm --tasks 20 --flood 20
grep -q "in waves" "$work/out" || fail "no report"
expect 64 "$enxame" bench swarm --tasks 0

# the engine, and where its time goes
lead=$(dirname "$0")/../../models/restore-cs.gguf
expect 0 "$enxame" bench engine -m "$lead" --part decode --sequences 4 --prompt 20 --output 4 \
    --runs 1 --profile --json
json '([(p["part"], p["sequences"], p["passes"], p["rows"]) for p in d["profile"]] ==
    [("decode", 4, 4, 16)])'
json 'abs(sum(p["share"] for p in d["profile"][0]["phases"]) - 1) < .01'
json 'all(0 < p["int8_share"] < 2 for p in d["profile"][0]["phases"]
    if p["name"] in ("gate, up", "down"))'
json '0 < sum(sum(l.values()) for l in d["profile"][0]["layers"]) <= d["profile"][0]["seconds"]'
expect 0 "$enxame" bench engine -m "$lead" --part prefill --runs 1 --profile
grep -q "of int8" "$work/out" && grep -q "feed-forward" "$work/out" || fail "no profile"

# records: forced text comes by itself, or in tokens that the model is asked for
grammar=$(dirname "$0")/../../bench/peers/answer.gbnf
records() { expect 0 "$enxame" bench engine -m "$lead" --part records --grammar "$grammar" \
    --records 2 --sequences 2 --prompt 20 --runs 1 --json "$@"; }
asked='json.load(open(sys.argv[1] + ".asked"))'
records --ask
json 'all(0 <= len(m) - len(t) <= 1
    for t, m in zip(d["records"]["tokens"], d["records"]["margins"]))'
json 'all(m is None or m >= 0 for a in d["records"]["margins"] for m in a)'
json '0 < sum(m is None for m in d["records"]["margins"][0]) < len(d["records"]["tokens"][0])'
cp "$work/out" "$work/out.asked"
records
json '"margins" not in d["records"]'
json 'd["records"]["tokens_out"] < '"$asked"'["records"]["tokens_out"]'
json 'all(a.startswith("{\"sender\": \"") for a in d["records"]["answers"] +
    '"$asked"'["records"]["answers"])'

# bad asking
certificate 66 --regime nothing
says 'no regime has "nothing" in its name'
certificate 64 --trials 0
certificate 64 --trails 3
certificate 75 --threads 1000
expect 64 "$enxame" bench engine
says "MODEL is missing"
expect 64 "$enxame" bench engine -m x --part speed
says "no part is called speed"
expect 64 "$enxame" bench engine -m x --part records
says "needs --grammar"
expect 64 "$enxame" bench engine -m x --sequences 5
says "1, 4, 16 or 64 can be measured"
expect 64 "$enxame" bench engine -m x --ask
says "which need --grammar"
expect 64 "$enxame" bench engine -m x --records 0
says "expected 1 to"
expect 64 "$enxame" bench
expect 64 "$enxame" bench certify
says 'did you mean "certificate"?'
echo ok
