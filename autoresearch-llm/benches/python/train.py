"""What train.rs races: its model (../../tests/reference/gpt.py) trained by PyTorch on the same data, until it is stopped.

`python train.py eager|compile FOLDER DEPTH DIM HEADS ROWS PASSES THREADS`, FOLDER as `prepare` made it. Every step ends with
a line; the clock is the reader's.
"""

import gc
import json
import pathlib
import struct
import sys
import time

import torch

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "tests" / "reference"))
import gpt

BUDGET = 60.0
# The first steps compile, and do not count into the schedules.
UNTIMED = 11


def stream(folder, manifest):
    """All tokens of the first training shard, in a row (see src/shards.rs)."""
    data = (folder / manifest["train"][0]["file"]).read_bytes()
    magic, tokens, documents = struct.unpack_from("<8sQQ", data)
    assert magic == b"ARTOK001"
    flat = torch.frombuffer(bytearray(data[32 + 8 * documents :]), dtype=torch.uint16)
    assert len(flat) == tokens
    return flat.to(torch.int64)


def batches(tokens, rows, context):
    """Documents cut where a row ends: packing, which is done in advance for train.rs as well, costs nothing here."""
    size = rows * context
    while True:
        for at in range(0, len(tokens) - size - 1, size):
            yield tokens[at : at + size].view(rows, context), tokens[at + 1 : at + size + 1].view(rows, context)


def main():
    mode, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    depth, dim, heads, rows, passes, threads = map(int, sys.argv[3:])
    torch.set_num_threads(threads)
    torch.manual_seed(42)
    manifest = json.loads((folder / "workload.json").read_text())
    shape = gpt.Shape(depth, dim, heads, manifest["max_seq_len"], manifest["vocab_size"])
    weights, tables = gpt.trainable(gpt.initial(shape), shape), gpt.Tables(shape)
    loss_of, compiler = gpt.loss, None
    if mode == "compile":
        compiler = lambda function: torch.compile(function, dynamic=False, fullgraph=True)
        loss_of = torch.compile(gpt.loss, dynamic=False)
    optimizer = gpt.Optimizer(weights, shape, compiler)
    source = batches(stream(folder, manifest), rows, shape.context)

    step, spent = 0, 0.0
    while True:
        began = time.perf_counter()
        for _ in range(passes):
            loss = loss_of(weights, *next(source), tables, shape)
            (loss / passes).backward()
        progress = min(spent / BUDGET, 1.0)
        optimizer.step(gpt.lr_share(progress), gpt.muon_momentum(step), gpt.weight_decay(progress))
        value = loss.item()
        if step == 0:
            gc.collect()
            gc.freeze()
            gc.disable()
        if step >= UNTIMED:
            spent += time.perf_counter() - began
        print(f"step {step:05d} | loss: {value:.6f}", flush=True)
        step += 1


if __name__ == "__main__":
    main()
