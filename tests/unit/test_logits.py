#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The engine's log-probabilities beside golden ones, for random models of every architecture.

usage: test_logits.py RANDOM_MODEL MODEL_LOGITS GOLDEN.csv [--make]

The golden numbers are those of the exact pass (model_logits exact), which `make conformance` holds
against llama.cpp's.  --make writes them anew.
"""
import csv
import struct
import subprocess
import sys
import tempfile

PLACES, VOCAB = 24, 512
# Architecture, type, and how far from exact the engine may be: f16 keys and values, and with
# weights in blocks inputs of 8 bits.
MODELS = [("llama", "F32", 0.01), ("qwen2", "F32", 0.01), ("qwen3", "F32", 0.01),
          ("phi3", "F32", 0.01), ("gemma2", "F32", 0.01), ("gemma3", "F32", 0.01),
          ("smollm3", "F32", 0.01), ("qwen3moe", "F32", 0.01), ("gpt-oss", "F32", 0.01),
          ("llama", "BF16", 0.01), ("llama", "Q8_0", 0.35), ("llama", "Q4_K", 0.35),
          ("llama", "Q6_K", 0.35), ("llama", "MXFP4", 0.35)]


def logprobs(programs, architecture, kind, mode):
    """[place][token]"""
    with tempfile.NamedTemporaryFile(suffix=".gguf") as model:
        subprocess.run([programs[0], architecture, kind, model.name], check=True)
        output = subprocess.run([programs[1], model.name, str(PLACES), mode], check=True,
                                stdout=subprocess.PIPE).stdout
    values = struct.unpack(f"<{PLACES * VOCAB}f", output[:PLACES * VOCAB * 4])
    return [values[i * VOCAB:(i + 1) * VOCAB] for i in range(PLACES)]


def make(programs, path):
    with open(path, "w", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["architecture", "type", "place", "token", "logprob"])
        for architecture, kind, _ in MODELS:
            table = logprobs(programs, architecture, kind, "exact")
            for place in range(PLACES):
                best = max(range(VOCAB), key=table[place].__getitem__)
                for token in (best, place * 37 % VOCAB):
                    out.writerow([architecture, kind, place, token, f"{table[place][token]:.5f}"])


def check(programs, path):
    failures = 0
    with open(path, encoding="utf-8") as file:
        golden = list(csv.DictReader(file))
    for architecture, kind, limit in MODELS:
        table = logprobs(programs, architecture, kind, "0")
        rows = [row for row in golden if (row["architecture"], row["type"]) == (architecture, kind)]
        most = max(abs(table[int(row["place"])][int(row["token"])] - float(row["logprob"]))
                   for row in rows)
        print(f"{architecture} {kind}: {most:.5f} from golden, {limit} allowed")
        failures += len(rows) != 2 * PLACES or not most <= limit
    return failures


def main():
    programs, path = sys.argv[1:3], sys.argv[3]
    if "--make" in sys.argv:
        make(programs, path)
        return 0
    return 1 if check(programs, path) else 0


sys.exit(main())
