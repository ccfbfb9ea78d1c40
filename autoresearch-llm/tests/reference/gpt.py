"""The GPT of train.rs once more, in eager PyTorch: what it is held against, and what it races in the benchmark.

Written from the descriptions of nanochat's architecture and of the papers it rests on (Muon, Polar Express, NorMuon,
cautious weight decay). A model is a dictionary of tensors under train.rs's names, and functions over it.

Precision "float32" computes everything in it. "bfloat16" is mixed as on a GPU under autocast: embeddings and activations in
bf16, the other weights in float32 and rounded where they are used, Newton-Schulz in bf16, logits and loss in float32.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

EMBEDDING_LR, UNEMBEDDING_LR, MATRIX_LR, SCALAR_LR = 0.6, 0.004, 0.04, 0.5
WEIGHT_DECAY, WARMUP, WARMDOWN, FINAL_LR = 0.2, 0.0, 0.5, 0.0
BETAS, X0_BETAS, ADAM_EPS = (0.8, 0.95), (0.96, 0.95), 1e-10
NORMUON_BETA = 0.95
SOFTCAP = 15
GATE_CHANNELS = 32

# Amsel et al. 2025, arXiv:2505.16932.
POLAR_EXPRESS = (
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
)


@dataclass(frozen=True)
class Shape:
    depth: int
    dim: int
    heads: int
    context: int
    vocab: int
    windows: str = "SSSL"
    precision: str = "float32"

    @property
    def head_dim(self):
        return self.dim // self.heads

    @property
    def low(self):
        return getattr(torch, self.precision)

    def window(self, layer):
        """How many tokens before itself a position sees; half of the context in short layers, never in the last."""
        short = self.windows[layer % len(self.windows)] == "S" and layer < self.depth - 1
        return self.context // 2 if short else self.context

    def has_value_embedding(self, layer):
        return (self.depth - 1 - layer) % 2 == 0


# -- Weights ------------------------------------------------------------------------------------------------------------


def initial(shape):
    """Fresh weights from torch's generator."""
    bound = (3 / shape.dim) ** 0.5
    uniform = lambda *size: torch.empty(size).uniform_(-bound, bound)
    weights = {"wte": torch.randn(shape.vocab, shape.dim), "lm_head": torch.randn(shape.vocab, shape.dim) * 0.001}
    weights["resid_lambdas"] = torch.ones(shape.depth)
    weights["x0_lambdas"] = torch.full((shape.depth,), 0.1)
    for layer in range(shape.depth):
        for name in ("c_q", "c_k", "c_v"):
            weights[f"h.{layer}.{name}"] = uniform(shape.dim, shape.dim)
        weights[f"h.{layer}.c_proj"] = torch.zeros(shape.dim, shape.dim)
        weights[f"h.{layer}.c_fc"] = uniform(4 * shape.dim, shape.dim)
        weights[f"h.{layer}.mlp_proj"] = torch.zeros(shape.dim, 4 * shape.dim)
        if shape.has_value_embedding(layer):
            weights[f"h.{layer}.ve_gate"] = torch.zeros(shape.heads, min(GATE_CHANNELS, shape.dim))
            weights[f"value_embeds.{layer}"] = uniform(shape.vocab, shape.dim)
    return weights


def trainable(weights, shape):
    """Copies that take gradients; embeddings in the low precision."""
    low = lambda name: shape.low if is_embedding(name) else torch.float32
    return {name: tensor.detach().clone().to(low(name)).requires_grad_() for name, tensor in weights.items()}


def is_embedding(name):
    return name == "wte" or name.startswith("value_embeds.")


def is_matrix(name):
    return name.startswith("h.")


# -- Model --------------------------------------------------------------------------------------------------------------


def masked(limit, shape):
    """Attention to at most `limit` tokens before; queries, keys, values and the result are batch x heads x tokens x dim."""
    if limit >= shape.context:
        return lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True)
    back = torch.arange(shape.context)[:, None] - torch.arange(shape.context)[None, :]
    mask = (back >= 0) & (back <= limit)
    return lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


