//! Compiles the shim (`shim/`) against libtorch's headers. Binaries and tests of this crate find libtorch at run time
//! through an rpath: link arguments do not travel from torch-sys.

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=shim/shim.cpp");
    println!("cargo:rerun-if-changed=shim/nats.c");
    let Ok(lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") else { return };
    println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
    // LIBTORCH_INCLUDE as torch-sys understands it: a folder with `include` in it.
    println!("cargo:rerun-if-env-changed=LIBTORCH_INCLUDE");
    let beside = Path::new(&lib).parent().map(Path::to_owned);
    let include = std::env::var_os("LIBTORCH_INCLUDE").map(Into::into).or(beside).unwrap_or_default().join("include");
    // For a test that compiles against it too.
    println!("cargo:rustc-env=AUTORESEARCH_LIBTORCH_LIB={lib}");
    println!("cargo:rustc-env=AUTORESEARCH_LIBTORCH_INCLUDE={}", include.display());
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .file("shim/shim.cpp")
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .opt_level(2)
        // libtorch's headers warn by the hundred.
        .warnings(false)
        .compile("autoresearch_shim");
    let mut nats = cc::Build::new();
    for flag in ["-ftree-vectorize", "-fno-trapping-math", "-fno-signed-zeros"] {
        nats.flag_if_supported(flag);
    }
    nats.file("shim/nats.c").opt_level(2).compile("autoresearch_nats");
}
