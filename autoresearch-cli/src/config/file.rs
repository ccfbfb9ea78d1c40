//! The whole of `autoresearch.toml`, one field for each section.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use autoresearch_core::{Budget, EditablePaths, Metric, ResultFiles};
use schemars::JsonSchema;
use serde::Deserialize;

use super::error::ConfigError;
use super::evaluate::EvaluateSection;
use super::excursion::ExcursionSection;
use super::git::GitSection;
use super::guard::GuardSection;
use super::holdout::HoldoutSection;
use super::isolation::IsolationSection;
use super::limits::LimitsSection;
use super::metric::MetricSection;
use super::proposer::ProposerSection;
use super::ratchet::RatchetSection;
use super::run::{BuildSection, CheckSection, RunSection};
use super::screening::ScreeningSection;
use super::source::Source;
use super::stop::StopSection;
use super::workers::WorkersSection;
use super::workspace::WorkspaceSection;

/// The whole file. Unknown keys are errors: a misspelt limit must not be a limit that is silently missing.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The file with the human's programme, relative to the repository's root.
    #[serde(default = "program_md")]
    pub program: PathBuf,
    /// The paths that proposals may change, as they are written.
    #[serde(rename = "editable")]
    pub editable_paths: Vec<String>,
    /// The build; none by default.
    #[serde(default)]
    pub build: BuildSection,
    /// The run.
    pub run: RunSection,
    /// The check of a patch of a model or an agent; none by default.
    #[serde(default)]
    pub check: CheckSection,
    /// The command that measures what the run leaves; by default the metric reads what the run prints.
    pub evaluate: Option<EvaluateSection>,
    /// The commands that a candidate must pass; none by default.
    pub guard: Option<GuardSection>,
    /// Files and folders that a candidate needs beside the commit; none by default.
    #[serde(default)]
    pub workspace: WorkspaceSection,
    /// The walls around each command; none by default.
    #[serde(default)]
    pub isolation: IsolationSection,
    /// The limits of each command; none by default.
    #[serde(default)]
    pub limits: LimitsSection,
    /// Variables of the build and the run. A variable that is set outside wins, as in cargo's `[env]`.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Files and folders outside the repository that decide the number, such as the data's manifest.
    #[serde(default)]
    pub locked: Vec<String>,
    /// The preset's name, which placeholders may use; empty without one.
    #[serde(skip)]
    pub preset: String,
    /// The number that decides.
    pub metric: MetricSection,
    /// The rule of acceptance.
    #[serde(default)]
    pub ratchet: RatchetSection,
    /// The sealed holdout; none by default.
    #[serde(default)]
    pub holdout: HoldoutSection,
    /// The workers; one by default.
    #[serde(default)]
    pub workers: WorkersSection,
    /// Short trials before the full budget; none by default.
    pub screening: Option<ScreeningSection>,
    /// Side lines that leave the incumbent; none by default.
    pub excursion: Option<ExcursionSection>,
    /// Constants of the editable files that the search starts from, as literals.
    #[serde(default)]
    pub constants: BTreeMap<String, String>,
    /// Search ranges by constant, instead of those in the source. Those of the programme come before these.
    #[serde(default)]
    pub knobs: BTreeMap<String, String>,
    /// The proposer; knob search by default. Read by its kind, so that its errors have lines, too.
    #[serde(skip)]
    pub proposer: ProposerSection,
    /// The conditions that end a run; none by default.
    #[serde(default)]
    pub stop: StopSection,
    /// The names in the repository.
    #[serde(default)]
    pub git: GitSection,
    /// The text that all this was read from.
    #[serde(skip)]
    pub(super) source: Source,
    /// Belongs to the preparation of the data.
    #[serde(default, rename = "workload")]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    _workload: toml::Table,
}

fn program_md() -> PathBuf {
    "program.md".into()
}

impl Config {
    /// The paths that proposals may change.
    pub fn editable(&self) -> EditablePaths {
        EditablePaths::new(self.editable_paths.iter().cloned())
    }

    /// The files and folders beside the commit that decide the number, as they are written: those of `locked`, and the data of an
    /// evaluation.
    pub fn deciding_files(&self) -> impl Iterator<Item = &String> {
        self.locked.iter().chain(self.evaluate.iter().flat_map(|evaluate| &evaluate.share))
    }

    /// The variables that trials see, by their names, with the key that names each.
    pub fn variables_of_trials(&self) -> BTreeMap<String, String> {
        let written = self.environment.keys().map(|name| (name.clone(), format!("environment.{name}")));
        let passed = self.run.pass.iter().map(|name| (name.clone(), "run.pass".to_owned()));
        passed.chain(written).collect()
    }

    /// The number of times that one trial prints the number: an evaluation does so once.
    fn printed_repeats(&self) -> u32 {
        if self.evaluate.is_some() { 1 } else { self.run.repeats }
    }

    /// The number that decides, as the lab reads it.
    pub fn metric(&self) -> Result<Arc<dyn Metric>, ConfigError> {
        self.metric.metric(self.printed_repeats()).map_err(|error| self.locate(error))
    }

    /// The files of a run that the metric reads or counts.
    pub fn results(&self) -> ResultFiles {
        self.metric.results(&self.editable_paths)
    }

    /// The limits of one trial.
    pub fn budget(&self) -> Budget {
        Budget { run: self.run.limit_seconds.0, build: self.build.limit_seconds.0 }
    }
}
