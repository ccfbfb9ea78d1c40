//! The GPT under research: one file, one device, a fixed training time, judged by val_bpb. Experiments edit this file.
//!
//! Everything below may be changed: architecture, optimizer, schedules, sizes. Data, evaluation and the training clock come
//! from the library beside it and may not. The design is karpathy's train.py (nanochat): rotary positions, QK-norm, sliding
//! windows, value embeddings, a residual stream with learned scales, relu^2, soft-capped logits, Muon and AdamW.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use autoresearch_llm::batch::{self, Batches};
use autoresearch_llm::budget::TimeBudget;
use autoresearch_llm::evaluate::{self, evaluate_bpb};
use autoresearch_llm::failure::{self, ok};
use autoresearch_llm::log::{Log, Step};
use autoresearch_llm::ops::attention::{Heads, Kernel, Window};
use autoresearch_llm::ops::function::drop_grad;
use autoresearch_llm::ops::gate::gated;
use autoresearch_llm::ops::linear::several;
use autoresearch_llm::ops::residual::Stream;
use autoresearch_llm::ops::{self, adamw, head, memory, mlp, norm, precision, probe, room};
use autoresearch_llm::strict::{leave, serve};
use autoresearch_llm::summary::{Details, Summary};
use autoresearch_llm::{Split, Workload, checkpoint, device};
use serde::{Deserialize, Serialize};
use tch::{Device, IndexOp, Kind, Reduction, TchError, Tensor, no_grad};

// ---------------------------------------------------------------------------
// Hyperparameters: edit these. A `knob:` is the range that a search without a model stays in.
// ---------------------------------------------------------------------------

// Model
const DEPTH: i64 = 8; // number of transformer layers; knob: int 1..16
const ASPECT_RATIO: i64 = 64; // model dimension = depth * this, rounded up to whole heads; knob: {16, 24, 32, 48, 64, 80, 96}
const HEAD_DIM: i64 = 128; // dimension of an attention head; knob: {32, 64, 128}
const WINDOW_PATTERN: &str = "SSSL"; // attention windows by layer, L full and S half of the context; knob: {"L", "SL", "SSL", "SSSL"}

// Optimization
const TOTAL_BATCH_SIZE: i64 = 524288; // tokens per optimizer step, 2^19; knob: {2048, 4096, 8192, 16384, 32768, 65536, 131072, 262144, 524288, 1048576}
const DEVICE_BATCH_SIZE: i64 = 128; // rows per forward and backward pass, at most; lower it if memory runs out
const EMBEDDING_LR: f64 = 0.6; // token and value embeddings (AdamW); knob: log 0.03..3
const UNEMBEDDING_LR: f64 = 0.004; // lm_head (AdamW); knob: log 0.0004..0.04
const MATRIX_LR: f64 = 0.04; // matrices of the layers (Muon); knob: log 0.004..0.2
const SCALAR_LR: f64 = 0.5; // scales of the residual stream (AdamW); knob: log 0.05..2
const WEIGHT_DECAY: f64 = 0.2; // cautious weight decay (Muon), falling to 0; knob: lin 0..0.6
const ADAM_BETA1: f64 = 0.8; // AdamW; knob: lin 0.6..0.95
const ADAM_BETA2: f64 = 0.95; // AdamW; knob: lin 0.9..0.999
const WARMUP_RATIO: f64 = 0.0; // share of the time in which learning rates rise; knob: lin 0..0.3
const WARMDOWN_RATIO: f64 = 0.5; // share of the time in which they fall; knob: lin 0.1..0.9
const FINAL_LR_FRAC: f64 = 0.0; // what they fall to, as a share; knob: lin 0..0.2

// ---------------------------------------------------------------------------
// Model
// ---------------------------------------------------------------------------

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Config {
    sequence_len: i64,
    vocab_size: i64,
    n_layer: i64,
    n_head: i64,
    n_kv_head: i64,
    n_embd: i64,
    window_pattern: String,
}

