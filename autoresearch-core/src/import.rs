//! Reads the table of results of another program, in karpathy's five columns or similar ones, as a run.
//!
//! Such tables are written by hand or by an agent, so their spelling is not to be relied on. Rows that are understood are taken;
//! the others are named with their line, and never guessed. Cells are split here and not by the `csv` crate: to it an opening
//! quote may swallow all lines below, and a quote after a space is none, while both are common in tables written by hand.

use crate::experiment_id::ExperimentId;
use crate::journal::{Decision, Record, RunHeader, StagedExperiment, TrialResult, TrialStart};
use crate::metric::{Direction, Measurement, Score};
use crate::policy::Policy;
use crate::ratchet::Side;
use crate::sandbox::{Candidate, Outcome, Revision, RunLog};
use crate::state::{State, Status};

/// The name of the only entry in the policy of imported runs. Nothing is known of what decided their numbers, so none can be
/// resumed.
const POLICY: &str = "imported";

// The first name of a kind that the header has is taken.
const COMMIT: &[&str] = &["commit", "hash", "sha", "commit_hash", "commit_sha", "revision"];
const STATUS: &[&str] = &["status", "decision", "verdict", "outcome", "result"];
const DESCRIPTION: &[&str] = &["description", "desc", "change", "notes", "note", "comment", "summary"];
const MEMORY: &[&str] = &[
    "memory_gb",
    "mem_gb",
    "memory",
    "mem",
    "peak_memory_gb",
    "peak_vram_gb",
    "vram_gb",
    "vram",
    "memory_mb",
    "mem_mb",
    "peak_memory_mb",
    "peak_vram_mb",
    "vram_mb",
];
/// Columns that people add and that are hardly what decides.
const BESIDE: &[&str] =
    &["id", "n", "no", "nr", "number", "experiment", "exp", "iteration", "iter", "run", "time", "timestamp", "date"];

const KEEP: &[&str] = &["keep", "keeps", "kept", "keeping", "accept", "accepted", "improved"];
const DISCARD: &[&str] =
    &["discard", "discards", "discarded", "revert", "reverted", "reject", "rejected", "dropped", "worse"];
const CRASH: &[&str] =
    &["crash", "crashed", "crashes", "oom", "outofmemory", "timeout", "timedout", "fail", "failed", "error", "errored"];
/// Texts that stand for a missing number.
const NOTHING: &[&str] = &["", "-", "--", "n/a", "na", "none", "null"];

/// The run that a table tells of.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Imported {
    /// The metric's name.
    pub metric: String,
    /// The experiments in the table's order. The first is a keep, the baseline, and every keep has a score.
    pub rows: Vec<Row>,
    /// Rows that were not understood, by line.
    pub problems: Vec<Problem>,
}

/// One experiment as it was recorded.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Row {
    /// The row's line in the table, from 1.
    pub line: usize,
    /// The commit, `-` if none is named.
    pub commit: String,
    /// The number; a crash has none.
    pub score: Option<Score>,
    /// The peak memory in gigabytes, if it was noted.
    pub memory_gb: Option<f64>,
    /// The decision.
    pub status: Status,
    /// The decision in the table's own spelling.
    pub recorded: String,
    /// The description, in one line.
    pub description: String,
}

/// A row that was not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The line in the table, from 1.
    pub line: usize,
    /// The fault, and the fate of the row.
    pub why: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

/// Reads a table, separated by tabs, or by commas if its first line has no tab.
///
/// The columns are found by the names in the header; without a header they are karpathy's. `metric` names the column that
/// decides; by default that is the first column that no other role claims.
///
/// ```
/// use autoresearch_core::Status;
/// use autoresearch_core::internal::import;
/// let table = import::parse("commit\tval_bpb\tstatus\na1b2c3d\t0.9979\tkeep\nb2c3d4e\t\tOOM\n", None);
/// assert_eq!(table.metric, "val_bpb");
/// assert_eq!(table.rows[1].status, Status::Crash);
/// assert!(table.problems.is_empty());
/// ```
pub fn parse(text: &str, metric: Option<&str>) -> Imported {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()).peekable();
    let mut found = Imported { metric: metric.unwrap_or("val_bpb").into(), rows: vec![], problems: vec![] };
    let Some(&(number, first)) = lines.peek() else { return found };
    let commas = !first.contains('\t') && first.contains(',');
    let columns = match Columns::of_header(&split(first, commas), metric) {
        None => Columns::karpathy(),
        Some(Ok((columns, name))) => {
            lines.next();
            found.metric = name;
            columns
        }
        Some(Err(why)) => {
            found.problems.push(Problem { line: number, why });
            return found;
        }
    };
    for (line, text) in lines {
        let cells = split(text, commas);
        if cells.is_empty() {
            continue;
        }
        let mut problem = |why| found.problems.push(Problem { line, why });
        match columns.row(line, &cells, if commas { ", " } else { " " }) {
            Ok(row) => {
                if row.status == Status::Discard && row.score.is_none() {
                    problem("a discard without a number; it is taken without a score".into());
                }
                found.rows.push(row);
            }
            Err(why) => problem(format!("{why}; the row is left out")),
        }
    }
    // Whatever comes before the baseline was compared with nothing.
    let baseline = found.rows.iter().position(|row| row.status == Status::Keep).unwrap_or(found.rows.len());
    for row in found.rows.drain(..baseline) {
        let why = format!(
            "a {} before the first keep, which is the baseline, was compared with nothing; the row is left out",
            row.status
        );
        // A discard without a number has been named already; this says more.
        found.problems.retain(|problem| problem.line != row.line);
        found.problems.push(Problem { line: row.line, why });
    }
    found.problems.sort_by_key(|problem| problem.line);
    found
}

