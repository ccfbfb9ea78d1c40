//! Every operation against its plain form, values and gradients, over shapes, windows, head counts and memory layouts.
//! In double precision: random numbers cancel now and then, and no bound has to be wide for it. What single precision
//! rounds is compared with PyTorch (`tests/train/parity.rs`).

use proptest::prelude::*;

use super::*;

/// The same values, side by side in memory or not.
fn laid_out(tensor: Tensor, apart: bool) -> Tensor {
    let last = tensor.dim() as i64 - 1;
    if apart && last > 0 { tensor.transpose(0, last).contiguous().transpose(0, last) } else { tensor }
}

/// Attention by its definition, one query after the other.
fn attention_by_definition(q: &Tensor, k: &Tensor, v: &Tensor, reach: i64) -> Tensor {
    let (_, heads, tokens, dimension) = q.size4().unwrap();
    let of_every_head = |tensor: &Tensor| tensor.repeat_interleave_self_int(heads / tensor.size()[1], 1, None);
    let (k, v) = (of_every_head(k), of_every_head(v));
    let of_query = |at: i64| {
        let (first, count) = ((at - reach).max(0), at.min(reach) + 1);
        let scores = q.narrow(2, at, 1).matmul(&k.narrow(2, first, count).mt()) / (dimension as f64).sqrt();
        scores.softmax(-1, q.kind()).matmul(&v.narrow(2, first, count))
    };
    Tensor::cat(&(0..tokens).map(of_query).collect::<Vec<_>>(), 2)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_head_is_its_plain_form(
        tokens in 1i64..40, d in 1i64..9, vocab in 2i64..50, chunk in 0i64..50, apart: bool, seed: u32,
    ) {
        tch::manual_seed(i64::from(seed));
        let x = laid_out(Tensor::randn([tokens, d], DOUBLE) * 4.0, apart);
        let weight = Tensor::randn([vocab, d], DOUBLE) * 4.0;
        let aim = targets(tokens, vocab);
        let error = same(
            &[x.shallow_clone(), weight.shallow_clone()],
            |i| head::mean_loss(&i[0], &i[1], &aim, 15.0, chunk).unwrap(),
            |i| head::plain(&i[0], &i[1], &aim, 15.0, Reduction::Mean),
        );
        prop_assert!(error < 1e-6, "{error}");
        let each = head::token_losses(&x, &weight, &aim, 15.0, chunk).unwrap();
        let error = difference(&each, &head::plain(&x, &weight, &aim, 15.0, Reduction::None));
        prop_assert!(error < 1e-6, "{error}");
    }

    #[test]
    fn rms_norm_is_its_plain_form(shape in prop::collection::vec(1i64..7, 1..5), size in -4i32..4, apart: bool, seed: u32) {
        tch::manual_seed(i64::from(seed));
        // From so small that only the epsilon counts, to large.
        let x = laid_out(Tensor::randn(&shape, DOUBLE) * 10f64.powi(size), apart);
        let error = same(&[x], |i| norm::rms_norm(&i[0]).unwrap(), |i| norm::plain(&i[0]));
        prop_assert!(error < 1e-6, "{error}");
    }

    #[test]
    fn rotary_norm_is_its_plain_form(b in 1i64..4, t in 1i64..9, heads in 1i64..4, half in 1i64..17, apart: bool, seed: u32) {
        tch::manual_seed(i64::from(seed));
        let x = laid_out(Tensor::randn([b, t, heads, 2 * half], DOUBLE), apart);
        let (cos, sin) = angles(t, half, DOUBLE);
        let fused = |i: &[Tensor]| norm::rotary_norm(&i[0], &cos, &sin).unwrap();
        let error = same(&[x], fused, |i| norm::plain_rotary(&i[0], &cos, &sin));
        prop_assert!(error < 1e-6, "{error}");
    }

    #[test]
    fn relu_square_is_its_plain_form(shape in prop::collection::vec(1i64..7, 1..5), m in 1i64..9, apart: bool, seed: u32) {
        tch::manual_seed(i64::from(seed));
        let n = shape[shape.len() - 1];
        let (x, weight) = (laid_out(Tensor::randn(&shape, DOUBLE), apart), Tensor::randn([m, n], DOUBLE));
        let error = same(&[x.shallow_clone()], |i| mlp::relu_square(&i[0]).unwrap(), |i| mlp::plain(&i[0], None));
        prop_assert!(error < 1e-6, "{error}");
        let fused = |i: &[Tensor]| mlp::relu_square_linear(&i[0], &i[1]).unwrap();
        let error = same(&[x, weight], fused, |i| mlp::plain(&i[0], Some(&i[1])));
        prop_assert!(error < 1e-6, "{error}");
    }

    #[test]
    fn attention_is_its_plain_form(
        b in 1i64..3, groups in 1i64..3, kv_heads in 1i64..3, d in 1i64..9,
        // Windows that see nothing but themselves, a part, just all, and more than there is; contexts that are not full.
        (tokens, reach, spare) in (1i64..300).prop_flat_map(|tokens| (Just(tokens), 0..=tokens + 9, 0i64..20)),
        seed: u32,
    ) {
        tch::manual_seed(i64::from(seed));
        let window = Window::new(tokens + spare, reach, Device::Cpu);
        let of = |heads: i64| Tensor::randn([b, heads, tokens, d], DOUBLE);
        let inputs = [of(kv_heads * groups), of(kv_heads), of(kv_heads)];
        let error = same(
            &inputs,
            |i| window.attend(&i[0], &i[1], &i[2]).unwrap(),
            |i| window.plain(&i[0], &i[1], &i[2]).unwrap(),
        );
        prop_assert!(error < 1e-6, "{error}");
    }

    #[test]
    fn attention_s_plain_form_is_its_definition(
        b in 1i64..3, groups in 1i64..3, kv_heads in 1i64..3, d in 1i64..9, tokens in 1i64..20, reach in 0i64..24, seed: u32,
    ) {
        tch::manual_seed(i64::from(seed));
        let window = Window::new(tokens, reach, Device::Cpu);
        let of = |heads: i64| Tensor::randn([b, heads, tokens, d], DOUBLE);
        let error = same(
            &[of(kv_heads * groups), of(kv_heads), of(kv_heads)],
            |i| window.plain(&i[0], &i[1], &i[2]).unwrap(),
            |i| attention_by_definition(&i[0], &i[1], &i[2], reach),
        );
        prop_assert!(error < 1e-6, "{error}");
    }

    #[test]
    fn adamw_is_its_plain_form(
        shapes in prop::collection::vec(prop::collection::vec(1i64..6, 0..4), 1..4), steps in 1i32..6,
        (lr, weight_decay) in (1e-4..0.5, 0.0..0.5), betas in (0.0..0.99, 0.5..0.999), seed: u32,
    ) {
        tch::manual_seed(i64::from(seed));
        let settings = adamw::Settings { lr, betas, eps: 1e-8, weight_decay };
        let start: Vec<Tensor> = shapes.iter().map(|shape| Tensor::randn(shape, DOUBLE)).collect();
        let leaves = || start.iter().map(|t| t.copy().set_requires_grad(true)).collect::<Vec<_>>();
        let (fused, plain) = (leaves(), leaves());
        let mut optimizer = adamw::AdamW::new(fused.iter().map(Tensor::shallow_clone).collect());
        let mut state: Vec<_> = plain.iter().map(|t| (t.zeros_like(), t.zeros_like())).collect();
        for step in 1..=steps {
            for (index, param) in plain.iter().enumerate() {
                let direction = param.randn_like();
                (&fused[index] * &direction).sum(Kind::Double).backward();
                (param * &direction).sum(Kind::Double).backward();
                let (exp_avg, exp_avg_sq) = &mut state[index];
                adamw::plain(param, exp_avg, exp_avg_sq, step, &settings);
                drop_grad(param);
            }
            optimizer.step(&settings).unwrap();
        }
        for (fused, plain) in fused.iter().zip(&plain) {
            let error = difference(&fused.detach(), &plain.detach());
            prop_assert!(error < 1e-6, "{error}");
        }
    }
}