impl Config {
    fn new(depth: i64, workload: &Workload) -> Result<Config, String> {
        let n_head = ((depth * ASPECT_RATIO).max(1) + HEAD_DIM - 1) / HEAD_DIM.max(1);
        let config = Config {
            sequence_len: workload.fixed.max_seq_len as i64,
            vocab_size: workload.fixed.vocab_size as i64,
            n_layer: depth,
            n_head,
            n_kv_head: n_head,
            n_embd: n_head * HEAD_DIM,
            window_pattern: WINDOW_PATTERN.to_ascii_uppercase(),
        };
        config.checked()
    }

    /// Rejects settings that cannot work, before anything is allocated.
    fn checked(self) -> Result<Config, String> {
        let Config { sequence_len, vocab_size, n_layer, n_head, n_kv_head, n_embd, window_pattern } = &self;
        if [*sequence_len, *vocab_size, *n_layer, *n_head, *n_kv_head, *n_embd].into_iter().any(|size| size < 1) {
            return Err(format!("every size must be at least 1 (DEPTH, HEAD_DIM, ASPECT_RATIO): {self:?}"));
        }
        if n_embd % n_head != 0 || (n_embd / n_head) % 2 != 0 || n_head % n_kv_head != 0 {
            return Err(format!(
                "{n_embd} channels in {n_head} heads, {n_kv_head} of them with keys: heads must divide the channels into an even HEAD_DIM, and those with keys the heads"
            ));
        }
        if window_pattern.is_empty() || !window_pattern.chars().all(|c| matches!(c, 'S' | 'L')) {
            return Err(format!("WINDOW_PATTERN is {window_pattern:?}: it must be letters S and L"));
        }
        Ok(self)
    }

    fn head_dim(&self) -> i64 {
        self.n_embd / self.n_head
    }

    /// The window of each layer: how many tokens it looks back. The last layer sees everything.
    fn windows(&self) -> Vec<i64> {
        let letters: Vec<char> = self.window_pattern.chars().collect();
        let window = |i: usize| match letters[i % letters.len()] {
            'S' if i as i64 != self.n_layer - 1 => (self.sequence_len / 2).max(1),
            _ => self.sequence_len,
        };
        (0..self.n_layer as usize).map(window).collect()
    }

    /// Every other layer has value embeddings, the last one always.
    fn has_ve(&self, layer: i64) -> bool {
        layer % 2 == (self.n_layer - 1) % 2
    }
}

/// Channels of the residual stream that gate the value embeddings.
const VE_GATE_CHANNELS: i64 = 32;
/// Bound of the logits, which are capped softly to stay between minus and plus this.
const SOFTCAP: f64 = 15.0;

fn norm(x: &Tensor) -> Tensor {
    ok(norm::rms_norm(x))
}

/// A linear map without bias; on CUDA the weight follows the activations' precision.
fn linear(x: &Tensor, weight: &Tensor) -> Tensor {
    x.linear(&weight.to_kind(x.kind()), None::<&Tensor>)
}

struct Block {
    c_q: Tensor,
    c_k: Tensor,
    c_v: Tensor,
    c_proj: Tensor,
    ve_gate: Option<Tensor>,
    c_fc: Tensor,
    mlp_proj: Tensor,
}

impl Block {
    fn attention(
        &self,
        x: &Tensor,
        ve: Option<(&Tensor, &Tensor)>,
        (cos, sin): (&Tensor, &Tensor),
        window: &Window,
        config: &Config,
    ) -> Tensor {
        let (b, t, _) = x.size3().unwrap_or_default();
        let (h, hk, d) = (config.n_head, config.n_kv_head, config.head_dim());
        let Block { c_q, c_k, c_v, .. } = self;
        let (q, k, v) = match (ve, &self.ve_gate) {
            // Value residual: value embeddings are mixed in, gated for each head by the first channels of the input.
            (Some((table, idx)), Some(gate)) => {
                let [q, k, v, logits] = ok(several(x, [c_q, c_k, c_v, gate]));
                (q, k, ok(gated(&v.view([b, t, hk, d]), &logits, table, idx)))
            }
            _ => {
                let [q, k, v] = ok(several(x, [c_q, c_k, c_v]));
                (q, k, v.view([b, t, hk, d]))
            }
        };
        // Rotary positions and QK-norm.
        let q = ok(norm::rotary_norm(&q.view([b, t, h, d]), cos, sin)).transpose(1, 2);
        let k = ok(norm::rotary_norm(&k.view([b, t, hk, d]), cos, sin)).transpose(1, 2);
        let y = ok(window.attend(&q, &k, &v.transpose(1, 2)));
        linear(&y.transpose(1, 2).contiguous().view([b, t, -1]), &self.c_proj)
    }

