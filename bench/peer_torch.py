#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Steps of PyTorch's CPU trainer in f32, timed as bench_train times ours.

    bench/peer_torch.py VOCAB WIDTH LAYERS TOKENS STEPS      (needs python3-torch)

The model is GPT-2's: LayerNorm, learnt positions, GELU, tied head, with AdamW. Prints tokens a
second of processor time, the best of STEPS, after one that does not count.
"""
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

SEGMENT = 256
vocab, width, layers, count, steps = map(int, sys.argv[1:])
torch.set_num_threads(1)
torch.manual_seed(1)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.register_buffer("mask", torch.full((SEGMENT, SEGMENT), float("-inf")).triu(1))

    def forward(self, x):
        batch = x.shape[0]
        q, k, v = (t.view(batch, SEGMENT, width // 32, 32).transpose(1, 2)
                   for t in self.qkv(self.norm1(x)).split(width, 2))
        scores = torch.baddbmm(self.mask, q.reshape(-1, SEGMENT, 32),
                               k.reshape(-1, SEGMENT, 32).transpose(1, 2), alpha=32 ** -0.5)
        mixed = torch.bmm(F.softmax(scores, -1), v.reshape(-1, SEGMENT, 32))
        mixed = mixed.view(batch, width // 32, SEGMENT, 32).transpose(1, 2)
        x = x + self.out(mixed.reshape(batch, SEGMENT, width))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.place = nn.Embedding(vocab, width), nn.Embedding(SEGMENT, width)
        self.blocks = nn.Sequential(*(Block() for _ in range(layers)))
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens):
        x = self.embed(tokens) + self.place.weight
        return self.norm(self.blocks(x)) @ self.embed.weight.T


model = Model()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1)
tokens = torch.randint(vocab, (count // SEGMENT, SEGMENT))
best = 1e30
for step in range(steps + 1):
    start = time.process_time()
    loss = F.cross_entropy(model(tokens).view(-1, vocab), tokens.view(-1))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    if step > 0:
        best = min(best, time.process_time() - start)
parameters = sum(p.numel() for p in model.parameters())
print(f"torch {torch.__version__},{parameters},{tokens.numel() / best:.0f}")
