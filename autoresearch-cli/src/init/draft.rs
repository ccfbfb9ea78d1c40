//! The draft of a configuration, and its text.

use std::fmt::Write as _;

use autoresearch_core::Direction;
use autoresearch_metrics::Quantity;

/// Most lines of a configuration that is written for a person to read.
const LINES: usize = 25;

/// The column of the remarks.
const REMARKS: usize = 40;

/// A configuration as it will be written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Draft {
    /// The paths that proposals may change.
    pub editable: Vec<String>,
    /// The build; empty for none.
    pub build: Vec<String>,
    /// The run; empty if it is not known.
    pub run: Vec<String>,
    /// Wall clock of a run in seconds, if it is known.
    pub limit: Option<u64>,
    /// The paths that candidates share.
    pub share: Vec<String>,
    /// Variables.
    pub environment: Vec<(String, String)>,
    /// The walls around candidates.
    pub walls: WallsDraft,
    /// The tests of the repository, which are offered as a guard.
    pub guard: Option<Vec<String>>,
    /// True if the guard is in force, and not only offered.
    pub guarded: bool,
    /// Ranges of values, by name.
    pub knobs: Vec<(String, String)>,
    /// The metric, once it is known.
    pub metric: Option<MetricDraft>,
    /// The proposer.
    pub proposer: ProposerDraft,
    /// Seconds that a trial took.
    pub seconds: Option<f64>,
}

/// The walls of a draft.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum WallsDraft {
    /// Nothing is said of them: this machine has none.
    #[default]
    Unsaid,
    /// Candidates run behind them.
    BestEffort,
    /// The program fails behind them, for this reason.
    None(String),
}

/// The metric of a draft.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MetricDraft {
    /// Its name.
    pub name: String,
    /// The way that is better, if it is known.
    pub direction: Option<Direction>,
    /// True for the time of the run by the lab's clock, in seconds.
    pub wall: bool,
    /// Another quantity of the run that is measured, if one was named.
    pub quantity: Option<Quantity>,
    /// The unit that is printed behind it; empty for none.
    pub unit: String,
    /// The regular expression that finds it, if one was given.
    pub pattern: Option<String>,
    /// The tool that writes it, if one was named; the metric's name is that of its entry.
    pub reader: Option<String>,
    /// The line that it was read from, for a remark.
    pub origin: String,
}

/// The proposer of a draft.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ProposerDraft {
    /// The knob search, with constants to change.
    #[default]
    Knobs,
    /// The knob search, which has nothing to change yet.
    NoKnobs,
    /// An agent that is installed; `true` for one that uses its own login.
    ClaudeCode(bool),
    /// The same for Codex.
    Codex(bool),
    /// A command line that edits the files.
    Command(Vec<String>),
    /// Claude, whose key is set.
    Claude,
    /// OpenAI, whose key is set.
    Openai,
}

impl ProposerDraft {
    /// Its lines.
    fn lines(&self) -> Vec<(String, &'static str)> {
        let line = |text: &str| text.to_owned();
        let mut lines = match self {
            ProposerDraft::Knobs => {
                vec![(line("kind = \"knobs\""), "changes constants in their ranges; asks no model")]
            }
            ProposerDraft::NoKnobs => {
                vec![(line("kind = \"knobs\""), "needs a range in a remark: LR = 0.04  # knob: log 0.004..0.4")]
            }
            ProposerDraft::ClaudeCode(_) => vec![(line("kind = \"agent\""), ""), (line("agent = \"claude-code\""), "")],
            ProposerDraft::Codex(_) => vec![(line("kind = \"agent\""), ""), (line("agent = \"codex\""), "")],
            ProposerDraft::Command(command) => {
                let command = format!("command = {}", list(command));
                vec![
                    (line("kind = \"agent\""), ""),
                    (command, "edits the files"),
                    (line("key = \"login\""), "gets none"),
                ]
            }
            ProposerDraft::Claude => vec![(line("kind = \"claude\""), "asks over the network, with ANTHROPIC_API_KEY")],
            ProposerDraft::Openai => vec![(line("kind = \"openai\""), "asks over the network, with OPENAI_API_KEY")],
        };
        if matches!(self, ProposerDraft::ClaudeCode(true) | ProposerDraft::Codex(true)) {
            lines.push((line("key = \"login\""), "the agent's own"));
        }
        lines
    }