    fn mlp(&self, x: &Tensor) -> Tensor {
        ok(mlp::relu_square_linear(&linear(x, &self.c_fc), &self.mlp_proj))
    }

    fn matrices(&self) -> impl Iterator<Item = (&'static str, &Tensor)> {
        let Block { c_q, c_k, c_v, c_proj, ve_gate, c_fc, mlp_proj } = self;
        [("c_q", c_q), ("c_k", c_k), ("c_v", c_v), ("c_proj", c_proj), ("c_fc", c_fc), ("mlp_proj", mlp_proj)]
            .into_iter()
            .chain(ve_gate.as_ref().map(|gate| ("ve_gate", gate)))
    }
}

/// The model.
pub struct Gpt {
    config: Config,
    wte: Tensor,
    h: Vec<Block>,
    lm_head: Tensor,
    resid_lambdas: Tensor,
    x0_lambdas: Tensor,
    value_embeds: Vec<Option<Tensor>>,
    // Not trained:
    cos: Tensor,
    sin: Tensor,
    windows: Vec<Window>,
}

impl Gpt {
    fn new(config: Config, device: Device) -> Gpt {
        // bf16 where the device computes in it, as karpathy's.
        Gpt::in_kind(config, device, if device == Device::Cpu { Kind::Float } else { Kind::BFloat16 })
    }

    /// Embeddings and activations are of `kind`, everything else is float32.
    fn in_kind(config: Config, device: Device, kind: Kind) -> Gpt {
        let (full, low) = ((Kind::Float, device), (kind, device));
        let Config { n_layer, n_embd, vocab_size, .. } = config;
        let kv_dim = config.n_kv_head * config.head_dim();
        let s = 3f64.sqrt() * (n_embd as f64).powf(-0.5);
        let uniform = |shape: [i64; 2]| Tensor::empty(shape, full).uniform_(-s, s);
        let zeros = |shape: [i64; 2]| Tensor::zeros(shape, full);

        let wte = Tensor::randn([vocab_size, n_embd], full).to_kind(low.0);
        let lm_head = Tensor::randn([vocab_size, n_embd], full) * 0.001;
        let block = |layer: i64| Block {
            c_q: uniform([n_embd, n_embd]),
            c_k: uniform([kv_dim, n_embd]),
            c_v: uniform([kv_dim, n_embd]),
            c_proj: zeros([n_embd, n_embd]),
            // Zero: every gate begins at 2 * sigmoid(0) = 1.
            ve_gate: config.has_ve(layer).then(|| zeros([config.n_kv_head, VE_GATE_CHANNELS.min(n_embd)])),
            c_fc: uniform([4 * n_embd, n_embd]),
            mlp_proj: zeros([n_embd, 4 * n_embd]),
        };
        let h: Vec<Block> = (0..n_layer).map(block).collect();
        let value_embeds =
            (0..n_layer).map(|layer| config.has_ve(layer).then(|| uniform([vocab_size, kv_dim]).to_kind(low.0)));
        let value_embeds: Vec<Option<Tensor>> = value_embeds.collect();
        let (cos, sin) = rotary(config.sequence_len, config.head_dim(), low);
        let windows =
            config.windows().into_iter().map(|reach| Window::new(config.sequence_len, reach, device)).collect();
        let gpt = Gpt {
            wte,
            h,
            lm_head,
            resid_lambdas: Tensor::ones([n_layer], full),
            x0_lambdas: Tensor::full([n_layer], 0.1, full),
            value_embeds,
            cos,
            sin,
            windows,
            config,
        };
        gpt.parameters().into_iter().for_each(|p| drop(p.set_requires_grad(true)));
        gpt
    }

