#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# certificate.sh ENXAME MAKE_TINY_MODELS PROVIDER - a certificate that goes on from job to job.
#
# Workers repeat a text, but for those with a trap; the lead repeats all.  The second job of the
# class pays less than the first; whatever changes the class, or a model, begins anew; jobs that are
# killed on their way leave the same answers and the same history as one that was not.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/cloud.sh" "$3"

# models NAME: a swarm whose worker has this name at the provider
models() {
    local remote="api: openai, url: \"http://127.0.0.1:$port/v1\""
    local dear="usd_per_mtok_in: 3, usd_per_mtok_out: 9"
    local cheap="usd_per_mtok_in: 0.1, usd_per_mtok_out: 0.3, slots: 4"
    printf '%s\n' "lead: {remote: {$remote, model: big-1}, $dear}" "workers:" \
        "  - {remote: {$remote, model: $1}, $cheap}" \
        > "$work/swarm.yaml"
}
# texts FIRST COUNT: every 50th is a trap
texts() {
    python3 -c 'import json, sys
first, count = map(int, sys.argv[1:])
for i in range(first, first + count):
    trap = " with a trap" if i % 50 == 9 else ""
    print(json.dumps({"id": i, "text": f"text {i} of many{trap}"}))
' "$1" "$2"
}
map=("$enxame" map -s "$work/swarm.yaml" "$work/job.yaml") # words: its process is what is killed
models small-1
printf '%s\n' 'class: echo' 'instruction: Say it again.' 'input: text' 'accuracy: 0.8' \
    'checks: [{check: confidence, above: 0.2}]' > "$work/job.yaml"
texts 0 400 > "$work/one.jsonl"
texts 400 400 > "$work/two.jsonl"

# the first job begins by asking the lead everything; the second goes on from what it learnt
expect 0 "${map[@]}" "$work/one.jsonl" -o "$work/one.out" --json
cp "$work/out" "$work/one.json"
json "$work/out" 'd["certificate"]["form"] == "stream" and d["certificate"]["epoch"] == 1'
json "$work/out" 'd["certificate"]["answers"] == d["certificate"]["population"] == 400'
json "$work/out" 'd["certificate"]["changed"] == "" and d["tasks"]["accepted"] == 400'
json "$work/out" 'd["certificate"]["always"] <= .2 >= d["certificate"]["lately"]'
seen='d["certificate"]["escalated"] + d["certificate"]["labels"]'
json "$work/out" "128 < $seen < 400"
expect 0 "${map[@]}" "$work/two.jsonl" -o "$work/two.out" --json
json "$work/out" 'd["certificate"]["answers"] == 800 and d["certificate"]["population"] == 400'
python3 - "$work/one.json" "$work/out" <<'END' || fail "the second job pays no less"
import json, sys
one, two = (json.load(open(path)) for path in sys.argv[1:])
seen = [d["certificate"]["escalated"] + d["certificate"]["labels"] for d in (one, two)]
assert seen[1] - seen[0] < .7 * seen[0], seen
assert two["bill"]["cost_usd"] < .8 * one["bill"]["cost_usd"]
END
python3 - "$work/one.out" "$work/two.out" <<'END' || fail "more than a fifth is wrong"
import json, sys
rows = [json.loads(line) for path in sys.argv[1:] for line in open(path)]
wrong = [sum(r["answer"] != r["text"] for r in rows[:n]) / n for n in range(1, len(rows) + 1)]
assert max(wrong) <= .2, max(wrong)
END

# people are told which form it is, and what it promises
expect 0 "${map[@]}" "$work/one.jsonl" -o "$work/again.out"
says 'certificate stream: of all 1200 answers of the class so far, 400 of them of this job'
says "differ from the lead's, at any moment, and of the last"
says 'epoch 1 of the class'
expect 0 "${map[@]}" "$work/one.jsonl" -o "$work/again.out" --certificate batch
says 'certificate batch: of'
expect 64 "${map[@]}" "$work/one.jsonl" -o "$work/again.out" --certificate stream --labels 5
says 'limits the audits of one job'
expect 64 "${map[@]}" "$work/one.jsonl" -o "$work/again.out" --certificate steam
says 'batch or stream'

