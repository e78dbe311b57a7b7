#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# market.sh ENXAME ROOT - the examples solve, the reference cases come out of the command, and what
# cannot be solved says so and prints no number.
. "$(dirname "$0")/expect.sh"
root=$(realpath "$2")

for scenario in "$root"/jobs/market/*.yaml; do
    [[ $scenario == */buy_* ]] && continue
    expect 0 "$enxame" market solve "$scenario"
    [ -s "$work/out" ] || fail "nothing printed for $scenario"
    expect 0 "$enxame" market solve "$scenario" --json
    cp "$work/out" "$work/once"
    expect 0 "$enxame" market solve "$scenario" --json
    cmp "$work/once" "$work/out" || fail "two runs differ: $scenario"
done

# every reference case whose input is a market, or the bound on firms
python3 - "$enxame" "$root/tests/golden/market_golden.json" "$work" <<'END' || fail "references"
import json, subprocess, sys
enxame, cases, work = sys.argv[1:]
done = 0
for case in json.load(open(cases)):
    given, want = case["input"], case["expect"]
    if not ("v" in given or "delta" in given or set(given) == {"gamma", "rho"}): continue
    path = work + "/case.json"
    json.dump(given, open(path, "w"), indent=1)
    got = json.loads(subprocess.run([enxame, "market", "solve", path, "--json"],
                                    capture_output=True, check=True).stdout)
    for key, value in want.items():
        if key == "nmax": have = got["n_max"]
        elif key in ("p1", "p2"): have = got["products"][int(key[1]) - 1]["price"]
        elif key in ("m2", "s2", "s1"): have = got[key[0]][int(key[1]) - 1]
        elif key == "pi1": have = got["pi"][0]
        else: have = got[key]
        pairs = zip(have, value) if isinstance(value, list) else \
            [(h, value) for h in (have if isinstance(have, list) else [have])]
        for h, v in pairs:
            assert abs(h - float(v)) <= case["rel_tol"] * abs(float(v)), (case["id"], key, h, v)
    done += 1
assert done == 22, done
END

# seven claims: verdicts, and thresholds
expect 0 "$enxame" market claims "$root/jobs/market/today.yaml"
[ "$(grep -c 'hangs on' "$work/out")" = 7 ] || fail "not seven claims"
expect 0 "$enxame" market claims "$root/jobs/market/today.yaml" --json
python3 - "$work/out" "$root/docs/market.md" <<'END' || fail "claims"
import json, re, sys
claims = json.load(open(sys.argv[1]))["claims"]
assert len(claims) == 7 and all(c["holds"] in (True, False) for c in claims)
assert all(c["flip_below"] is not None or c["flip_above"] is not None for c in claims)
assert abs([c for c in claims if c["name"] == "layers"][0]["flip_above"] - 5.4) < 1e-9
# docs/market.md shows these very thresholds
rows = [line.split("|") for line in open(sys.argv[2]) if re.match(r"\| [1-7] \|", line)]
assert len(rows) == 7
for claim, row in zip(claims, rows):
    flips = [f for f in (claim["flip_below"], claim["flip_above"]) if f is not None]
    if claim["name"] == "state": flips = [100 * (f - 1) for f in flips]
    shown = [float(n) for n in re.findall(r"\d+(?:\.\d+)?", row[6])]
    assert len(shown) == len(flips), row
    assert all(abs(a - b) <= 0.01 * b for a, b in zip(shown, flips)), (shown, flips)
    assert row[3].split(",")[0].strip() == ("holds" if claim["holds"] else "no"), row
END
expect 64 "$enxame" market claims "$root/jobs/market/solar.yaml"
says 'endogenous'
expect 64 "$enxame" market claims
expect 0 "$enxame" market claims --help

# years: byte for byte the same on any number of threads, another seed is another result
future=(market run "$root/jobs/market/today.yaml" --draws 200 --years 4)
for threads in 1 2 8; do
    expect 0 "$enxame" "${future[@]}" --seed 5 --threads $threads --svg "$work/$threads.svg" --json
    mv "$work/out" "$work/$threads.json"
    cmp "$work/1.json" "$work/$threads.json" || fail "$threads threads differ"
    cmp "$work/1.svg" "$work/$threads.svg" || fail "$threads threads draw another picture"
done
expect 0 "$enxame" "${future[@]}" --seed 6 --json
cmp -s "$work/1.json" "$work/out" && fail "the seed does nothing"
python3 - "$work/1.json" "$work/1.svg" <<'END' || fail "fans"
import json, sys, xml.dom.minidom
run = json.load(open(sys.argv[1]))
assert run["draws"] == 200 and run["years"] == 4 and run["seed"] == 5
assert run["without_equilibrium"] == 0 and len(run["fans"]) == 14
for fan in run["fans"].values():
    assert [year["year"] for year in fan] == [1, 2, 3, 4]
    for year in fan: assert year["quantiles"] == sorted(year["quantiles"])
