//! The name of the test that failed, from the output of the usual test programs.

use crate::text::one_line;

/// Length to which a test's name is cut, in characters.
const NAME: usize = 120;

/// Finds the first test that failed, and says how many more did. `None` if the output names none in a known form.
///
/// Known are pytest, unittest, cargo test and nextest, go test, jest, vitest, mocha, node's own runner, RSpec, minitest, test-unit,
/// ctest, PHPUnit, Gradle, dotnet and TAP.
pub(super) fn failing_test(output: &str) -> Option<String> {
    let lines: Vec<String> = output.lines().map(|line| one_line(line, 4 * NAME)).collect();
    let lines: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
    let names = FORMS.iter().map(|form| form(&lines)).find(|names| !names.is_empty())?;
    let mut distinct: Vec<&String> = Vec::new();
    names.iter().filter(|name| !name.is_empty()).for_each(|name| {
        if !distinct.contains(&name) {
            distinct.push(name);
        }
    });
    let first = one_line(distinct.first()?, NAME);
    Some(match distinct.len() - 1 {
        0 => first,
        more => format!("{first} and {more} more"),
    })
}

/// Finds the names of failed tests among the lines of one program's output.
type Form = fn(&[&str]) -> Vec<String>;

/// The forms, the most specific ones first.
const FORMS: [Form; 13] =
    [pytest, cargo, go, rspec, minitest, jest, vitest, unittest, ctest, phpunit, mocha, marked, tap];

fn each(lines: &[&str], name: impl Fn(&str) -> Option<&str>) -> Vec<String> {
    lines.iter().filter_map(|line| name(line)).map(|name| name.trim().to_owned()).collect()
}

/// The text before `end`, or all of it.
fn before<'a>(text: &'a str, end: &str) -> &'a str {
    text.split_once(end).map_or(text, |(name, _)| name)
}

/// A text without the number and the parenthesis in front of it, as `2) adds`.
fn numbered(line: &str) -> Option<&str> {
    let (number, rest) = line.split_once(") ")?;
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(rest)
}

/// `FAILED tests/test_a.py::test_b - AssertionError`, `ERROR tests/test_a.py`
fn pytest(lines: &[&str]) -> Vec<String> {
    each(lines, |line| {
        let name = before(line.strip_prefix("FAILED ").or_else(|| line.strip_prefix("ERROR "))?, " - ");
        (name.contains(".py")).then_some(name)
    })
}

/// `test module::name ... FAILED`, `FAIL [   0.004s] crate module::name`
fn cargo(lines: &[&str]) -> Vec<String> {
    each(lines, |line| {
        let test = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED"));
        test.or_else(|| line.strip_prefix("FAIL [").and_then(|rest| rest.split_once("] ")).map(|(_, name)| name))
    })
}

/// `--- FAIL: TestAdd (0.00s)`
fn go(lines: &[&str]) -> Vec<String> {
    each(lines, |line| Some(before(line.strip_prefix("--- FAIL: ")?, " (")))
}

/// `rspec ./spec/a_spec.rb:3 # Calculator adds`
fn rspec(lines: &[&str]) -> Vec<String> {
    each(lines, |line| {
        let (place, name) = line.strip_prefix("rspec ")?.split_once(" # ")?;
        place.starts_with("./").then_some(name)
    })
}

/// `Failure:` or `1) Error:` with `TestMath#test_add [test/a.rb:5]:` on the next line; `Failure: test_add(TestMath)`
fn minitest(lines: &[&str]) -> Vec<String> {
    let heading = |line: &str| matches!(numbered(line).unwrap_or(line), "Failure:" | "Error:");
    let after = lines.windows(2).filter(|pair| heading(pair[0]) && pair[1].contains('#'));
    let mut names: Vec<String> = after.map(|pair| before(pair[1], " [").trim_end_matches(':').to_owned()).collect();
    names.extend(each(lines, |line| {
        let name = line.strip_prefix("Failure: ").or_else(|| line.strip_prefix("Error: "))?;
        (name.starts_with("test") && name.contains('(')).then(|| before(name, ":"))
    }));
    names
}

/// `● suite › name`; the file of a suite that could not be run: `FAIL src/a.test.js`
fn jest(lines: &[&str]) -> Vec<String> {
    let named = each(lines, |line| line.strip_prefix("● ").filter(|name| name.contains('›')));
    if !named.is_empty() {
        return named;
    }
    let single = each(lines, |line| line.strip_prefix("✕ ").map(|name| before(name, " (")));
    if !single.is_empty() {
        return single;
    }
    let suites = lines.iter().any(|line| line.starts_with("Test Suites:"));
    if suites { each(lines, |line| line.strip_prefix("FAIL ")) } else { Vec::new() }
}

/// `FAIL  test/a.test.ts > suite > name`
fn vitest(lines: &[&str]) -> Vec<String> {
    each(lines, |line| line.strip_prefix("FAIL ").filter(|name| name.contains(" > ")))
}

/// `FAIL: test_add (tests.TestMath.test_add)`
fn unittest(lines: &[&str]) -> Vec<String> {
    each(lines, |line| {
        let name = line.strip_prefix("FAIL: ").or_else(|| line.strip_prefix("ERROR: "))?;
        (name.contains('(') && name.ends_with(')')).then_some(name)
    })
}

