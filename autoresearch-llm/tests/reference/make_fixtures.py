"""Writes parity.safetensors beside this file (or where the argument says): `python make_fixtures.py [FILE]`.

It needs torch 2.11 and nothing else. The model is tiny; its weights are drawn such that every parameter has a gradient, where
a fresh model's projections are zero. Ten steps are the whole of a training, so that the schedules count as well.
"""

import json
import pathlib
import sys
from dataclasses import replace

import torch

import gpt

STEPS, ROWS = 10, 4
SHAPE = gpt.Shape(depth=4, dim=48, heads=3, context=32, vocab=128)


def weights():
    drawn = gpt.initial(SHAPE)
    for name, tensor in drawn.items():
        if name.endswith(("c_proj", "mlp_proj", "lm_head")):
            tensor.normal_(std=0.1)
        if name.endswith("ve_gate"):
            tensor.normal_(std=0.5)
        if name.endswith("_lambdas"):
            tensor.add_(torch.randn_like(tensor) * 0.1)
    return drawn


def batches():
    """Tokens in which each follows from the one before, three times of four."""
    rows = torch.empty(STEPS, ROWS, SHAPE.context + 1, dtype=torch.int64)
    rows[..., 0] = torch.randint(SHAPE.vocab, (STEPS, ROWS))
    for position in range(SHAPE.context):
        next_one = (rows[..., position] * 5 + 3) % SHAPE.vocab
        noise = torch.randint(SHAPE.vocab, (STEPS, ROWS))
        rows[..., position + 1] = torch.where(torch.rand(STEPS, ROWS) < 0.75, next_one, noise)
    return rows


def train(start, rows, shape):
    """The loss before every step, and the first step's gradients."""
    trained, tables, losses = gpt.trainable(start, shape), gpt.Tables(shape), []
    optimizer = gpt.Optimizer(trained, shape)
    for step in range(STEPS):
        loss = gpt.loss(trained, rows[step, :, :-1], rows[step, :, 1:], tables, shape)
        loss.backward()
        losses.append(loss.item())
        if step == 0:
            gradients = {name: weight.grad.clone() for name, weight in trained.items()}
        progress = step / STEPS
        optimizer.step(gpt.lr_share(progress), gpt.muon_momentum(step), gpt.weight_decay(progress))
    return losses, gradients


def first_step(start, gradients, shape):
    """The weights after one step from these gradients, and NorMuon's variances, which that step itself does not show."""
    trained = gpt.trainable(start, shape)
    optimizer = gpt.Optimizer(trained, shape)
    for name, weight in trained.items():
        weight.grad = gradients[name].to(weight.dtype)
    optimizer.step(gpt.lr_share(0.0), gpt.muon_momentum(0), gpt.weight_decay(0.0))
    variances = {"x".join(map(str, trained[names[0]].shape)): variance for names, _, variance in optimizer.stacks}
    return {name: weight.detach() for name, weight in trained.items()}, variances


def save(tensors, path):
    """The safetensors format: the header's length, the header, and the values one tensor after another."""
    names = {torch.float32: "F32", torch.bfloat16: "BF16", torch.int16: "I16"}
    header, values = {}, bytearray()
    for name, tensor in tensors.items():
        begin = len(values)
        values += bytes(tensor.contiguous().flatten().view(torch.uint8).tolist())
        header[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, len(values)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    pathlib.Path(path).write_bytes(len(text).to_bytes(8, "little") + text + values)


def main():
    assert torch.__version__.startswith("2.11."), f"this needs torch 2.11, and here is {torch.__version__}"
    torch.manual_seed(20)
    torch.set_num_threads(1)
    start, rows = weights(), batches()
    low = replace(SHAPE, precision="bfloat16")
    (losses, gradients), (low_losses, _) = train(start, rows, SHAPE), train(start, rows, low)
    stepped, variances = first_step(start, gradients, SHAPE)
    low_stepped, low_variances = first_step(start, gradients, low)
    # One layer shows it; the file is to stay small.
    low_stepped = {name: weight for name, weight in low_stepped.items() if name.startswith(("wte", "h.1", "value_embeds.1"))}
    fixture = {"batches": rows.to(torch.int16), "losses": torch.tensor(losses), "losses_bf16": torch.tensor(low_losses)}
    kinds = {"weights": start, "gradients": gradients, "stepped": stepped, "variances": variances}
    for kind, tensors in (kinds | {"stepped_bf16": low_stepped, "variances_bf16": low_variances}).items():
        fixture.update({f"{kind}/{name}": tensor for name, tensor in tensors.items()})
    # At the tiny model's positions a badly rounded angle would not show.
    long = gpt.Tables(replace(SHAPE, dim=128, heads=2, context=1024))
    fixture.update({"rotary/cos": long.cos, "rotary/sin": long.sin})
    path = sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).with_name("parity.safetensors")
    save(fixture, path)
    print("losses in float32 ", *(f"{loss:.6f}" for loss in losses))
    print("losses in bfloat16", *(f"{loss:.6f}" for loss in low_losses))


if __name__ == "__main__":
    main()
