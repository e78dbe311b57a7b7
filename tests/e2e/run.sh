#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# run.sh - a job from end to end: the answer, its layout, its bill.
. "$(dirname "$0")/common.sh"
printf '\n  por quanto tempo o povo\r\n\n\thola que tal amigo\nela e a herdeira \n' > "$work/in.txt"

# the answer is on stdout and reduces to the input; the layout is kept
expect 0 "$enxame" run --fresh -s "$swarm" --plan "$plan" -i "$work/in.txt" "put everything back"
says "bill "
says "certificate "
python3 - "$work/in.txt" "$work/out" <<'END' || fail "the answer does not reduce to its input"
import re, sys, unicodedata
def reduce(path):
    text = open(path, newline="", encoding="utf-8").read()
    text = re.sub(r"[\s\u00a0\u202f]*[.,;:!?]+(?=\s|$)", "", text)
    text = unicodedata.normalize("NFD", text)
    text = "".join(c for c in text if not "\u0300" <= c <= "\u036f").lower()
    for a, b in {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ß": "ss", "æ": "ae", "œ": "oe",
                 "þ": "th", "ı": "i"}.items():
        text = text.replace(a, b)
    return text
a, b = reduce(sys.argv[1]), reduce(sys.argv[2])
assert a == b, (a, b)
END
cp "$work/out" "$work/first"

# the same from stdin, with one thread and with three: byte for byte the same
for threads in 1 3; do
    expect 0 "$enxame" run --fresh \
        -s "$swarm" --plan "$plan" --threads $threads "put everything back" \
        < "$work/in.txt"
    cmp -s "$work/out" "$work/first" || fail "the answer depends on threads"
done

# the bill adds up, and equals the receipts to the token
expect 0 "$enxame" bill --json --calls
json "$work/out" 'd["bill"]["tokens_out"] == sum(r["tokens_out"] for r in d["receipts"]) > 0'
json "$work/out" 'd["bill"]["tokens_in"] == sum(m["tokens_in"] for m in d["bill"]["models"])'
json "$work/out" 'd["bill"]["fixed_usd"] > 0 and d["state"] == "done"'

# modes, certificate and files; --json is one object
expect 0 "$enxame" run --fresh -s "$swarm" --plan "$plan" --mode lead --json -i "$work/in.txt" "all"
json "$work/out" 'd["paragraphs"] == 3 and all(a["model"] in ("lead", "") for a in d["answers"])'
expect 0 "$enxame" run --fresh -s "$swarm" --plan "$plan" --mode workers -o "$work/answer" \
    -i "$work/in.txt" "all"
silent
[ -s "$work/answer" ] || fail "-o wrote nothing"
expect 0 "$enxame" jobs --json
json "$work/out" 'len(d["jobs"]) == 5 and d["jobs"][0]["job"] == 5'

# a finished job gives its answer again, for nothing
expect 0 "$enxame" resume 1
cmp -s "$work/out" "$work/first" || fail "another answer from a finished job"
expect 0 "$enxame" bill 1 --json
cp "$work/out" "$work/bill1"

# a budget that is too small for one call: said, nothing paid; resume with more goes on
expect 73 "$enxame" run --fresh \
    -s "$swarm" --plan "$plan" --budget 0.000000001 -i "$work/in.txt" "all"
says "budget"
says "enxame resume 6"
expect 0 "$enxame" resume 6 --budget 1
cmp -s "$work/out" "$work/first" || fail "another answer after a pause"

# canceled jobs stay canceled
expect 73 "$enxame" run --fresh \
    -s "$swarm" --plan "$plan" --budget 0.000000001 -i "$work/in.txt" "all"
expect 0 "$enxame" cancel 7
expect 130 "$enxame" resume 7

# models, tokens, text
expect 0 "$enxame" models "$swarm" --json
json "$work/out" 'len(d["models"]) == 4 and d["models"][0]["duty"] == "lead"'
printf 'olá' | "$enxame" tokenize "$work/models/lead.gguf" --json > "$work/out"
json "$work/out" 'd["ids"] == list("olá".encode())'
expect 0 "$enxame" generate -m "$work/models/lead.gguf" -p abc -n 5 --json
json "$work/out" 'len(d["tokens"]) <= 5 and d["usage"]["tokens_out"] == len(d["logprobs"])'
expect 0 "$enxame" generate -m "$work/models/lead.gguf" -p abc -n 3 --logprobs 4 --json
json "$work/out" 'all(len(place) == 4 for place in d["top_logprobs"])'
expect 0 "$enxame" generate -m "$work/models/lead.gguf" -p abc -n 60
cp "$work/out" "$work/plain"
expect 0 "$enxame" generate -m "$work/models/lead.gguf" -p abc -n 60 --dry-multiplier 20
cmp -s "$work/out" "$work/plain" && fail "DRY changes nothing in a text that repeats itself"
expect 64 "$enxame" generate -m "$work/models/lead.gguf" -p abc --dry-multiplier 1 --dry-base 0
echo '{"type": "object", "properties": {"n": {"type": "integer", "minimum": 10, "maximum": 42},
    "when": {"type": "string", "format": "date"}}, "required": ["n", "when"]}' > "$work/schema"
for seed in 1 2 3; do
    expect 0 "$enxame" generate -m "$work/models/lead.gguf" -p abc -n 120 --temp 1 --seed $seed \
        --json-schema "$work/schema"
    json "$work/out" '10 <= d["n"] <= 42 and len(d["when"]) == 10 and len(d) == 2'
done
expect 64 "$enxame" generate -m "$work/models/lead.gguf" -p a --json-schema x --grammar y
echo '{"items": {"not": {}}}' > "$work/schema"
expect 69 "$enxame" generate -m "$work/models/lead.gguf" -p a --json-schema "$work/schema"
says "/items: not is not supported"
expect 0 "$enxame" perplexity -m "$work/models/lead.gguf" -f "$work/in.txt" --json
json "$work/out" 'd["perplexity"] > 1 and d["tokens"] > 10'
expect 0 "$enxame" quantize "$work/models/lead.gguf" "$work/small.gguf" q4_0 --json
json "$work/out" 'd["bytes_after"] < d["bytes_before"] and d["matrices"] > 7'
expect 0 "$enxame" perplexity -m "$work/small.gguf" -f "$work/in.txt" --json
expect 69 "$enxame" quantize "$work/small.gguf" "$work/smaller.gguf" q4_0
says "start from the original"
[ ! -e "$work/smaller.gguf" ] || fail "a refused file was written"
expect 64 "$enxame" quantize "$work/small.gguf" "$work/smaller.gguf" q3

# the default swarm is found under ENXAME_HOME first
cp -r "$work/models" "$ENXAME_HOME/models"
expect 0 "$enxame" doctor --json
json "$work/out" 'd["cores"] > 0 and d["ok"] and "home/models" in d["checks"][1]["text"]'
expect 0 "$enxame" run --fresh --plan "$plan" -i "$work/in.txt" "put everything back"
cmp -s "$work/out" "$work/first" || fail "another answer from the default swarm"