    /// The matrices that Muon trains, layer by layer.
    fn matrices(&self) -> Vec<Tensor> {
        self.h.iter().flat_map(Block::matrices).map(|(_, matrix)| matrix.shallow_clone()).collect()
    }

    fn value_embeddings(&self) -> Vec<Tensor> {
        self.value_embeds.iter().flatten().map(Tensor::shallow_clone).collect()
    }

    fn parameters(&self) -> Vec<Tensor> {
        self.named_parameters().into_iter().map(|(_, parameter)| parameter).collect()
    }

    fn named_parameters(&self) -> Vec<(String, Tensor)> {
        let of_layer = |(i, block): (usize, &Block)| {
            let ve = self.value_embeds[i].as_ref().map(|ve| ("value_embeds", ve));
            let named = |(name, t): (&str, &Tensor)| (format!("h.{i}.{name}"), t.shallow_clone());
            block.matrices().chain(ve).map(named).collect::<Vec<_>>()
        };
        let Gpt { wte, lm_head, resid_lambdas, x0_lambdas, .. } = self;
        let rest = [("wte", wte), ("lm_head", lm_head), ("resid_lambdas", resid_lambdas), ("x0_lambdas", x0_lambdas)];
        let rest = rest.map(|(name, t)| (name.to_owned(), t.shallow_clone()));
        self.h.iter().enumerate().flat_map(of_layer).chain(rest).collect()
    }

    /// Reads a checkpoint.
    pub fn load(path: &Path, device: Device) -> Result<Gpt, Box<dyn Error>> {
        let (config, tensors) = checkpoint::open::<Config>(path)?;
        let model = Gpt::new(config.checked()?, device);
        checkpoint::restore(path, &tensors, &model.named_parameters())?;
        Ok(model)
    }

    fn heads(&self) -> Heads {
        let Config { n_head: queries, n_kv_head: keys, .. } = self.config;
        Heads { queries, keys, dimension: self.config.head_dim() }
    }

    /// The kernel that computes short windows.
    fn attention_kernel(&self) -> Kernel {
        self.windows[0].kernel(self.wte.kind(), self.heads(), self.config.sequence_len)
    }

    fn num_params(&self) -> i64 {
        self.parameters().iter().map(|p| p.numel() as i64).sum()
    }

    /// FLOPs per token, forward and backward: six per weight of a matrix product, and attention.
    fn estimate_flops(&self) -> i64 {
        let embeddings: usize = self.value_embeddings().iter().chain([&self.wte]).map(Tensor::numel).sum();
        let scalars = 2 * self.config.n_layer;
        let attention: i64 = self.config.windows().iter().map(|window| 12 * self.config.n_embd * window).sum();
        6 * (self.num_params() - embeddings as i64 - scalars) + attention
    }

    /// Computes the hidden states that the head sees: batch x sequence x channels.
    fn hidden(&self, idx: &Tensor) -> Tensor {
        let t = idx.size()[1];
        assert!(t <= self.config.sequence_len, "{t} tokens, but the model's context is {}", self.config.sequence_len);
        let (cos, sin) = (self.cos.narrow(1, 0, t), self.sin.narrow(1, 0, t));
        let x0 = norm(&Tensor::embedding(&self.wte, idx, -1, false, false));
        let mut stream = Stream::new(&x0);
        for (i, block) in self.h.iter().enumerate() {
            // The stream is scaled, and its beginning mixed back in; each branch sees its norm and is added to it.
            let x = ok(stream.mix(&self.resid_lambdas.i(i as i64), &self.x0_lambdas.i(i as i64)));
            let ve = self.value_embeds[i].as_ref().map(|table| (table, idx));
            ok(stream.add(&block.attention(&x, ve, (&cos, &sin), &self.windows[i], &self.config)));
            let x = ok(stream.norm());
            ok(stream.add(&block.mlp(&x)));
        }
        ok(stream.norm())
    }