assert run["fans"]["unit_cost"][3]["mean"] < 1.33
svg = xml.dom.minidom.parse(sys.argv[2])
assert len(svg.getElementsByTagName("polygon")) == 12
END
expect 0 "$enxame" "${future[@]}"
expect 0 "$enxame" "${future[@]}" --tornado
grep -q 'What decides year 4' "$work/out" || fail "no tornado"
expect 0 "$enxame" "${future[@]}" --tornado --json
python3 - "$work/out" <<'END' || fail "tornado"
import json, sys
run = json.load(open(sys.argv[1]))
middle = run["fans"]["cs"][-1]["quantiles"][run["quantiles"].index(0.5)]
levers = {row["lever"]: row["cs"] for row in run["tornado"]}
assert len(levers) == 7 and levers["demand_growth"][0] < middle < levers["demand_growth"][1]
assert levers["cost_factor"][0] > middle > levers["cost_factor"][1]
END
expect 0 "$enxame" "${future[@]}" --tornado-svg "$work/t.svg"
python3 - "$work/t.svg" <<'END' || fail "the tornado's picture"
import sys, xml.dom.minidom
svg = xml.dom.minidom.parse(sys.argv[1])
bars = [r for r in svg.getElementsByTagName("rect") if r.getAttribute("class") in ("less", "more")]
assert 2 + 7 * 3 * 2 - 6 <= len(bars) <= 2 + 7 * 3 * 2, len(bars)  # two are the key's
width = float(svg.documentElement.getAttribute("width"))
for bar in bars:
    x, size = (float(bar.getAttribute(k)) for k in ("x", "width"))
    assert 0 <= x and size >= 0 and x + size <= width
END
expect 0 "$enxame" "${future[@]}" --stop-year 2
grep -q 'in 100.0 % of draws .*in 0.0 % of draws' "$work/out" || fail "the law does not stop"
expect 0 "$enxame" market run "$root/jobs/market/open_weights.yaml" --draws 20 --years 2 --json
grep -q '"cournot": *{' "$work/out" || fail "one conduct only"
expect 64 "$enxame" "${future[@]}" --draws 0
says '--draws'
expect 64 "$enxame" market run "$root/jobs/market/today.yaml" --draws 1000000 --years 100
says 'at most'
expect 74 "$enxame" "${future[@]}" --svg "$work/none/x.svg"
[ -s "$work/out" ] && fail "a result although the picture failed"
expect 0 "$enxame" market run --help

# three bills: the sample, a published example, and what is wrong with a file
sample=$root/jobs/market/buy_tickets.yaml
[ "$(wc -l < "$sample")" -le 30 ] || fail "the sample is longer than 30 lines"
expect 0 "$enxame" market buy "$sample"
grep -q 'cheapest: ' "$work/out" || fail "nothing is cheapest"
cat > "$work/x.yaml" <<'END'
job: {tasks: 1, tokens_in: 120e6, tokens_out: 40e6}
api: {usd_per_mtok_in: 0.25, usd_per_mtok_out: 2}
own: {usd_per_hour: 1.19, hours: 729.6, overhead: 1.15, tokens_per_s_in: 1e6, tokens_per_s_out: 1e6}
END
expect 0 "$enxame" market buy "$work/x.yaml" --json
python3 - "$work/out" <<'END' || fail "buy"
import json, sys
bill = json.load(open(sys.argv[1]))
assert round(bill["api"]["usd"], 2) == 110.00 and round(bill["own"]["usd"], 2) == 998.46
assert round(bill["own"]["break_even_tasks"] * 0.16, 4) == 1.4523  # billion tokens
assert bill["swarm"] is None and bill["cheapest"] == "api"
END
sed -i 's/overhead: 1.15/overhaed: 1/' "$work/x.yaml"
expect 65 "$enxame" market buy "$work/x.yaml"
says 'did you mean "overhead"?'
printf 'job: {tasks: 9, tokens_in: 1, tokens_cached: 2, tokens_out: 1}\n' > "$work/x.yaml"
printf 'api: {usd_per_mtok_in: 1, usd_per_mtok_out: 2}\n' >> "$work/x.yaml"
expect 64 "$enxame" market buy "$work/x.yaml"
says 'job.tokens_cached'
expect 0 "$enxame" market buy --help

