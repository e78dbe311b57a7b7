#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# scale.sh ENXAME ROOT - laws from published runs and from made ones; what is not enough says so and
# prints no number.
. "$(dirname "$0")/expect.sh"
root=$(realpath "$2")
golden=$root/tests/golden
json() { python3 -c "import json,sys; d = json.load(open(sys.argv[1])); assert $1, d" "$work/out" ||
    fail "$1"; }
scale() { local code=$1; shift; expect "$code" "$enxame" scale "$@"; }

gadre=$golden/scale_gadre.csv
porian=$golden/scale_porian.csv
tuned=(--where "dataset=rw,hparams=tuned")
bent=(--where "dataset=rw,warmup=short,decay=chinchilla")

# fit: every form, the same on any number of threads
for form in chinchilla tied kaplan bayes; do
    scale 0 fit "$gadre" --where dataset=rpj --form $form --resamples 200
    [ -s "$work/out" ] || fail "nothing printed for $form"
    scale 0 fit "$gadre" --where dataset=rpj --form $form --resamples 200 --json
    json 'd["form"] == "'$form'" and d["data"]["runs"] == 35 and len(d["data"]["hash"]) == 16'
done
scale 0 fit "$porian" "${tuned[@]}" --form broken --resamples 50 --json
json 'd["objective"] < 1e-4 and d["c0"] > 0'
for threads in 1 3; do
    scale 0 fit "$gadre" --where dataset=rpj --resamples 300 --threads $threads --json \
        --svg "$work/$threads.svg" --law "$work/$threads.law"
    cp "$work/out" "$work/$threads.json"
done
cmp "$work/1.json" "$work/3.json" || fail "threads change the fit"
cmp "$work/1.svg" "$work/3.svg" || fail "threads change the picture"
json 'abs(d["objective"] - 0.00042651082573674868) < 1e-12'
json 'set(d["se"]) == {"A", "B", "E", "alpha", "beta"} and d["low"]["alpha"] < d["alpha"]'
json 'd["agreed"] > 0 and d["starts"] == 4500 and d["held_out"]["runs"] == 7'
python3 - "$work/1.law" "$work/1.svg" <<'END' || fail "law.json or picture"
import json, sys, xml.dom.minidom
law = json.load(open(sys.argv[1]))
assert law["format"] == 1 and law["form"] == "chinchilla" and law["odds"] is None
a, b = law["params"]["alpha"], law["params"]["beta"]
assert abs(law["exponent"] - a * b / (a + b)) < 1e-9 and law["exponent_se"] > 0
assert law["floor"] == law["params"]["E"] and law["data"]["runs"] == 35
assert len(xml.dom.minidom.parse(sys.argv[2]).getElementsByTagName("circle")) > 300
END

# forecast: intervals, what was forecast before, a budget
scale 0 forecast "$porian" "${tuned[@]}" --json --svg "$work/f.svg"
json 'len(d["next"]) == 2 and d["past"]["forecasts"] == 8 and d["past"]["error"] < 0.005'
json 'all(n["low"] < n["loss"] < n["high"] for n in d["next"])'
json 'abs(d["factor"] - 2) < 1e-6 and d["next"][0]["N"] is None'
scale 0 forecast "$gadre" --where dataset=rpj --budget 1e21 --speed 1e15 --usd-per-hour 2 --json
json 'd["optimum"]["low"] < d["optimum"]["loss"] < d["optimum"]["high"]'
json 'abs(6 * d["optimum"]["N"] * d["optimum"]["D"] / 1e21 - 1) < 1e-9'
json 'd["rungs"] == 0 and "loss" not in d["next"][0]'
json 'd["next"][0]["surface"]["low"] < d["next"][0]["surface"]["loss"]'
json 'abs(d["next"][0]["usd"] * 1800 / d["next"][0]["seconds"] - 1) < 1e-9'
scale 0 forecast "$gadre" --where dataset=rpj --budget 1e21
xmllint --noout "$work/f.svg" 2>/dev/null || python3 -c "import xml.dom.minidom as m, sys
m.parse(sys.argv[1])" "$work/f.svg" || fail "the picture is no XML"

# odds: one ladder holds, the same with untuned learning rates does not
scale 0 odds "$porian" "${tuned[@]}" --json --svg "$work/o.svg" --law "$work/o.law"
json 'd["holds"] > 0.95 and abs(sum(d[k] for k in ("holds", "slowed", "stopped", "reversed",
    "faster", "bad_run")) - 1) < 1e-9'
json 'd["next"]["low"] < d["next"]["mean"] < d["next"]["high"] and d["cause"] is None'
json 'd["mind"]["loss_below"] < d["next"]["mean"] < d["mind"]["loss_above"]'
json 'len(d["history"]) == 8 and len(d["plans"]) == 3'
python3 -c "import json,sys; law = json.load(open(sys.argv[1]))
assert law['odds']['holds'] > 0.95 and abs(law['odds']['factor'] - 2) < 1e-6
assert law['next']['low'] < law['next']['high'] and law['exponent'] > 0" "$work/o.law" || fail law
scale 0 odds "$porian" "${bent[@]}" --json
json 'd["holds"] < 0.05 and d["slowed"] > 0.9 and any("learning rates" in n for n in d["notes"])'
scale 0 odds "$porian" "${bent[@]}"
grep -q 'less than 1 to 99' "$work/out" || fail "no odds in words"

