"""Fixed part of the tiny research repository: data, batches and evaluation. Not to be edited.

Usage: python prepare.py   (once, makes the data)
"""

import math
import os

VOCAB = "abcdefghijklmnopqrstuvwxyz .\n"
MAX_STEPS = 40
BATCH = 64
EVAL_CHARS = 1500
DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")


def make_text(chars, state=7):
    """Text of a small grammar, the same on every machine."""
    words = ["the", "model", "learns", "to", "read", "a", "letter", "after", "another", "and", "then", "it", "writes"]
    text = []
    length = 0
    while length < chars:
        state = (1103515245 * state + 12345) % (1 << 31)
        word = words[(state >> 16) % len(words)]
        end = ". " if (state >> 8) % 7 == 0 else " "
        text.append(word + end)
        length += len(word) + len(end)
    return "".join(text)[:chars]


def load(split):
    with open(os.path.join(DATA, split + ".txt")) as file:
        return [VOCAB.index(letter) for letter in file.read()]


def batches(tokens):
    """Pairs of a letter and the next one, BATCH at a time."""
    at = 0
    while True:
        if at + BATCH + 1 > len(tokens):
            at = 0
        yield tokens[at : at + BATCH], tokens[at + 1 : at + BATCH + 1]
        at += BATCH


def evaluate_bpb(probabilities):
    """Bits per byte of the validation text; `probabilities(letter)` are those of the next one."""
    tokens = load("val")[:EVAL_CHARS]
    bits = sum(-math.log2(max(probabilities(a)[b], 1e-12)) for a, b in zip(tokens, tokens[1:]))
    return bits / (len(tokens) - 1)


if __name__ == "__main__":
    os.makedirs(DATA, exist_ok=True)
    for split, chars, state in [("train", 8000, 7), ("val", 2000, 11)]:
        with open(os.path.join(DATA, split + ".txt"), "w") as file:
            file.write(make_text(chars, state))
    print("Data: ready at", DATA)
