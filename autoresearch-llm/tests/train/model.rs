//! Tests of the model's pieces, on small sizes. They stand apart so that train.rs holds only what is researched.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn config() -> Config {
    Config {
        sequence_len: 16,
        vocab_size: 50,
        n_layer: 3,
        n_head: 2,
        n_kv_head: 2,
        n_embd: 64,
        window_pattern: "SSL".into(),
    }
}

fn batch() -> (Tensor, Tensor) {
    let tokens = Tensor::randint(50, [4, 17], (Kind::Int64, Device::Cpu));
    (tokens.i((.., ..16)).contiguous(), tokens.i((.., 1..)).contiguous())
}

#[test]
fn a_fresh_model_knows_nothing_and_learns_one_batch() {
    tch::manual_seed(1);
    let model = Gpt::new(config(), Device::Cpu);
    let mut optimizer = MuonAdamW::new(&model);
    let (x, y) = batch();
    let loss = |model: &Gpt| model.loss(&x, &y, Reduction::Mean);
    let first = loss(&model).double_value(&[]);
    assert!((first - 50f64.ln()).abs() < 0.05, "{first}");
    for step in 0..30 {
        loss(&model).backward();
        optimizer.step(1.0, muon_momentum(step), 0.0);
    }
    let last = loss(&model).double_value(&[]);
    assert!(last < 0.5 * first, "{first} -> {last}");
}

#[test]
fn a_token_sees_only_what_its_windows_let_through() {
    tch::manual_seed(2);
    let mut config = config();
    config.window_pattern = "S".into();
    let model = Gpt::new(config.clone(), Device::Cpu);
    // Projections begin at zero; without this, attention would change nothing.
    no_grad(|| model.h.iter().for_each(|block| drop(block.c_proj.shallow_clone().normal_(0.0, 0.5))));
    let (x, _) = batch();
    let changed = x.copy();
    let _ = changed.i((.., 10)).fill_(7);
    let differs = |position: i64| {
        let difference = model.logits(&x).i((.., position)) - model.logits(&changed).i((.., position));
        difference.abs().max().double_value(&[]) > 1e-6
    };
    assert!((0..10).all(|position| !differs(position)), "the past does not see the future");
    assert!(differs(10) && differs(15));

    assert_eq!(config.windows(), [8, 8, 16], "the last layer sees everything");
}

#[test]
fn muon_s_direction_is_nearly_orthogonal() {
    tch::manual_seed(3);
    // A square random matrix has a few singular values near zero, which five iterations do not lift to one.
    for (rows, cols, lowest) in [(32, 32, 0.0), (64, 16, 0.6), (16, 64, 0.6)] {
        let x = polar_express(&Tensor::randn([2, rows, cols], (Kind::Float, Device::Cpu)));
        let (_, values, _) = Tensor::svd(&x, true, true);
        let (low, high) = (values.min().double_value(&[]), values.max().double_value(&[]));
        let mean = values.mean(Kind::Double).double_value(&[]);
        assert!(low > lowest && high < 1.3 && (mean - 1.0).abs() < 0.15, "{rows}x{cols}: {low} to {high}, mean {mean}");
    }
}

#[test]
fn every_parameter_gets_a_gradient() {
    tch::manual_seed(4);
    let model = Gpt::new(config(), Device::Cpu);
    no_grad(|| {
        model.h.iter().for_each(|block| {
            drop((block.c_proj.shallow_clone().normal_(0.0, 0.1), block.mlp_proj.shallow_clone().normal_(0.0, 0.1)))
        })
    });
    no_grad(|| drop(model.lm_head.shallow_clone().normal_(0.0, 0.1)));
    let (x, y) = batch();
    model.loss(&x, &y, Reduction::Mean).backward();
    for (index, parameter) in model.parameters().iter().enumerate() {
        let gradient = parameter.grad();
        assert!(gradient.defined() && gradient.abs().sum(Kind::Double).double_value(&[]) > 0.0, "parameter {index}");
    }
}

#[test]
fn schedules_follow_the_time() {
    assert_eq!(lr_multiplier(0.0), if WARMUP_RATIO > 0.0 { 0.0 } else { 1.0 });
    assert!((lr_multiplier(1.0) - FINAL_LR_FRAC).abs() < 1e-12);
    assert_eq!((muon_momentum(0), muon_momentum(300), muon_momentum(9999)), (0.85, 0.95, 0.95));
    assert_eq!((weight_decay(0.0), weight_decay(1.0)), (WEIGHT_DECAY, 0.0));
}

#[test]
fn the_flop_count_is_karpathy_s_at_his_sizes() {
    // 50.3 million parameters at depth 8 are in his published output block.
    let config = Config {
        sequence_len: 2048,
        vocab_size: 8192,
        n_layer: 8,
        n_head: 4,
        n_kv_head: 4,
        n_embd: 512,
        window_pattern: "SSSL".into(),
    };
    let ve = 4 * 8192 * 512;
    let matrices = 8 * 12 * 512 * 512 + 4 * 4 * 32;
    let expected = 2 * 8192 * 512 + ve + matrices + 16;
    assert_eq!((expected as f64 / 1e6 * 10.0).round() / 10.0, 50.3);
    assert_eq!(Gpt::new(Config { sequence_len: 64, ..config }, Device::Cpu).num_params(), expected);
}

