#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""record_job.py - a real job out of a store, as the server tells it.

    ENXAME_HOME=home build/enxame map jobs/restore/job.yaml in.jsonl -o out.jsonl --labels 40
    tests/web/record_job.py home/enxame.db JOB in.jsonl > tests/web/data/restore.json

Writes {"detail": GET /enxame/v1/jobs/JOB, "records": the events of it}.  The tests of the page
replay it, so that they see what jobs really look like.
"""
import json
import sqlite3
import sys

NANO = 1e-9
FLAGS = ((1, "truncated"), (2, "stuck"), (4, "empty"), (8, "malformed"), (16, "usage"))
CALL = ("call", "task", "role", "model", "attempt")
FIELDS = {
    "job opened": ("goal", "items"),
    "gated": ("single", "reason"),
    "plan accepted": ("plan", "call"),
    "plan refused": ("text", "call"),
    "task created": ("task", "item"),
    "call intent": CALL + ("reserved_usd", "reserved_tokens"),
    "call result": CALL + ("status", "tokens_in", "tokens_cached", "tokens_out",
                           "tokens_reasoning", "cost_usd", "latency_us", "error_chance",
                           "language", "level", "flags", "text"),
    "call lost": CALL + ("text",),
    "task routed": ("task", "item", "language", "level", "model"),
    "task escalated": ("task", "item", "reason", "text"),
    "task accepted": ("task", "item", "model", "role", "error_chance", "reason", "text"),
    "task abstained": ("task", "item", "reason", "text"),
    "task failed": ("task", "item", "reason", "text"),
    "label": ("task", "item", "wrong", "score", "reason", "text"),
    "certificate": ("certified", "alpha", "delta", "answers", "population", "labels", "wrong"),
    "job done": ("reason", "text"),
    "job partial": ("reason", "text"),
    "job failed": ("reason", "text"),
}


def record_of(row, models):
    kind = row["kind"]
    is_result = kind == "call result"
    values = {
        **{key: row[key] for key in row.keys()},
        "task": row["task_id"], "call": str(row["call_id"]),
        "model": models[row["model"]]["name"],
        "goal": row["text"], "single": bool(row["is_single"]), "wrong": bool(row["is_wrong"]),
        "certified": bool(row["is_certified"]),
        "reserved_usd": row["reserved_usd_nano"] * NANO, "cost_usd": row["cost_usd_nano"] * NANO,
        "flags": [name for bit, name in FLAGS if row["flags"] & bit],
        "error_chance": row["answer_error_chance"] if is_result else row["error_chance"],
        "language": row["answer_language"] if is_result else row["language"],
        "level": row["answer_level"] if is_result else row["level"],
        "text": row["error"] if is_result else row["text"],
    }
    if kind == "plan accepted":
        values["plan"] = json.loads(row["text"]) if row["text"] else None
    if kind == "certificate":
        values["wrong"] = row["wrong"]
    head = {"seq": row["seq"], "kind": kind.replace(" ", "_"), "job": 1, "time_us": row["time_us"]}
    return {**head, **{key: values[key] for key in FIELDS[kind]}}


def bill_of(records, models):
    lines = []
    for model in models.values():
        mine = [r for r in records if r["kind"] == "call_result" and r["model"] == model["name"]]
        if mine:
            sums = {key: sum(r[key] for r in mine) for key in
                    ("tokens_in", "tokens_cached", "tokens_out", "tokens_reasoning", "cost_usd")}
            lines.append({"name": model["name"], "duty": model["duty"], "calls": len(mine), **sums})
    cost = sum(line["cost_usd"] for line in lines)
    fixed = sum(model["fixed_usd_nano"] for model in models.values()) * NANO
    return {"models": lines, "cost_usd": cost, "fixed_usd": fixed, "total_usd": cost + fixed,
            "open_calls": 0, "open_usd": 0, "assumed_calls": 0}


def main():
    path, job, inputs = sys.argv[1:]
    db = sqlite3.connect(path)
    db.row_factory = sqlite3.Row
    with open(inputs, encoding="utf-8") as stream:
        texts = [json.loads(line)["text"] for line in stream]
    head = db.execute("SELECT * FROM jobs WHERE id = ?", (job,)).fetchone()
    models = {row["model"]: dict(row) for row in
              db.execute("SELECT * FROM models WHERE job_id = ?", (job,))}
    records = [record_of(row, models) for row in
               db.execute("SELECT * FROM records WHERE job_id = ? ORDER BY seq", (job,))]
    bill = bill_of(records, models)
    last = {kind: record for record in records for kind in (record["kind"],)}
    detail = {
        "id": 1, "state": head["state"], "command": head["command"], "goal": head["goal"],
        "created_us": head["created_us"], "finished_us": head["finished_us"],
        "items": len(texts), "finished": len(texts),
        "calls": sum(line["calls"] for line in bill["models"]),
        **{key: sum(line[key] for line in bill["models"])
           for key in ("tokens_in", "tokens_cached", "tokens_out")},
        "cost_usd": bill["cost_usd"], "fixed_usd": bill["fixed_usd"],
        "mode": "swarm", "single": last["gated"]["single"], "gate": last["gated"]["reason"],
        "plan": last["plan_accepted"]["plan"],
        "models": [{"name": model["name"], "duty": model["duty"], "params": model["params"],
                    "usd_per_mtok_in": model["price_in"] * NANO,
                    "usd_per_mtok_out": model["price_out"] * NANO} for model in models.values()],
        "tasks": [{"task": i + 1, "item": i, "input": text} for i, text in enumerate(texts)],
        "certificate": last.get("certificate"), "bill": bill, "result": None, "error": None,
        "last_seq": records[-1]["seq"],
    }
    json.dump({"detail": detail, "records": records}, sys.stdout, ensure_ascii=False,
              separators=(",", ":"))
    print()


main()
