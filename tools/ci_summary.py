#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ci_summary.py - says in one line how the tests of one or more build folders went.

    tools/ci_summary.py BUILD...   ->   85 passed, 0 failed, 1 skipped

Reads the log that `meson test` leaves in each folder.  A cmocka program counts once for each of
its tests; any other program counts once.  A program that says its tests passed and still fails
(a crash at the end, a sanitizer) is one failure more.  A folder without a log is a failure: its
build broke.  The exit status is 1 when anything failed.
"""
import json
import os
import re
import sys

PASSED = re.compile(r"^\[  PASSED  \] (\d+) test\(s\)", re.M)
SKIPPED = re.compile(r"^\[  SKIPPED \] (\d+) test\(s\)", re.M)
FAILED = re.compile(r"^\[  FAILED  \] (\d+) test\(s\)", re.M)
GOOD = ("OK", "EXPECTEDFAIL")


def total(pattern, text):
    return sum(int(number) for number in pattern.findall(text))


def count_program(entry):
    """(passed, failed, skipped) of one program."""
    text = (entry.get("stdout") or "") + "\n" + (entry.get("stderr") or "")
    passed, failed, skipped = (total(p, text) for p in (PASSED, FAILED, SKIPPED))
    if entry["result"] == "SKIP":
        return 0, 0, 1
    if entry["result"] in GOOD:
        return (passed, failed, skipped) if passed + skipped else (1, 0, 0)
    return passed, max(failed, 1), skipped


def count_folder(folder):
    path = os.path.join(folder, "meson-logs", "testlog.json")
    sums = [0, 0, 0]
    try:
        with open(path, encoding="utf-8", errors="replace") as log:
            for line in log:
                for i, number in enumerate(count_program(json.loads(line))):
                    sums[i] += number
    except FileNotFoundError:
        print(f"{folder}: no test log; its build or its test run broke")
        return [0, 1, 0]
    return sums


def self_test():
    cmocka = "[  PASSED  ] 3 test(s).\n[  SKIPPED ] 1 test(s), listed below:\n"
    broken = "[  PASSED  ] 3 test(s).\n[  FAILED  ] 2 test(s), listed below:\n[  FAILED  ] name\n"
    for entry, want in (
        ({"result": "OK", "stdout": cmocka}, (3, 0, 1)),
        ({"result": "OK", "stdout": "fine"}, (1, 0, 0)),
        ({"result": "OK"}, (1, 0, 0)),
        ({"result": "SKIP", "stdout": ""}, (0, 0, 1)),
        ({"result": "FAIL", "stdout": broken}, (3, 2, 0)),
        ({"result": "FAIL", "stdout": cmocka}, (3, 1, 1)),
        ({"result": "TIMEOUT"}, (0, 1, 0)),
    ):
        got = count_program(entry)
        assert got == want, f"{entry}: got {got}, want {want}"
    print("ci_summary: self-test passed")


def main(arguments):
    if arguments == ["--self-test"]:
        self_test()
        return 0
    if not arguments:
        print("usage: tools/ci_summary.py BUILD...", file=sys.stderr)
        return 64
    sums = [sum(column) for column in zip(*map(count_folder, arguments))]
    print("{} passed, {} failed, {} skipped".format(*sums))
    return 1 if sums[1] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
