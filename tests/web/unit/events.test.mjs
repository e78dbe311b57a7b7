// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  applyRecord,
  createJob,
  finishedCount,
  lookOf,
  totalCount,
} from "../../../web/src/lib/events.js";
import { drawWays, fitCells, mapSwarm, placeStations } from "../../../web/src/lib/swarm_map.js";

const { records, detail } = JSON.parse(
  readFileSync(new URL("../data/restore.json", import.meta.url), "utf8"),
);
const duties = Object.fromEntries(detail.models.map(({ name, duty }) => [name, duty]));

function replay(list) {
  const job = createJob(1);
  for (const record of list) applyRecord(job, record);
  return job;
}

test("a recorded job ends as its store says", () => {
  const job = replay(records);
  assert.equal(job.state, "done");
  assert.equal(job.counts.accepted, detail.items);
  assert.equal(finishedCount(job), detail.items);
  assert.ok(Math.abs(job.cost_usd - detail.cost_usd) < 1e-12);
  assert.equal(job.open_usd, 0);
  assert.equal(job.labels.count, detail.certificate.labels);
  assert.equal(job.labels.wrong, detail.certificate.wrong);
  assert.deepEqual(job.plan, detail.plan);
});

test("after every record each task is in one state and the counts add up", () => {
  const job = createJob(1);
  for (const record of records) {
    applyRecord(job, record);
    const sums = {};
    for (const task of job.tasks) if (task) sums[task.state] = (sums[task.state] ?? 0) + 1;
    for (const state in job.counts) assert.equal(job.counts[state], sums[state] ?? 0);
    assert.ok(job.open_usd >= 0);
    for (const task of job.tasks) if (task) assert.ok(task.running >= 0);
  }
});

test("reading the stream again from its beginning changes nothing", () => {
  const job = replay(records);
  const { version } = job;
  for (const record of records) assert.equal(applyRecord(job, record), false);
  assert.equal(job.version, version);
});

test("the bill by model is that of the store", () => {
  const job = replay(records);
  for (const line of detail.bill.models) {
    const mine = job.models.get(line.name);
    assert.equal(mine.calls, line.calls, line.name);
    assert.equal(mine.tokens_out, line.tokens_out, line.name);
    assert.equal(mine.running, 0);
  }
});

test("kinds that are not known are ignored", () => {
  const job = createJob(1);
  assert.equal(applyRecord(job, { seq: 1, kind: "invented_later", time_us: 5 }), true);
  assert.equal(job.state, "running");
});

test("a lost call holds its money back until its result comes", () => {
  const call = { call: "1", task: 1, role: "work", model: "w", attempt: 1, time_us: 1 };
  const job = createJob(1);
  applyRecord(job, { ...call, seq: 1, kind: "call_intent", reserved_usd: 0.5 });
  assert.equal(job.open_usd, 0.5);
  applyRecord(job, { ...call, seq: 2, kind: "call_lost", text: "gone" });
  assert.deepEqual([job.open_usd, job.unknown_usd], [0, 0.5]);
  assert.equal(job.tasks[0].running, 0);
  applyRecord(job, { ...call, seq: 3, kind: "call_result", status: "ok", cost_usd: 0.2 });
  assert.deepEqual([job.unknown_usd, job.cost_usd], [0, 0.2]);
});

test("a job that goes on after a partial end is running again", () => {
  const job = createJob(1);
  applyRecord(job, { seq: 1, kind: "job_partial", reason: "budget spent", text: "", time_us: 1 });
  assert.equal(job.state, "partial");
  applyRecord(job, { seq: 2, kind: "task_created", task: 1, item: 0, time_us: 2 });
  assert.equal(job.state, "running");
});

test("a task's look tells where it is", () => {
  const job = createJob(1);
  const put = (record) =>
    applyRecord(job, { task: 1, item: 0, time_us: 1, ...record, seq: job.seq + 1 });
  const look = () => lookOf(job.tasks[0]);
  put({ kind: "task_created" });
  assert.equal(look(), "open");
  put({ kind: "call_intent", call: "1", role: "scout", model: "s" });
  assert.equal(look(), "running");
  put({ kind: "call_result", call: "1", role: "scout", model: "s", status: "ok" });
  put({ kind: "task_routed", language: "es", level: 1, model: "w" });
  assert.equal(look(), "routed");
  put({ kind: "task_escalated", reason: "red flag", text: "" });
  assert.equal(look(), "escalated");
  put({ kind: "task_accepted", model: "lead", role: "lead", reason: "", text: "x" });
  assert.equal(look(), "lifted");
});

