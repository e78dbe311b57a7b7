// SPDX-License-Identifier: Apache-2.0
// machines.test.mjs - workers are gathered by machine, and nothing that they say breaks that.

import assert from "node:assert/strict";
import { test } from "node:test";
import { gatherMachines, modelName } from "../../../web/src/lib/machines.js";

test("workers of one host are one machine, which shows its worst state", () => {
  const machines = gatherMachines({
    workers: [
      { worker: "b-1", host: "b", slots: 4, working: 2, done: 3 },
      { worker: "a-2", host: "a", slots: 4, working: 0, done: 1, draining: true },
      { worker: "a-1", host: "a", slots: 8, working: 5, done: 10 },
    ],
    barred: [{ worker: "b-1", state: "trial" }],
  });
  assert.deepEqual(
    machines.map(({ host, slots, working, done, state }) => [host, slots, working, done, state]),
    [
      ["a", 12, 5, 11, "leaving"],
      ["b", 4, 2, 3, "working"],
    ],
  );
  assert.deepEqual(
    machines[0].workers.map(({ worker }) => worker),
    ["a-1", "a-2"],
  );
});

test("a barred worker is barred, whatever it says of itself", () => {
  const [machine] = gatherMachines({
    workers: [{ worker: "x", host: "h", slots: 1, working: 1, trial: false }],
    barred: [{ worker: "x", state: "barred" }],
  });
  assert.equal(machine.state, "barred");
});

test("nonsense is counted as nothing", () => {
  assert.deepEqual(gatherMachines({}), []);
  const [machine] = gatherMachines({ workers: [{ slots: "many", working: null, host: 7 }] });
  assert.equal(machine.slots, 0);
  assert.equal(machine.host, "7");
  assert.equal(modelName(undefined), "?");
  assert.equal(modelName("restore-de.gguf"), "restore-de");
});
