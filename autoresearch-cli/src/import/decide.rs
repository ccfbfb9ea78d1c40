//! Makes a run of what a reader found: chooses the metric, asks for the direction, and finds the baseline and the decisions.

use autoresearch_core::{Direction, Score, Status};

use super::found::{Found, FoundRow, Problem};
use super::number::{is_nothing, number};
use super::words::{Word, plain, suggested};

/// The run that a file tells of.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// The format, in words.
    pub format: String,
    /// The metric's name.
    pub metric: String,
    /// The better direction.
    pub direction: Direction,
    /// The other columns that could be the metric.
    pub others: Vec<String>,
    /// The experiments, oldest first. The first is a keep, the baseline, and every keep has a score.
    pub rows: Vec<Row>,
    /// Rows that were not understood, and facts that a reader should know.
    pub problems: Vec<Problem>,
    /// True if the file does not say what was kept: then a keep is what was better than everything before it.
    pub is_judged: bool,
}

/// One experiment as it was recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its place in the file.
    pub line: usize,
    /// The commit, `-` if none is named.
    pub commit: String,
    /// The number; a crash has none.
    pub score: Option<Score>,
    /// The peak memory in gigabytes, if it was noted.
    pub memory_gb: Option<f64>,
    /// The decision.
    pub status: Status,
    /// The decision in the file's own spelling.
    pub recorded: String,
    /// The description, in one line.
    pub description: String,
}

/// Choices of the person who imports.
#[derive(Debug, Clone, Copy, Default)]
pub struct Choices<'a> {
    /// The metric's column.
    pub metric: Option<&'a str>,
    /// The better direction.
    pub direction: Option<Direction>,
    /// The study, or the experiment, where a file holds several.
    pub name: Option<&'a str>,
    /// The segment of an autoresearch.jsonl.
    pub segment: Option<usize>,
}

/// Keeps that must get worse before a table is questioned.
const QUESTIONED: usize = 3;

/// Makes a run of the rows.
pub fn decide(found: Found, choices: Choices<'_>) -> Result<Imported, String> {
    let (metric, of_file) = choose_metric(&found, choices.metric)?;
    let direction = choices.direction.or(of_file).ok_or_else(|| ask_for_direction(&metric))?;
    let Found { format, rows, metrics, mut problems, has_status } = found;
    problems.extend(check_units(&rows, &metric)?);
    let judging = Judging::of(&rows, has_status);
    let mut taken: Vec<(Word, Row)> = Vec::new();
    for row in rows {
        let line = row.line;
        match understand(row, &metric, judging) {
            Ok(Some((word, row))) => {
                if word == Word::Discard && row.score.is_none() {
                    problems
                        .push(Problem { line, why: "a discard without a number; it is taken without a score".into() });
                }
                taken.push((word, row));
            }
            Ok(None) => {}
            Err(why) => problems.push(Problem { line, why: format!("{why}; the row is left out") }),
        }
    }
    let baseline = baseline(&taken);
    let before = baseline.unwrap_or(taken.len());
    for (word, row) in taken.drain(..before) {
        let what = if word == Word::Crash { "a crash" } else { "a row" };
        let why = format!("{what} before the baseline, the first keep, was compared with nothing; the row is left out");
        // A discard without a number has been named already; this says more.
        problems.retain(|problem| problem.line != row.line);
        problems.push(Problem { line: row.line, why });
    }
    problems.sort_by_key(|problem| problem.line);
    let rows = judge(taken, direction);
    if rows.is_empty() {
        let shown: String = problems.iter().take(10).map(|problem| format!("\n  {problem}")).collect();
        return Err(format!("it has no keep, no baseline and no other row with a number in `{metric}`{shown}"));
    }
    if let Some(warning) = question(&rows, direction) {
        match choices.direction {
            None => return Err(warning),
            Some(_) => problems.push(Problem { line: rows[0].line, why: warning }),
        }
    }
    let others = metrics.into_iter().map(|other| other.name).filter(|other| *other != metric).collect();
    let is_judged = judging == Judging::ByImprovement;
    Ok(Imported { format, metric, direction, others, rows, problems, is_judged })
}

