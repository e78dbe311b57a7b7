#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# train.sh ENXAME - a model from text by the command line: stopped and resumed it is the
# same file but for its times, and what it holds is what `models` and `generate` see.
set -euo pipefail
enxame=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
    echo "FAIL: $*" >&2
    exit 1
}

mkdir "$work/data"
for i in $(seq 200); do
    echo "O povo número $i não é a herança, e a ação de Dom Pedro foi boa: você verá amanhã."
done >"$work/data/pt.txt"
cat >"$work/tiny.yaml" <<'YAML'
name: tiny
about: A test.
seed: 5
tokenizer: {vocab: 288, pre: qwen2, feed_mb: 0.1}
model: {width: 32, layers: 1, head_width: 32, ffn: 64, context: 256}
train: {steps: 40, shards: 2, shard_tokens: 256, passes: 1, learning_rate: 0.01, warmup: 4,
        decay: 0.5, weight_decay: 0.1, clip: 1.0, checkpoint_minutes: 60}
restore: {level_1: 1, level_2: 1, level_3: 1, partial: 0.1, tag_dropout: 0.1, window_bytes: 80,
          draft: 0.9}
sources:
  - {kind: restore, file: pt.txt, language: pt_BR, weight: 1}
YAML
train() { "$enxame" train "$work/tiny.yaml" --data "$work/data" "$@"; }

train -o "$work/whole.gguf" --threads 2 2>"$work/log" || fail "train: $(tail -n 1 "$work/log")"
grep -q '"steps": 40' "$work/whole.json" || fail "no record beside the model"
grep -q '"commit": "[0-9a-f.]' "$work/whole.json" || fail "the record does not name its source"

# SIGINT after the first lines of progress: exit 130 or a finished run, then the same again.
"$enxame" train "$work/tiny.yaml" --data "$work/data" -o "$work/cut.gguf" --threads 1 \
    2>"$work/cut.log" &
pid=$!
until grep -qs "^step" "$work/cut.log" || ! kill -0 $pid 2>/dev/null; do sleep 0.02; done
kill -INT $pid 2>/dev/null || true
wait $pid && status=0 || status=$?
case $status in
0) ;;
*)
    [ ! -e "$work/cut.gguf" ] || fail "a stopped run wrote a model"
    grep -q 'goes on from the checkpoint' "$work/cut.log" || fail "stopped without advice"
    train -o "$work/cut.gguf" --threads 2 2>"$work/log" || fail "resume: $(tail -n 1 "$work/log")"
    ;;
esac
"$enxame" perplexity -m "$work/whole.gguf" -f "$work/data/pt.txt" --json >"$work/a" 2>/dev/null
"$enxame" perplexity -m "$work/cut.gguf" -f "$work/data/pt.txt" --json >"$work/b" 2>/dev/null
same='s/"[a-z_]*\(seconds\|_per_s\|_us\|_ms\)": *[0-9.e+-]*//g; s/whole\|cut//g'
[ "$(sed "$same" "$work/a")" = "$(sed "$same" "$work/b")" ] || fail "stopped and resumed differs"

"$enxame" models "$work/whole.gguf" >"$work/text" || fail "models"
"$enxame" generate -m "$work/whole.gguf" -p "nao e" -n 8 --temp 0 >"$work/text" || fail "generate"

# Mistakes are named.
train -o "$work/x.gguf" --init /no/model.gguf 2>"$work/log" && fail "--init took a missing file"
grep -q '/no/model.gguf' "$work/log" || fail "the missing file is not named"
"$enxame" train --data "$work/data" --json >"$work/json" 2>"$work/log" && fail "no recipe was taken"
grep -q '"error":.*name one recipe' "$work/json" || fail "no error in JSON: $(cat "$work/json")"
sed -i 's/width: 32/widht: 32/' "$work/tiny.yaml"
train -o "$work/x.gguf" 2>"$work/log" && fail "a misspelt key was taken"
grep -q 'widht' "$work/log" || fail "the misspelt key is not named: $(cat "$work/log")"
echo "train: fine"
