//! The roles of a table's columns, found by their names and their cells.

use super::found::{Found, FoundRow};
use super::number::{is_nothing, number};
use super::words::{Word, plain, word, yes_or_no};

// The first name of a kind that the header has is taken.
const COMMIT: &[&str] =
    &["commit", "hash", "sha", "commit_hash", "commit_sha", "git_commit", "git_sha", "revision", "rev"];
const STATUS: &[&str] = &["status", "decision", "verdict", "outcome", "result", "action", "state"];
/// Columns that say yes or no.
const KEPT: &[&str] = &["kept", "keep", "accepted", "accept", "improved", "is_best", "new_best", "adopted"];
const DESCRIPTION: &[&str] = &[
    "description",
    "desc",
    "change",
    "changes",
    "notes",
    "note",
    "comment",
    "comments",
    "summary",
    "message",
    "idea",
    "hypothesis",
    "what",
    "details",
    "experiment_name",
    "run_name",
    "name",
    "title",
    "experiment",
    "config",
    "variant",
];
const MEMORY: &[&str] = &[
    "memory_gb",
    "mem_gb",
    "memory",
    "mem",
    "peak_memory_gb",
    "peak_mem_gb",
    "peak_vram_gb",
    "vram_gb",
    "vram",
    "memory_mb",
    "mem_mb",
    "peak_memory_mb",
    "peak_mem_mb",
    "peak_vram_mb",
    "vram_mb",
];
/// Columns that people add and that hardly decide.
const BESIDE: &[&str] = &[
    "id",
    "n",
    "no",
    "nr",
    "number",
    "num",
    "index",
    "idx",
    "experiment",
    "exp",
    "exp_id",
    "iteration",
    "iter",
    "run",
    "run_id",
    "trial",
    "round",
    "attempt",
    "gen",
    "generation",
    "time",
    "timestamp",
    "ts",
    "date",
    "datetime",
    "created",
    "created_at",
    "runtime",
    "elapsed",
    "duration",
    "duration_s",
    "seconds",
    "training_seconds",
    "total_seconds",
    "wall_time",
    "minutes",
    "step",
    "steps",
    "num_steps",
    "epoch",
    "epochs",
    "seed",
    "seeds",
    "params",
    "num_params",
    "num_params_m",
    "params_m",
    "depth",
    "lr",
    "batch_size",
    "total_tokens_m",
    "lines",
    "loc",
    "segment",
    "phase",
    "parent",
    "island",
    "delta",
    "change_pct",
    "delta_pct",
    "improvement",
    "confidence",
    "mfu",
    "mfu_percent",
    "cost",
    "cost_usd",
    "memory",
    "noise",
    "std",
    "stderr",
    "baseline",
    "baseline_value",
    "previous",
    "before",
    "best",
    "best_so_far",
    "port",
    "pid",
    "gpu",
    "tokens",
];

/// A table of texts: its header and its rows with their lines.
pub struct Cells {
    /// The names of the columns; empty if the table has no header.
    pub header: Vec<String>,
    pub rows: Vec<(usize, Vec<String>)>,
    /// The separator that joins what an unquoted one in a last column cut off.
    pub separator: &'static str,
}

/// The position of each role.
#[derive(Debug, Default)]
struct Roles {
    commit: Option<usize>,
    status: Option<(usize, Reader)>,
    memory: Option<(usize, f64)>,
    description: Option<usize>,
    metrics: Vec<usize>,
}

type Reader = fn(&str) -> Option<Word>;

impl Cells {
    /// Finds the roles, and reads the rows. `wanted` is the metric's column if a person named it: then it has no other role.
    pub fn read(mut self, format: &str, wanted: Option<&str>) -> Found {
        let width = self.rows.iter().map(|(_, cells)| cells.len()).max().unwrap_or(0);
        let is_karpathy = self.header.is_empty() && (4..=5).contains(&width);
        if is_karpathy {
            self.header = ["commit", "val_bpb", "memory_gb", "status", "description"].map(str::to_owned).into();
        } else if self.header.is_empty() {
            self.header = (1..=width).map(|column| format!("column {column}")).collect();
        }
        let roles = self.roles(wanted, is_karpathy);
        let mut found = Found::of(format);
        found.has_status = roles.status.is_some();
        for at in &roles.metrics {
            found.add_metric(&self.header[*at], None);
        }
        for (line, cells) in &self.rows {
            match self.row(&roles, *line, cells) {
                Ok(row) => found.rows.push(row),
                Err(why) => found.problem(*line, format!("{why}; the row is left out")),
            }
        }
        found
    }

    fn cells(&self, at: usize) -> impl Iterator<Item = &str> {
        self.rows
            .iter()
            .filter_map(move |(_, cells)| cells.get(at))
            .map(String::as_str)
            .filter(|cell| !is_nothing(cell))
    }

