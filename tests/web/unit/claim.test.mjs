// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { standingClaims, wholeClaim } from "../../../web/src/lib/claim.js";

const claim = { certified: true, alpha: 0.05, delta: 0.02, labels: 70, wrong: 3 };

test("a claim is itself; none is none", () => {
  assert.equal(wholeClaim(claim), claim);
  assert.equal(wholeClaim(undefined), null);
  assert.equal(wholeClaim([]), null);
});

test("stages claim the worst of them, with all their chances to be wrong", () => {
  const whole = wholeClaim([claim, { ...claim, alpha: 0.1, labels: 30, wrong: 0 }]);
  assert.deepEqual(whole, {
    certified: true,
    alpha: 0.1,
    delta: 0.04,
    labels: 100,
    wrong: 3,
    stages: 2,
  });
  assert.equal(wholeClaim([claim, { ...claim, certified: false }]).certified, false);
});

test("of a job the last claim stands, of a stage its own last", () => {
  const at = (name, task, alpha) => ({ ...claim, class: name, task, alpha });
  assert.equal(standingClaims([]), null);
  assert.equal(standingClaims([{ ...claim, alpha: 0.2 }, claim]), claim);
  const stages = standingClaims([at("a", 1, 0.2), at("b", 9, 0.3), at("a", 1, 0.1)]);
  assert.deepEqual(
    stages.map(({ alpha }) => alpha),
    [0.1, 0.3],
  );
  assert.equal(standingClaims([at("a", 1, 0.2), at("a", 40, 0.3)]).length, 2); // of two rounds
});