/// `1 - name (Failed)` below `The following tests FAILED:`
fn ctest(lines: &[&str]) -> Vec<String> {
    let below = lines.iter().skip_while(|line| !line.starts_with("The following tests FAILED"));
    let names = below.filter_map(|line| {
        let (number, name) = line.split_once(" - ")?;
        let is_number = number.trim().bytes().all(|byte| byte.is_ascii_digit());
        (is_number && name.ends_with(')')).then(|| name.rsplit_once(" (").map_or(name, |(name, _)| name).to_owned())
    });
    names.collect()
}

/// `1) Tests\MathTest::testAdd`
fn phpunit(lines: &[&str]) -> Vec<String> {
    each(lines, |line| numbered(line).filter(|name| name.contains("::") && !name.contains(' ')))
}

/// `1) adds`, beside a line `2 failing`
fn mocha(lines: &[&str]) -> Vec<String> {
    let Some(end) = lines.iter().position(|line| line.ends_with(" failing")) else { return Vec::new() };
    let (inline, summary) = lines.split_at(end);
    let names = each(inline, numbered);
    if names.is_empty() { each(summary, |line| numbered(line).map(|name| name.trim_end_matches(':'))) } else { names }
}

/// `✖ adds (1.2ms)`, `MathTest > adds() FAILED`, `Failed Math.Adds [12 ms]`
fn marked(lines: &[&str]) -> Vec<String> {
    each(lines, |line| {
        let node = line.strip_prefix("✖ ").filter(|name| *name != "failing tests:").map(|name| before(name, " ("));
        let gradle = || line.strip_suffix(" FAILED").filter(|name| name.contains(" > "));
        let dotnet = || line.strip_prefix("Failed ").filter(|_| line.ends_with(']')).map(|name| before(name, " ["));
        node.or_else(gradle).or_else(dotnet)
    })
}

/// `not ok 2 - adds`
fn tap(lines: &[&str]) -> Vec<String> {
    each(lines, |line| {
        let name = line.strip_prefix("not ok ").filter(|name| !name.contains("# TODO") && !name.contains("# SKIP"))?;
        Some(name.split_once(" - ").map_or(name, |(_, name)| name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_failing_test_is_found_in_the_output_of_each_program() {
        for (output, name) in [
            (
                "..F.\n=== short test summary info ===\nFAILED tests/test_a.py::test_add - assert 3 == 4\n1 failed, 3 passed",
                "tests/test_a.py::test_add",
            ),
            ("ERROR tests/test_a.py - ModuleNotFoundError: No module named 'x'\n", "tests/test_a.py"),
            ("test a::ok ... ok\ntest a::adds ... FAILED\ntest b ... FAILED\n", "a::adds and 1 more"),
            ("  Starting 2 tests\n        FAIL [   0.004s] mycrate math::adds\n", "mycrate math::adds"),
            ("--- FAIL: TestAdd (0.00s)\n    a_test.go:7: 3\nFAIL\n", "TestAdd"),
            ("FAIL src/a.test.js\n  ● math › adds\n\n    expect(received)\nTests: 1 failed\n", "math › adds"),
            ("FAIL src/a.test.js\n  ● Test suite failed to run\nTest Suites: 1 failed, 1 total\n", "src/a.test.js"),
            (" FAIL  test/a.test.ts > math > adds\nAssertionError: 3\n", "test/a.test.ts > math > adds"),
            (
                "  math\n    ✓ is\n    1) adds\n\n  1 passing (3ms)\n  1 failing\n\n  1) math\n       adds:\n     Error\n",
                "adds",
            ),
            (
                "Failures:\n\n  1) Calculator adds\n\nFailed examples:\n\nrspec ./spec/calc_spec.rb:3 # Calculator adds\n",
                "Calculator adds",
            ),
            ("  1) Failure:\nTestMath#test_add [test/a.rb:5]:\nExpected: 4\n", "TestMath#test_add"),
            ("Failure:\nMathTest#test_add [test/a.rb:5]:\n", "MathTest#test_add"),
            ("Failure: test_add(TestMath):\n  <4> expected\n", "test_add(TestMath)"),
            (
                "50% tests passed\n\nThe following tests FAILED:\n\t  2 - parser.adds (Failed)\nErrors while running CTest\n",
                "parser.adds",
            ),
            (
                "FAIL: test_add (tests.TestMath.test_add)\n----\nAssertionError: 3\n",
                "test_add (tests.TestMath.test_add)",
            ),
            ("There was 1 failure:\n\n1) Tests\\MathTest::testAdd\nFailed asserting\n", "Tests\\MathTest::testAdd"),
            ("✔ is (0.1ms)\n✖ adds (1.2ms)\nℹ fail 1\n✖ failing tests:\n", "adds"),
            ("MathTest > adds() FAILED\n    AssertionError\n", "MathTest > adds()"),
            ("TAP version 13\nok 1 - is\nnot ok 2 - adds\n", "adds"),
            ("\u{1b}[31mFAILED\u{1b}[0m tests/test_a.py::test_add\n", "tests/test_a.py::test_add"),
        ] {
            assert_eq!(failing_test(output).as_deref(), Some(name), "{output}");
        }
        for output in ["", "make: *** [test] Error 2\n", "ERROR connection lost\n", "1) first do this\n2) then that\n"]
        {
            assert_eq!(failing_test(output), None, "{output}");
        }
    }
}
