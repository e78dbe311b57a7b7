#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# market_ledger.sh - what a job cost is what the next one is expected to cost: market buy
# --from-ledger against sums over the receipts of the bill, made again here.
. "$(dirname "$0")/common.sh"
root=$(realpath "$(dirname "$0")/../..")
for i in $(seq 12); do echo "por quanto tempo o povo $i"; done > "$work/in.txt"
expect 0 "$enxame" run --fresh -s "$swarm" --plan "$plan" -i "$work/in.txt" --labels 4 "put it back"
expect 0 "$enxame" bill 1 --calls --json
cp "$work/out" "$work/bill.json"

cat > "$work/buy.yaml" <<'END'
job: {tasks: 5000}
api: {model: openai/gpt-4o}
own: {usd_per_hour: 2}
END
expect 0 "$enxame" market buy "$work/buy.yaml" --from-ledger 1
grep -q 'ledger   job 1, 12 tasks' "$work/out" || fail "the ledger is not shown"
grep -q '^certificate' "$work/out" || fail "no word of the certificate"
expect 0 "$enxame" market buy "$work/buy.yaml" --from-ledger 1 --json
python3 - "$work/bill.json" "$work/out" <<'END' || fail "the ledger is read wrong"
import json, sys
bill, buy = (json.load(open(path)) for path in sys.argv[1:])
receipts, ledger = bill["receipts"], buy["ledger"]
tasks = bill["tasks"]
assert ledger["tasks"] == tasks == 12 and ledger["job"] == 1
def near(a, b): return abs(a - b) <= 1e-9 * max(abs(a), abs(b), 1e-12)
def of(*roles): return [r for r in receipts if r["role"] in roles]
assert near(ledger["escalated"], len({r["task"] for r in of("lead")}) / tasks), ledger
assert near(ledger["audited"], len({r["task"] for r in of("audit")}) / tasks)
assert near(ledger["small_task_usd"], sum(r["cost_usd"] for r in of("scout", "work")) / tasks)
lead = of("lead", "audit")
assert len(lead) >= 4
tokens_in = sum(r["tokens_in"] + r["tokens_cached"] for r in lead) / len(lead)
cached = sum(r["tokens_cached"] for r in lead) / len(lead)
out = sum(r["tokens_out"] for r in lead) / len(lead)
assert near(ledger["tokens_in"], tokens_in) and near(ledger["tokens_out"], out)
price = buy["api"]["price"]
assert (price["provider"], price["usd_per_mtok_in"]) == ("openai", 2.5)
api = ((tokens_in - cached) * 2.5 + cached * 1.25 + out * 10) / 1e6
assert near(buy["api"]["usd"], 5000 * api)
up = min(1, ledger["escalated"] + ledger["audited"])
assert near(buy["swarm"]["usd"], 5000 * (ledger["small_task_usd"] + up * api))
assert ledger["certificate"]["labels"] == len(of("audit"))
assert near(buy["own"]["machine_tasks"], 730 * 3600 / ledger["task_seconds"])
END

# the file comes before the ledger
printf 'swarm: {escalated: 0.5, audited: 0, task_usd: 0}\n' >> "$work/buy.yaml"
expect 0 "$enxame" market buy "$work/buy.yaml" --from-ledger 1 --json
json "$work/out" 'abs(d["swarm"]["usd"] - d["api"]["usd"] / 2) < 1e-9'

# a firm that serves as the swarm did, in a market
expect 0 "$enxame" market solve "$root/jobs/market/saving_shared.yaml" --from-ledger 1 --json
says "ledger: job 1, 12 tasks at"
python3 - "$work/bill.json" "$work/out" <<'END' || fail "the firm's cost is wrong"
import json, sys
bill, solved = (json.load(open(path)) for path in sys.argv[1:])
receipts, tasks = bill["receipts"], bill["tasks"]
def of(*roles): return [r for r in receipts if r["role"] in roles]
small = sum(r["cost_usd"] for r in of("scout", "work")) / tasks
lead = sum(r["cost_usd"] for r in of("lead", "audit")) / len(of("lead", "audit"))
up = sum(len({r["task"] for r in of(role)}) for role in ("lead", "audit")) / tasks
cost = 0.931 * (small / lead + min(1, up))
first = solved["products"][0]
assert abs(first["price"] - first["margin"] - cost) <= 1e-9 * cost, (first, cost)
assert abs(solved["products"][1]["price"] - solved["products"][1]["margin"] - 0.931) < 1e-9
END

# would a bigger worker pay?
echo '{"format": 1, "form": "ladder", "exponent": 0.2, "exponent_se": 0.01, "odds": {"holds": 0.8,
"slowed": 0.05, "stopped": 0.1, "reversed": 0.02, "faster": 0.02, "bad_run": 0.01}}' > "$work/law"
expect 0 "$enxame" models --advise 1 --law "$work/law"
grep -q 'went up' "$work/out" || fail "no advice"
expect 0 "$enxame" models --advise 1 --law "$work/law" --json
python3 - "$work/bill.json" "$work/out" <<'END' || fail "the advice is wrong"
import json, sys
bill, advice = (json.load(open(path)) for path in sys.argv[1:])
receipts, tasks = bill["receipts"], bill["tasks"]
def of(*roles): return [r for r in receipts if r["role"] in roles]
small = sum(r["cost_usd"] for r in of("scout", "work")) / tasks
lead = sum(r["cost_usd"] for r in of("lead", "audit")) / len(of("lead", "audit"))
escalated, audited = (len({r["task"] for r in of(role)}) / tasks for role in ("lead", "audit"))
for worker in advice["workers"]:
    up = escalated * (0.83 * worker["size"] ** -0.4 + 0.17)
    cost = worker["size"] * small + (up + audited) * lead
    assert abs(worker["task_usd"] - cost) < 1e-9 * cost, (worker, cost)
    assert abs(worker["saved_usd_per_million"] / 1e6 - (advice["task_usd"] - cost)) < 1e-12
END
expect 64 "$enxame" models --advise 1
says "go together"
expect 66 "$enxame" models --advise 1 --law "$work/none"
expect 66 "$enxame" models --advise 99 --law "$work/law"

# what cannot be had
expect 64 "$enxame" market buy "$work/buy.yaml"
says "job.tokens_in: is missing"
says "--from-ledger"
expect 66 "$enxame" market buy "$work/buy.yaml" --from-ledger 99
expect 64 "$enxame" market buy "$work/buy.yaml" --from-ledger x
echo ok
