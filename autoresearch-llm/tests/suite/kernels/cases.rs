//! Operations with random inputs of random shapes.

use autoresearch_llm::ops::residual::Stream;
use autoresearch_llm::ops::{gate, head, linear, mlp, norm};
use tch::{Device, Kind, Reduction, Tensor};

/// How many there are to choose from.
pub const OPERATIONS: usize = 9;

type Operation = Box<dyn Fn(&[Tensor]) -> Tensor>;

/// An operation and its plain form, of the same inputs.
pub struct Case {
    pub name: &'static str,
    /// In double; true for activations, which are of low precision where it is asked for.
    values: Vec<(Tensor, bool)>,
    /// How they lie in memory.
    layout: u64,
    pub has_gradients: bool,
    pub ours: Operation,
    pub plain: Operation,
}

/// Numbers that follow from a seed.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        tch::manual_seed(seed as i64);
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// From `low` to `high`, both included.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        low + (self.0 % (high - low + 1) as u64) as i64
    }

    /// A number of channels: around a few warps, a few packs of eight, or anything.
    fn channels(&mut self) -> i64 {
        match self.between(0, 5) {
            0 => 8 * self.between(1, 40),
            1 => 256 * self.between(1, 4) + self.between(-1, 1),
            2 => self.between(1, 9),
            _ => self.between(1, 300),
        }
    }
}

fn normal(shape: &[i64]) -> Tensor {
    Tensor::randn(shape, (Kind::Double, Device::Cpu))
}

fn apply(result: Result<Tensor, tch::TchError>) -> Tensor {
    result.unwrap()
}

impl Case {
    /// One of all operations, in turn.
    pub fn random(random: &mut Random, number: usize) -> Case {
        let size = |random: &mut Random| random.channels();
        Case { layout: random.between(0, 3) as u64, ..Case::of(random, number % OPERATIONS, &size) }
    }

    /// One that is small enough for finite differences.
    pub fn small(random: &mut Random, number: usize) -> Case {
        Case { layout: 0, ..Case::of(random, number, &|random: &mut Random| random.between(9, 12)) }
    }

    /// One whose rows have this many channels.
    pub fn wide(random: &mut Random, number: usize, channels: i64) -> Case {
        Case::of(random, number, &|_: &mut Random| channels)
    }

    fn of(random: &mut Random, number: usize, channels: &dyn Fn(&mut Random) -> i64) -> Case {
        let (b, t, heads) = (random.between(1, 3), random.between(1, 5), random.between(1, 3));
        let d = channels(random);
        // Of a norm of fewer channels hardly anything is left of a gradient, whose rounding then is large beside it.
        let wide = d.max(5);
        let rows = |channels: i64| (normal(&[b, t, channels]), true);
        // Of either sign, and such that a stream that is mixed with itself does not vanish.
        let uniform = || Tensor::rand([] as [i64; 0], (Kind::Double, Device::Cpu));
        let (resid, skip) = (|| (uniform() + 0.5, false), || (uniform() * 0.7 - 0.3, false));
        let case = |name, values, ours: Operation, plain: Operation| Case {
            name,
            values,
            layout: 0,
            has_gradients: true,
            ours,
            plain,
        };
        match number {
            0 => {
                // From so small that only the epsilon counts, to large.
                let size = 10f64.powi(random.between(-4, 3) as i32);
                case(
                    "rms_norm",
                    vec![(normal(&[b, t, wide]) * size, true)],
                    Box::new(|i| apply(norm::rms_norm(&i[0]))),
                    // The epsilon is float32's, whatever the kind.
                    Box::new(|i| normed(&i[0])),
                )
            }
            1 => case(
                "stream",
                vec![rows(wide), rows(wide), rows(wide), rows(wide), resid(), skip(), resid(), skip()],
                Box::new(streamed),
                Box::new(plain_stream),
            ),
            2 => {
                let half = wide.min(256);
                let angle = Tensor::rand([1, t, 1, half], (Kind::Double, Device::Cpu)) * 6.0;
                // As the model has them.
                let round = |x: Tensor| x.to_kind(Kind::BFloat16).to_kind(Kind::Double);
                let (cos, sin) = (round(angle.cos()), round(angle.sin()));
                let (cos_too, sin_too) = (cos.copy(), sin.copy());
                let like = |x: &Tensor, to: &Tensor| x.to_kind(to.kind());
                case(
                    "rotary_norm",
                    vec![(normal(&[b, t, heads, 2 * half]), true)],
                    Box::new(move |i| apply(norm::rotary_norm(&i[0], &like(&cos, &i[0]), &like(&sin, &i[0])))),
                    Box::new(move |i| {
                        let (cos, sin) = (like(&cos_too, &i[0]), like(&sin_too, &i[0]));
                        let halves = i[0].chunk(2, 3);
                        let (x, y) = (&halves[0], &halves[1]);
                        normed(&Tensor::cat(&[x * &cos + y * &sin, y * &cos - x * &sin], 3))
                    }),
                )
            }
            3 => case(
                "relu_square",
                vec![rows(d)],
                Box::new(|i| apply(mlp::relu_square(&i[0]))),
                Box::new(|i| mlp::plain(&i[0], None)),
            ),
            4 => case(
                "relu_square_linear",
                vec![rows(d), (normal(&[random.between(1, 9), d]), false)],
                Box::new(|i| apply(mlp::relu_square_linear(&i[0], &i[1]))),
                Box::new(|i| mlp::plain(&i[0], Some(&i[1]))),
            ),
            5 => {
                let vocabulary = random.between(1, 30);
                let words = Tensor::randint(vocabulary, [b, t], (Kind::Int64, Device::Cpu));
                let words_too = words.copy();
                case(
                    "gate",
                    vec![
                        (normal(&[b, t, heads, d]), true),
                        (normal(&[b, t, heads]), true),
                        (normal(&[vocabulary, heads * d]), true),
                    ],
                    Box::new(move |i| apply(gate::gated(&i[0], &i[1], &i[2], &words))),
                    Box::new(move |i| gate::plain(&i[0], &i[1], &i[2], &words_too)),
                )
            }
            6 | 7 => {
                let (width, words, chunk) = (random.between(1, 16), d.max(2) + 1, random.between(1, 9));
                let softcap = [15.0, 4.0, 40.0][random.between(0, 2) as usize];
                let targets = Tensor::randint(words, [b * t], (Kind::Int64, Device::Cpu));
                if b * t > 1 {
                    let _ = targets.get(random.between(0, b * t - 1)).fill_(head::IGNORED);
                }
                let targets_too = targets.copy();
                let mean = number == 6;
                let loss = if mean { head::mean_loss } else { head::token_losses };
                let reduction = if mean { Reduction::Mean } else { Reduction::None };
                let values = vec![(normal(&[b * t, width]), true), (normal(&[words, width]) * 2.0, false)];
                Case {
                    has_gradients: mean,
                    ..case(
                        if mean { "mean_loss" } else { "token_losses" },
                        values,
                        Box::new(move |i| apply(loss(&i[0], &i[1], &targets, softcap, chunk))),
                        Box::new(move |i| {
                            let plain = || head::plain(&i[0], &i[1], &targets_too, softcap, reduction);
                            if mean { plain() } else { tch::no_grad(plain) }
                        }),
                    )
                }
            }
            _ => {
                let narrow = random.between(1, wide);
                let weight = |rows: i64, columns: i64| (normal(&[rows, columns]), false);
                let values = vec![rows(wide), weight(heads, wide), weight(3, narrow), weight(5, wide)];
                // A kernel beside it, so that it is one of the operations that take kernels.
                case(
                    "several",
                    values,
                    Box::new(|i| {
                        let x = apply(norm::rms_norm(&i[0]));
                        Tensor::cat(&linear::several(&x, [&i[1], &i[2], &i[3]]).unwrap(), -1)
                    }),
                    Box::new(|i| {
                        let x = normed(&i[0]);
                        let product =
                            |weight: &Tensor| x.narrow(-1, 0, weight.size()[1]).matmul(&weight.to_kind(x.kind()).tr());
                        Tensor::cat(&[product(&i[1]), product(&i[2]), product(&i[3])], -1)
                    }),
                )
            }
        }
    }