/// The cells of a line, without white space around them and without empty ones at the end.
fn split(line: &str, commas: bool) -> Vec<String> {
    let mut cells: Vec<String> = match commas {
        true => split_commas(line),
        false => line.split('\t').map(str::to_owned).collect(),
    };
    for cell in &mut cells {
        // A control character, which a terminal would obey, is no part of a text.
        *cell = cell.replace(char::is_control, " ").trim().to_owned();
    }
    let filled = cells.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1);
    cells.truncate(filled);
    cells
}

/// Splits at commas outside of quotes. A quoted cell ends with its line.
fn split_commas(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        let Some(cell) = cells.last_mut() else { break };
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => cell.extend(characters.next()),
            '"' if quoted => quoted = false,
            '"' if cell.trim().is_empty() => quoted = true,
            ',' if !quoted => cells.push(String::new()),
            other => cell.push(other),
        }
    }
    cells
}

/// A column's name without what differs by habit: `Memory (GB)` is `memory_gb`.
fn plain(name: &str) -> String {
    let words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("_").to_lowercase()
}

/// The decision in any of its spellings; a remark may follow in brackets, or after a comma, colon, semicolon or dash.
fn status(text: &str) -> Option<Status> {
    let end = [text.find(['(', '[', ',', ';', ':', '–', '—']), text.find(" -")].into_iter().flatten().min();
    let word: String = text[..end.unwrap_or(text.len())].chars().filter(|c| c.is_alphabetic()).collect();
    let word = word.to_lowercase();
    let kinds = [(KEEP, Status::Keep), (DISCARD, Status::Discard), (CRASH, Status::Crash)];
    kinds.into_iter().find(|(words, _)| words.contains(&word.as_str())).map(|(_, status)| status)
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// The position of each role in a row.
struct Columns {
    commit: Option<usize>,
    metric: usize,
    /// With the size of a gigabyte in the column's unit.
    memory: Option<(usize, f64)>,
    status: usize,
    description: Option<usize>,
    /// The number of columns in the header.
    width: usize,
}

impl Columns {
    fn karpathy() -> Columns {
        Columns { commit: Some(0), metric: 1, memory: Some((2, 1.0)), status: 3, description: Some(4), width: 5 }
    }

    /// The columns that a header names, and the metric's name; `None` if this is no header.
    fn of_header(cells: &[String], wanted: Option<&str>) -> Option<Result<(Columns, String), String>> {
        let names: Vec<String> = cells.iter().map(|cell| plain(cell)).collect();
        let wanted_at = wanted.map(|wanted| {
            let exactly = cells.iter().position(|cell| cell == wanted);
            exactly.or_else(|| names.iter().position(|name| !name.is_empty() && *name == plain(wanted)))
        });
        let metric = wanted_at.flatten();
        let find = |kind: &[&str]| {
            kind.iter().find_map(|wanted| (0..names.len()).find(|at| names[*at] == *wanted && Some(*at) != metric))
        };
        let (commit, memory, status, description) = (find(COMMIT), find(MEMORY), find(STATUS), find(DESCRIPTION));
        let known = [commit, memory, status, description, metric].iter().flatten().count();
        if cells.iter().any(|cell| number(cell).is_some()) || (status.is_none() && known < 2) {
            return None;
        }
        let listed = || cells.iter().map(|cell| format!("`{cell}`")).collect::<Vec<_>>().join(", ");
        let Some(status) = status else {
            return Some(Err(format!(
                "no column is named `status`, so there are no decisions to read (the columns are {}); rename the one \
                 that says keep or discard",
                listed()
            )));
        };
        let taken = [commit, memory, Some(status), description];
        let rank = |at: &usize| {
            let named = |kinds: &[&[&str]]| kinds.iter().any(|kind| kind.contains(&names[*at].as_str()));
            if named(&[COMMIT, MEMORY, STATUS, DESCRIPTION]) { 2 } else { usize::from(named(&[BESIDE])) }
        };
        let free = (0..cells.len()).filter(|at| !cells[*at].is_empty() && !taken.contains(&Some(*at)));
        let metric = match wanted_at {
            Some(at) => at,
            None => free.min_by_key(rank),
        };
        let Some(metric) = metric else {
            let which = wanted.map_or("is left for the metric".into(), |name| format!("is named `{name}`"));
            return Some(Err(format!("no column {which}; name one of {} with --metric", listed())));
        };
        let per_gigabyte = |at: usize| if names[at].ends_with("_mb") { 1024.0 } else { 1.0 };
        let memory = memory.map(|at| (at, per_gigabyte(at)));
        let width = cells.len();
        Some(Ok((Columns { commit, metric, memory, status, description, width }, cells[metric].clone())))
    }

    fn row(&self, line: usize, cells: &[String], separator: &str) -> Result<Row, String> {
        let cell = |at: usize| cells.get(at).map_or("", String::as_str);
        if cells.len() <= self.status {
            return Err(format!(
                "{} of {} columns, and none of them is the status; separate all columns by one tab each",
                cells.len(),
                self.width
            ));
        }
        let recorded = cell(self.status).to_owned();
        let status =
            status(&recorded).ok_or_else(|| format!("the status `{recorded}` is no keep, discard or crash"))?;
        let text = cell(self.metric);
        let score = match status {
            // Zero and empty stand for no number here, and what a crashed run printed does not count.
            Status::Crash => None,
            Status::Keep | Status::Discard if NOTHING.contains(&text.to_lowercase().as_str()) => None,
            Status::Keep | Status::Discard => {
                let score = number(text).and_then(Score::new);
                Some(score.ok_or_else(|| format!("the metric `{text}` is no finite number"))?)
            }
        };
        if status == Status::Keep && score.is_none() {
            return Err("a keep without a number, which nothing could be compared with".into());
        }
        let memory_gb = self.memory.and_then(|(at, per)| Some(number(cell(at)).filter(|n| *n > 0.0)? / per));
        let description = match self.description {
            // The last column has what an unquoted separator in it cut off.
            Some(at) if at + 1 == self.width => cells.get(at..).unwrap_or_default().join(separator),
            Some(at) => cell(at).to_owned(),
            None => String::new(),
        };
        let commit = self.commit.map(cell).filter(|commit| !commit.is_empty()).unwrap_or("-").to_owned();
        Ok(Row { line, commit, score, memory_gb, status, recorded, description })
    }
}

impl Imported {
    /// The records of such a run, in the order in which a run writes them. Nothing is judged anew.
    pub fn records(&self, tag: &str, direction: Direction) -> Vec<Record> {
        let policy = Policy::new().with(POLICY, true);
        let mut records =
            vec![Record::Started(RunHeader { policy, ..RunHeader::new(tag, self.metric.as_str(), direction) })];
        let mut incumbent: Option<Revision> = None;
        for (experiment, row) in (0..).map(ExperimentId).zip(&self.rows) {
            let revision = Revision(row.commit.clone());
            // Two rows never count as the same code: the table does not say that they are.
            let fingerprint = format!("{POLICY}, line {}", row.line);
            let reason = format!("recorded as {}", row.recorded);
            let candidate = Candidate { revision: revision.clone(), fingerprint, added_lines: 0 };
            records.push(Record::Staged(StagedExperiment {
                description: row.description.clone(),
                ..StagedExperiment::new(experiment, incumbent.clone(), candidate)
            }));
            records.push(Record::TrialStarted(TrialStart::new(experiment, 1, Side::Candidate)));
            let outcome = match row.status {
                Status::Crash => Outcome::Crashed { message: reason.clone(), log: RunLog::default() },
                Status::Keep | Status::Discard => Outcome::Completed(RunLog::default()),
            };
            // Under the name from which the table of a run takes it.
            let secondary = row.memory_gb.map(|gigabytes| ("peak_vram_mb".to_owned(), gigabytes * 1024.0));
            let result = row
                .score
                .map(|score| Measurement { secondary: secondary.into_iter().collect(), ..Measurement::new(score) });
            let result = result.ok_or_else(|| "the table has no number".into());
            records.push(Record::TrialMeasured(TrialResult::new(experiment, 1, Side::Candidate, outcome, result)));
            let kept_as = (row.status == Status::Keep).then_some(revision);
            let decision = Decision::new(experiment, row.status);
            records.push(Record::Decided(Decision { reason, kept_as: kept_as.clone(), ..decision }));
            if kept_as.is_some() {
                records.push(Record::Adopted { experiment });
                incumbent = kept_as;
            }
        }
        records.push(Record::Stopped { reason: "the imported table ends here".into() });
        records
    }
}

/// True if the run was imported. An imported run can be reported, but not resumed.
pub fn is_imported(state: &State) -> bool {
    state.header.as_ref().is_some_and(|header| header.policy.get(POLICY).is_some())
}

#[cfg(test)]
mod tests;