# the price table, built in and of one's own; a model's name in place of prices
expect 0 "$enxame" market prices openai/o3
grep -Eq 'openai/o3 +2025-06-10 +2 ' "$work/out" || fail "no price of o3"
expect 0 "$enxame" market prices --json
python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); assert len(d["rows"]) > 1000, d' \
    "$work/out" || fail "the table is short"
cat > "$work/x.yaml" <<'END'
job: {tasks: 300000, tokens_in: 1000, tokens_out: 500, accuracy: 0.9}
api: {model: openai/gpt-4o, accuracy: 0.95}
END
expect 0 "$enxame" market buy "$work/x.yaml"
grep -q 'api .* 2250.00 ' "$work/out" || fail "not 2250 USD"
printf '%s\n' '# enxame prices, version 1' '# date: 2026-01-31' '# source: mine' \
    'provider,model,from,usd_per_mtok_in,usd_per_mtok_cached,usd_per_mtok_out,tiered' \
    'openai,gpt-4o,,1,,2,' > "$work/prices.csv"
expect 0 "$enxame" market buy "$work/x.yaml" --prices "$work/prices.csv" --json
python3 -c 'import json, sys; d = json.load(open(sys.argv[1]))
assert abs(d["api"]["usd"] - 600) < 1e-9 and d["prices"] == "2026-01-31", d' "$work/out" || fail own
sed -i 's/gpt-4o,/gpt-4p,/' "$work/x.yaml"
expect 66 "$enxame" market buy "$work/x.yaml"
says 'api.model: no price of that model'
echo 'openai' >> "$work/prices.csv"
expect 65 "$enxame" market prices --prices "$work/prices.csv"
says 'line 6: 1 fields instead of 7'
printf 'job: {tasks: 9, tokens_in: 1, tokens_out: 1}\napi: {usd_per_mtok_in: 2.5e-6}\n' \
    > "$work/x.yaml"
expect 64 "$enxame" market buy "$work/x.yaml"
says 'api.usd_per_mtok_out: is missing; USD a million tokens'
sed -i 's/5e-6/5e-6, usd_per_mtok_out: 1e-5/' "$work/x.yaml"
expect 64 "$enxame" market buy "$work/x.yaml"
says 'if it is for one token, write 2.5'

# what a pencil solves, and the reference cases among it
python3 - "$enxame" "$root/tests/golden/market_golden.json" <<'END' || fail "textbook"
import json, subprocess, sys
enxame, golden = sys.argv[1:]
cases = {c["id"]: c for c in json.load(open(golden))}
def book(name, **given):
    words = [f"{key}={value}" for key, value in given.items()]
    return json.loads(subprocess.run([enxame, "market", "textbook", name, *words, "--json"],
                                     capture_output=True, check=True).stdout)
def check(name, case, given=None, rename=()):
    want = cases[case]["expect"]
    got = book(name, **(given or cases[case]["input"]))
    for key, value in want.items():
        key = dict(rename).get(key, key)
        if key in got:
            tolerance = max(cases[case]["rel_tol"], 1e-15) * abs(float(value))
            assert abs(got[key] - float(value)) <= tolerance, (case, got, want)
    assert any(dict(rename).get(key, key) in got for key in want)
check("cournot", "cournot_linear")
entry = cases["cournot_entry"]
for fixed, count in zip(entry["input"]["F"], entry["expect"]["n"]):
    assert book("entry", a=10, b=1, c=1, F=fixed)["n"] == count
check("salop", "salop")
check("sutton", "sutton_cournot")
lcoi = dict(cases["lcoi"]["input"], Q=5e7, c=1)
check("annuity", "lcoi", lcoi, {"usd_per_mtok": "usd_a_unit"}.items())
check("compute", "train_vs_infer")
check("learning", "wright")
check("hazard", "law_hazard", {"S": 0.65, "T": 5})
END
expect 64 "$enxame" market textbook salop t=4 L=100
says 'F: is missing; USD, from'
expect 64 "$enxame" market textbook salop t=4 L=100 F=-1
says 'F: -1 is not from'
expect 64 "$enxame" market textbook cournot a=1 b=1 c=2 n=3
says 'not above c'
expect 64 "$enxame" market textbook salup t=4
says 'did you mean salop?'
expect 64 "$enxame" market textbook salop t=4x L=1 F=1
says 't: not a number'
expect 0 "$enxame" market textbook

# a learning rate out of a history; the reference case
expect 0 "$enxame" market learn "$root/jobs/market/solar_panels.csv" --json
python3 - "$work/out" "$root/tests/golden/market_golden.json" <<'END' || fail "learning"
import json, sys
got = json.load(open(sys.argv[1]))
want = next(c["expect"] for c in json.load(open(sys.argv[2])) if c["id"] == "pv_fit")
names = {"b": "exponent", "se": "exponent_se", "R2": "fit", "learning_rate": "rate",
         "first_diff_omega": "step_exponent", "sigma_eta": "noise_sd"}