class Tables:
    """What depends on the shape alone: rotations and windows. `short` makes the attention of windows that are short."""

    def __init__(self, shape, short=masked):
        frequencies = 1.0 / 10000 ** (torch.arange(0, shape.head_dim, 2, dtype=torch.float32) / shape.head_dim)
        angles = torch.outer(torch.arange(shape.context, dtype=torch.float32), frequencies)[None, :, None, :]
        # Rounded to bf16 in every precision.
        self.cos, self.sin = (f(angles).bfloat16() for f in (torch.cos, torch.sin))
        # One for all layers alike, so that a compiler sees few.
        limits = [shape.window(layer) for layer in range(shape.depth)]
        made = {limit: (short if limit < shape.context else masked)(limit, shape) for limit in set(limits)}
        self.attention = [made[limit] for limit in limits]


def unit(x):
    return F.rms_norm(x, x.shape[-1:])


def project(x, weight):
    return F.linear(x, weight.to(x.dtype))


def rotate(x, tables):
    first, second = x.chunk(2, dim=-1)
    cos, sin = tables.cos, tables.sin
    return torch.cat((first * cos + second * sin, first * -sin + second * cos), dim=-1)


def attend(weights, layer, x, tokens, tables, shape):
    of = lambda name: weights[f"h.{layer}.{name}"]
    heads = lambda y: y.unflatten(-1, (shape.heads, shape.head_dim))
    q, k, v = (heads(project(x, of(name))) for name in ("c_q", "c_k", "c_v"))
    if shape.has_value_embedding(layer):
        gate = 2 * torch.sigmoid(project(x[..., :GATE_CHANNELS], of("ve_gate")))
        v = v + gate[..., None] * heads(F.embedding(tokens, weights[f"value_embeds.{layer}"]))
    q, k = unit(rotate(q, tables)), unit(rotate(k, tables))
    y = tables.attention[layer](q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
    return project(y.transpose(1, 2).flatten(2), of("c_proj"))


def feed_forward(weights, layer, x):
    hidden = F.relu(project(x, weights[f"h.{layer}.c_fc"])).square()
    return project(hidden, weights[f"h.{layer}.mlp_proj"])


def logits(weights, tokens, tables, shape):
    """Of the next token, in float32."""
    x = first = unit(F.embedding(tokens, weights["wte"]))
    for layer in range(shape.depth):
        # Rounded here, because CPU kernels, unlike CUDA's, would round one operand's scalar and not the other's.
        stay, skip = (weights[name][layer].to(x.dtype) for name in ("resid_lambdas", "x0_lambdas"))
        x = stay * x + skip * first
        x = x + attend(weights, layer, unit(x), tokens, tables, shape)
        x = x + feed_forward(weights, layer, unit(x))
    return SOFTCAP * torch.tanh(project(unit(x), weights["lm_head"]).float() / SOFTCAP)


def loss(weights, tokens, targets, tables, shape, reduction="mean"):
    """The cross-entropy in nats: its mean, or with reduction "none" that of every target."""
    flat = logits(weights, tokens, tables, shape).flatten(0, 1)
    return F.cross_entropy(flat, targets.flatten(), ignore_index=-1, reduction=reduction)


# -- Optimizers ---------------------------------------------------------------------------------------------------------


def adamw(weight, gradient, mean, square, step, lr, beta1, beta2):
    """`step`, `lr` and the betas are numbers, or tensors of one element where this is compiled."""
    mean.lerp_(gradient, 1 - beta1)
    square.lerp_(gradient.square(), 1 - beta2)
    deviation = (square / (1 - beta2**step)).sqrt() + ADAM_EPS
    weight.add_(mean / deviation, alpha=-(lr / (1 - beta1**step)))


def orthogonal(x):
    """The polar factor, nearly, of every matrix in a stack."""
    x = x / (x.norm(dim=(-2, -1), keepdim=True) * 1.02 + 1e-6)
    tall = x.shape[-2] > x.shape[-1]
    for a, b, c in POLAR_EXPRESS:
        gram = x.mT @ x if tall else x @ x.mT
        poly = b * gram + c * (gram @ gram)
        x = a * x + (x @ poly if tall else poly @ x)
    return x


def muon(weights, gradients, velocity, variance, momentum, lr, decay, beta, low):
    """On stacks of matrices of one form; `momentum`, `lr`, `decay`, `beta` are float32 tensors of one element."""
    velocity.lerp_(gradients, 1 - momentum)
    update = orthogonal(gradients.lerp(velocity, momentum).to(low))

    # NorMuon: even out the rows (or columns), and give the whole its norm back.
    over = -1 if weights.shape[-2] >= weights.shape[-1] else -2
    count = update.shape[over]
    mean_square = update.float().square().mean(dim=over, keepdim=True)
    norm = (mean_square.sum(dim=(-2, -1), keepdim=True) * count).sqrt()
    # These numbers are rounded to the update's precision.
    variance.lerp_(mean_square, (1 - beta.to(low)).float())
    factor = variance.clamp_min(1e-10).rsqrt()
    factored = (mean_square * count * factor.square()).sum(dim=(-2, -1), keepdim=True).sqrt()
    update = update * (factor * (norm / factored.clamp_min(1e-10))).to(low)

    lr, decay = lr.to(low), decay.to(low)
    agree = (update * weights) >= 0
    weights.sub_(lr * update + lr * decay * weights * agree)


class Optimizer:
    """Muon for the matrices of the layers, stack by stack; AdamW for all else."""

    def __init__(self, weights, shape, compiler=None):
        self.weights, self.low, self.steps = weights, shape.low, 0
        wrap = compiler or (lambda function: function)
        self.adamw, self.muon, self.compiled = wrap(adamw), wrap(muon), compiler is not None
        width = (shape.dim / 768) ** -0.5
        self.adam = {}
        for name, weight in weights.items():
            if is_matrix(name):
                continue
            lr, betas = (EMBEDDING_LR * width, BETAS) if is_embedding(name) else (UNEMBEDDING_LR * width, BETAS)
            if name == "resid_lambdas":
                lr, betas = SCALAR_LR * 0.01, BETAS
            if name == "x0_lambdas":
                lr, betas = SCALAR_LR, X0_BETAS
            self.adam[name] = (lr, betas, torch.zeros_like(weight), torch.zeros_like(weight))
        self.stacks = []
        for size in sorted({tuple(w.shape) for name, w in weights.items() if is_matrix(name)}):
            names = [name for name, w in weights.items() if is_matrix(name) and tuple(w.shape) == size]
            rows, columns = size
            reduced = (len(names), rows, 1) if rows >= columns else (len(names), 1, columns)
            self.stacks.append((names, torch.zeros(len(names), rows, columns), torch.zeros(reduced)))

    @torch.no_grad()
    def step(self, lr_share, momentum, decay):
        """One step; gradients are cleared for the next."""
        self.steps += 1
        # As tensors, numbers that change do not make the compiler compile again; on the CPU, the GPU is not waited for.
        tensor = lambda value: torch.tensor(value, dtype=torch.float32, device="cpu")
        number = tensor if self.compiled else float
        for name, (lr, betas, mean, square) in self.adam.items():
            weight = self.weights[name]
            numbers = (number(value) for value in (self.steps, lr * lr_share, *betas))
            self.adamw(weight, weight.grad, mean, square, *numbers)
        for names, velocity, variance in self.stacks:
            matrices = [self.weights[name] for name in names]
            rows, columns = matrices[0].shape
            stack = torch.stack(matrices)
            gradients = torch.stack([matrix.grad for matrix in matrices])
            lr = MATRIX_LR * lr_share * max(1.0, rows / columns) ** 0.5
            numbers = (tensor(value) for value in (momentum, lr, decay, NORMUON_BETA))
            self.muon(stack, gradients, velocity, variance, *numbers, self.low)
            torch._foreach_copy_(matrices, list(stack.unbind(0)))
        for weight in self.weights.values():
            weight.grad = None


# -- Schedules ----------------------------------------------------------------------------------------------------------


def lr_share(progress):
    if progress < WARMUP:
        return progress / WARMUP
    if progress < 1 - WARMDOWN:
        return 1.0
    left = (1 - progress) / WARMDOWN
    return left + (1 - left) * FINAL_LR


def muon_momentum(step):
    grown = min(step / 300, 1)
    return (1 - grown) * 0.85 + grown * 0.95


def weight_decay(progress):
    return WEIGHT_DECAY * (1 - progress)
