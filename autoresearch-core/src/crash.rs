//! Places where the harness may die, for the tests that let it die there. Without the feature `testkit` they are nothing.
//!
//! `AUTORESEARCH_CRASH_AT=17` kills the process, as SIGKILL would, at the 17th place that it comes by;
//! `AUTORESEARCH_CRASH_LIST=FILE` writes the names of the places that it comes by into FILE.

/// Whether the places are there.
pub(crate) const ENABLED: bool = cfg!(feature = "testkit");

#[cfg(not(feature = "testkit"))]
pub(crate) fn point(_name: &str) {}

#[cfg(feature = "testkit")]
pub(crate) fn point(name: &str) {
    use std::io::Write;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static SETTINGS: OnceLock<(Option<u64>, Option<std::path::PathBuf>)> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let (at, list) = SETTINGS.get_or_init(|| {
        let at = std::env::var("AUTORESEARCH_CRASH_AT").ok().and_then(|number| number.parse().ok());
        (at, std::env::var_os("AUTORESEARCH_CRASH_LIST").map(Into::into))
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
