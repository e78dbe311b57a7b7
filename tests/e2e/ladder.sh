#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# ladder.sh ENXAME SOURCE_ROOT - a small ladder on the project's own text: killed on its way it
# gives the numbers of one that was not, and what comes out goes on to `scale` and `exam`.
set -uo pipefail
enxame=$(realpath "$1")
root=$2
work=$(mktemp -d /tmp/enxame-ladder-XXXXXX)
trap 'rm -rf "$work"' EXIT
fail() {
    echo "FAILED: $*"
    tail -n 5 "$work/log"
    exit 1
}

mkdir "$work/data"
cat "$root"/src/*/*.[ch] > "$work/data/code.txt"
cat "$root"/docs/*.md "$root"/*.md > "$work/data/prose.txt"
cat "$root"/tests/unit/*.c > "$work/data/held.txt"
cat > "$work/ladder.yaml" <<'YAML'
name: mini
about: A rung of a test.
seed: 1
tokenizer: {vocab: 272, pre: qwen2, feed_mb: 1}
shape: {layers: 2, head_width: 16, context: 128, ffn: 2.667}
rungs:
  - {width: 32, seeds: 1, step_tokens: 512}
  - {width: 48, seeds: 1, step_tokens: 512}
  - {width: 64, seeds: 1, step_tokens: 512}
  - {width: 80, seeds: 1, step_tokens: 512}
  - {width: 96, seeds: 1, step_tokens: 512}
tokens_per_param: [1, 2]
train: {rate: 0.2, sweep: [0.5, 1], warmup: 0.1, decay: 0.2, weight_decay: 0.1, clip: 1.0,
        shards: 2, checkpoint_minutes: 0.02}
text: [code.txt, prose.txt]
held: {files: [held.txt], kb: 60}
YAML
climb() { "$enxame" train --ladder "$work/ladder.yaml" --data "$work/data" "$@" 2>>"$work/log"; }

"$enxame" train --ladder "$work/ladder.yaml" --plan > "$work/plan" || fail "--plan"
[ "$(grep -c ' law ' "$work/plan")" = 10 ] || fail "the plan has $(grep -c ' law ' "$work/plan")"

# Straight through the sweep; then all of it, killed again and again.
climb -o "$work/straight" --rungs 2 || fail "a small ladder"
kills=0
for wait in 1 2 3 4 5 6; do
    "$enxame" train --ladder "$work/ladder.yaml" --data "$work/data" -o "$work/out" \
        --threads $((wait % 2 + 1)) 2>>"$work/log" &
    pid=$!
    sleep "$wait"
    kill -9 $pid 2>/dev/null && kills=$((kills + 1))
    wait $pid 2>/dev/null
done
[ $kills -gt 2 ] || fail "it was done before it could be killed"
climb -o "$work/out" || fail "going on"
same() { cut -d, -f1-18,22-27 "$1"; }
[ "$(same "$work/straight/runs.csv")" = "$(same "$work/out/runs.csv" | head -n 7)" ] ||
    fail "a ladder that was killed has other numbers"
[ "$(wc -l < "$work/out/runs.csv")" = 13 ] || fail "runs are missing"
[ -z "$(find "$work/out" -name '*.trunk' -o -name '*.run')" ] || fail "checkpoints are left"

# The last rung, from the others; odds; ability.
where=purpose=law,tokens_per_param=2
grep -v w096 "$work/out/runs.csv" > "$work/four.csv"
at=$(awk '$1 == "w096-s1-x1-t2" { print $5 }' "$work/plan")
"$enxame" scale forecast "$work/four.csv" --where $where --at "$at" --json > "$work/f" ||
    fail forecast
"$enxame" scale odds "$work/out/runs.csv" --where $where --law "$work/law.json" --json \
    > "$work/o" || fail odds
python3 - "$work/f" "$work/o" "$work/out/runs.csv" <<'END' || fail "forecast or odds"
import csv, json, sys
forecast, odds = (json.load(open(p)) for p in sys.argv[1:3])
runs = {r["name"]: r for r in csv.DictReader(open(sys.argv[3]))}
last, said = float(runs["w096-s1-x1-t2"]["bits_per_byte"]), forecast["next"][0]
losses = [float(runs[f"w{w:03}-s1-x1-t2"]["bits_per_byte"]) for w in (32, 48, 64, 80, 96)]
assert losses == sorted(losses, reverse=True), losses
assert abs(said["loss"] / last - 1) < 0.1, (said, last)
assert 0 <= odds["holds"] <= 1 and odds["data"]["runs"] == 5, odds
print(f"forecast {said['loss']:.3f}, measured {last:.3f}; holds {odds['holds']:.2f}")
END
"$enxame" exam "$work"/out/w0??.gguf --questions 4 --text "$work/data/held.txt" --json \
    > "$work/e" || fail exam
python3 -c "import json, sys
models = json.load(open(sys.argv[1]))['models']
assert len(models) == 5 and all(0 <= x <= 1 for m in models for x in m['tasks']['copying'])" \
    "$work/e" || fail "exam of the rungs"
"$enxame" perplexity -m "$work/out/w096.gguf" -f "$work/data/prose.txt" > /dev/null 2>&1 ||
    fail perplexity

# The last rung writes for the others: so much, a paragraph a line, and the same again.
for out in once again; do
    "$enxame" synthesize "$work/out/w096.gguf" --like "$work/data/prose.txt" --kb 4 --seed 2 \
        -o "$work/$out.txt" --json > "$work/s" 2>>"$work/log" || fail synthesize
done
cmp -s "$work/once.txt" "$work/again.txt" || fail "the same seed wrote another text"
python3 - "$work/s" "$work/once.txt" <<'END' || fail "what was written"
import json, sys
said, text = json.load(open(sys.argv[1])), open(sys.argv[2], "rb").read()
text.decode()
assert said["bytes"] == len(text) >= 4000 and said["kept"] == text.count(b"\n"), said
assert said["candidates"] == sum(said[k] for k in ("short", "copies", "unlikely", "kept")), said
assert said["bits_per_byte_kept"] < said["bits_per_byte"] < 8, said
END

# Another ladder does not go into the folder of this one; rates that do not suit are no evidence.
sed 's/rate: 0.2/rate: 0.3/' "$work/ladder.yaml" > "$work/other.yaml"
"$enxame" train --ladder "$work/other.yaml" --data "$work/data" -o "$work/out" 2>"$work/err"
[ $? = 65 ] && grep -q 'none of this ladder' "$work/err" || fail "another ladder was taken"
sed 's/rate: 0.2/rate: 3/; s/\[0.5, 1\]/[0.1, 1]/' "$work/ladder.yaml" > "$work/hot.yaml"
"$enxame" train --ladder "$work/hot.yaml" --data "$work/data" -o "$work/hot" 2>"$work/err"
[ $? = 64 ] && grep -q 'no evidence' "$work/err" || fail "rates that do not suit were taken"
[ ! -e "$work/hot/w064.gguf" ] || fail "a ladder was climbed at rates that do not suit"
echo "ladder: fine"