    /// Describes it for a person.
    pub fn describe(&self) -> &'static str {
        match self {
            ProposerDraft::Knobs => "the knob search, over constants with a range",
            ProposerDraft::NoKnobs => {
                "the knob search, which needs constants with a range: `autoresearch knobs` proposes some"
            }
            ProposerDraft::ClaudeCode(_) => "Claude Code, which is installed",
            ProposerDraft::Codex(_) => "Codex, which is installed",
            ProposerDraft::Command(_) => "the command line of --agent",
            ProposerDraft::Claude => "Claude, since ANTHROPIC_API_KEY is set",
            ProposerDraft::Openai => "OpenAI, since OPENAI_API_KEY is set",
        }
    }
}

/// The folder for builds, which all candidates share.
const TARGET: &str = "{target}";

impl Draft {
    /// The keys of `[isolation]`, each with a remark.
    fn isolation(&self) -> Vec<(String, String)> {
        let level = |level: &str, remark: String| (format!("level = {}", string(level)), remark);
        match &self.walls {
            WallsDraft::Unsaid => Vec::new(),
            WallsDraft::None(why) => vec![level("none", format!("behind walls {why}"))],
            WallsDraft::BestEffort => {
                let mut keys = vec![level("best-effort", "walls around candidates, where Linux has them".into())];
                if self.environment.iter().any(|(_, value)| value.starts_with(TARGET)) {
                    let remark = "each finds it as the baseline's build left it".to_owned();
                    keys.push((format!("pristine = {}", list(&[TARGET.to_owned()])), remark));
                }
                keys
            }
        }
    }

    /// The text of the configuration, with remarks. It has at most 25 lines.
    pub fn text(&self) -> String {
        let text = self.text_with(false);
        if text.lines().count() <= LINES { text } else { self.text_with(true) }
    }

    /// The text, with the walls in one line if they are to be `inline`.
    fn text_with(&self, inline: bool) -> String {
        let mut sections: Vec<Vec<String>> = Vec::new();
        let mut section = |lines: Vec<(String, &str)>| {
            sections.push(lines.iter().map(|(line, remark)| remarked(line, remark)).collect())
        };
        let own = |text: &str| text.to_owned();
        let isolation = self.isolation();
        let mut first = vec![
            (own("# Written by `autoresearch init`; every key: docs/configuration.md. What to do: program.md."), ""),
            (format!("editable = {}", list(&self.editable)), "what proposals may change"),
        ];
        if let Some((_, remark)) = isolation.first().filter(|_| inline) {
            let keys: Vec<&str> = isolation.iter().map(|(key, _)| key.as_str()).collect();
            first.push((format!("isolation = {{ {} }}", keys.join(", ")), remark));
        }
        section(first);
        if !self.build.is_empty() {
            section(vec![(own("[build]"), ""), (format!("command = {}", list(&self.build)), "")]);
        }
        let limit = self.limit.unwrap_or(600);
        let took = self.seconds.map_or(String::new(), |seconds| format!("it took {seconds:.1} s"));
        section(vec![
            (own("[run]"), ""),
            (format!("command = {}", list(&self.run)), ""),
            (format!("limit_seconds = {limit}"), &took),
        ]);
        if !self.share.is_empty() {
            section(vec![(own("[workspace]"), "beside the commit"), (format!("share = {}", list(&self.share)), "")]);
        }
        if !self.environment.is_empty() {
            let variables = self.environment.iter().map(|(name, value)| (format!("{name} = {}", string(value)), ""));
            section(std::iter::once((own("[environment]"), "")).chain(variables).collect());
        }
        if !isolation.is_empty() && !inline {
            let keys = isolation.iter().map(|(key, remark)| (key.clone(), remark.as_str()));
            section(std::iter::once((own("[isolation]"), "")).chain(keys).collect());
        }
        match &self.guard {
            Some(guard) if self.guarded => {
                section(vec![(own("[guard]"), "must pass"), (format!("command = {}", list(guard)), "")]);
            }
            Some(guard) => {
                let offer = format!(
                    "# [guard]                               # tests that a candidate must pass\n# command = {}",
                    list(guard)
                );
                section(offer.lines().map(|line| (line.to_owned(), "")).collect());
            }
            None => {}
        }
        if let Some(metric) = &self.metric {
            let direction = match metric.direction {
                Some(Direction::Maximise) => "maximise",
                _ => "minimise",
            };
            let mut lines =
                vec![(own("[metric]"), ""), (format!("name = {}", string(&metric.name)), metric.origin.as_str())];
            lines.push((format!("direction = \"{direction}\""), ""));
            if let Some(pattern) = &metric.pattern {
                lines.push((format!("pattern = {}", string(pattern)), ""));
            }
            if let Some(reader) = &metric.reader {
                lines.push((format!("reader = {}", string(reader)), ""));
                lines.push((format!("entry = {}", string(&metric.name)), ""));
            }
            if let Some(quantity) = metric.quantity {
                lines.push((format!("quantity = {}", string(quantity.name())), ""));
            }
            if !metric.unit.is_empty() {
                lines.push((format!("unit = {}", string(&metric.unit)), ""));
            }
            if metric.wall {
                lines.push((own("kind = \"timing\""), "the lab's clock"));
                lines.extend(["clock = \"wall\"", "unit = \"s\"", "samples = 1"].map(|line| (own(line), "")));
            }
            section(lines);
        }
        section(std::iter::once((own("[proposer]"), "")).chain(self.proposer.lines()).collect());
        if !self.knobs.is_empty() {
            let ranges = self.knobs.iter().map(|(name, range)| (format!("{} = {}", string(name), string(range)), ""));
            section(std::iter::once((own("[knobs]"), "")).chain(ranges).collect());
        }
        let text =
            |between: &str| sections.iter().map(|lines| lines.join("\n")).collect::<Vec<_>>().join(between) + "\n";
        let airy = text("\n\n");
        if airy.lines().count() <= LINES { airy } else { text("\n") }
    }
}

