#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make a GGUF file with nothing but a vocabulary from a tokenizer.json.

usage: gguf_from_tokenizer_json.py TOKENIZER_JSON OUT [--pre NAME]

Byte-level BPE becomes tokenizer.ggml.model "gpt2" (--pre is needed); BPE with byte fallback becomes
"llama", with scores that rank the tokens as the merges do.  The file has a small architecture, so
that other programs load it too, for comparing their ids with ours.
"""
import argparse
import json
import struct
import sys

U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
NORMAL, UNKNOWN, CONTROL, ADDED, BYTE = 1, 2, 3, 4, 6


def text(value):
    data = value.encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(data)) + data


def pack(kind, value):
    if kind == STRING:
        return text(value)
    return struct.pack({U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}[kind], value)


class Keys:
    def __init__(self):
        self.count, self.data = 0, b""

    def add(self, key, kind, value):
        self.count += 1
        self.data += text(key) + struct.pack("<I", kind) + pack(kind, value)

    def add_array(self, key, kind, values):
        self.count += 1
        self.data += text(key) + struct.pack("<IIQ", ARRAY, kind, len(values))
        self.data += b"".join(pack(kind, value) for value in values)


def add_architecture(keys):
    keys.add("general.architecture", STRING, "llama")
    for name in ("context_length", "embedding_length", "block_count", "feed_forward_length",
                 "attention.head_count"):
        keys.add("llama." + name, U32, 1)
    keys.add("llama.attention.layer_norm_rms_epsilon", F32, 1e-5)


def read_tokens(source):
    """The texts by id, and the entries of added tokens by id; holes get names of their own."""
    texts = {number: token for token, number in source["model"]["vocab"].items()}
    added = {entry["id"]: entry for entry in source.get("added_tokens", [])}
    texts.update({number: entry["content"] for number, entry in added.items()})
    return [texts.get(i, f"[PAD{i}]") for i in range(max(texts) + 1)], added, texts


def is_byte(token):
    return len(token) == 6 and token.startswith("<0x") and token.endswith(">")


def read_type(number, token, added, known, unknown, is_spm):
    if number not in known:
        return CONTROL
    if is_spm and token == unknown:
        return UNKNOWN
    if number in added:
        return CONTROL if added[number].get("special") else ADDED
    return BYTE if is_spm and is_byte(token) else NORMAL


def join_merge(merge):
    return merge if isinstance(merge, str) else " ".join(merge)


def rank_tokens(tokens, merges):
    """A token that merges make has the score of its first merge; the first merge is the highest."""
    ranks = {}
    for rank, merge in enumerate(merges):
        made = "".join(merge.split(" ")) if isinstance(merge, str) else "".join(merge)
        ranks.setdefault(made, rank)
    return [-float(ranks.get(token, len(merges))) for token in tokens]


def has_space_prefix(source):
    return '"prepend"' in json.dumps(source.get("normalizer"))


def find_id(tokens, names):
    return next((tokens.index(name) for name in names if name in tokens), None)


def convert(source, pre):
    model = source["model"]
    tokens, added, known = read_tokens(source)
    is_spm = bool(model.get("byte_fallback"))
    unknown = model.get("unk_token")
    types = [read_type(i, t, added, known, unknown, is_spm) for i, t in enumerate(tokens)]
    if is_spm:
        tokens = [t.replace("\u2581", " ") if kind == ADDED else t
                  for t, kind in zip(tokens, types)]
    keys = Keys()
    add_architecture(keys)
    keys.add("tokenizer.ggml.model", STRING, "llama" if is_spm else "gpt2")
    if not is_spm:
        keys.add("tokenizer.ggml.pre", STRING, pre)
        keys.add_array("tokenizer.ggml.merges", STRING, [join_merge(m) for m in model["merges"]])
    keys.add_array("tokenizer.ggml.tokens", STRING, tokens)
    keys.add_array("tokenizer.ggml.token_type", I32, types)
    if is_spm:
        keys.add_array("tokenizer.ggml.scores", F32, rank_tokens(tokens, model["merges"]))
        keys.add("tokenizer.ggml.add_space_prefix", BOOL, has_space_prefix(source))
        if unknown in tokens:
            keys.add("tokenizer.ggml.unknown_token_id", U32, tokens.index(unknown))
    bos = find_id(tokens, ("<s>", "<bos>", "<|begin_of_text|>", "<|endoftext|>"))
    eos = find_id(tokens, ("</s>", "<eos>", "<|end_of_text|>", "<|endoftext|>"))
    if bos is not None:
        keys.add("tokenizer.ggml.bos_token_id", U32, bos)
    if eos is not None:
        keys.add("tokenizer.ggml.eos_token_id", U32, eos)
    keys.add("tokenizer.ggml.add_bos_token", BOOL, False)
    return b"GGUF" + struct.pack("<IQQ", 3, 0, keys.count) + keys.data


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("source")
    parser.add_argument("out")
    parser.add_argument("--pre", default="default", help="tokenizer.ggml.pre of the file")
    options = parser.parse_args()
    with open(options.source, encoding="utf-8") as file:
        source = json.load(file)
    if source["model"].get("type", "BPE") != "BPE":
        sys.exit(f"{options.source}: model {source['model']['type']} is not BPE")
    with open(options.out, "wb") as file:
        file.write(convert(source, options.pre))


if __name__ == "__main__":
    main()