test("what goes up after it was accepted ends as the lead's", () => {
  const job = createJob(1);
  const put = (record) =>
    applyRecord(job, { task: 1, item: 0, time_us: 1, ...record, seq: job.seq + 1 });
  put({ kind: "task_created" });
  put({ kind: "call_intent", call: "1", role: "work", model: "w" });
  put({ kind: "call_result", call: "1", role: "work", model: "w", status: "ok" });
  put({ kind: "task_accepted", model: "w", role: "work", reason: "", text: "a" });
  put({ kind: "task_escalated", reason: "outside the certified part", text: "" });
  put({ kind: "label", wrong: true, reason: "the lead answered in any case", text: "b" });
  put({ kind: "task_accepted", model: "lead", role: "lead", reason: "", text: "b" });
  const [task] = job.tasks;
  assert.deepEqual(
    [task.worker, task.model, task.answer, lookOf(task)],
    ["w", "lead", "b", "lifted"],
  );
  assert.deepEqual([job.models.get("w").accepted, job.models.get("lead").accepted], [0, 1]);
  assert.equal(job.counts.accepted, 1);
});

test("a goal has as many tasks as its stages make, and keeps its plan to the end", () => {
  const job = createJob(1);
  const put = (record) => applyRecord(job, { time_us: 1, ...record, seq: job.seq + 1 });
  put({ kind: "job_opened", goal: "g", items: 1 });
  put({ kind: "plan_accepted", plan: { mode: "swarm", stages: [{ id: "s" }] } });
  for (const task of [1, 2, 3]) put({ kind: "task_created", task, item: task - 1 });
  put({ kind: "plan_accepted", plan: { mode: "deliver" } });
  assert.equal(totalCount(job), 3);
  assert.equal(job.plan.stages[0].id, "s");
  const { stations } = mapSwarm(job, { l: "lead", w: "worker" });
  assert.deepEqual(
    stations.map(({ title, tasks }) => [title, tasks.length]),
    [
      ["Plan", 0],
      ["waiting", 3],
      ["l", 0],
      ["Answer", 0],
    ],
  );
});

test("series stay small however long a job is", () => {
  const job = createJob(1);
  for (let seq = 1; seq <= 50000; seq++) {
    applyRecord(job, {
      seq,
      kind: "task_created",
      task: seq,
      item: seq - 1,
      time_us: seq * 1000,
    });
  }
  assert.ok(job.series.t.length <= 801);
  assert.ok(job.series.t.every((t, i, all) => i === 0 || t >= all[i - 1]));
  assert.equal(job.series.t.length, job.series.cost.length);
});

test("every task stands at one station, and ways carry as many as went", () => {
  const job = replay(records);
  const { stations, ways } = mapSwarm(job, duties);
  const standing = stations.flatMap(({ tasks }) => tasks.map(({ item }) => item));
  assert.equal(standing.length, detail.items);
  assert.equal(new Set(standing).size, detail.items);
  const into = (id) =>
    ways.filter(({ to }) => to === id).reduce((sum, { count }) => sum + count, 0);
  assert.equal(into("answer"), detail.items);
  assert.equal(into("lead"), job.escalated);
});

test("stations never overlap, at any width, with 4 tasks and with 100,000", () => {
  for (const count of [4, 2000, 100000]) {
    const job = createJob(1);
    for (let i = 0; i < count; i++) {
      applyRecord(job, {
        seq: 2 * i + 1,
        kind: "task_created",
        task: i + 1,
        item: i,
        time_us: 1,
      });
      const model = `restore-${["es", "de", "fr"][i % 3]}`;
      applyRecord(job, {
        seq: 2 * i + 2,
        kind: "task_routed",
        task: i + 1,
        item: i,
        model,
        time_us: 1,
      });
    }
    const map = mapSwarm(job, duties);
    for (const width of [320, 390, 700, 900, 1040, 1400]) {
      const placed = placeStations(map, width);
      placed.cards.forEach((a, i) =>
        placed.cards.slice(i + 1).forEach((b) => {
          const apart =
            a.x + a.w <= b.x + 0.5 ||
            b.x + b.w <= a.x + 0.5 ||
            a.y + a.h <= b.y ||
            b.y + b.h <= a.y;
          assert.ok(apart, `${a.title} and ${b.title} at ${width}`);
        }),
      );
      assert.ok(placed.cards.every((card) => card.x >= -0.5 && card.x + card.w <= width + 0.5));
      assert.ok(placed.height < 1400);
      assert.ok(drawWays(placed, map.ways).every(({ path }) => !path.includes("NaN")));
    }
  }
});

test("cells fit their field and stand for all tasks", () => {
  for (const count of [1, 4, 95, 2000, 1000000]) {
    const { size, columns, rows, each } = fitCells(count, 200, 40);
    assert.ok(size >= 4 && rows * size <= 40 + size && columns * size <= 200);
    assert.ok(columns * rows * each >= count);
  }
});
