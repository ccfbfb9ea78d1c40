//! The git command, kept from starting programs and from the repository of whoever started us.

use std::process::Command;

/// The git command for a repository that was judged trustworthy when it was opened, without its subcommand.
///
/// What a git around us, running a hook for instance, says of its own repository is taken away. Variables that say where a
/// user's configuration lies stay: it decides how files are checked out.
pub(super) fn git() -> Command {
    let mut command = untrusted();
    command.args(["-c", "safe.directory=*"]);
    command
}

/// The same for a repository of which git itself is to say whether the user trusts it.
pub(super) fn untrusted() -> Command {
    let mut command = Command::new("git");
    for setting in ["core.fsmonitor=false", "core.hooksPath=/dev/null", "core.sparseCheckout=false"] {
        command.args(["-c", setting]);
    }
    let is_place = |name: &str| name.starts_with("GIT_") && !name.starts_with("GIT_CONFIG");
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_place(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    command.env("GIT_OPTIONAL_LOCKS", "0").env("LC_ALL", "C");
    command
}