# another model, other checks, another accuracy: a new epoch each, and the reason is told
models small-2
expect 0 "${map[@]}" "$work/one.jsonl" -o "$work/again.out"
says 'epoch 2 of the class, new: its models changed'
sed -i 's/0\.2/0.3/' "$work/job.yaml"
expect 0 "${map[@]}" "$work/one.jsonl" -o "$work/again.out"
says 'epoch 3 of the class, new: its checks changed'
expect 0 "${map[@]}" "$work/one.jsonl" -o "$work/again.out" --accuracy 0.9
says 'epoch 4 of the class, new: its promise changed'
sed -i 's/0\.3/0.2/' "$work/job.yaml"
models small-1
expect 0 "${map[@]}" "$work/one.jsonl" -o "$work/again.out" --json
json "$work/out" 'd["certificate"]["epoch"] == 1 and d["certificate"]["answers"] == 1600'

# kill -9 on the way: no event of the certificate is lost, or told twice
events() {
    python3 - "$ENXAME_HOME/enxame.db" <<'END'
import sqlite3, sys
rows = sqlite3.connect(sys.argv[1]).execute(
    "SELECT stream, place, kind, offer, verdict, score, chance, is_wrong FROM records "
    "WHERE stream <> 0 ORDER BY stream, place").fetchall()
assert [r[1] for r in rows] == list(range(1, len(rows) + 1)), "a place is missing"
print(*rows, sep="\n")
END
}
coins() { # the coins of the first stream, so that two stores can be compared
    python3 -c 'import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("UPDATE streams SET seed = 77")
db.commit()' "$ENXAME_HOME/enxame.db"
}
texts 0 3 > "$work/few.jsonl"
begin() { # a store of its own, whose stream was opened by a job that was too small for it
    export ENXAME_HOME=$work/$1
    expect 0 "${map[@]}" "$work/few.jsonl" -o "$work/few.out"
    coins
}
begin whole
expect 0 "${map[@]}" "$work/one.jsonl" -o "$work/whole.out" --json
cp "$work/out" "$work/whole.json"
events > "$work/whole.events"
begin killed
kills=0
for ((k = 0; k < 6; k++)); do
    "${map[@]}" "$work/one.jsonl" -o "$work/killed.out" --json > "$work/out" 2> "$work/err" &
    pid=$!
    sleep "0.$((2 + RANDOM % 7))"
    kill -9 $pid 2> /dev/null && kills=$((kills + 1))
    wait $pid 2> /dev/null
    [ -e "$work/killed.out" ] && break
done
[ -e "$work/killed.out" ] || expect 0 "${map[@]}" "$work/one.jsonl" -o "$work/killed.out" --json
((kills > 0)) || fail "no job was killed"
cmp -s "$work/whole.out" "$work/killed.out" || fail "killed $kills times: other answers"
events > "$work/killed.events"
cmp -s "$work/whole.events" "$work/killed.events" || fail "killed $kills times: another history"
python3 - "$work/whole.json" "$work/out" <<'END' || fail "killed $kills times: another certificate"
import json, sys
whole, job = (json.load(open(path)) for path in sys.argv[1:])
assert whole["certificate"] == job["certificate"], (whole["certificate"], job["certificate"])
END
echo "$kills kills"

# one process at a time works on a class; a job whose models changed on its way is refused
echo 0.2 > "$work/cloud/delay"
"${map[@]}" "$work/two.jsonl" -o "$work/slow.out" > "$work/slow" 2>&1 &
pid=$!
sleep 1
expect 75 "${map[@]}" "$work/one.jsonl" -o "$work/other.out"
says "another job works on this class"
kill -9 $pid
wait $pid 2> /dev/null
rm "$work/cloud/delay"
sed -i 's/model: small-1/model: small-1, error_chance: 0.06/' "$work/swarm.yaml"
expect 64 "${map[@]}" "$work/two.jsonl" -o "$work/slow.out"
says "class, checks, models or accuracy changed since it began"

# --labels FILE: those records go up, and the lead, who knows all but one, is measured by them
models small-3
python3 - "$work/labels.jsonl" <<'END'
import json, sys
with open(sys.argv[1], "w") as stream:
    for i in range(0, 60, 2):
        where = {"record": i + 1} if i % 4 else {"id": i}
        text = "what nobody says" if i == 10 else f"text {i} of many"
        stream.write(json.dumps({**where, "answer": text}) + "\n")
