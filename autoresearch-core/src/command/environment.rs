//! The environment of trials: a documented list of variables, and never a key.

use std::ffi::OsString;

/// Variables that commands of a trial inherit from the lab. Everything else stays out of their sight; add more by name with
/// [`Commands::pass`](super::commands::Commands::pass).
///
/// - where programs are: `PATH`, `LD_LIBRARY_PATH`, `DYLD_LIBRARY_PATH`, `SYSTEMROOT`
/// - the user and the language: `HOME`, `USER`, `LOGNAME`, `SHELL`, `LANG`, `LANGUAGE`, `LC_ALL`, `LC_CTYPE`, `TZ`, `TMPDIR`
/// - compilers: `CC`, `CXX`, `CFLAGS`, `CXXFLAGS`, `LDFLAGS`, `RUSTFLAGS`, `CARGO_HOME`, `RUSTUP_HOME`, `RUSTUP_TOOLCHAIN`,
///   `GOPATH`, `GOROOT`, `GOCACHE`, `GOMODCACHE`, `JAVA_HOME`, `LIBTORCH`, `PKG_CONFIG_PATH`, `CMAKE_PREFIX_PATH`, `CPATH`,
///   `LIBRARY_PATH`
/// - Python: `VIRTUAL_ENV`, `PYTHONPATH`, `PYTHONHOME`, `PYENV_ROOT`, `PYENV_VERSION`, `CONDA_PREFIX`, `CONDA_DEFAULT_ENV`,
///   `CONDA_EXE`, `CONDA_PYTHON_EXE`, `MAMBA_ROOT_PREFIX`, and uv's own, which begin with `UV_`
/// - other languages: `GEM_HOME`, `GEM_PATH`, `BUNDLE_PATH`, `BUNDLE_GEMFILE`, `NODE_PATH`, `JULIA_DEPOT_PATH`, `R_LIBS_USER`,
///   `PERL5LIB`
/// - accelerators: `XLA_FLAGS`, and those that begin with `CUDA_` (`CUDA_VISIBLE_DEVICES` with `CUDA_DEVICE_ORDER`, `CUDA_HOME`),
///   `NVIDIA_`, `CUDNN_`, `CUBLAS_`, `NCCL_`, `HIP_`, `ROCR_`, `HSA_`, `MIOPEN_`, `ZE_`, `ONEAPI_`, `TPU_`
/// - PyTorch: those that begin with `PYTORCH_` (`PYTORCH_ALLOC_CONF`), `TORCH_` (`TORCH_HOME`), `TORCHINDUCTOR_`,
///   `TORCHDYNAMO_`, `TRITON_`
/// - threads: `OPENBLAS_NUM_THREADS`, `RAYON_NUM_THREADS`, and those that begin with `OMP_`, `GOMP_`, `KMP_`, `MKL_`
/// - data: `HF_HOME`, `HF_HUB_CACHE`, `HF_DATASETS_CACHE`, `HF_HUB_OFFLINE`, `HF_ENDPOINT`, `XDG_CACHE_HOME`
/// - the network: `http_proxy`, `https_proxy`, `no_proxy`, `all_proxy` in both cases, `SSL_CERT_FILE`, `SSL_CERT_DIR`,
///   `REQUESTS_CA_BUNDLE`, `CURL_CA_BUNDLE`, `NODE_EXTRA_CA_CERTS`, `GIT_SSL_CAINFO`
///
/// A proxy or an index whose address holds a user name or a password is left out, as is any variable of a prefix whose name speaks of a
/// key, a token, a secret or a password.
pub const INHERITED: &[&str] = &[
    "PATH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "SYSTEMROOT",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "CC",
    "CXX",
    "CFLAGS",
    "CXXFLAGS",
    "LDFLAGS",
    "RUSTFLAGS",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "GOPATH",
    "GOROOT",
    "GOCACHE",
    "GOMODCACHE",
    "JAVA_HOME",
    "LIBTORCH",
    "PKG_CONFIG_PATH",
    "CMAKE_PREFIX_PATH",
    "CPATH",
    "LIBRARY_PATH",
    "VIRTUAL_ENV",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYENV_ROOT",
    "PYENV_VERSION",
    "CONDA_PREFIX",
    "CONDA_DEFAULT_ENV",
    "CONDA_EXE",
    "CONDA_PYTHON_EXE",
    "MAMBA_ROOT_PREFIX",
    "GEM_HOME",
    "GEM_PATH",
    "BUNDLE_PATH",
    "BUNDLE_GEMFILE",
    "NODE_PATH",
    "JULIA_DEPOT_PATH",
    "R_LIBS_USER",
    "PERL5LIB",
    "XLA_FLAGS",
    "OPENBLAS_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_DATASETS_CACHE",
    "HF_HUB_OFFLINE",
    "HF_ENDPOINT",
    "XDG_CACHE_HOME",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
];

