//! Running commands, each shown before it runs.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The cargo that runs us.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(crate::places::root());
    command
}

/// Where cargo puts what it builds.
pub fn target() -> Result<PathBuf, String> {
    let metadata = output(cargo().args(["metadata", "--format-version", "1", "--no-deps", "--offline"]))?;
    let (_, rest) = metadata.split_once(r#""target_directory":""#).ok_or("cargo names no target folder")?;
    rest.split('"').next().map(PathBuf::from).ok_or_else(|| "cargo names no target folder".into())
}

/// A command line as one would type it.
pub fn shown(command: &Command) -> String {
    let quoted = |text: &std::ffi::OsStr| {
        let text = text.to_string_lossy();
        let plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c));
        if plain { text.into_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
    };
    let set =
        command.get_envs().filter_map(|(name, value)| Some(format!("{}={}", name.to_string_lossy(), quoted(value?))));
    let program = std::path::Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    set.chain([quoted(program)]).chain(command.get_args().map(quoted)).collect::<Vec<_>>().join(" ")
}

/// Runs a command to its end; its output is the user's to see.
pub fn run(command: &mut Command) -> Result<(), String> {
    eprintln!("> {}", shown(command));
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{}` failed: {status}", shown(command))),
        Err(error) => Err(format!("cannot start `{}`: {error}", shown(command))),
    }
}

/// Replaces this process by a command, so that signals and exit codes go straight through.
pub fn exec(command: &mut Command) -> Result<(), String> {
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        eprintln!("> {}", shown(command));
        Err(format!("cannot start `{}`: {}", shown(command), command.exec()))
    }
    #[cfg(not(unix))]
    run(command)
}

/// Runs a command and returns its output, or the failure with the end of the output.
pub fn output(command: &mut Command) -> Result<String, String> {
    let output =
        command.stdin(Stdio::null()).output().map_err(|e| format!("cannot start `{}`: {e}", shown(command)))?;
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(out);
    }
    let all = out + &String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = all.lines().collect();
    let end = lines[lines.len().saturating_sub(15)..].join("\n");
    Err(format!("`{}` failed: {}\n{end}", shown(command), output.status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_shown_as_one_would_type_them() {
        let mut command = Command::new("/usr/bin/echo");
        command.args(["a b", "it's", "--x=1", ""]).env("A", "1 2");
        assert_eq!(shown(&command), r"A='1 2' echo 'a b' 'it'\''s' --x=1 ''");
    }
}
