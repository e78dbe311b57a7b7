# SPDX-License-Identifier: Apache-2.0
"""Which of many changed texts does the language accept?  Runs in the sandbox.

arguments: python or json; files: text.txt, changes.json: [[at, remove, "insert"], ...] in bytes;
answer: one JSON line a change: [] accepted, [line, column, message] refused, null not looked at.
"""
import json
import re
import sys
import time
import warnings

SECONDS = 8.0
LONG = 20_000           # bytes; longer texts are looked at piece by piece first
START = re.compile(rb"^(?:def|class|async|@|import|from|if|for|while|try|with|\w+ ?=)", re.M)

warnings.simplefilter("ignore")
sys.setrecursionlimit(4000)


def refuse_python(text):
    try:
        compile(text, "x", "exec", dont_inherit=True)
    except SyntaxError as e:
        return [e.lineno or 0, max(e.offset or 0, 0), e.msg]
    except (ValueError, RecursionError, MemoryError, OverflowError) as e:
        return [0, 0, str(e)]
    return None


def refuse_json(text):
    try:
        json.loads(text)
    except json.JSONDecodeError as e:
        return [e.lineno, e.colno, e.msg]
    except (ValueError, RecursionError) as e:
        return [0, 0, str(e)]
    return None


def changed(text, change):
    at, remove, insert = change
    return text[:at] + insert.encode() + text[at + remove:]


def pieces(text):
    """Where the statements of the module begin, as far as the eye can tell."""
    return [0] + [m.start() for m in START.finditer(text)] + [len(text)]


def seems_good(text, starts, change):
    """Whether the statement around the change, and the one behind it, compile on their own."""
    at = change[0]
    first = max((s for s in starts if s <= at), default=0)
    last = min((s for s in starts if s > at + change[1]), default=len(text))
    piece = changed(text[first:last], [at - first, change[1], change[2]])
    return refuse_python(piece) is None


def main():
    refuse = refuse_python if sys.argv[1] == "python" else refuse_json
    with open("text.txt", "rb") as f:
        text = f.read()
    with open("changes.json", encoding="utf-8") as f:
        changes = json.load(f)
    order = list(range(len(changes)))
    if refuse is refuse_python and len(text) > LONG:
        starts = pieces(text)
        good = [seems_good(text, starts, c) for c in changes]
        order.sort(key=lambda i: not good[i])
    answers, end = [None] * len(changes), time.monotonic() + SECONDS
    for i in order:
        if time.monotonic() > end:
            break
        answers[i] = refuse(changed(text, changes[i])) or []
    for a in answers:
        print(json.dumps(a))


main()