    /// Computes the logits of the next token in float, batch x sequence x vocabulary, for up to the length of the context.
    pub fn logits(&self, idx: &Tensor) -> Tensor {
        let logits = linear(&self.hidden(idx), &self.lm_head).to_kind(Kind::Float);
        (logits / SOFTCAP).tanh() * SOFTCAP
    }

    /// Cross-entropy in nats: the mean, or every target's, flat and without gradients.
    fn loss(&self, idx: &Tensor, targets: &Tensor, reduction: Reduction) -> Tensor {
        let (x, targets) = (self.hidden(idx).view([-1, self.config.n_embd]), targets.flatten(0, -1));
        let loss = if reduction == Reduction::Mean { head::mean_loss } else { head::token_losses };
        ok(loss(&x, &self.lm_head, &targets, SOFTCAP, head::chunk(self.config.vocab_size, x.device())))
    }
}

fn rotary(seq_len: i64, head_dim: i64, (kind, device): (Kind, Device)) -> (Tensor, Tensor) {
    let channels = Tensor::arange_start_step(0, head_dim, 2, (Kind::Float, device));
    // The power itself, not exp and ln: their last bit, times a late position, is another rounding to bf16.
    let inv_freq = Tensor::pow_scalar(10000.0, &(channels / head_dim as f64)).reciprocal();
    let freqs = Tensor::arange(seq_len, (Kind::Float, device)).outer(&inv_freq);
    // bf16 on every device, as karpathy's, so that the numbers compare; the arithmetic is in the activations' precision.
    let round = |t: Tensor| t.to_kind(Kind::BFloat16).to_kind(kind).unsqueeze(0).unsqueeze(2);
    (round(freqs.cos()), round(freqs.sin()))
}

// ---------------------------------------------------------------------------
// Optimizer: Muon for the matrices of the layers, AdamW for everything else
// ---------------------------------------------------------------------------

/// Polar Express: coefficients of five composed odd polynomials that orthogonalise (Amsel et al. 2025, arXiv:2505.16932).
const POLAR_EXPRESS: [(f64, f64, f64); 5] = [
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
];

struct AdamW {
    fused: adamw::AdamW,
    initial_lr: f64,
    betas: (f64, f64),
}

impl AdamW {
    fn new(params: Vec<Tensor>, initial_lr: f64, betas: (f64, f64)) -> AdamW {
        AdamW { fused: adamw::AdamW::new(params), initial_lr, betas }
    }

    fn step(&mut self, lrm: f64) -> Result<(), TchError> {
        let (lr, betas) = (self.initial_lr * lrm, self.betas);
        self.fused.step(&adamw::Settings { lr, betas, eps: 1e-10, weight_decay: 0.0 })
    }
}

/// Muon over matrices of one shape, stacked, so that one batched product serves all of them.
struct Muon {
    params: Vec<Tensor>,
    rows: i64,
    cols: i64,
    /// The kind that Newton-Schulz computes in: the activations' precision.
    low: Kind,
    momentum: Tensor,
    second_momentum: Tensor,
}

impl Muon {
    const BETA2: f64 = 0.95;

    fn new(params: Vec<Tensor>, low: Kind) -> Muon {
        let (rows, cols) = params[0].size2().unwrap_or_default();
        let options = (params[0].kind(), params[0].device());
        let count = params.len() as i64;
        let second = if rows >= cols { [count, rows, 1] } else { [count, 1, cols] };
        Muon {
            momentum: Tensor::zeros([count, rows, cols], options),
            second_momentum: Tensor::zeros(second, options),
            params,
            rows,
            cols,
            low,
        }
    }

