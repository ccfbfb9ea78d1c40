//! The tests that hold the mend of each kind of fault, by their names, and the run of them.

use std::process::Stdio;

use crate::figure::Line;
use crate::{sh, test};

/// Some tests of one test program.
pub struct Held {
    /// The name of the test program as cargo has it.
    program: &'static [&'static str],
    /// Their full names.
    tests: &'static [&'static str],
}

/// Runs the tests, and counts those that pass. A test that is gone is as bad as one that fails.
pub fn held(kind: &[Held]) -> Result<Line, String> {
    let (mut wanted, mut missing) = (0, Vec::new());
    for Held { program, tests } in kind {
        let exactly: Vec<&str> = ["--exact"].iter().chain(tests.iter()).copied().collect();
        let mut cargo = test::of(program, &exactly)?;
        let output = cargo.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        let output = output.map_err(|error| format!("cannot start `{}`: {error}", sh::shown(&cargo)))?;
        // Whether all passed or not, each has a line.
        let output = String::from_utf8_lossy(&output.stdout);
        wanted += tests.len();
        missing.extend(missing_in(&output, tests));
    }
    let value = match &missing[..] {
        [] => format!("{wanted} tests hold"),
        missing => format!("{} of {wanted} tests hold; not {}", wanted - missing.len(), missing.join(", ")),
    };
    Ok(Line::Measured(missing.is_empty(), value, "all that are named"))
}

/// The tests that libtest's output does not name as passed.
fn missing_in(output: &str, tests: &[&'static str]) -> Vec<&'static str> {
    let passed = |test: &str| output.lines().any(|line| line == format!("test {test} ... ok"));
    tests.iter().copied().filter(|test| !passed(test)).collect()
}

pub const fn suite(tests: &'static [&'static str]) -> Held {
    Held { program: &["--test", "suite"], tests }
}

pub const fn unit(tests: &'static [&'static str]) -> Held {
    Held { program: &["--lib"], tests }
}

pub const fn processes(tests: &'static [&'static str]) -> Held {
    Held { program: &["--test", "processes"], tests }
}

pub const fn command(tests: &'static [&'static str]) -> Held {
    Held { program: &["--bin", "autoresearch"], tests }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_fails_or_is_gone_does_not_hold() {
        let output = "running 2 tests\ntest a::b ... ok\ntest a::c ... FAILED\ntest a::bb ... ok\n";
        assert_eq!(missing_in(output, &["a::b", "a::c", "a::d"]), ["a::c", "a::d"]);
        assert!(missing_in(output, &["a::b"]).is_empty());
    }
}
