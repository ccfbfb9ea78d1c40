"""Writes parity.safetensors beside this file (or where the argument says): `python make_fixtures.py [FILE]`.

It needs torch 2.11 and safetensors. The model is tiny; its weights are drawn such that every parameter has a gradient, where
a fresh model's projections are zero. Ten steps are the whole of a training, so that the schedules count as well.
"""

import pathlib
import sys
from dataclasses import replace

import torch
from safetensors.torch import save_file

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
    """The loss before every step, and the first step's gradients and new weights."""
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
        if step == 0:
            stepped = {name: weight.detach().clone() for name, weight in trained.items()}
    return losses, gradients, stepped


def main():
    assert torch.__version__.startswith("2.11."), f"this needs torch 2.11, and here is {torch.__version__}"
    torch.manual_seed(20)
    torch.set_num_threads(1)
    start, rows = weights(), batches()
    losses, gradients, stepped = train(start, rows, SHAPE)
    low_losses, _, _ = train(start, rows, replace(SHAPE, precision="bfloat16"))
    fixture = {"batches": rows.to(torch.int16), "losses": torch.tensor(losses), "losses_bf16": torch.tensor(low_losses)}
    for kind, tensors in (("weights", start), ("gradients", gradients), ("stepped", stepped)):
        fixture.update({f"{kind}/{name}": tensor.contiguous() for name, tensor in tensors.items()})
    path = sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).with_name("parity.safetensors")
    save_file(fixture, path)
    print("losses in float32 ", *(f"{loss:.6f}" for loss in losses))
    print("losses in bfloat16", *(f"{loss:.6f}" for loss in low_losses))


if __name__ == "__main__":
    main()