# the law goes on to the market: gamma in proportion to the exponent, odds for the horizon
today=$root/jobs/market/today.yaml
expect 0 "$enxame" market claims "$today" --law "$work/o.law" --json
json 'd["claims"][0]["value"] > 0 and abs(d["claims"][0]["value"] - 0.155) > 1e-3'
expect 0 "$enxame" market run "$today" --draws 100 --years 3 --law "$work/o.law" --json
cp "$work/out" "$work/with"
expect 0 "$enxame" market run "$today" --draws 100 --years 3 --json
cmp -s "$work/out" "$work/with" && fail "the law does nothing to the market"
echo '{"format": 1, "exponent": -1}' > "$work/no.law"
expect 65 "$enxame" market run "$today" --law "$work/no.law"
says 'exponent: -1 is not from'
expect 66 "$enxame" market claims "$today" --law "$work/none.law"

# text read 22 times: a data wall by name; without the column, a bad run or a reversal, not the law
cat > "$work/wall.csv" <<'END'
N,D,U,loss,lr
27648,.55e6,.4e6,2.1505,.016
50176,1.0e6,.4e6,1.7873,.0125
110592,2.2e6,.4e6,1.5182,.0083
200704,4.0e6,.4e6,1.4129,.00625
442368,8.9e6,.4e6,1.5943,.0042
END
scale 0 odds "$work/wall.csv" --json
json 'd["holds"] < 0.05 and d["data_wall"] > 0.9 and d["cause"] == "data wall"'
json 'any("read its text 22" in n for n in d["notes"])'
cut -d, -f1,2,4 "$work/wall.csv" > "$work/blind.csv"
scale 0 odds "$work/blind.csv" --json
json 'd["holds"] < 0.05 and d["bad_run"] > 0.1 and d["reversed"] > 0.1'
json 'd["best_plan"] and any("make the last rung again" in n for n in d["notes"])'
sed 's/,\.[0-9]*$/,.01/' "$work/wall.csv" > "$work/rate.csv"
scale 0 odds "$work/rate.csv" --json
json 'any("one learning rate" in n for n in d["notes"])'

# not enough, or not what it seems
scale 64 odds "$gadre" --where dataset=rpj
says 'tokens a parameter jump from rung to rung'
scale 0 odds "$gadre" --where "dataset=rpj,tokens_per_param=20"
runs() { printf '%b' "$1" > "$work/x.csv"; }
runs 'C,loss\n1e9,5\n4e9,4\n2e10,3.5\n1e11,3\n'
scale 64 odds "$work/x.csv"
says '4 rungs of different compute; odds need at least 5'
[ -s "$work/out" ] && fail "odds of four rungs"
scale 0 forecast "$work/x.csv"
scale 64 fit "$work/x.csv"
says 'parameters N or tokens D are not known'
runs 'C,loss\n1e9,5\n4e9,4\n2e10,3.5\n'
scale 64 forecast "$work/x.csv" --json
says 'at least 4'
json 'd["error"]["exit_code"] == 64'
runs 'N,D,loss\n1e9,2e10,3.3\n1e10,2e11,2.8\n1e11,2e12,2.5\n1e12,2e13,2.3\n1e13,2e14,2.17\n'
scale 0 odds "$work/x.csv" --json
json 'all(h["compute"] > 0 for h in d["history"])'
runs 'C,loss\n1e9,5\n4e9,nan\n2e10,3.5\n1e11,3\n5e11,2.7\n2e12,2.5\n'
scale 0 odds "$work/x.csv" --json
json 'd["data"]["diverged"] == 1 and any("left out" in n for n in d["notes"])'
runs 'C,loss\n1e9,5\n4e9,4\n2e10,3.5\n1e11,3\n5e11,9\n'
scale 0 odds "$work/x.csv" --json
json 'd["holds"] < 0.05 and any("looks diverged" in n for n in d["notes"])'
runs 'C,loss\n1e9,5\n1e9,5\n4e9,4\n'
scale 64 odds "$work/x.csv"
says 'lines 2 and 3 are the same run'
runs 'C,loss,tokenizer\n1e9,5,a\n4e9,4,b\n'
scale 64 odds "$work/x.csv"
says 'do not compare'
runs 'C,loss\n1e9,5\n4e9,\n'
scale 64 odds "$work/x.csv"
says 'same compute'
runs 'C,loss\n1e9,\033[31mred\n'
scale 65 odds "$work/x.csv"
scale 0 fit "$gadre" --resamples 0 --json
json 'any("quite another loss" in n for n in d["notes"])'
scale 64 fit "$gadre" --where dataset=rpj --form banana
scale 64 fit "$gadre" --where dataset=rpj --resamples 99999999
scale 64 fit "$gadre" --map N=tokens_per_parm
says 'did you mean'
scale 66 fit "$work/none.csv"
scale 74 odds "$porian" "${tuned[@]}" --svg "$work/none/x.svg"
[ -s "$work/out" ] && fail "a result although the picture failed"
scale 64 odds "$porian" "${tuned[@]}" --broken 1
scale 64 forecast "$porian" "${tuned[@]}" --budget 1e20
says 'needs a law in N and D'
scale 64
scale 64 fti x
scale 0 --help
for verb in fit forecast odds; do
    scale 0 $verb --help
    grep -q "^Example: enxame scale $verb" "$work/out" || fail "no example: $verb"
done
echo ok
