#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""certificate_holds.py ENXAME TRIALS [CSV] - does every claim hold as often as it says?

Runs `enxame bench certificate`, prints the table and, with CSV, writes it there.  Exit status 1
when the lower 99 % bound of a rate of false claims is above delta, or an eightfold drift is found
too rarely.
"""
import json
import subprocess
import sys

COLUMNS = ("name", "T", "delta", "violation_rate", "violation_low99", "window_violation_rate",
           "window_violation_low99", "lead_share", "bargain_share", "found_within_1000",
           "found_after")


def breaches(regime):
    for key in ("violation_low99", "window_violation_low99"):
        if regime.get(key, 0) > regime["delta"]:
            yield f"{key} {regime[key]:.4f} is above delta {regime['delta']}"
    if "x8" in regime["name"] and regime["found_within_1000"] < .99:
        yield f"the drift is found in {regime['found_within_1000']:.3f} of the trials"


def cell(value):
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def main(arguments):
    enxame, trials = arguments[:2]
    done = subprocess.run([enxame, "bench", "certificate", "--trials", trials, "--json"],
                          capture_output=True, check=True)
    result = json.loads(done.stdout)
    lines = [",".join(COLUMNS)]
    lines += [",".join(cell(r.get(key, "")) for key in COLUMNS) for r in result["regimes"]]
    print("\n".join(lines))
    if len(arguments) > 2:
        with open(arguments[2], "w", encoding="utf-8") as stream:
            stream.write("\n".join(lines) + "\n")
    found = [f"{r['name']}, T {r['T']}: {b}" for r in result["regimes"] for b in breaches(r)]
    print("\n".join(found))
    print(f"bargain_ratio {result['bargain_ratio']:.3f}, worst {result['bargain_ratio_worst']:.3f}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
