#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Scores restored text against the truth.

    bench/baseline/score.py --heldout jobs/restore/heldout ANSWERS.jsonl…          prints a table
    bench/baseline/score.py --heldout jobs/restore/heldout ANSWERS.jsonl… --csv F  writes it too

An answer line is {"id","level","baseline","answer"}; "baseline" is the name of who answered. An
answer must reduce to the same damaged text as the truth, so both have the same words in the same
order, and these are compared one by one:

    words   share of words with a letter whose form, without the marks after it, is the truth's
    exact   share of paragraphs that are the truth, to the byte
    punct   F1 over the marks after each word: right if both have some and they are the same
"""
import argparse
import collections
import csv
import importlib.machinery
import importlib.util
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
MARKS = ".,;:!?"
FIELDS = ["language", "domain", "level", "baseline", "rows", "word_accuracy", "exact", "punct_f1"]


def load_corpus():
    """The script jobs/restore/corpus as a module: the damage function is defined there once."""
    path = os.path.join(HERE, "..", "..", "jobs", "restore", "corpus")
    loader = importlib.machinery.SourceFileLoader("corpus", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("corpus", loader))
    sys.dont_write_bytecode = True
    loader.exec_module(module)
    return module


def words_and_marks(text):
    """[word, marks after it] of each; marks that stand alone ("mot ?") go to the word before."""
    out = []
    for token in text.split(" "):
        form = token.rstrip(MARKS)
        if form or not out:
            out.append([form or token, token[len(form):] if form else ""])
        else:
            out[-1][1] += token
    return out


class Tally:
    def __init__(self):
        self.rows = self.exact = self.words = self.right = self.tp = self.fp = self.fn = 0

    def add(self, truth, answer):
        a, t = words_and_marks(answer), words_and_marks(truth)
        self.rows += 1
        self.exact += answer == truth
        if len(a) != len(t):
            raise ValueError("different number of words")
        for (form, marks), (true_form, true_marks) in zip(a, t):
            if any(c.isalpha() for c in true_form):
                self.words += 1
                self.right += form == true_form
            if marks == true_marks:
                self.tp += marks != ""
            else:
                self.fp += marks != ""
                self.fn += true_marks != ""

    def figures(self):
        f1 = 2 * self.tp / max(1, 2 * self.tp + self.fp + self.fn)
        return {"rows": self.rows, "word_accuracy": round(self.right / max(1, self.words), 5),
                "exact": round(self.exact / max(1, self.rows), 4), "punct_f1": round(f1, 4)}


def main():
    ap = argparse.ArgumentParser(description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("answers", nargs="+")
    ap.add_argument("--heldout", required=True, metavar="DIR",
                    help="<language>.jsonl files with the truth")
    ap.add_argument("--csv", metavar="FILE")
    ap.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    args = ap.parse_args()
    damage = load_corpus().damage
    truth = {}
    for name in sorted(os.listdir(args.heldout)):
        if name.endswith(".jsonl"):
            with open(os.path.join(args.heldout, name), encoding="utf-8") as f:
                truth.update((row["id"], row) for row in map(json.loads, f))
    tallies = collections.defaultdict(Tally)
    broken = 0
    for path in args.answers:
        with open(path, encoding="utf-8") as f:
            for line in f:
                a = json.loads(line)
                row = truth.get(a["id"])
                if row is None:
                    sys.exit(f"score: {path}: no held-out row has the id {a['id']}")
                if damage(a["answer"], a["level"]) != damage(row["text"], a["level"]):
                    broken += 1
                    print(f"score: {a['id']} level {a['level']} {a['baseline']}: the answer does "
                          "not reduce to its input", file=sys.stderr)
                    continue
                key = row["language"], row["domain"], a["level"], a["baseline"]
                tallies[key].add(row["text"], a["answer"])
    results = [dict(zip(FIELDS, key), **tallies[key].figures()) for key in sorted(tallies)]
    for r in results:
        if r["level"] < 3:
            r["punct_f1"] = None            # nothing was taken away
    if args.csv:
        with open(args.csv, "w", encoding="utf-8", newline="") as f:
            out = csv.DictWriter(f, FIELDS, lineterminator="\n")
            out.writeheader()
            out.writerows(results)
    if args.json:
        print(json.dumps({"results": results, "broken": broken}, ensure_ascii=False))
    else:
        form = "{:9}{:10}{:>5} {:8}{:>5}{:>9}{:>8}{:>8}"
        print(form.format("language", "domain", "level", "by", "rows", "words", "exact", "punct"))
        for r in results:
            punct = "" if r["punct_f1"] is None else f"{r['punct_f1']:.3f}"
            print(form.format(r["language"], r["domain"], r["level"], r["baseline"], r["rows"],
                              f"{r['word_accuracy']:.4f}", f"{r['exact']:.3f}", punct))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