/// The metric's name, and its direction if the file says so.
fn choose_metric(found: &Found, wanted: Option<&str>) -> Result<(String, Option<Direction>), String> {
    let known = || found.metrics.iter().map(|metric| format!("`{}`", metric.name)).collect::<Vec<_>>().join(", ");
    let Some(wanted) = wanted else {
        let first = found.metrics.first().map(|metric| (metric.name.clone(), metric.direction));
        return first.ok_or_else(|| {
            let why = found.problems.iter().take(10).map(|problem| format!("\n  {problem}")).collect::<String>();
            format!("{} without a column of numbers that could be the metric{why}", found.format)
        });
    };
    let fits = |name: &str| name == wanted || plain(name) == plain(wanted);
    let chosen = found.metrics.iter().find(|metric| metric.name == wanted);
    let chosen = chosen.or_else(|| found.metrics.iter().find(|metric| fits(&metric.name)));
    chosen
        .map(|metric| (metric.name.clone(), metric.direction))
        .ok_or_else(|| format!("no column with numbers is named `{wanted}`; name one of {} with --metric", known()))
}

fn ask_for_direction(metric: &str) -> String {
    let usual = match suggested(metric) {
        Some(Direction::Minimise) => "; of such a name lower is usually better: --direction minimise",
        Some(Direction::Maximise) => "; of such a name higher is usually better: --direction maximise",
        None => "",
    };
    format!(
        "it does not say whether lower or higher `{metric}` is better; give --direction minimise or maximise{usual}"
    )
}

/// Numbers in several units do not compare; where some have none, a person must know that they are taken to be in the same.
fn check_units(rows: &[FoundRow], metric: &str) -> Result<Option<Problem>, String> {
    let numbers = rows.iter().filter_map(|row| Some((row.line, number(row.values.get(metric)?)?.unit)));
    let (with, without): (Vec<_>, Vec<_>) = numbers.partition(|(_, unit)| !unit.is_empty());
    let Some((line, unit)) = with.first() else { return Ok(None) };
    if let Some((other_line, other)) = with.iter().find(|(_, other)| other != unit) {
        return Err(format!(
            "`{metric}` is in {unit} in line {line} and in {other} in line {other_line}, and these do not compare; write it in one unit"
        ));
    }
    Ok(without.first().map(|(without, _)| Problem {
        line: *without,
        why: format!("`{metric}` has no unit here and is in {unit} in line {line}; it is taken to be in {unit}, too"),
    }))
}

/// The way in which a row that ran becomes a keep or a discard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judging {
    /// The rows say what was kept.
    Recorded,
    /// `ok` stands for a keep, since other rows say that they were discarded.
    OkIsKeep,
    /// A keep is better than everything before it.
    ByImprovement,
}

impl Judging {
    fn of(rows: &[FoundRow], has_status: bool) -> Judging {
        let has = |word| rows.iter().any(|row| row.word == Some(word));
        let is_discard = |row: &FoundRow| row.word == Some(Word::Discard) && plain(&row.recorded) != "pruned";
        match (has(Word::Keep), has(Word::Ran)) {
            (true, false) => Judging::Recorded,
            (false, true) if has_status && rows.iter().any(is_discard) => Judging::OkIsKeep,
            (false, false) if has_status && rows.iter().any(is_discard) => Judging::Recorded,
            _ => Judging::ByImprovement,
        }
    }
}