/// Beginnings of the names of further inherited variables: those of accelerators, of PyTorch, of thread pools, and uv's.
pub const INHERITED_PREFIXES: &[&str] = &[
    "CUDA_",
    "NVIDIA_",
    "CUDNN_",
    "CUBLAS_",
    "NCCL_",
    "HIP_",
    "ROCR_",
    "HSA_",
    "MIOPEN_",
    "ZE_",
    "ONEAPI_",
    "TPU_",
    "PYTORCH_",
    "TORCH_",
    "TORCHINDUCTOR_",
    "TORCHDYNAMO_",
    "TRITON_",
    "OMP_",
    "GOMP_",
    "KMP_",
    "MKL_",
    "UV_",
];

/// Variable with the path of the channel that an evaluation writes its results into.
pub(super) const RESULT: &str = "AUTORESEARCH_RESULT";

/// Words of a name that make a variable a secret, whatever it begins with.
const SECRETS: [&str; 6] = ["KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL"];

/// Length in bytes from which on a value can be a secret.
const SHORTEST_SECRET: usize = 8;

/// Returns the variables of this process that a command inherits.
pub(crate) fn inherited() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(|(name, value)| {
        let Some(name) = name.to_str() else { return false };
        is_inherited(name) && !has_login(name, &value.to_string_lossy())
    })
}

/// Returns the variables that a user passes on by name, as far as this process has them.
pub(crate) fn passed(names: &[String]) -> impl Iterator<Item = (String, OsString)> {
    names.iter().filter_map(|name| Some((name.clone(), std::env::var_os(name)?)))
}

/// Hides the keys of this process in a text for journals, prompts and people: the values of its variables whose
/// names speak of a secret. A trial may have found one nevertheless, or have been given it by name.
pub(crate) fn censor(text: String) -> String {
    censor_values(text, variables())
}

/// Returns the secrets of this process and of a command with the variables `own`, by their names.
pub(crate) fn secrets(own: impl Iterator<Item = (String, String)>) -> impl Iterator<Item = (String, Vec<u8>)> {
    variables()
        .chain(own)
        .filter(|(name, value)| holds_secret(name, value))
        .map(|(name, value)| (name, value.into_bytes()))
}

fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

fn censor_values(mut text: String, variables: impl Iterator<Item = (String, String)>) -> String {
    for (name, value) in variables {
        if holds_secret(&name, &value) && text.contains(&value) {
            text = text.replace(&value, &format!("[{name} is hidden]"));
        }
    }
    text
}

/// Tells whether a variable holds a secret. Short values are words like `true`, and paths name the place of a key; a key in base64 may
/// begin like one.
fn holds_secret(name: &str, value: &str) -> bool {
    let is_place = || value.starts_with('/') && std::path::Path::new(value).exists();
    value.len() >= SHORTEST_SECRET && is_secret(name) && !is_place()
}

pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    SECRETS.iter().any(|word| name.contains(word))
}

fn is_inherited(name: &str) -> bool {
    INHERITED.contains(&name) || INHERITED_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) && !is_secret(name)
}