for key, value in want.items():
    assert abs(got[names[key]] / float(value) - 1) <= 1e-6, (key, got, value)
assert got["rows"] == 41
END
expect 0 "$enxame" market learn "$root/jobs/market/solar_panels.csv"
grep -q 'learning_rate: 0.202, noise_sd: 0.132' "$work/out" || fail "no line for a scenario"
printf 'units,usd\n1,2\n2,x\n' > "$work/x.csv"
expect 65 "$enxame" market learn "$work/x.csv"
says 'line 3: the last two fields'
printf 'units,usd\n1,2\n3,1\n2,1\n' > "$work/x.csv"
expect 64 "$enxame" market learn "$work/x.csv"
says 'row 3: units are 2 after 3'

# a law that was measured, and its doubts
cat > "$work/law.json" <<'END'
{"kind": "enxame.law", "version": 1, "compute_exponent": 0.16, "se": {"compute_exponent": 0.008},
 "odds": {"holds": 0.2, "slowed": 0.4, "stopped": 0.3, "reversed": 0.1}, "source": {"runs": 40}}
END
expect 0 "$enxame" market claims "$root/jobs/market/today.yaml" --law "$work/law.json" --json
says 'note: its own odds are against it'
python3 - "$work/out" <<'END' || fail "the law is lost"
import json, sys
d = json.load(open(sys.argv[1]))
claims = {c["name"]: c for c in d["claims"]}
assert claims["law"]["value"] == 0.16 and abs(claims["few"]["value"] - 1.2 * 0.16 / 0.155) < 1e-12
assert d["law"]["odds"]["stopped"] == 0.3 and "against" in d["law"]["doubt"]
END
expect 0 "$enxame" "${future[@]}" --law "$work/law.json" --json
python3 - "$work/1.json" "$work/out" <<'END' || fail "poor odds do not widen the years"
import json, sys
without, law = (json.load(open(path))["fans"] for path in sys.argv[1:])
assert law["law"][3]["mean"] < without["law"][3]["mean"] - 0.2
def width(fans, key): q = fans[key][3]["quantiles"]; return q[-1] / q[0]
assert width(law, "net_usd") > width(without, "net_usd")
END
sed -i 's/"version": 1/"version": 3/' "$work/law.json"
expect 69 "$enxame" market solve "$root/jobs/market/today.yaml" --law "$work/law.json"
says 'version: 3'

# every key is explained, in the program and in the page
expect 0 "$enxame" market keys --json
python3 - "$work/out" "$root/docs/market.md" <<'END' || fail "keys"
import json, sys
keys = json.load(open(sys.argv[1]))["keys"]
page = open(sys.argv[2]).read()
assert len(keys) > 60
for k in keys:
    row = "| `%s` | %s | %s | %s | %s |" % tuple(
        k[name] for name in ("key", "unit", "range", "default", "source"))
    assert row in page, row
END

# what has no answer
solve() { printf '%s' "$1" > "$work/x.yaml"; expect "$2" "$enxame" market solve "$work/x.yaml"; }
solve 'alpah: 1' 65
says 'did you mean "alpha"?'
solve '{alpha: 1, outside: none, v: [1]}' 64
says 'outside'
solve '{alpha: 1, outside: 0, v: [1, .nan]}' 65
solve '{alpha: 1, outside: 0, v: [1, nan]}' 64
says 'quality'
solve '{alpha: 1, outside: 0, v: []}' 64
says 'firms'
printf '{alpha: 1, outside: 0, v: [1], future: {odds: 2}}' > "$work/x.yaml"
expect 64 "$enxame" market run "$work/x.yaml"
says 'future.odds: 2 is not from'
solve '{alpha: 1, outside: 0, gamma: 1.25, size: 1, training: {spend: endogenous}, v: [0, 0]}' 69
says 'training'
[ -s "$work/out" ] && fail "a number for a market without equilibrium"
expect 66 "$enxame" market solve "$work/none.yaml"
expect 64 "$enxame" market
expect 64 "$enxame" market slove x
expect 0 "$enxame" market solve --help
expect 0 "$enxame" market --help
python3 -c 'print({"alpha": 1, "outside": 0, "v": [i / 1000 for i in range(1000)]})' \
    > "$work/m.yaml"
expect 0 "$enxame" market solve "$work/m.yaml"
printf '\033[2Jname: "\\e[31mred"\nalpha: 1' > "$work/x.yaml"
expect 65 "$enxame" market solve "$work/x.yaml"
echo ok