/// Understands a row: its decision, and its number. `None` for one that has not ended.
fn understand(row: FoundRow, metric: &str, judging: Judging) -> Result<Option<(Word, Row)>, String> {
    let FoundRow { line, commit, word, recorded, values, memory_gb, description } = row;
    let word = match (word, judging) {
        (Some(Word::Open), _) => return Ok(None),
        (Some(Word::Ran), Judging::OkIsKeep) => Word::Keep,
        (Some(word), _) => word,
        // No column says what became of it.
        (None, Judging::ByImprovement) if recorded.is_empty() => Word::Ran,
        (None, _) => return Err(format!("the status `{recorded}` is no keep, discard or crash")),
    };
    let text = values.get(metric).map_or("", String::as_str);
    let score = match word {
        // Zero and empty stand for no number here, and what a crashed run printed does not count.
        Word::Crash => None,
        _ if is_nothing(text) => None,
        _ => {
            let score = number(text).and_then(|number| Score::new(number.value));
            Some(score.ok_or_else(|| format!("the metric `{text}` is no finite number"))?)
        }
    };
    match (word, score) {
        (Word::Keep | Word::Baseline, None) => {
            return Err("a keep without a number, which nothing could be compared with".into());
        }
        (Word::Ran, None) => return Err("it has no number".into()),
        _ => {}
    }
    let status = match word {
        Word::Crash => Status::Crash,
        Word::Discard => Status::Discard,
        _ => Status::Keep,
    };
    Ok(Some((word, Row { line, commit, score, memory_gb, status, recorded, description })))
}

/// The place of the baseline: the first row that is one by its word, the first keep, or the first row with a number where
/// nothing says what was kept.
fn baseline(rows: &[(Word, Row)]) -> Option<usize> {
    let first = rows.iter().position(|(word, _)| matches!(word, Word::Baseline | Word::Keep | Word::Ran));
    let named = rows.iter().position(|(_, row)| {
        row.score.is_some() && [&row.commit, &row.description].iter().any(|text| is_baseline(text))
    });
    // One that is named so and discarded has nothing to be compared with either.
    first.into_iter().chain(named).min()
}

fn is_baseline(text: &str) -> bool {
    plain(text).split('_').next() == Some("baseline")
}

/// Decides what the file leaves open. The first row is the baseline.
fn judge(rows: Vec<(Word, Row)>, direction: Direction) -> Vec<Row> {
    let mut best: Option<Score> = None;
    let mut judged = Vec::new();
    for (at, (word, mut row)) in rows.into_iter().enumerate() {
        let is_better = match (best, row.score) {
            (Some(best), Some(score)) => direction.gain(best, score) > 0.0,
            (None, Some(_)) => true,
            _ => false,
        };
        row.status = match word {
            _ if at == 0 => Status::Keep,
            Word::Ran if is_better => Status::Keep,
            // A second baseline measures what is there already.
            Word::Ran | Word::Baseline | Word::Discard => Status::Discard,
            Word::Crash => Status::Crash,
            Word::Keep | Word::Open => Status::Keep,
        };
        if row.status == Status::Keep {
            best = row.score.or(best);
        }
        judged.push(row);
    }
    judged
}

/// Questions a table in which nearly every keep is worse than the one before.
fn question(rows: &[Row], direction: Direction) -> Option<String> {
    let keeps: Vec<Score> = rows.iter().filter(|row| row.status == Status::Keep).filter_map(|row| row.score).collect();
    let gains: Vec<f64> = keeps.windows(2).map(|pair| direction.gain(pair[0], pair[1])).collect();
    let (worse, better) =
        (gains.iter().filter(|gain| **gain < 0.0).count(), gains.iter().filter(|gain| **gain > 0.0).count());
    let (is, other) = match direction {
        Direction::Minimise => ("minimise", "maximise"),
        Direction::Maximise => ("maximise", "minimise"),
    };
    (worse >= QUESTIONED && worse >= 4 * better).then(|| {
        format!(
            "{worse} of {} keeps are worse than the keep before them if the direction is {is}; give --direction {other} if that is \
             the better one, or --direction {is} if it is right all the same",
            gains.len()
        )
    })
}