/// Tells whether the address of a proxy or of an index carries a login.
fn has_login(name: &str, value: &str) -> bool {
    let is_proxy = name.to_ascii_lowercase().ends_with("_proxy");
    (is_proxy || name.starts_with("UV_") && value.contains("://")) && value.contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_on_the_list() {
        for name in [
            "ANTHROPIC_API_KEY",
            "OPENAI_API_KEY",
            "HF_TOKEN",
            "HUGGING_FACE_HUB_TOKEN",
            "AWS_SECRET_ACCESS_KEY",
            "GITHUB_TOKEN",
            "WANDB_API_KEY",
            "TPU_API_TOKEN",
            "SSH_AUTH_SOCK",
            "CARGO_REGISTRY_TOKEN",
            "UV_PUBLISH_TOKEN",
            "UV_INDEX_PRIVATE_PASSWORD",
        ] {
            assert!(!is_inherited(name), "{name}");
        }
        assert!(INHERITED.iter().all(|name| !SECRETS.iter().any(|word| name.contains(word))));
    }

    #[test]
    fn devices_come_with_their_order() {
        for name in [
            "CUDA_VISIBLE_DEVICES",
            "CUDA_DEVICE_ORDER",
            "HIP_VISIBLE_DEVICES",
            "ROCR_VISIBLE_DEVICES",
            "ZE_AFFINITY_MASK",
        ] {
            assert!(is_inherited(name), "{name}");
        }
    }

    #[test]
    fn environments_of_python_and_certificates_arrive() {
        for name in
            ["CONDA_PREFIX", "CONDA_DEFAULT_ENV", "VIRTUAL_ENV", "PYTHONPATH", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"]
        {
            assert!(is_inherited(name), "{name}");
        }
        // Beside them stand some that hold a login.
        for name in ["CONDA_TOKEN", "PIP_INDEX_URL", "UV_PUBLISH_TOKEN", "NETRC"] {
            assert!(!is_inherited(name), "{name}");
        }
    }

    #[test]
    fn settings_of_other_makers_devices_arrive_without_their_keys() {
        for name in ["HSA_OVERRIDE_GFX_VERSION", "ONEAPI_DEVICE_SELECTOR", "NCCL_SOCKET_IFNAME", "TPU_VISIBLE_CHIPS"] {
            assert!(is_inherited(name), "{name}");
        }
        for name in
            ["PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "TORCH_CUDNN_V8_API_DEBUG", "CUDA_LAUNCH_BLOCKING"]
        {
            assert!(is_inherited(name), "{name}");
        }
        for name in ["TORCHINDUCTOR_CACHE_DIR", "NVIDIA_TF32_OVERRIDE", "CUBLAS_WORKSPACE_CONFIG", "OMP_WAIT_POLICY"] {
            assert!(is_inherited(name), "{name}");
        }
        let secret = ["TORCH_HUB_TOKEN", "NVIDIA_API_KEY", "CUDA_SECRET"];
        for name in ["ROCR_PASSWORD", "NCCL_AUTH_KEY", "tpu_visible_chips", "XNCCL_DEBUG"].into_iter().chain(secret) {
            assert!(!is_inherited(name), "{name}");
        }
    }

    #[test]
    fn keys_are_hidden_in_texts() {
        let variables = [
            ("MY_API_KEY", "sk-0123456789"),
            ("TOKENIZERS", "false"),
            ("KEY_FILE", "/etc/passwd"),
            ("AWS_SECRET_ACCESS_KEY", "/abcdefghij"),
            ("A", "plain text"),
        ];
        let variables = || variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let text = "key sk-0123456789, false, /etc/passwd, plain text, sk-0123456789, /abcdefghij";
        let hidden = "key [MY_API_KEY is hidden], false, /etc/passwd, plain text, [MY_API_KEY is hidden], \
                      [AWS_SECRET_ACCESS_KEY is hidden]";
        assert_eq!(censor_values(text.into(), variables()), hidden);
    }

    #[test]
    fn uv_is_told_what_it_is_told_outside() {
        assert!(
            ["UV_CACHE_DIR", "UV_NO_SYNC", "UV_PROJECT_ENVIRONMENT", "SSL_CERT_FILE"]
                .iter()
                .all(|name| is_inherited(name))
        );
        assert!(has_login("UV_INDEX_URL", "https://user:word@host/simple"));
        assert!(!has_login("UV_INDEX_URL", "https://host/simple") && !has_login("UV_EXCLUDE_NEWER", "a@b"));
    }

    #[test]
    fn a_proxy_with_a_login_is_left_out() {
        assert!(has_login("https_proxy", "http://user:secret@proxy:3128") && has_login("HTTP_PROXY", "u@h"));
        assert!(!has_login("https_proxy", "http://proxy:3128") && !has_login("PATH", "/a@b"));
    }
}