    fn step(&mut self, lr: f64, momentum: f64, weight_decay: f64) {
        let grads: Vec<Tensor> = self.params.iter().map(Tensor::grad).collect();
        let grads = Tensor::stack(&grads, 0);
        // As float32, as karpathy's: its last bit decides how some gradients round to bf16.
        let momentum = f64::from(momentum as f32);
        let _ = self.momentum.lerp_(&grads, 1.0 - momentum);
        let g = polar_express(&grads.lerp(&self.momentum, momentum).to_kind(self.low));
        // karpathy's numbers are of the update's precision; bf16 knows 0.04 as 0.040039.
        let low = |value: f64| Tensor::from(value as f32).to_kind(self.low).double_value(&[]);

        // NorMuon (arXiv:2510.05491): rows or columns are scaled to even out their second moments, the whole keeps its norm.
        let dim = if self.rows >= self.cols { -1 } else { -2 };
        let size = self.rows.min(self.cols) as f64;
        let v_mean = g.to_kind(Kind::Float).square().mean_dim([dim].as_slice(), true, Kind::Float);
        let v_norm = (v_mean.sum_dim_intlist([-2i64, -1].as_slice(), true, Kind::Float) * size).sqrt();
        let _ = self.second_momentum.lerp_(&v_mean.to_kind(self.second_momentum.kind()), 1.0 - low(Muon::BETA2));
        let step_size = self.second_momentum.clamp_min(1e-10).rsqrt();
        let scaled = (v_mean * size * step_size.square()).sum_dim_intlist([-2i64, -1].as_slice(), true, Kind::Float);
        let scale = step_size * (v_norm / scaled.sqrt().clamp_min(1e-10));
        let g = &g * scale.to_kind(g.kind());

        // Cautious weight decay: only where it does not work against the update.
        let lr = low(lr * (self.rows as f64 / self.cols as f64).max(1.0).sqrt());
        let params = Tensor::stack(&self.params, 0);
        let mask = (&g * &params).ge(0.0).to_kind(params.kind());
        let updated = &params - (g * lr + &params * low(lr * low(weight_decay)) * mask);
        for (param, new) in self.params.iter_mut().zip(updated.unbind(0)) {
            param.copy_(&new);
            drop_grad(param);
        }
    }
}

/// Approximates the nearest (semi-)orthogonal matrices, of the shape matrices x rows x columns.
fn polar_express(g: &Tensor) -> Tensor {
    let norm = g.norm_scalaropt_dim(2.0, [-2i64, -1].as_slice(), true);
    let mut x = g / (norm * 1.02 + 1e-6);
    let (_, rows, cols) = x.size3().unwrap_or_default();
    for (a, b, c) in POLAR_EXPRESS {
        if rows > cols {
            let gram = x.mt().matmul(&x);
            x = &x * a + x.matmul(&(&gram * b + gram.matmul(&gram) * c));
        } else {
            let gram = x.matmul(&x.mt());
            x = &x * a + (&gram * b + gram.matmul(&gram) * c).matmul(&x);
        }
    }
    x
}

struct MuonAdamW {
    adamw: Vec<AdamW>,
    muon: Vec<Muon>,
}

impl MuonAdamW {
    fn new(model: &Gpt) -> MuonAdamW {
        // AdamW's learning rates were tuned at dimension 768.
        let scale = (model.config.n_embd as f64 / 768.0).powf(-0.5);
        println!("Scaling AdamW LRs by 1/sqrt({}/768) = {scale:.6}", model.config.n_embd);
        let betas = (ADAM_BETA1, ADAM_BETA2);
        let one = |param: &Tensor, lr: f64, betas| AdamW::new(vec![param.shallow_clone()], lr, betas);
        let adamw = vec![
            one(&model.lm_head, UNEMBEDDING_LR * scale, betas),
            one(&model.wte, EMBEDDING_LR * scale, betas),
            one(&model.resid_lambdas, SCALAR_LR * 0.01, betas),
            one(&model.x0_lambdas, SCALAR_LR, (0.96, 0.95)),
            AdamW::new(model.value_embeddings(), EMBEDDING_LR * scale, betas),
        ];
        let mut shapes: Vec<Vec<i64>> = model.matrices().iter().map(Tensor::size).collect();
        shapes.sort();
        shapes.dedup();
        let low = model.wte.kind();
        let of_shape =
            |shape: &Vec<i64>| Muon::new(model.matrices().into_iter().filter(|p| &p.size() == shape).collect(), low);
        MuonAdamW { adamw, muon: shapes.iter().map(of_shape).collect() }
    }