    /// True if most cells of a column are numbers. A text is never a metric.
    fn is_numeric(&self, at: usize) -> bool {
        let (all, numbers) = (self.cells(at).count(), self.cells(at).filter(|cell| number(cell).is_some()).count());
        numbers > 0 && 2 * numbers >= all
    }

    fn roles(&self, wanted: Option<&str>, is_karpathy: bool) -> Roles {
        let names: Vec<String> = self.header.iter().map(|name| plain(name)).collect();
        let metric = wanted.and_then(|wanted| {
            let exactly = self.header.iter().position(|name| name == wanted);
            exactly.or_else(|| names.iter().position(|name| !name.is_empty() && *name == plain(wanted)))
        });
        let find = |kind: &[&str], fits: &dyn Fn(usize) -> bool| {
            kind.iter()
                .find_map(|name| (0..names.len()).find(|at| names[*at] == *name && Some(*at) != metric && fits(*at)))
        };
        let understood = |at: usize, reader: Reader| {
            let (all, known) = (self.cells(at).count(), self.cells(at).filter(|cell| reader(cell).is_some()).count());
            known > 0 && 2 * known >= all
        };
        // A column `result` may be the number, and one `state` a place.
        let status = find(STATUS, &|at| understood(at, word)).map(|at| (at, word as Reader));
        let status = status.or_else(|| find(KEPT, &|at| understood(at, yes_or_no)).map(|at| (at, yes_or_no as Reader)));
        // Without a name the words tell.
        let unnamed =
            || (0..names.len()).find(|at| !self.is_numeric(*at) && understood(*at, word) && self.is_decisive(*at));
        let status = status.or_else(|| if is_karpathy { Some(3) } else { unnamed() }.map(|at| (at, word as Reader)));
        let is_text = |at: usize| !self.is_numeric(at) && status.is_none_or(|(status, _)| status != at);
        let commit = find(COMMIT, &|_| true);
        let memory = find(MEMORY, &|at| self.is_numeric(at));
        let per_gigabyte = |at: usize| if names[at].ends_with("_mb") { 1024.0 } else { 1.0 };
        let described = find(DESCRIPTION, &|at| is_text(at) && self.cells(at).count() > 0);
        // A table without such a name: its last text.
        let last_text =
            || (0..names.len()).rev().find(|at| is_text(*at) && Some(*at) != commit && self.cells(*at).count() > 0);
        let description = described.or_else(last_text);
        let taken = [commit, memory, status.map(|(at, _)| at), description];
        let mut metrics: Vec<usize> = (0..names.len())
            .filter(|at| !names[*at].is_empty() && !taken.contains(&Some(*at)) && self.is_numeric(*at))
            .filter(|at| !COMMIT.contains(&names[*at].as_str()))
            .collect();
        // A number of the training data hardly decides.
        let is_training = |at: usize| names[at].split('_').any(|word| word == "train" || word == "training");
        metrics.sort_by_key(|at| (Some(*at) != metric, BESIDE.contains(&names[*at].as_str()), is_training(*at)));
        Roles { commit, status, memory: memory.map(|at| (at, per_gigabyte(at))), description, metrics }
    }

    /// True if a column has a keep or a baseline among its words: `error` alone may be a message.
    fn is_decisive(&self, at: usize) -> bool {
        self.cells(at).any(|cell| matches!(word(cell), Some(Word::Keep | Word::Baseline | Word::Discard)))
    }

    fn row(&self, roles: &Roles, line: usize, cells: &[String]) -> Result<FoundRow, String> {
        let cell = |at: usize| cells.get(at).map_or("", String::as_str);
        let mut row = FoundRow::at(line);
        if let Some((at, reader)) = roles.status {
            if cells.len() <= at {
                return Err(format!(
                    "{} of {} columns, and none of them is the status; separate all columns alike",
                    cells.len(),
                    self.header.len()
                ));
            }
            row.recorded = cell(at).to_owned();
            row.word = reader(&row.recorded);
        }
        row.commit = roles.commit.map(cell).filter(|commit| !commit.is_empty()).unwrap_or("-").to_owned();
        row.memory_gb =
            roles.memory.and_then(|(at, per)| Some(number(cell(at))?.value / per)).filter(|memory| *memory > 0.0);
        row.description = match roles.description {
            // The last column has what an unquoted separator in it cut off.
            Some(at) if at + 1 == self.header.len() => cells.get(at..).unwrap_or_default().join(self.separator),
            Some(at) => cell(at).to_owned(),
            None => String::new(),
        };
        row.values = roles.metrics.iter().map(|at| (self.header[*at].clone(), cell(*at).to_owned())).collect();
        Ok(row)
    }
}
