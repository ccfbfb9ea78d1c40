//! The way to FlashAttention and back, without a GPU: `reference/flash.cpp` has its operators on the CPU, by definition.
//! They stay registered as long as the process lives, and only calls by name reach them: the rest never asks for
//! FlashAttention on a CPU.

#![allow(clippy::unwrap_used)]

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use autoresearch_llm::ops::attention::Window;
use autoresearch_llm::ops::flash::flash;
use proptest::prelude::*;
use tch::{Device, Kind, Tensor, no_grad};

/// Compiles and loads the operators, as the shim is compiled.
fn registered() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        // Whatever libtorch registers itself must be there first.
        tch::manual_seed(0);
        // Of FlashAttention the CPU has nothing until then; who asks for it by name is told.
        let q = Tensor::zeros([1, 1, 9, 2], (Kind::Float, Device::Cpu));
        let said = flash(&q, &q, &q, 4).unwrap_err().to_string();
        assert!(said.contains("_flash_attention_forward"), "{said}");
        let lib = Path::new(env!("AUTORESEARCH_LIBTORCH_LIB"));
        let library = built(lib);
        // SAFETY: it registers two operators with the libtorch of this process, which outlive every call of them.
        std::mem::forget(unsafe { libloading::Library::new(&library) }.unwrap());
    });
}

/// Path of the operators' library. Reading libtorch's headers takes a compiler some ten seconds, so it is kept until it or
/// libtorch changes.
fn built(lib: &Path) -> PathBuf {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/flash.cpp");
    let built_for = std::fs::metadata(lib.join("libtorch_cpu.so")).unwrap();
    let mut key = DefaultHasher::new();
    (std::fs::read(source).unwrap(), lib, built_for.len(), built_for.modified().unwrap()).hash(&mut key);
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("flash-{:x}.so", key.finish()));
    if !library.exists() {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let (made, include) = (folder.path().join("flash.so"), Path::new(env!("AUTORESEARCH_LIBTORCH_INCLUDE")));
        let mut compiler = Command::new(std::env::var_os("CXX").unwrap_or_else(|| "c++".into()));
        compiler.args(["-std=c++17", "-w", "-shared", "-fPIC", "-I"]).arg(include);
        compiler.arg("-I").arg(include.join("torch/csrc/api/include")).arg(source);
        compiler.arg("-L").arg(lib).args(["-ltorch_cpu", "-lc10", "-o"]).arg(&made);
        let output = compiler.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::rename(made, &library).unwrap();
    }
    library
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn flash_attention_is_asked_for_what_the_plain_form_computes(
        b in 1i64..3, groups in 1i64..3, kv_heads in 1i64..3, eights in 1i64..3, tokens in 1i64..24, reach in 0i64..30,
        transposed: bool, seed: u32,
    ) {
        registered();
        tch::manual_seed(i64::from(seed));
        let d = 8 * eights;
        let options = (Kind::Double, Device::Cpu);
        // Heads and tokens in either order in memory; the trainer's are batch x sequence x heads x dimension.
        let of = |heads: i64| match transposed {
            true => Tensor::randn([b, tokens, heads, d], options).transpose(1, 2),
            false => Tensor::randn([b, heads, d, tokens], options).transpose(2, 3),
        };
        let inputs = [of(kv_heads * groups), of(kv_heads), of(kv_heads)];
        let leaves = || inputs.iter().map(|input| input.copy().set_requires_grad(true)).collect::<Vec<Tensor>>();
        let (mine, theirs) = (leaves(), leaves());
        let y = flash(&mine[0], &mine[1], &mine[2], reach).unwrap();
        let z = Window::new(tokens, reach, Device::Cpu).plain(&theirs[0], &theirs[1], &theirs[2]).unwrap();
        let weights = no_grad(|| z.randn_like());
        (&y * &weights).sum(Kind::Double).backward();
        (&z * &weights).sum(Kind::Double).backward();
        let apart = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]);
        prop_assert_eq!(y.size(), inputs[0].size());
        prop_assert!(apart(&y.detach(), &z.detach()) < 1e-10);
        for (mine, theirs) in mine.iter().zip(&theirs) {
            // The sums' logarithms are kept in float32.
            prop_assert!(apart(&mine.grad(), &theirs.grad()) < 1e-5);
        }
    }
}