    /// Makes one step and drops the gradients, so that the next pass writes them instead of adding.
    fn step(&mut self, lrm: f64, momentum: f64, weight_decay: f64) {
        self.adamw.iter_mut().for_each(|group| ok(group.step(lrm)));
        no_grad(|| self.muon.iter_mut().for_each(|group| group.step(MATRIX_LR * lrm, momentum, weight_decay)));
    }
}

// ---------------------------------------------------------------------------
// Schedules, by progress: the share of the training time that is spent
// ---------------------------------------------------------------------------

fn lr_multiplier(progress: f64) -> f64 {
    if progress < WARMUP_RATIO {
        progress / WARMUP_RATIO
    } else if progress < 1.0 - WARMDOWN_RATIO {
        1.0
    } else {
        let cooldown = (1.0 - progress) / WARMDOWN_RATIO;
        cooldown + (1.0 - cooldown) * FINAL_LR_FRAC
    }
}

fn muon_momentum(step: u64) -> f64 {
    let frac = (step as f64 / 300.0).min(1.0);
    (1.0 - frac) * 0.85 + frac * 0.95
}

fn weight_decay(progress: f64) -> f64 {
    WEIGHT_DECAY * (1.0 - progress)
}

// ---------------------------------------------------------------------------
// Training
// ---------------------------------------------------------------------------

fn main() {
    let started = Instant::now();
    if let Err(error) = failure::guarded(|| run(started)) {
        println!("\nFAIL: {error}");
        std::process::exit(1);
    }
}

