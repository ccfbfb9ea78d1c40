"""What train.rs races: its model (../../tests/reference/gpt.py) trained by PyTorch on the same data.

`python train.py eager|compile FOLDER DEPTH DIM HEADS ROWS PASSES THREADS`, FOLDER as `prepare` made it, trains until it is
stopped. Every step ends with a line; the clock is the reader's. With `--budget SECONDS` it trains so long, then measures
val_bpb and ends with a line of JSON; `--train` and `--val` name files of packed rows (`cargo run --example rows`), which
train.rs sees in the same order.
"""

import argparse
import gc
import json
import math
import pathlib
import resource
import struct
import sys
import time

import torch

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "tests" / "reference"))
import gpt

# The schedules' time when nobody gives one.
BUDGET = 60.0
# The first steps compile, and do not count into the schedules.
UNTIMED = 11
# Rows of the evaluation at a time: the logits of a batch are large.
EVALUATED = 16


# -- Attention in short windows -----------------------------------------------------------------------------------------


def flex(limit, shape):
    """A kernel that the compiler makes; blocks out of the window are left out."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    seen = lambda batch, head, query, key: (query >= key) & (query - key <= limit)
    here = torch.empty(0).device
    blocks = create_block_mask(seen, None, None, shape.context, shape.context, device=here)
    return lambda q, k, v: flex_attention(q, k, v, block_mask=blocks)


def flash(limit, shape):
    """FlashAttention 2 as libtorch has it, called by its name."""

    def attend(q, k, v):
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        length = q.shape[1]
        windows = {"window_size_left": limit, "window_size_right": 0}
        forward = torch.ops.aten._flash_attention_forward
        return forward(q, k, v, None, None, length, length, 0.0, True, False, **windows)[0].transpose(1, 2)

    return attend


ATTENTION = {"sdpa": gpt.masked, "flex": flex, "flash": flash}


# -- Data ---------------------------------------------------------------------------------------------------------------


def stream(folder, manifest):
    """All tokens of the first training shard, in a row (see src/shards.rs)."""
    data = (folder / manifest["train"][0]["file"]).read_bytes()
    magic, tokens, documents = struct.unpack_from("<8sQQ", data)
    assert magic == b"ARTOK001"
    flat = torch.frombuffer(bytearray(data[32 + 8 * documents :]), dtype=torch.uint16)
    assert len(flat) == tokens
    return flat.to(torch.int64)


def cut(tokens, rows, context):
    """Documents cut where a row ends: packing, which is done in advance for train.rs as well, costs nothing here."""
    size = rows * context
    while True:
        for at in range(0, len(tokens) - size - 1, size):
            yield tokens[at : at + size].view(rows, context), tokens[at + 1 : at + size + 1].view(rows, context)


def packed(path, context, device):
    """Rows of one token more than the context, all of them on the device."""
    flat = torch.frombuffer(bytearray(pathlib.Path(path).read_bytes()), dtype=torch.int16)
    return flat.view(-1, context + 1).to(device)


def halves(rows):
    rows = rows.to(torch.int64)
    return rows[:, :-1].contiguous(), rows[:, 1:].contiguous()


def batches(rows, count):
    assert len(rows) >= count, f"{len(rows)} rows are less than a batch of {count}"
    while True:
        for at in range(0, len(rows) - count + 1, count):
            yield halves(rows[at : at + count])


# -- Training and evaluation ----------------------------------------------------------------------------------------------


@torch.no_grad()
def bits_per_byte(weights, rows, tables, shape, lengths):
    """val_bpb: nats over bytes, in bits; tokens without bytes count in neither."""
    nats = size = 0.0
    for part in rows.split(EVALUATED):
        x, y = halves(part)
        losses = gpt.loss(weights, x, y, tables, shape, reduction="none").double()
        of_targets = lengths[y.flatten()]
        nats += (losses * (of_targets > 0)).sum().item()
        size += of_targets.sum().item()
    return nats / (math.log(2) * size)


def peak_memory_mb(device):
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=["eager", "compile"])
    parser.add_argument("folder", type=pathlib.Path)
    for name in ("depth", "dim", "heads", "rows", "passes", "threads"):
        parser.add_argument(name, type=int)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--attention", default="sdpa", choices=list(ATTENTION))
    parser.add_argument("--budget", type=float)
    parser.add_argument("--train")
    parser.add_argument("--val")
    return parser.parse_args()


def main():
    given = arguments()
    torch.set_num_threads(given.threads)
    torch.set_float32_matmul_precision("high" if given.device == "cuda" else "highest")
    torch.manual_seed(42)
    manifest = json.loads((given.folder / "workload.json").read_text())
    context = manifest["max_seq_len"]
    shape = gpt.Shape(given.depth, given.dim, given.heads, context, manifest["vocab_size"], precision=given.precision)
    # In one piece each, or it is an error: no part is left to Python unseen.
    compiler = lambda function: torch.compile(function, dynamic=False, fullgraph=True)
    compiler, loss_of = (compiler, compiler(gpt.loss)) if given.mode == "compile" else (None, gpt.loss)
    with torch.device(given.device):
        weights, tables = gpt.trainable(gpt.initial(shape), shape), gpt.Tables(shape, ATTENTION[given.attention])
        optimizer = gpt.Optimizer(weights, shape, compiler)
    if given.train:
        assert shape.vocab <= 2**15, "tokens of 16 bits are read with a sign"
        source = batches(packed(given.train, context, given.device), given.rows)
    else:
        source = cut(stream(given.folder, manifest), given.rows, context)

    step, spent = 0, 0.0
    while given.budget is None or spent < given.budget:
        began = time.perf_counter()
        for _ in range(given.passes):
            loss = loss_of(weights, *next(source), tables, shape)
            (loss / given.passes).backward()
        progress = min(spent / (given.budget or BUDGET), 1.0)
        optimizer.step(gpt.lr_share(progress), gpt.muon_momentum(step), gpt.weight_decay(progress))
        value = loss.item()
        if given.device == "cuda":
            torch.cuda.synchronize()
        if step == 0:
            gc.collect()
            gc.freeze()
            gc.disable()
        if step >= UNTIMED:
            spent += time.perf_counter() - began
        print(f"step {step:05d} | loss: {value:.6f}", flush=True)
        step += 1

    result = {"steps": step, "peak_vram_mb": peak_memory_mb(given.device)}
    if given.val:
        rows = packed(given.val, context, given.device)
        lengths = torch.tensor(json.loads((given.folder / "token_bytes.json").read_text()), device=given.device)
        with torch.device(given.device):
            plain = gpt.Tables(shape)
        # Nothing is compiled for it: it is not timed.
        result["val_bpb"] = bits_per_byte(weights, rows, plain, shape, lengths)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
