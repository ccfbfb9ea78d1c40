//! A right line for every key of `autoresearch.toml`: an error shows it.

/// The least that a configuration needs.
pub const MINIMAL: &str = "editable = [\"src/fast.py\"]

[run]
command = [\"python3\", \"bench.py\"]      # prints `score: 12.5`

[metric]
name = \"score\"
direction = \"minimise\"";

/// Keys, and a line that sets each. A key in several places stands under the last part of its name alone.
const EXAMPLES: &[(&str, &str)] = &[
    ("program", "program = \"program.md\""),
    ("editable", "editable = [\"train.py\", \"src/**\"]"),
    ("locked", "locked = [\"{cache}/data.json\"]"),
    ("build", "[build]\ncommand = [\"cargo\", \"build\", \"--release\"]"),
    ("build.command", "command = [\"cargo\", \"build\", \"--locked\", \"--release\"]"),
    ("build.keeps", "keeps = [\"{target}/release/bench\"]"),
    ("run", "[run]\ncommand = [\"python3\", \"bench.py\"]"),
    ("run.command", "command = [\"python3\", \"bench.py\"]"),
    ("run.repeats", "repeats = 5"),
    ("run.cpus", "cpus = [1]"),
    ("run.pass", "pass = [\"HF_HOME\"]"),
    ("limit_seconds", "limit_seconds = 600"),
    ("workspace", "[workspace]\nshare = [\"data\", \".venv\"]"),
    ("workspace.share", "share = [\"data\", \".venv\", \"~/.cache/autoresearch\"]"),
    ("workspace.copy", "copy = [\"settings.local.json\"]"),
    ("workspace.git", "git = true"),
    ("evaluate", "[evaluate]\ncommand = [\"python3\", \"evaluate.py\"]\ninputs = [\"model.bin\"]"),
    ("evaluate.command", "command = [\"python3\", \"evaluate.py\"]"),
    ("evaluate.inputs", "inputs = [\"model.bin\"]"),
    ("evaluate.share", "share = [\"data/validation\"]"),
    ("guard", "[guard]\ncommand = [\"python3\", \"-m\", \"pytest\", \"-q\"]"),
    ("guard.command", "command = [\"python3\", \"-m\", \"pytest\", \"-q\"]"),
    ("guard.commands", "commands = [[\"cargo\", \"test\", \"-q\"], [\"cargo\", \"clippy\"]]"),
    ("guard.when", "when = \"before\""),
    ("check", "[check]\ncommand = [\"cargo\", \"check\", \"--locked\"]"),
    ("check.command", "command = [\"cargo\", \"check\", \"--locked\"]"),
    ("isolation", "[isolation]\nlevel = \"best-effort\""),
    ("isolation.level", "level = \"best-effort\""),
    ("isolation.read", "read = [\"/data\", \"~/models\"]"),
    ("isolation.write", "write = [\"{target}\"]"),
    ("isolation.pristine", "pristine = [\"{target}\"]"),
    ("isolation.container", "container = \"podman\"\nimage = \"localhost/trainer\""),
    ("isolation.image", "container = \"podman\"\nimage = \"localhost/trainer\""),
    ("isolation.network", "network = [\"pypi.org\", \"*.crates.io\"]"),
    ("limits", "[limits]\nmemory_gb = 16.0"),
    ("limits.memory_gb", "memory_gb = 16.0"),
    ("limits.file_gb", "file_gb = 50.0"),
    ("limits.processes", "processes = 4000"),
    ("environment", "[environment]\nOMP_NUM_THREADS = \"4\""),
    ("metric", "[metric]\nname = \"score\"\ndirection = \"minimise\""),
    ("metric.name", "name = \"score\""),
    ("metric.direction", "direction = \"minimise\""),
    ("metric.unit", "unit = \"ms\""),
    ("metric.kind", "kind = \"number\""),
    ("metric.repeats_of", "repeats_of = \"median\""),
    ("metric.which", "which = \"last\""),
    ("metric.pattern", "pattern = '^best loss: (?<value>\\S+)'"),
    ("metric.file", "file = \"result.json\"\npointer = \"/val/loss\""),
    ("metric.pointer", "file = \"result.json\"\npointer = \"/val/loss\""),
    ("metric.format", "file = \"result\"\npointer = \"/loss\"\nformat = \"yaml\""),
    ("metric.reader", "reader = \"criterion\""),
    ("metric.entry", "reader = \"criterion\"\nentry = \"fib 20\""),
    ("metric.quantity", "quantity = \"max_rss\""),
    ("metric.files", "quantity = \"binary_size\"\nfiles = [\"target/release/app\"]"),
    ("metric.composite", "composite = \"0.7*loss + 0.3*log(latency_ms)\""),
    ("metric.parts", "[metric.parts.latency_ms]\nname = \"latency\"\nunit = \"ms\""),
    ("metric.statistic", "statistic = \"minimum\""),
    ("metric.clock", "clock = \"wall\""),
    ("metric.samples", "samples = 3"),
    ("ratchet", "[ratchet]\nrule = \"noise-aware\""),
    ("ratchet.rule", "rule = \"noise-aware\""),
    ("ratchet.min_gain", "rule = \"strict\"\nmin_gain = 0.001"),
    ("ratchet.baseline", "baseline = 5"),
    ("ratchet.screen", "screen = 1.0"),
    ("ratchet.confirm", "confirm = 3"),
    ("ratchet.confirm_at_most", "confirm_at_most = 9"),
    ("ratchet.alpha", "alpha = 0.1"),
    ("ratchet.false_keeps", "false_keeps = 1.0"),
    ("ratchet.tau", "rule = \"sequential\"\ntau = 1.0"),
    ("ratchet.pairs", "rule = \"strict\"\npairs = 3"),
    ("ratchet.audit", "audit = 2"),
    ("ratchet.line_price", "line_price = 0.00002"),
    ("ratchet.paired", "paired = true"),
    ("ratchet.remeasure_every", "remeasure_every = 10"),
    ("ratchet.objectives", "[ratchet.objectives]\nlatency_ms = { direction = \"minimise\", min_gain = 0.5 }"),
    ("ratchet.limits", "[ratchet.limits]\npeak_vram_mb = { at_most = 40000 }"),
    ("git", "[git]\nbranch = \"research/{tag}\""),
    ("git.branch", "branch = \"research/{tag}\""),
    ("holdout", "[holdout]\ncommand = [\"python3\", \"holdout.py\"]"),
    ("holdout.command", "command = [\"python3\", \"holdout.py\"]"),
    ("holdout.environment", "environment = { HOLDOUT_DATA = \"/data/holdout\" }"),
    ("workers", "[workers]\ncount = 2"),
    ("workers.count", "count = 2"),
    ("workers.devices", "devices = [\"cuda:0\", \"cuda:1\"]"),
    ("workers.ahead", "ahead = true"),
    ("workers.builders", "builders = 2"),
    ("screening", "[screening]\nrungs = [0.2, 0.5]"),
    ("screening.rungs", "rungs = [0.2, 0.5]"),
    ("screening.margin", "margin = 1.0"),
    ("screening.second_margin", "second_margin = 2.0"),
    ("screening.allowance", "allowance = 0.0"),
    ("screening.repeats", "repeats = 2"),
    ("screening.control", "control = 5"),
    ("screening.class", "class = \"small\""),
    ("excursion", "[excursion]\ntolerance = 0.5"),
    ("excursion.after", "after = 20"),
    ("excursion.steps", "steps = 3"),
    ("excursion.tolerance", "tolerance = 0.5"),
    ("constants", "[constants]\nWIDTH = \"64\""),
    ("knobs", "[knobs]\nWIDTH = \"{32, 64, 128}\""),
    ("proposer", "[proposer]\nkind = \"knobs\""),
    ("proposer.kind", "kind = \"claude\""),
    ("proposer.strategy", "kind = \"knobs\"\nstrategy = \"tpe\""),
    ("proposer.margin", "kind = \"merge\"\nmargin = 0.001"),
    ("proposer.journal", "kind = \"replay\"\njournal = \".autoresearch/mar8/journal.jsonl\""),
    ("proposer.name", "kind = \"design\"\nname = \"pair\""),
    ("proposer.factors", "[proposer.factors]\nLR = [\"0.02\", \"0.04\"]"),
    ("proposer.members", "[proposer.members.steps]\nkind = \"knobs\""),
    ("proposer.dollars_per_minute", "dollars_per_minute = 0.04"),
    ("proposer.agent", "kind = \"agent\"\nagent = \"claude-code\""),
    ("proposer.outside", "outside = \"drop\""),
    ("proposer.description", "description = '^SUMMARY: (.*)$'"),
    ("proposer.model", "kind = \"claude\"\nmodel = \"claude-opus-5-5\""),
    ("proposer.max_tokens", "max_tokens = 32000"),
    ("proposer.effort", "effort = \"high\""),
    ("proposer.mode", "mode = \"agentic\""),
    ("proposer.key", "key = { env = \"ANTHROPIC_API_KEY\" }"),
    ("proposer.per_proposal", "[proposer.per_proposal]\ndollars = 2.0"),
    ("proposer.timeouts", "[proposer.timeouts]\nwhole = 600"),
    ("proposer.retry", "[proposer.retry]\npatience = 600"),
    ("stop", "[stop]\nexperiments = 100"),
    ("stop.experiments", "experiments = 100"),
    ("stop.hours", "hours = 8.0"),
    ("stop.target", "target = 10.0"),
    ("stop.plateau", "plateau = 30"),
    ("stop.dollars", "dollars = 20.0"),
    ("stop.tokens", "tokens = 20000000"),
    ("stop.calls", "calls = 2000"),
];

/// Finds the example for a key, or for the key that it is most like.
pub fn example(key: &str) -> Option<&'static str> {
    let exact = |key: &str| EXAMPLES.iter().find(|(name, _)| *name == key).map(|(_, example)| *example);
    let last = key.rsplit('.').next().unwrap_or(key);
    exact(key).or_else(|| exact(last).filter(|_| last.contains('_'))).or_else(|| closest(key).and_then(exact))
}