END
expect 0 "${map[@]}" "$work/one.jsonl" -o "$work/known.out" --labels "$work/labels.jsonl" --json
json "$work/out" 'd["known"]["lead"]["count"] == 30 == d["known"]["workers"]["count"]'
json "$work/out" 'd["known"]["lead"]["wrong"] == 1 and d["known"]["lead"]["high"] < .2'
json "$work/out" 'd["certificate"]["population"] == 370 and d["escalated"] >= 158'
expect 0 "${map[@]}" "$work/one.jsonl" -o "$work/known.out" --labels "$work/labels.jsonl" \
    --labels 20
says 'the lead is wrong in 1 of 30 of the records that you labelled: 0.1 to 17.2 % (95 %)'
says 'certificate batch'
bad_labels() { # bad_labels CODE TEXT LINE…
    local code=$1 text=$2
    shift 2
    printf '%s\n' "$@" > "$work/bad.jsonl"
    expect "$code" "${map[@]}" "$work/one.jsonl" -o "$work/bad.out" --labels "$work/bad.jsonl"
    says "$text"
}
bad_labels 65 'bad.jsonl:2: no JSON' '{"record": 1, "answer": "a"}' '{"record": 2'
bad_labels 65 'bad.jsonl:1: one of "record"' '{"answer": "a"}'
bad_labels 65 'a number from 1 to 400 is expected' '{"record": 401, "answer": "a"}'
bad_labels 65 'no record of the input has this id' '{"id": "x", "answer": "a"}'
bad_labels 65 'bad.jsonl:2: this record has an answer already' '{"record": 1, "answer": "a"}' \
    '{"id": 0, "answer": "a"}'
bad_labels 65 'a text is expected' '{"id": 0, "answer": 7}'
bad_labels 65 'unknown key "anwser"' '{"id": 0, "answer": "a", "anwser": 7}'
bad_labels 65 'no right answers in it' ''
expect 66 "${map[@]}" "$work/one.jsonl" -o "$work/bad.out" --labels "$work/nothing.jsonl"

# what the store knows of the class's checks; one that refuses nothing catches nothing
expect 0 "$enxame" checks echo --json
json "$work/out" 'd["classes"][0]["class"] == "echo" and d["classes"][0]["jobs"] >= 2'
json "$work/out" '[c["check"] for c in d["classes"][0]["checks"]] == ["red flags", "confidence"]'
json "$work/out" 'd["classes"][0]["checks"][1]["caught"]["rate"] == 0 and d["classes"][0]["known"]'
expect 0 "$enxame" checks
grep -q 'answers of workers' "$work/out" || fail "no table"
expect 66 "$enxame" checks nothing
says 'no job of class nothing'

# two workers that err together: votes are measured, found not to pay, and dropped but for some
python3 - "$work" <<'END'
import json, sys
with open(sys.argv[1] + "/traps.jsonl", "w") as texts, \
     open(sys.argv[1] + "/true.jsonl", "w") as labels:
    for i in range(80):
        text = f"text {i}" + (" with a trap" if i % 2 else "")
        texts.write(json.dumps({"text": text}) + "\n")
        labels.write(json.dumps({"record": i + 1, "answer": text}) + "\n")
END
models small-4
sed -n 's/small-4/small-5/p' "$work/swarm.yaml" >> "$work/swarm.yaml"
printf '%s\n' 'class: voted' 'instruction: Say it again.' 'input: text' \
    'checks: [{check: second, ahead: 2}]' > "$work/job.yaml"
map=("$enxame" map -s "$work/swarm.yaml" "$work/job.yaml")
expect 0 "${map[@]}" "$work/traps.jsonl" -o "$work/voted.out" --labels "$work/true.jsonl" --json
json "$work/out" 'd["votes"]["used"] and "no job of the class" in d["votes"]["why"]'
json "$work/out" 'd["known"]["workers"] == {**d["known"]["workers"], "count": 80, "wrong": 40}'
expect 0 "$enxame" checks voted --json
json "$work/out" 'd["classes"][0]["checks"][1]["caught"]["rate"] == 0'
json "$work/out" 'd["classes"][0]["workers"][0]["phi"] == 1'
json "$work/out" 'd["classes"][0]["workers"][0]["votes"] == 1'
json "$work/out" 'not d["classes"][0]["vote"]["pays"] and d["classes"][0]["vote"]["known"]'
expect 0 "${map[@]}" "$work/traps.jsonl" -o "$work/voted.out" --fresh
says 'votes       not used: a vote refuses 0 % of wrong answers'
says 'two votes count as 1.00'
expect 0 "$enxame" bill --calls --json
# a late call may have been made twice
json "$work/out" 'len({r["task"] for r in d["receipts"] if r["role"] == "second"}) == 5'
