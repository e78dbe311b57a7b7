#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# outage.sh ENXAME MAKE_TINY_MODELS PROVIDER - a worker on this machine that never ends an answer,
# and one whose file is full of nonsense: another worker, behind an API, does their tasks.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/cloud.sh" "$3"
remote="remote: {api: openai, url: \"http://127.0.0.1:$port/v1\", model"
cat > "$work/models/mixed.yaml" <<END
lead:
  $remote: big-1}
  usd_per_mtok_in: 30
  usd_per_mtok_out: 150
workers:
  - $remote: small-1}
    usd_per_mtok_in: 3
    usd_per_mtok_out: 15
  - {model: es.gguf}
END
printf '%s\n' 'class: reading' 'instruction: Say it again.' 'input: text' 'report: how' \
    'answer_tokens: 40' 'checks: [{check: compute, that: "len(input) > 0"}]' > "$work/job.yaml"
records 250 > "$work/in.jsonl"
map() { "$enxame" map -s "$work/models/mixed.yaml" "$work/job.yaml" "$work/in.jsonl" "$@"; }
taken_over() { # taken_over: the local worker was set aside, and nothing is missing
    expect 0 map --fresh -o "$work/out.jsonl" --json
    json "$work/out" 'd["state"] == "done" and d["tasks"]["accepted"] == 250'
    json "$work/out" '[m["model"] for m in d["models_set_aside"]] == ["es"]'
    json "$work/out" '"8 tasks in a row, the last one: red" in d["models_set_aside"][0]["note"]'
    json "$work/out" '{m["name"]: m["calls"] for m in d["bill"]["models"]}["es"] < 100'
    json "$work/out" 'd["escalated"] < 60'
}
taken_over # random weights never end a text
python3 - "$work/models/es.gguf" <<'END'
import sys
with open(sys.argv[1], "r+b") as model:
    size = model.seek(0, 2)
    model.seek(size * 6 // 10)
    model.write(b"\xff" * (size - size * 6 // 10))
END
taken_over
expect 0 map --fresh -o "$work/out.jsonl"
says "set aside   worker es: no answer for 8 tasks in a row"
