//! The numbers of an output, and which of them is the metric.

use autoresearch_core::Direction;
use autoresearch_core::internal::metric::significant;
use autoresearch_metrics::Quantity;
pub use autoresearch_metrics::{Benchmark, Found, benchmarks, found};

/// Most numbers that are shown.
const SHOWN: usize = 12;

/// The name of the metric that is the time of the run by the lab's clock.
const WALL: &str = "wall";

/// Quantities of the run that need nothing printed, beside its time by the lab's clock.
const QUANTITIES: [Quantity; 2] = [Quantity::Cpu, Quantity::MaxRss];

/// The metric that was chosen, or why none can be without a person.
#[derive(Debug, Clone, PartialEq)]
pub enum Choice {
    /// This one.
    Number(Found),
    /// The time of the run by the lab's clock.
    Wall,
    /// Another quantity of the run.
    Quantity(Quantity),
    /// A result of a benchmark tool.
    Benchmark(Benchmark),
    /// Nobody can tell but a person: the reason, with the flag to give.
    Open(String),
}

/// Formats the numbers with the lines that they were read from.
pub fn list(found: &[Found]) -> String {
    let width = found.iter().take(SHOWN).map(|one| one.name.chars().count()).max().unwrap_or(0);
    let line = |one: &Found| {
        let better = match one.direction {
            Some(Direction::Minimise) => ", lower is better by its name",
            Some(Direction::Maximise) => ", higher is better by its name",
            None => "",
        };
        let (name, value) = (&one.name, significant(one.value));
        let unit = if one.unit.is_empty() { String::new() } else { format!(" {}", one.unit) };
        format!("  {name:<width$} = {value}{unit}  (line {}: `{}`{better})\n", one.number, one.line)
    };
    let mut text: String = found.iter().take(SHOWN).map(line).collect();
    if found.len() > SHOWN {
        text += &format!("  and {} more\n", found.len() - SHOWN);
    }
    text
}

/// Formats the results of a benchmark tool.
pub fn list_benchmarks(results: &[Benchmark]) -> String {
    let line = |one: &Benchmark| {
        let value = significant(one.reading.value);
        format!("  {} = {value} {}  ({})\n", one.name, one.reading.unit, one.tool.name())
    };
    let mut text: String = results.iter().take(SHOWN).map(line).collect();
    if results.len() > SHOWN {
        text += &format!("  and {} more\n", results.len() - SHOWN);
    }
    text
}

/// Chooses the metric among the results of a benchmark tool: the one that was asked for, or else the only one. `None` if there are
/// none, or another name was asked for.
pub fn choose_benchmark(results: &[Benchmark], asked: Option<&str>) -> Option<Choice> {
    match (asked, results) {
        (Some(name), _) => {
            let same = |one: &&Benchmark| one.name.eq_ignore_ascii_case(name);
            results.iter().find(same).map(|one| Choice::Benchmark(one.clone()))
        }
        (None, []) => None,
        (None, [one]) => Some(Choice::Benchmark(one.clone())),
        (None, [first, ..]) => Some(Choice::Open(format!(
            "{} has several results; name the one that counts, as --metric {}",
            first.tool.name(),
            quoted(&first.name)
        ))),
    }
}

/// Chooses the metric: the one that was asked for, or else the only one whose name tells that it is one. `likely` is the name
/// that the layout of the repository suggests.
pub fn choose(found: &[Found], asked: Option<&str>, likely: Option<&str>) -> Choice {
    let same = |one: &&Found, name: &str| one.name.eq_ignore_ascii_case(name);
    if let Some(name) = asked {
        let quantity = QUANTITIES.into_iter().find(|quantity| quantity.name() == name);
        return match (found.iter().find(|one| same(one, name)), quantity) {
            (Some(one), _) => Choice::Number(one.clone()),
            (None, Some(quantity)) => Choice::Quantity(quantity),
            (None, None) if name == WALL => Choice::Wall,
            (None, None) if found.is_empty() => Choice::Open(format!(
                "the program prints no number, and --metric names `{name}`; let it print a line `{name}: 12.5`"
            )),
            (None, None) => Choice::Open(format!(
                "the program prints no number `{name}`, which --metric names; it prints:\n{}",
                list(found).trim_end()
            )),
        };
    }
    if let Some(one) = likely.and_then(|name| found.iter().find(|one| same(one, name))) {
        return Choice::Number(one.clone());
    }
    let mut known: Vec<&Found> = found.iter().filter(|one| one.direction.is_some()).collect();
    // Of a loss in training and one in validation the latter is meant.
    let validates = |one: &Found| {
        let name = one.name.to_lowercase();
        ["val", "test", "eval"].iter().any(|word| name.starts_with(word))
    };
    if known.iter().filter(|one| validates(one)).count() == 1 {
        known.retain(|one| validates(one));
    }
    match (known.as_slice(), found) {
        ([one], _) => Choice::Number((*one).clone()),
        ([], [one]) => Choice::Number(one.clone()),
        ([], []) => Choice::Open(format!(
            "the program prints no number with a name; let it print a line as `score: 12.5`, or measure its time or memory: --metric {WALL}, cpu or max_rss"
        )),
        ([], _) => Choice::Open("no name among these tells which number is the metric; name it: --metric NAME".into()),
        (several, _) => {
            let flags: Vec<String> = several.iter().map(|one| format!("--metric {}", quoted(&one.name))).collect();
            Choice::Open(format!("several of these may be the metric; name it: {}", flags.join(", or ")))
        }
    }
}

/// A name as it is typed into a shell.
fn quoted(name: &str) -> String {
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
    if is_plain { name.to_owned() } else { format!("'{name}'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_chosen_only_where_no_doubt_is_left() {
        let of = |output: &str, asked, likely| choose(&found(output), asked, likely);
        let name = |choice| match choice {
            Choice::Number(one) => one.name,
            Choice::Wall => WALL.into(),
            Choice::Quantity(quantity) => quantity.name().into(),
            Choice::Benchmark(one) => one.name,
            Choice::Open(why) => why,
        };
        let two = "val_loss: 2.5\naccuracy: 0.9\n";
        assert_eq!(name(of("depth: 4\nval_loss: 2.5\n", None, None)), "val_loss");
        assert_eq!(name(of(two, Some("ACCURACY"), None)), "accuracy");
        assert_eq!(name(of(two, None, Some("val_loss"))), "val_loss");
        assert_eq!(name(of(two, None, None)), "val_loss");
        let several = name(of("loss: 2.5\naccuracy: 0.9\n", None, None));
        assert!(several.contains("--metric loss") && several.contains("--metric accuracy"), "{several}");
        assert_eq!(
            (name(of("", Some("cpu"), None)), name(of("a: 1\n", Some("max_rss"), None))),
            ("cpu".into(), "max_rss".into())
        );
        // A number of that name is what was meant.
        assert!(matches!(of("cpu: 7\n", Some("cpu"), None), Choice::Number(one) if one.value == 7.0));
        assert!(name(of("a: 1\nb: 2\n", None, None)).contains("--metric NAME"));
        assert!(name(of("nothing\n", None, None)).contains("--metric wall"));
        assert_eq!(name(of("nothing\n", Some("wall"), None)), "wall");
        assert!(name(of(two, Some("f1"), None)).contains("val_loss = 2.5"));
    }
}