fn run(started: Instant) -> Result<(), Box<dyn Error>> {
    // First of all: CUDA must be loaded before anything touches a tensor.
    let device = device::open()?;
    let form = ops::form()?;
    precision::fast_matmul(device)?;
    // Started by an evaluation, this program computes logits of a model that it left before.
    if let Some(requests) = serve::Requests::asked()? {
        let (model, shape) = (Gpt::load(requests.model(), device)?, requests.shape());
        // As the training did, in its own process.
        probe::whole_contexts(device, model.wte.kind(), model.heads(), shape.rows as i64, shape.seq_len as i64)?;
        return requests.answer_with(device, |tokens| model.logits(tokens));
    }
    let is_strict = leave::is_asked()?;
    let seed = std::env::var("AUTORESEARCH_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(42);
    tch::manual_seed(seed);
    let workload = Workload::from_env()?;
    let seq_len = workload.fixed.max_seq_len as i64;
    println!("Vocab size: {}", workload.fixed.vocab_size);

    let config = Config::new(DEPTH, &workload)?;
    let (rows, accumulation) = batch::passes(TOTAL_BATCH_SIZE, DEVICE_BATCH_SIZE, seq_len)?;
    let eval_rows = evaluate::rows(&workload, DEVICE_BATCH_SIZE)?;
    let token_bytes = room::plain_bytes(config.vocab_size, config.n_layer, config.n_embd);
    room::check(form, rows, seq_len, token_bytes, memory::free(device))?;
    println!("Model config: {config:?} on {device:?}");
    let model = Gpt::new(config, device);
    let kernels = ops::status(device, model.wte.kind());
    let shown = match &kernels {
        Ok(gpu) => format!("this crate's on {gpu}"),
        Err(why) => format!("libtorch's alone ({why})"),
    };
    println!("Operations: {form:?}, short windows: {:?}, kernels: {shown}", model.attention_kernel());
    if let Some(why) = model.windows[0].without_flash() {
        println!("No FlashAttention in short windows, which are slower with a mask: {why}");
    }
    if let Some(probed) = probe::whole_contexts(device, model.wte.kind(), model.heads(), rows, seq_len)? {
        println!("Whole contexts: {probed}");
    }
    let (num_params, flops_per_token) = (model.num_params() as f64, model.estimate_flops() as f64);
    println!("Parameters: {num_params}; estimated FLOPs per token: {flops_per_token:e}");
    let mut optimizer = MuonAdamW::new(&model);
    let batches = Batches::new(workload.loader(Split::Train, rows as usize, seq_len as usize)?, device)?;
    let mut batch = batches.next()?;
    println!("Time budget: {}s", workload.fixed.time_budget_seconds);
    println!("Gradient accumulation steps: {accumulation}");

    let mut budget = TimeBudget::new(&workload, device);
    let startup_seconds = started.elapsed().as_secs_f64();
    let (training, waited_before) = (Instant::now(), batches.waited());
    let mut log = Log::default();
    while !budget.finished() {
        budget.begin_step();
        let mut train_loss = Tensor::default();
        for _ in 0..accumulation {
            let loss = model.loss(&batch.0, &batch.1, Reduction::Mean);
            train_loss = loss.detach();
            (loss / accumulation as f64).backward();
            batch = batches.next()?;
        }
        let (step, progress) = (budget.steps(), budget.progress());
        let lrm = lr_multiplier(progress);
        optimizer.step(lrm, muon_momentum(step), weight_decay(progress));

        let train_loss = train_loss.double_value(&[]);
        // Fail fast: an exploded run will not come back.
        if !train_loss.is_finite() || train_loss > 100.0 {
            return Err(format!("the loss is {train_loss} at step {step}").into());
        }
        let duration = budget.end_step();
        let tokens_per_second = TOTAL_BATCH_SIZE as f64 / duration.as_secs_f64();
        let step = Step {
            number: step,
            progress,
            loss: train_loss,
            lrm,
            duration,
            tokens_per_second,
            mfu_percent: device::mfu_percent(flops_per_token * tokens_per_second, device),
            epoch: batch.2,
            remaining: budget.remaining(),
        };
        log.step(step, budget.finished())?;
    }
    let (waited, trained) = ((batches.waited() - waited_before).as_secs_f64(), training.elapsed().as_secs_f64());
    if let Some(path) = std::env::var_os("AUTORESEARCH_CHECKPOINT") {
        checkpoint::save(Path::new(&path), &model.config, &model.named_parameters())?;
    }

    let evaluating = Instant::now();
    let val_bpb = match is_strict {
        // The evaluation measures it, on data that is not open to this program.
        true => leave::leave(Path::new("."), &model.config, &model.named_parameters()).map(|()| None)?,
        false => Some(evaluate_bpb(&workload, eval_rows, device, |x, y| model.loss(x, y, Reduction::None))?),
    };
    let evaluation_seconds = evaluating.elapsed().as_secs_f64();
    let tokens_per_second = (budget.timed_steps() as i64 * TOTAL_BATCH_SIZE) as f64 / budget.seconds().max(1e-9);
    let data_wait_percent = 100.0 * waited / trained.max(1e-9);
    let summary = Summary {
        val_bpb,
        training_seconds: budget.seconds(),
        total_seconds: started.elapsed().as_secs_f64(),
        peak_vram_mb: device::peak_memory_mb(device),
        mfu_percent: device::mfu_percent(flops_per_token * tokens_per_second, device),
        total_tokens: (budget.steps() as i64 * TOTAL_BATCH_SIZE) as f64,
        num_steps: budget.steps(),
        num_params,
        depth: DEPTH,
    };
    let details = Details {
        tokens_per_second,
        data_wait_percent,
        startup_seconds,
        evaluation_seconds,
        device: device::name(device),
        attention: format!("{:?}", model.attention_kernel()),
        kernels: kernels.unwrap_or_else(|_| "libtorch".into()),
    };
    print!("{}{summary}", details.json(&summary)?);
    Ok(())
}

#[cfg(test)]
#[path = "tests/train/model.rs"]
mod tests;

#[cfg(test)]
#[path = "tests/train/kernels.rs"]
mod kernels;

#[cfg(test)]
#[path = "tests/train/parity.rs"]
mod parity;

#[cfg(test)]
#[path = "tests/train/served.rs"]
mod served;
