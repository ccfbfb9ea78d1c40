//! Points at which a test lets the lab die. They exist only with the private feature `failpoints`, which the tests of this
//! crate switch on: in every other build a point is an empty function and no environment variable is read.
//!
//! `AUTORESEARCH_FAIL_AT=17` kills the process, as SIGKILL would, at the 17th point that it reaches;
//! `AUTORESEARCH_FAIL_LIST=FILE` writes the names of the points that it reaches into FILE.

/// Tells whether this build has failpoints, for code that must leave room for one, such as a write in two halves.
pub(crate) const ENABLED: bool = cfg!(feature = "failpoints");

/// Does nothing: this build has no failpoints.
#[cfg(not(feature = "failpoints"))]
pub(crate) fn point(_name: &str) {}

/// Counts the point `name`, lists it, and dies there if the environment asks for it.
#[cfg(feature = "failpoints")]
pub(crate) fn point(name: &str) {
    use std::io::Write;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static SETTINGS: OnceLock<(Option<u64>, Option<std::path::PathBuf>)> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let (at, list) = SETTINGS.get_or_init(|| {
        let at = std::env::var("AUTORESEARCH_FAIL_AT").ok().and_then(|number| number.parse().ok());
        (at, std::env::var_os("AUTORESEARCH_FAIL_LIST").map(Into::into))
    });
    if at.is_none() && list.is_none() {
        return;
    }
    let count = COUNT.fetch_add(1, Ordering::SeqCst) + 1;
    if let Some(list) = list
        && let Ok(mut file) = std::fs::File::options().create(true).append(true).open(list)
    {
        let _ = writeln!(file, "{name}");
    }
    if *at == Some(count) {
        #[cfg(unix)]
        let _ = nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::SIGKILL);
        std::process::abort();
    }
}
