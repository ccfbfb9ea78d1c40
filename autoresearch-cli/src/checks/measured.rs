//! Warnings of files that measure and may be edited: a proposal could change the number without being better.

use super::subject::{Finding, Subject};

const NAME: &str = "measured";

/// Most committed files that are searched for names of editable ones, and the largest of them in bytes.
const FILES: usize = 200;
const LARGEST: usize = 256 << 10;

/// Warns of files that decide the number and lie in what may be edited: scripts of the run and of the guards, benchmarks and
/// tests, and editable files that those read as data.
pub fn measured(subject: &Subject<'_>) -> Vec<Finding> {
    let config = &subject.session.config;
    let editable = config.editable();
    let guards = config.guard.iter().flat_map(|guard| guard.written().map(|(_, command)| command));
    let named = |command: &Vec<String>| -> Vec<String> {
        let paths = command.iter().map(|argument| argument.trim_start_matches("./").to_owned());
        paths.filter(|path| subject.files.contains_key(path)).collect()
    };
    let scripts = named(&config.run.command);
    let tests: Vec<String> = guards.flat_map(named).collect();
    let mut findings = Vec::new();
    // An evaluation is that of the base commit, whatever a candidate changes.
    let printing = scripts.iter().filter(|path| config.evaluate.is_none() && editable.allows(path));
    for script in printing {
        findings.push(Finding::warning(
            NAME,
            format!(
                "`{script}` prints the number and may be edited: a proposal can print a better one without being better. Look at \
                 what is kept, or let [evaluate] measure what the run leaves"
            ),
        ));
    }
    let judges = |path: &&String| {
        let top = path.split('/').next().unwrap_or_default();
        matches!(top, "benches" | "bench" | "benchmarks" | "benchmark" | "tests" | "test" | "spec")
            && path.contains('/')
    };
    let editable_judges: Vec<&String> =
        subject.files.keys().filter(judges).chain(&tests).filter(|path| editable.allows(path)).collect();
    if let Some(first) = editable_judges.first() {
        findings.push(Finding::warning(
            NAME,
            format!(
                "{} files that measure or test may be edited, as `{first}`; narrow `editable` to what they measure",
                editable_judges.len()
            ),
        ));
    }
    let reading =
        subject.files.keys().filter(|path| !editable.allows(path) && (judges(path) || scripts.contains(path)));
    for reader in reading.take(FILES) {
        let Some(text) = subject.text(reader).filter(|text| text.len() <= LARGEST) else { continue };
        let read = subject.files.keys().filter(|path| editable.allows(path)).find(|path| is_read(&text, path));
        if let Some(path) = read {
            findings.push(Finding::warning(
                NAME,
                format!(
                    "`{reader}` reads `{path}` as data, and that may be edited: deleting comments in it would be a gain; let it read \
                     a copy that is not editable"
                ),
            ));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::fine(NAME, "no file that measures may be edited"));
    }
    findings
}

/// Returns whether a program names a file in a string, as it does to read it. An import names a module without its ending.
fn is_read(text: &str, path: &str) -> bool {
    let ends = ['"', '\'', '`'];
    text.match_indices(path).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + path.len()..].chars().next();
        after.is_some_and(|c| ends.contains(&c)) && before.is_some_and(|c| ends.contains(&c) || c == '/')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_with_the_path_is_a_read_and_an_import_is_none() {
        for text in ["include_str!(\"../src/lib.rs\")", "open('src/lib.rs')", "f(\"src/lib.rs\")"] {
            assert!(is_read(text, "src/lib.rs"), "{text}");
        }
        for text in ["use crate::lib;", "// see src/lib.rs for it", "\"other/mysrc/lib.rsx\""] {
            assert!(!is_read(text, "src/lib.rs"), "{text}");
        }
    }
}
