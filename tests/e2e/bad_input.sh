#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# bad_input.sh - whatever comes: a clear message, an exit code, nothing lost.
. "$(dirname "$0")/common.sh"
run() { "$enxame" run --fresh -s "$swarm" --plan "$plan" "$@" "all"; }

# files that are no models
head -c 3000 "$work/models/es.gguf" > "$work/cut.gguf"
head -c 3000 /dev/urandom > "$work/junk.gguf"
: > "$work/empty.gguf"
for file in cut junk empty; do
    expect 65 "$enxame" models "$work/$file.gguf"
    says "$work/$file.gguf"
done
expect 66 "$enxame" models "$work/none.gguf"
python3 - "$work/models/es.gguf" "$work/mamba.gguf" <<'END'
import sys
data = open(sys.argv[1], "rb").read()
open(sys.argv[2], "wb").write(data.replace(b"qwen3", b"mamba"))
END
expect 69 "$enxame" models "$work/mamba.gguf"
says "mamba"
sed 's/lead.gguf/es.gguf/; s/scout.gguf/lead.gguf/' "$swarm" > "$work/models/wrong.yaml"
expect 69 "$enxame" run --fresh -s "$work/models/wrong.yaml" "all" <<< "hola que tal"
says "cannot be a scout"

# YAML
sed 's/escalate:/escalte:/' "$swarm" > "$work/models/typo.yaml"
expect 65 "$enxame" run --fresh -s "$work/models/typo.yaml" "all" <<< hola
says 'typo.yaml:8: unknown key "escalte"; did you mean "escalate"?'
expect 66 "$enxame" run --fresh -s "$work/none.yaml" "all" <<< hola

# commands and options
expect 64 "$enxame" rnu
says 'did you mean "run"?'
expect 64 "$enxame" run --fresh --bugdet 3 x
says "did you mean --budget?"
expect 64 "$enxame" run --fresh --budget much x
expect 64 "$enxame" run --fresh --budget 1e-11 x
says "buys nothing"
expect 64 "$enxame" run
expect 64 "$enxame" resume seven
expect 66 "$enxame" resume 77
expect 66 "$enxame" run --fresh -i "$work/none.txt" -s "$swarm" all
for command in run map chat code generate tokenize models perplexity quantize sandbox jobs bill \
               resume cancel doctor; do
    expect 0 "$enxame" $command --help
    grep -q "^Example: .*enxame $command" "$work/out" || fail "no example: $command"
done

# texts: empty, not UTF-8, endless, in a language that nobody knows
expect 0 run -i /dev/null
silent
expect 0 run <<< ""
[ "$(cat "$work/out")" = "" ] || fail "an empty text has an answer"
printf 'ola \xff\xfe mundo\n' > "$work/latin"
expect 0 run -i "$work/latin"
cmp -s "$work/out" "$work/latin" || fail "bytes that are no text were changed"
expect 0 run --json -i "$work/latin"
json "$work/out" '"byte 5" in d["answers"][0]["note"] and d["answers"][0]["state"] != "accepted"'
only_de='{"mode":"swarm","for_each":"paragraph","repair":["accents"],"languages":["de"],'
only_de+='"escalate":true,"check":["round_trip"]}'
printf 'hola que tal\nela e a herdeira\n' > "$work/two"
expect 69 "$enxame" run --fresh -s "$swarm" --plan "$only_de" -i "$work/two" "all"
says "de"
head -c 68000000 /dev/zero | tr '\0' a > "$work/endless"
expect 75 run -i "$work/endless"
says "64 MiB"
rm "$work/endless"
head -c 20000 /dev/zero | tr '\0' a > "$work/word"
expect 0 run --mode workers -i "$work/word"
[ "$(wc -c < "$work/out")" -ge 20000 ] || fail "a long word lost something"

# records
echo '{"goal": "all", "inptu": "text"}' > "$work/job.yaml"
expect 65 "$enxame" map --fresh -s "$swarm" "$work/job.yaml" "$work/in.jsonl" -o "$work/o"
says 'unknown key "inptu"; did you mean "input"?'
echo 'goal: all' > "$work/job.yaml"
printf '{"text": "a"}\n{"text": 3}\n' > "$work/in.jsonl"
expect 65 "$enxame" map --fresh -s "$swarm" "$work/job.yaml" "$work/in.jsonl" -o "$work/o"
says "in.jsonl:2"
printf '{"text": "a"}\n{"text": \n' > "$work/in.jsonl"
expect 65 "$enxame" map --fresh -s "$swarm" "$work/job.yaml" "$work/in.jsonl" -o "$work/o"
says "in.jsonl:2"
[ ! -e "$work/o" ] || fail "half an output was written"

# stores that cannot be used
ENXAME_HOME=/proc/nothing expect 74 run <<< "hola que tal"
says ENXAME_HOME
mkdir "$work/home2"
head -c 9000 /dev/urandom > "$work/home2/enxame.db"
ENXAME_HOME=$work/home2 expect 65 run <<< "hola que tal"
says "$work/home2/enxame.db"

# a full stdout is told
if [ -w /dev/full ]; then
    run <<< "hola que tal" > /dev/full 2> "$work/err"
    [ $? = 74 ] || fail "a full disk under stdout went unseen"
fi
exit 0