#[test]
fn a_configuration_that_cannot_work_is_refused_in_a_sentence() {
    type Change = fn(&mut Config);
    let refused = |change: Change| {
        let mut config = config();
        change(&mut config);
        config.checked().err()
    };
    assert_eq!(refused(|_| ()), None);
    let wrong: [(Change, &str); 6] = [
        (|c| c.n_head = 3, "64 channels in 3 heads"),
        (|c| c.n_embd = 66, "even HEAD_DIM"),
        (|c| (c.n_head, c.n_kv_head) = (4, 3), "those with keys"),
        (|c| c.n_layer = 0, "at least 1"),
        (|c| c.window_pattern = "SXL".into(), "letters S and L"),
        (|c| c.window_pattern = String::new(), "letters S and L"),
    ];
    for (change, expected) in wrong {
        let said = refused(change).unwrap();
        assert!(said.contains(expected), "{said}");
    }
    println!("evidence configurations refused {}", wrong.len());
}

#[test]
fn a_checkpoint_is_the_model() {
    tch::manual_seed(5);
    let model = Gpt::new(config(), Device::Cpu);
    no_grad(|| drop(model.lm_head.shallow_clone().normal_(0.0, 0.1)));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    checkpoint::save(&path, &model.config, &model.named_parameters()).unwrap();
    let again = Gpt::load(&path, Device::Cpu).unwrap();
    let (x, _) = batch();
    assert!(model.logits(&x).equal(&again.logits(&x)));
    std::fs::write(&path, "not a checkpoint").unwrap();
    assert!(Gpt::load(&path, Device::Cpu).err().unwrap().to_string().contains("model.safetensors"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    /// Accepted settings train a step; all others are rejected in a sentence.
    #[test]
    fn a_configuration_works_or_is_refused(
        (n_embd, n_head, n_kv_head) in prop_oneof![
            (0i64..40, 0i64..5, 0i64..5),
            // Such as are likely to work.
            (1i64..9, 1i64..4, 1i64..3).prop_map(|(half, keys, groups)| (2 * half * keys * groups, keys * groups, keys)),
        ],
        n_layer in 0i64..5, sequence_len in 1i64..24, vocab_size in 2i64..40, window_pattern in "[SL]{1,3}|[SLx]{0,3}",
        shorter in 0i64..24, seed: u32,
    ) {
        tch::manual_seed(i64::from(seed));
        let config = Config { sequence_len, vocab_size, n_layer, n_head, n_kv_head, n_embd, window_pattern };
        let config = match config.checked() {
            Ok(config) => config,
            Err(why) => {
                prop_assert!(why.contains(": "), "{why}");
                return Ok(());
            }
        };
        let model = Gpt::new(config, Device::Cpu);
        let mut optimizer = MuonAdamW::new(&model);
        let context = (sequence_len - shorter).max(1);
        let tokens = Tensor::randint(vocab_size, [2, context + 1], (Kind::Int64, Device::Cpu));
        let (x, y) = (tokens.i((.., ..context)).contiguous(), tokens.i((.., 1..)).contiguous());
        for step in 0..2 {
            let loss = model.loss(&x, &y, Reduction::Mean);
            prop_assert!(loss.double_value(&[]).is_finite());
            loss.backward();
            optimizer.step(1.0, muon_momentum(step), 0.1);
        }
    }

    /// The stack against one matrix at a time, of every form, small and single ones too.
    #[test]
    fn stacked_muon_is_muon_of_each(count in 1usize..5, rows in 1i64..20, cols in 1i64..20, seed: u32) {
        tch::manual_seed(i64::from(seed));
        // In double precision: the sign that cautious weight decay looks at may hang on the last bit.
        let starts: Vec<Tensor> = (0..count).map(|_| Tensor::randn([rows, cols], (Kind::Double, Device::Cpu))).collect();
        let error = stacked_beside_single(&starts);
        prop_assert!(error < 1e-5, "{error}");
    }
}

#[test]
fn more_tokens_than_the_context_are_refused_in_a_sentence() {
    let model = Gpt::new(config(), Device::Cpu);
    let long = Tensor::zeros([1, 17], (Kind::Int64, Device::Cpu));
    let said = failure::guarded(|| Ok(model.loss(&long, &long, Reduction::Mean))).unwrap_err();
    assert_eq!(said, "17 tokens, but the model's context is 16");
}

#[test]
fn stacked_muon_is_muon_of_each_matrix() {
    tch::manual_seed(6);
    let starts: Vec<Tensor> = (0..3).map(|_| Tensor::randn([24, 16], (Kind::Float, Device::Cpu))).collect();
    assert!(stacked_beside_single(&starts) < 1e-5);
}

/// The largest difference after five steps of a stack and of one matrix at a time, which is its plain form.
fn stacked_beside_single(starts: &[Tensor]) -> f64 {
    let leaves = || starts.iter().map(|t| t.copy().set_requires_grad(true)).collect::<Vec<_>>();
    let (stacked, single, kind) = (leaves(), leaves(), starts[0].kind());
    let mut together = Muon::new(stacked.iter().map(Tensor::shallow_clone).collect(), kind);
    let mut apart: Vec<Muon> = single.iter().map(|t| Muon::new(vec![t.shallow_clone()], kind)).collect();
    for _ in 0..5 {
        for (a, b) in stacked.iter().zip(&single) {
            let direction = no_grad(|| a.randn_like());
            (a * &direction).sum(kind).backward();
            (b * &direction).sum(kind).backward();
        }
        no_grad(|| {
            together.step(0.02, 0.9, 0.1);
            apart.iter_mut().for_each(|muon| muon.step(0.02, 0.9, 0.1));
        });
    }
    assert!(stacked.iter().all(|param| !param.grad().defined()));
    let difference = |(a, b): (&Tensor, &Tensor)| (a - b).abs().max().double_value(&[]);
    stacked.iter().zip(&single).map(difference).fold(0.0, f64::max)
}

#[path = "memory.rs"]
mod step_memory;
