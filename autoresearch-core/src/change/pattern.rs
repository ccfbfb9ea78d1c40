//! Patterns of paths as in a shell: `*` and `?` within a name, `**` for any number of folders.

/// True if a pattern has no wildcard: it is the path of one file.
pub(crate) fn is_exact(pattern: &str) -> bool {
    !pattern.contains(['*', '?'])
}

/// The folder that all files of a pattern are below, empty for the root.
#[cfg(any(test, feature = "command"))]
pub(crate) fn root(pattern: &str) -> &str {
    let fixed = pattern.find(['*', '?']).unwrap_or(pattern.len());
    pattern.get(..fixed).and_then(|fixed| fixed.rsplit_once('/')).map_or("", |(folder, _)| folder)
}

/// True if a path, with `/` between its names, matches a pattern.
pub fn matches(pattern: &str, path: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
    let path: Vec<&str> = path.split('/').collect();
    names_match(&pattern, &path)
}

fn names_match(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], []) => true,
        (["**"], rest) => !rest.is_empty(),
        (["**", rest @ ..], _) => (0..=path.len()).any(|skipped| names_match(rest, &path[skipped..])),
        ([name, rest @ ..], [first, others @ ..]) => {
            let (name, first): (Vec<char>, Vec<char>) = (name.chars().collect(), first.chars().collect());
            name_matches(&name, &first) && names_match(rest, others)
        }
        _ => false,
    }
}

fn name_matches(pattern: &[char], name: &[char]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        (['*', rest @ ..], _) => (0..=name.len()).any(|skipped| name_matches(rest, &name[skipped..])),
        (['?', rest @ ..], [_, others @ ..]) => name_matches(rest, others),
        ([one, rest @ ..], [other, others @ ..]) => one == other && name_matches(rest, others),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, path, expected) in [
            ("out/a.json", "out/a.json", true),
            ("./out/a.json", "out/a.json", true),
            ("*.json", "a.json", true),
            ("*.json", "out/a.json", false),
            ("**/*.json", "out/deep/a.json", true),
            ("**/*.json", "a.json", true),
            ("runs/**", "runs/x/events.1", true),
            ("runs/**", "runs", false),
            ("**/new/estimates.json", "target/criterion/fib 20/new/estimates.json", true),
            ("events.out.tfevents.*", "events.out.tfevents.17.host", true),
            ("a?.txt", "ab.txt", true),
            ("a?.txt", "a.txt", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
        assert_eq!((root("a/b/*.json"), root("**/x"), root("a/b.json")), ("a/b", "", "a"));
    }
}