/// A line with a remark behind it.
fn remarked(line: &str, remark: &str) -> String {
    if remark.is_empty() {
        return line.to_owned();
    }
    let remark = remark.replace(['\n', '\r'], " ");
    let mut text = format!("{line:<REMARKS$}");
    let _ = write!(text, "{}# {remark}", if line.chars().count() >= REMARKS { "  " } else { "" });
    text
}

/// A list of strings in TOML.
fn list(items: &[String]) -> String {
    toml::Value::Array(items.iter().cloned().map(toml::Value::String).collect()).to_string()
}

/// A string in TOML.
fn string(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use autoresearch_core::internal::isolation::IsolationLevel;

    #[test]
    fn the_longest_draft_has_25_lines_and_is_read() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let draft = Draft {
            editable: words("src/** lib/**"),
            build: words("cargo bench --no-run"),
            run: words("cargo bench"),
            limit: Some(60),
            share: words("data .venv"),
            environment: vec![("A".into(), "{target}/b\"c".into())],
            walls: WallsDraft::BestEffort,
            guard: Some(words("cargo test")),
            guarded: true,
            metric: Some(MetricDraft {
                name: "time".into(),
                direction: Some(Direction::Minimise),
                wall: true,
                quantity: None,
                unit: String::new(),
                pattern: None,
                reader: None,
                origin: "line 3: `time: 4`".into(),
            }),
            proposer: ProposerDraft::Codex(true),
            knobs: Vec::new(),
            seconds: Some(2.0),
        };
        let text = draft.text();
        assert!(text.lines().count() <= LINES, "{text}");
        let config = Config::from_text("draft", &text).unwrap();
        assert_eq!((config.workspace.share, config.environment["A"].as_str()), (words("data .venv"), "{target}/b\"c"));
        assert_eq!((config.isolation.level, config.isolation.pristine), (IsolationLevel::BestEffort, words(TARGET)));
        let fails = Draft { walls: WallsDraft::None("it fails:\nno \"x\"".into()), ..draft.clone() };
        assert!(Config::from_text("draft", &fails.text()).unwrap().isolation.pristine.is_empty(), "{}", fails.text());
        for proposer in [
            ProposerDraft::Knobs,
            ProposerDraft::NoKnobs,
            ProposerDraft::ClaudeCode(false),
            ProposerDraft::Command(words("sh agent.sh")),
            ProposerDraft::Claude,
            ProposerDraft::Openai,
        ] {
            let text = Draft { proposer, guarded: false, ..draft.clone() }.text();
            assert!(Config::from_text("draft", &text).is_ok() && text.lines().count() <= LINES, "{text}");
        }
    }
}
