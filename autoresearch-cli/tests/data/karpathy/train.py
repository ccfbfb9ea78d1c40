"""Trains a model of one letter after another. The one file that is edited.

Usage: uv run train.py
"""

import math
import time

from prepare import BATCH, MAX_STEPS, VOCAB, batches, evaluate_bpb, load

LR = 0.1
WARMUP = 0.0
DEPTH = 1

t_start = time.time()
size = len(VOCAB)
logits = [[0.0] * size for _ in range(size)]


def softmax(row):
    top = max(row)
    weights = [math.exp(value - top) for value in row]
    total = sum(weights)
    return [weight / total for weight in weights]


loader = batches(load("train"))
for step in range(MAX_STEPS):
    xs, ys = next(loader)
    rate = LR * min(1.0, (step + 1) / (WARMUP * MAX_STEPS + 1e-9)) if WARMUP else LR
    loss = 0.0
    for x, y in zip(xs, ys):
        row = softmax(logits[x])
        loss -= math.log(max(row[y], 1e-12))
        for k in range(size):
            logits[x][k] -= rate * (row[k] - (k == y))
    if step % 10 == 0:
        print(f"\rstep {step:05d} | loss: {loss / BATCH:.6f} | lrm: {rate:.2f}", end="", flush=True)
print()

val_bpb = evaluate_bpb(lambda letter: softmax(logits[letter]))
t_end = time.time()
print("---")
print(f"val_bpb:          {val_bpb:.6f}")
print(f"training_seconds: {t_end - t_start:.1f}")
print(f"total_seconds:    {t_end - t_start:.1f}")
print(f"peak_vram_mb:     {0.0:.1f}")
print(f"mfu_percent:      {0.0:.2f}")
print(f"total_tokens_M:   {MAX_STEPS * BATCH / 1e6:.1f}")
print(f"num_steps:        {MAX_STEPS}")
print(f"num_params_M:     {size * size / 1e6:.1f}")
print(f"depth:            {DEPTH}")