/// The known key in the same section that differs from a misspelt one in at most two letters.
pub fn closest(key: &str) -> Option<&'static str> {
    let (section, last) = split(key);
    let known = EXAMPLES.iter().map(|(name, _)| *name).filter(|name| split(name).0 == section);
    known
        .map(|name| (strsim::osa_distance(split(name).1, last), name))
        .filter(|(distance, _)| *distance <= 2)
        .min()
        .map(|(_, name)| name)
}

/// Returns whether a key stands outside of all sections, or is a section itself.
pub fn is_top_level(key: &str) -> bool {
    EXAMPLES.iter().any(|(name, _)| *name == key)
}

/// Returns whether a key without a table around it is a table.
pub fn is_section(key: &str) -> bool {
    EXAMPLES.iter().any(|(name, example)| *name == key && example.starts_with('['))
}

fn split(key: &str) -> (&str, &str) {
    key.rsplit_once('.').unwrap_or(("", key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_is_recognised() {
        assert_eq!(closest("stop.experimets"), Some("stop.experiments"));
        assert_eq!(closest("workers.cuont"), Some("workers.count"));
        assert_eq!(closest("run.colour"), None);
        assert_eq!(example("holdout.limit_seconds"), Some("limit_seconds = 600"));
        assert_eq!(example("run.limit_secons"), None, "limit_seconds stands for every section");
    }

    #[test]
    fn every_example_is_toml() {
        for (name, example) in EXAMPLES {
            assert!(example.parse::<toml::Table>().is_ok(), "{name}: {example}");
        }
        assert!(MINIMAL.parse::<toml::Table>().is_ok());
    }
}
