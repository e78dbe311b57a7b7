// SPDX-License-Identifier: Apache-2.0
// claim.js - what a certificate says; of a goal in stages, what all of its certificates say.

// Stages share out what may go wrong, so all claims hold at once with the sum of their parts.
export function wholeClaim(certificate) {
  if (!Array.isArray(certificate)) return certificate ?? null;
  if (!certificate.length) return null;
  const sum = (key) => certificate.reduce((total, claim) => total + claim[key], 0);
  return {
    certified: certificate.every((claim) => claim.certified),
    alpha: Math.max(...certificate.map((claim) => claim.alpha)),
    delta: sum("delta"),
    labels: sum("labels"),
    wrong: sum("wrong"),
    stages: certificate.length,
  };
}

// The records of certificates that stand: a stage is named by its class and first task.
export function standingClaims(records) {
  if (!records.some((record) => record.class)) return records.at(-1) ?? null;
  return [...new Map(records.map((record) => [`${record.class} ${record.task}`, record])).values()];
}