    /// The inputs; activations in `low`, all others in float32.
    pub fn inputs(&self, low: Kind) -> Vec<Tensor> {
        let input = |(value, is_activation): &(Tensor, bool)| {
            let value = value.to_kind(if *is_activation { low } else { Kind::Float });
            if *is_activation { laid_out(&value, self.layout) } else { value }
        };
        self.values.iter().map(input).collect()
    }

    pub fn shapes(&self) -> Vec<Vec<i64>> {
        self.values.iter().map(|(value, _)| value.size()).collect()
    }
}

/// The same values: at the beginning of memory that is aligned, one element behind it, or not side by side.
fn laid_out(tensor: &Tensor, layout: u64) -> Tensor {
    match layout {
        0 | 1 => tensor.copy(),
        2 => {
            let memory = Tensor::zeros([tensor.numel() as i64 + 1], (tensor.kind(), Device::Cpu));
            let mut shifted = memory.narrow(0, 1, tensor.numel() as i64).view_as(tensor);
            shifted.copy_(tensor);
            shifted
        }
        _ => {
            let last = tensor.dim() as i64 - 1;
            tensor.transpose(0, last).contiguous().transpose(0, last)
        }
    }
}

/// RMS norm with float32's epsilon in any kind.
fn normed(x: &Tensor) -> Tensor {
    let epsilon = f64::from(f32::EPSILON);
    x.rms_norm(x.size().last().copied().unwrap_or(1), None::<&Tensor>, Some(epsilon))
}

/// Two layers' worth of a stream: with a branch and without, at a mixture and at a norm, and two branches in a row. What comes
/// out are the norms.
fn streamed(i: &[Tensor]) -> Tensor {
    let mut stream = Stream::new(&i[0]);
    let first = stream.mix(&i[4], &i[5]).unwrap();
    stream.add(&i[1]).unwrap();
    let second = stream.norm().unwrap();
    stream.add(&i[2]).unwrap();
    let third = stream.mix(&i[6], &i[7]).unwrap();
    stream.add(&i[3]).unwrap();
    stream.add(&i[1]).unwrap();
    let fourth = stream.norm().unwrap();
    Tensor::cat(&[first, second, third, fourth, stream.norm().unwrap()], 0)
}

fn plain_stream(i: &[Tensor]) -> Tensor {
    let scaled = |x: &Tensor, by: &Tensor| x * by.to_kind(x.kind());
    let first = scaled(&i[0], &i[4]) + scaled(&i[0], &i[5]);
    let second = &first + &i[1];
    let third = scaled(&(&second + &i[2]), &i[6]) + scaled(&i[0], &i[7]);
    let fourth = &third + &i[3] + &i[1];
    Tensor::cat(&[&first, &second, &third, &fourth, &fourth].map(normed), 0)
}
