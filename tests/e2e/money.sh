#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# money.sh ENXAME MAKE_TINY_MODELS PROVIDER - caps of a day and of a class, with many calls in
# flight; tasks that only fail; answers that are known.
#
# The provider's meter says what was charged: no cap is passed by it, whatever happens.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/cloud.sh" "$3"

swarm() { # swarm SLOTS [LINE]: one worker behind an API, and this line
    cat > "$work/away.yaml" <<END
workers:
  - remote: {api: openai, url: "http://127.0.0.1:$port/v1", model: big-1, first_byte_s: 20}
    usd_per_mtok_in: 3
    usd_per_mtok_out: 15
    slots: $1
${2-}
END
}
cat > "$work/job.yaml" <<'END'
class: echo
instruction: Say it again.
input: text
output: said
report: how
on_fail: skip
answer_tokens: 40
checks: [{check: compute, that: "len(input) > 0"}]
END
map() { "$enxame" map -s "$work/away.yaml" "$work/job.yaml" "$work/in.jsonl" "$@"; }
charged() { # charged EXPRESSION: about m, the lines of the meter, and usd, what they come to
    python3 - "$meter" "$1" <<'END' || fail "meter: $1"
import json, sys
m = [json.loads(line) for line in open(sys.argv[1])]
usd = 1e-6 * sum(3 * (x["in"] + x["cached"]) + 15 * x["out"] for x in m)
assert eval(sys.argv[2]), (len(m), usd)
END
}
newest_job() { "$enxame" jobs --json | python3 -c 'import json, sys
print(json.load(sys.stdin)["jobs"][0]["job"])'; }

# 256 calls in flight, and money for a part of them: spent to near the cap, and not above it
: > "$meter"
records 700 > "$work/in.jsonl"
echo 0.2 > "$work/cloud/delay"
swarm 256
expect 73 map --fresh -o "$work/capped.jsonl" --budget 0.12
says "are not done: "
says "--budget USD"
charged 'len(m) > 256 and 0 < usd <= 0.12'
python3 - "$work/capped.jsonl" <<'END' || fail "what is done is not delivered"
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
done = [row for row in rows if row["said"] is not None]
assert len(rows) == 700 and 256 < len(done) < 700
assert all(row["said"] == row["text"] for row in done)
assert {row["how"][0]["state"] for row in rows} == {"accepted", "returned"}
END
expect 0 "$enxame" resume "$(newest_job)" --budget 1
charged '700 <= len(m) < 1000 and len({x["key"] for x in m}) == len(m)'

# interrupted: what was in flight is on the bill or held back, and no more is charged
: > "$meter"
rm "$work/capped.jsonl"
echo 1 > "$work/cloud/delay"
"$enxame" map -s "$work/away.yaml" --fresh "$work/job.yaml" "$work/in.jsonl" -o "$work/cut.jsonl" \
    > "$work/out" 2> "$work/err" &
pid=$!
for ((i = 0; i < 400; i++)); do
    [ "$(wc -l < "$meter")" -ge 200 ] && break
    sleep 0.05
done
kill -INT $pid
wait $pid
[ $? = 130 ] || fail "not interrupted"
sleep 3 # what had been sent is charged
expect 0 "$enxame" bill --json
json "$work/out" "d['bill']['calls'] + d['bill']['unknown']['calls'] >= $(wc -l < "$meter")"
json "$work/out" 'd["bill"]["unknown"]["calls"] <= 256'
rm "$work/cloud/delay"

# a day's cap holds over all jobs, a class's over its tasks; both say when it goes on
calls() { "$enxame" bill "$1" --json | python3 -c 'import json, sys
b = json.load(sys.stdin)["bill"]; print(b["calls"] + b["unknown"]["calls"])'; }
today=$(($(calls 1) + $(calls 2)))
: > "$meter"
records 30 > "$work/in.jsonl"
swarm 8 "caps: {day: {calls: $((today + 40))}}"
expect 0 map --fresh -o "$work/one.jsonl"
expect 73 map --fresh -o "$work/two.jsonl"
says "today's calls: all $((today + 40)) are used"
says "when it is another day"
charged 'len(m) == 40'
swarm 8 "caps: {classes: [{class: other, usd: 0.000001}, {class: echo, calls: $((today + 45))}]}"
expect 73 "$enxame" resume "$(newest_job)"
says "today's calls of the class echo: all $((today + 45)) are used"
charged 'len(m) == 45'
swarm 8
expect 0 "$enxame" resume "$(newest_job)"
charged 'len(m) == 60'

# the cap that was reached is the one that is named
expect 73 map --fresh -o "$work/three.jsonl" --max-calls 4
says "--max-calls N"
expect 73 map --fresh -o "$work/four.jsonl" --max-tokens 400
says "--max-tokens N"

# a task that breaks every call is set aside by name, and the others are done
: > "$meter"
echo '["ola 7"]' > "$work/cloud/poison.json"
for ((i = 0; i < 20; i++)); do echo "{\"text\": \"ola $i\"}"; done > "$work/in.jsonl"
expect 0 map --fresh -o "$work/out.jsonl"
says "1: set aside: its calls fail while others are answered"
says "task 8: 3 calls failed"
[ "$(grep -c '"said":"ola' "$work/out.jsonl")" = 19 ] || fail "the others are not done"
grep -q '"text":"ola 7","said":null' "$work/out.jsonl" || fail "the poison has an answer"
rm "$work/cloud/poison.json"

# what is asked twice is asked once, within a job and by later ones, unless that is not wanted
: > "$meter"
for ((i = 0; i < 24; i++)); do echo "{\"text\": \"hola $((i % 6))\"}"; done > "$work/in.jsonl"
echo 0.2 > "$work/cloud/delay"
expect 0 map -o "$work/out.jsonl" --json
json "$work/out" 'd["bill"]["calls"] == 6 and d["bill"]["reused"] == 18 and d["state"] == "done"'
charged 'len(m) == 6'
cp "$work/out.jsonl" "$work/first"
tac "$work/in.jsonl" > "$work/back" && mv "$work/back" "$work/in.jsonl"
expect 0 map -o "$work/out.jsonl"
says "24 answers were known, and cost nothing"
charged 'len(m) == 6'
expect 0 "$enxame" bill --json
json "$work/out" 'd["bill"]["calls"] == 0 and d["bill"]["cost_usd"] == 0'
said() { grep -o '"said":"[^"]*"'; }
[ "$(tac "$work/out.jsonl" | said)" = "$(said < "$work/first")" ] || fail "known answers are others"
expect 0 map --fresh -o "$work/out.jsonl" --json
json "$work/out" '24 <= d["bill"]["calls"] <= 26 and d["bill"]["reused"] == 0' # some are hedges
sed -i 's/Say it again/Repeat it/' "$work/job.yaml"
expect 0 map -o "$work/out.jsonl" --json
json "$work/out" 'd["bill"]["calls"] == 6'

# audits are always asked: a label is no copy
rm "$work/cloud/delay"
expect 0 "$enxame" run -s "$swarm" --plan "$plan" --labels 5 --seed 1 --json all \
    < <(printf 'ela nao e daqui %s\n' a b c d e f)
cp "$work/out" "$work/first"
expect 0 "$enxame" run -s "$swarm" --plan "$plan" --labels 5 --seed 1 --json all \
    < <(printf 'ela nao e daqui %s\n' a b c d e f)
python3 - "$work/first" "$work/out" <<'END' || fail "audits"
import json, sys
first, again = (json.load(open(path)) for path in sys.argv[1:])
assert first["answer"] == again["answer"] and first["certificate"] == again["certificate"]
labels = first["certificate"]["labels"] if first["certificate"] else 0
assert again["bill"]["calls"] == labels, (again["bill"]["calls"], labels)
END
