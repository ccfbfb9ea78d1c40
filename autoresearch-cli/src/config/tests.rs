use std::time::Duration;

use toml::Value;

use super::*;
use autoresearch_core::internal::metric::Repeats;

const MINIMAL: &str = "editable = ['a']\n[run]\ncommand = ['./run']\n[metric]\nname = 'ms'\ndirection = 'minimise'\n";

fn read(text: &str, preset: Option<&str>) -> Result<Config, ConfigError> {
    read_with(text, preset, &toml::Table::new())
}

fn read_with(text: &str, preset: Option<&str>, arguments: &toml::Table) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("autoresearch.toml");
    std::fs::create_dir(folder.path().join("presets")).unwrap();
    std::fs::write(folder.path().join("presets/fast.toml"), "[run]\nlimit_seconds = 5\n[workload]\nx = 1\n").unwrap();
    std::fs::write(&path, text).unwrap();
    Config::read(&path, preset, arguments)
}

#[test]
fn a_preset_lays_over_the_file() {
    let config = read(MINIMAL, Some("fast")).unwrap();
    assert_eq!(config.budget().run, Duration::from_secs(5));
    assert_eq!(config.run.command, ["./run"]);
    assert!(read(MINIMAL, Some("slow")).unwrap_err().to_string().contains("there are: fast"));
}

#[test]
fn mistakes_are_named() {
    for (text, word) in [
        ("editable = [", "this is not TOML"),
        ("editable = ['a']\n[metric]\nname='x'\ndirection='minimise'\n", "[run] is missing"),
        (&format!("{MINIMAL}[stop]\nexperimets = 3\n"), "experimets"),
        (
            &format!("{MINIMAL}[git]\nbranch = 'research'\n"),
            "[git] branch is \"research\", so that all runs would share",
        ),
        (&format!("{MINIMAL}[git]\nbranch = 'a..b/{{tag}}'\n"), "which git takes for no name of a branch"),
        (&format!("{MINIMAL}[ratchet]\nrule = 'strict'\nmin_gain = -1\n"), "min_gain"),
        (&format!("{MINIMAL}[ratchet]\nmin_gain = 1\n"), "belongs to rule = 'strict'"),
        (&format!("{MINIMAL}[ratchet]\nrule = 'sequential'\nconfirm = 3\n"), "belongs to rule = 'noise-aware'"),
        (&format!("{MINIMAL}[ratchet]\nrule = 'lucky'\n"), "lucky"),
        (&format!("{MINIMAL}[ratchet]\nalpha = 0.7\n"), "alpha"),
        (&format!("{MINIMAL}[ratchet]\nbaseline = 1\n"), "baseline"),
        (&format!("{MINIMAL}[ratchet]\nconfirm = 5\nconfirm_at_most = 4\n"), "confirm_at_most"),
        (&format!("{MINIMAL}[screening]\nrungs = []\n"), "[screening] rungs is empty"),
        (&format!("{MINIMAL}[screening]\nrungs = [20]\n"), "between 0 and 1"),
        (&format!("{MINIMAL}[screening]\nrungs = [0.5, 0.2]\n"), "rising"),
        (&format!("{MINIMAL}[screening]\nmargin = 1\n"), "rungs"),
        (&format!("{MINIMAL}[screening]\nrungs = [0.2]\nrepeats = 1\n"), "at least 2"),
        (&format!("{MINIMAL}[screening]\nrungs = [0.2]\nsecond_margin = 0.5\n"), "at least the margin"),
        (&format!("{MINIMAL}[excursion]\nafter = 10\n"), "tolerance"),
        (&format!("{MINIMAL}[excursion]\ntolerance = -1\n"), "[excursion] tolerance is -1"),
        (&format!("{MINIMAL}[excursion]\ntolerance = 1\nsteps = 0\n"), "steps is 0"),
        (&format!("{MINIMAL}[limits]\nmemory_gb = 0\n"), "memory_gb"),
        (&format!("{MINIMAL}samples = 3\n"), "belongs to kind = 'timing'"),
        (&format!("{MINIMAL}kind = 'timing'\nsamples = 0\n"), "samples"),
        (&format!("{MINIMAL}kind = 'timing'\nclock = 'wall'\nunit = 'moons'\n"), "moons"),
        (&format!("{MINIMAL}kind = 'timing'\n").replace("minimise", "maximise"), "shorter"),
        (&format!("{MINIMAL}[ratchet]\nrule = 'ladder'\n"), "kind = 'items'"),
        (&format!("{MINIMAL}[holdout]\ncommand = ['x']\nlimit_seconds = 0\n"), "[holdout]"),
        (&MINIMAL.replace("['./run']", "['./run']\ncpus = [5000]"), "CPU 5000"),
        (&MINIMAL.replace("['./run']", "['./run']\nrepeats = 0"), "repeats"),
        (&format!("{MINIMAL}[ratchet.limits]\nvram = {{ most = 3 }}\n"), "most"),
        (&MINIMAL.replace("['./run']", "[]"), "command"),
        (&MINIMAL.replace("minimise", "down"), "down"),
        (&format!("typo = 1\n{MINIMAL}"), "typo"),
        (&format!("{MINIMAL}[stop]\ndollars = -1\n"), "dollars"),
        (&format!("{MINIMAL}[proposer]\nkind = 'psychic'\n"), "psychic"),
        (&format!("{MINIMAL}[proposer]\nkind = 'knobs'\nmodel = 'x'\n"), "model"),
        (&format!("{MINIMAL}[proposer]\nkind = 'claude'\nmodell = 'x'\n"), "modell"),
        (&format!("{MINIMAL}[proposer]\nkind = 'claude'\neffort = 'heroic'\n"), "heroic"),
        (&format!("{MINIMAL}[proposer]\nkind = 'openai'\nkey = {{ environment = 'X' }}\n"), "environment"),
        (&format!("{MINIMAL}[proposer]\nkind = 'openai'\ntimeouts = {{ whole = 0 }}\n"), "timeouts"),
        (
            &format!("{MINIMAL}[environment]\nMY_KEY = ''\n[proposer]\nkind = 'openai'\nkey = {{ env = 'MY_KEY' }}\n"),
            "MY_KEY",
        ),
    ] {
        let error = read(text, None).unwrap_err().to_string();
        assert!(error.contains(word), "{text}: {error}");
    }
}

#[test]
fn a_model_is_configured() {
    let text = format!(
        "{MINIMAL}[proposer]\nkind = 'claude'\nmodel = 'claude-haiku-5-5'\neffort = 'high'\nmode = 'agentic'\n\
         key = {{ file = '/run/key' }}\nthinking = {{ type = 'adaptive' }}\ncache = '1h'\n\
         [proposer.per_proposal]\ndollars = 2\n[proposer.prices.own]\ninput = 1\noutput = 2\n[stop]\ndollars = 5\n"
    );
    let config = read(&text, None).unwrap();
    assert_eq!(config.stop.dollars, Some(5.0));
    let ProposerSection::Claude(settings) = config.proposer else { panic!("{:?}", config.proposer) };
    assert_eq!(settings.model, "claude-haiku-5-5");
    assert_eq!(settings.options.per_proposal.dollars, Some(2.0));
    assert_eq!(settings.options.prices["own"].output, 2.0);
}

/// The message for a configuration, without the folder that it lies in.
fn message(text: &str, preset: Option<&str>, arguments: &toml::Table) -> String {
    let message = read_with(text, preset, arguments).unwrap_err().to_string();
    let start = message.find("autoresearch.toml:").or(message.find("presets/fast.toml:")).unwrap_or(0);
    message[start..].to_owned()
}

#[test]
fn an_error_has_its_line_what_is_allowed_and_an_example() {
    let none = toml::Table::new();
    for (text, expected) in [
        (
            format!("{MINIMAL}[stop]\nhours = -8.0\n"),
            "autoresearch.toml:8: [stop] hours is -8; give a positive number of hours, such as 8\n  8 | hours = -8.0\n  for \
             example:\n    hours = 8.0",
        ),
        (
            format!("{MINIMAL}[stop]\nexperimets = 3\n"),
            "autoresearch.toml:8: [stop] experimets is not a known key; do you mean experiments? Allowed are: experiments, \
             hours, target, plateau, dollars, tokens, calls\n  8 | experimets = 3\n  for example:\n    experiments = 100",
        ),
        (
            format!("{MINIMAL}[ratchet]\n\nalpha = 0.7\n"),
            "autoresearch.toml:9: [ratchet] alpha is 0.7; give a number of at least 0.000001 and at most 0.5\n  9 | alpha = \
             0.7\n  for example:\n    alpha = 0.1",
        ),
        (
            MINIMAL.replace("['./run']", "['./run']\nlimit_seconds = '5m'"),
            "autoresearch.toml:4: [run] limit_seconds: invalid type: string \"5m\", expected a positive number of seconds\n  4 \
             | limit_seconds = '5m'\n  for example:\n    limit_seconds = 600",
        ),
        (
            format!("{MINIMAL}[proposer]\nkind = 'claude'\nmax_tokens = 'many'\n"),
            "autoresearch.toml:7: [proposer]: invalid type: string \"many\", expected u64",
        ),
        (
            format!("{MINIMAL}[proposer]\nkind = 'psychic'\n"),
            "autoresearch.toml:8: [proposer] kind is 'psychic'; give one of knobs, design, merge, replay, claude, openai, \
             agent, portfolio\n  8 | kind = 'psychic'",
        ),
        (
            format!("{MINIMAL}[proposer]\nkind = 'portfolio'\n[proposer.members.a]\nkind = 'merge'\nmargin = -1.0\n"),
            "autoresearch.toml:11: [proposer.members.a] margin is -1; give a number that is not negative\n  11 | margin = -1.0",
        ),
        (format!("{MINIMAL}[limits]\nprocesses = 'all'\n"), "autoresearch.toml:8: [limits] processes: invalid type"),
    ] {
        let found = message(&text, None, &none);
        assert!(found.starts_with(expected), "{text}\n{found}\n{expected}");
    }
    // The line is one of the layer that set the key.
    let text = MINIMAL.replace("['./run']", "['./run']\nlimit_seconds = 7");
    let preset = "presets/fast.toml:2: ";
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("presets")).unwrap();
    std::fs::write(folder.path().join("presets/fast.toml"), "[run]\nlimit_seconds = -5\n").unwrap();
    let path = folder.path().join("autoresearch.toml");
    std::fs::write(&path, text).unwrap();
    let error = Config::read(&path, Some("fast"), &none).unwrap_err().to_string();
    assert!(error.contains(preset) && error.contains("is -5"), "{error}");
    let stop = toml::Table::from_iter([("hours".to_owned(), Value::Float(f64::NAN))]);
    let arguments = toml::Table::from_iter([("stop".to_owned(), Value::Table(stop))]);
    let error = read_with(MINIMAL, None, &arguments).unwrap_err().to_string();
    assert!(error.starts_with("the command line:") && error.contains("[stop] hours is NaN"), "{error}");
}

#[test]
fn times_and_amounts_that_make_no_sense_are_errors() {
    for (line, words) in [
        ("hours = nan", "hours is NaN"),
        ("hours = 0", "hours is 0"),
        ("target = nan", "target is NaN"),
        ("target = inf", "target is inf"),
        ("experiments = -3", "experiments is -3"),
        ("plateau = 0", "plateau is 0"),
        ("dollars = nan", "dollars is NaN"),
        ("minutes = 5", "minutes is not a known key"),
    ] {
        let error = read(&format!("{MINIMAL}[stop]\n{line}\n"), None).unwrap_err().to_string();
        assert!(error.contains(words), "{line}: {error}");
    }
    let stop = read(&format!("{MINIMAL}[stop]\nhours = 8\ntarget = -1\ndollars = inf\n"), None).unwrap().stop;
    assert_eq!((stop.hours, stop.target, stop.stop().dollars), (Some(Duration::from_secs(8 * 3600)), Some(-1.0), None));
}

#[test]
fn both_spellings_are_a_direction() {
    let british = read(MINIMAL, None).unwrap().metric.direction;
    let american = read(&MINIMAL.replace("minimise", "minimize"), None).unwrap().metric.direction;
    assert_eq!(british, american);
}

#[test]
fn paid_proposals_have_a_cap_by_default() {
    let cap = |more: &str| {
        let mut config = read(&format!("{MINIMAL}{more}"), None).unwrap();
        let priced = config.proposer.is_priced();
        config.stop.cap_by_default(priced).map(|cap| (cap.to_string(), config.stop.caps()))
    };
    let (text, caps) = cap("[proposer]\nkind = 'claude'\n").unwrap();
    assert!(text.contains("$20.00") && caps.dollars == Some(20.0), "{text}");
    let (text, caps) = cap("[proposer]\nkind = 'openai'\nmodel = 'own'\n").unwrap();
    assert!(text.contains("1000 times") && caps.calls == Some(1000) && caps.dollars.is_none(), "{text}");
    assert_eq!(cap("[proposer]\nkind = 'claude'\n[stop]\ndollars = inf\n"), None);
    let (_, caps) = cap("[proposer]\nkind = 'claude'\n[stop]\ncalls = 7\n").unwrap();
    assert_eq!((caps.dollars, caps.calls), (Some(20.0), Some(7)), "each kind of cap has its own default");
    assert_eq!(cap("[proposer]\nkind = 'openai'\nmodel = 'own'\n[stop]\ncalls = 7\n"), None);
    // Infinity reaches the proposer, which has a default of its own otherwise.
    let config = read(&format!("{MINIMAL}[proposer]\nkind = 'claude'\n[stop]\ndollars = inf\n"), None).unwrap();
    assert_eq!(config.stop.caps().or_default_dollars().dollars, Some(f64::INFINITY));
    assert_eq!(config.stop.stop().dollars, None);
}

#[test]
fn repeats_need_a_choice_that_fits() {
    let with = |repeats: &str, metric: &str| {
        read(
            &format!(
                "editable = ['a']\n[run]\ncommand = ['./run']\n{repeats}\n[metric]\nname = 'ms'\ndirection = 'minimise'\n{metric}\n"
            ),
            None,
        )
    };
    let of = |metric: &str| with("repeats = 5", metric).unwrap().metric.repeats_of(5);
    assert_eq!((of(""), of("repeats_of = 'min'")), (Some(Repeats::Median), Some(Repeats::Min)));
    assert_eq!(with("", "").unwrap().metric.repeats_of(1), None);
    assert!(with("", "repeats_of = 'mean'").unwrap_err().to_string().contains("[run] repeats is 1"));
    assert!(with("repeats = 5", "repeats_of = 'best'").unwrap_err().to_string().contains("expected one of `median`"));
    let error = with("repeats = 5", "kind = 'items'\nrepeats_of = 'min'").unwrap_err().to_string();
    assert!(error.contains("belongs to kind = 'number'"), "{error}");
}

/// Every block of the book's page has the keys and types that the program reads.
#[test]
fn the_blocks_of_the_book_are_read() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks: Vec<&str> = page.split("```toml\n").skip(1).map(|rest| rest.split_once("```").unwrap().0).collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        let mut source = Source::default();
        source.push("minimal", MINIMAL);
        source.push("the book", block);
        let mut table = source.merged().unwrap();
        let proposer = table.get_mut().remove("proposer");
        Config::deserialize(Deserializer::from(table)).unwrap_or_else(|error| panic!("{block}\n{error}"));
        proposer.map(ProposerSection::read).transpose().unwrap_or_else(|error| panic!("{block}\n{}", error.message));
    }
}

/// The keys that a section allows, as its error for an unknown one lists them.
fn allowed(section: &str, more: &str) -> Vec<String> {
    let key = format!("{section}.no_such_key");
    let unknown = match section.split_once('.') {
        // A kind of proposer.
        Some(("proposer", kind)) => format!("[proposer]\nkind = '{kind}'\nno_such_key = 1\n{more}"),
        _ if section.is_empty() => "no_such_key = 1\n".into(),
        _ => format!("[{section}]\nno_such_key = 1\n{more}"),
    };
    let text = match section {
        "" => format!("{unknown}{MINIMAL}"),
        "run" | "metric" => MINIMAL.replace(&format!("[{section}]\n"), &unknown),
        _ => format!("{MINIMAL}{unknown}"),
    };
    let error = read(&text, None).unwrap_err().to_string();
    let (_, list) = error.split_once("Allowed are: ").unwrap_or_else(|| panic!("{key}: {error}"));
    list.lines().next().unwrap().replace(" or ", ", ").split(", ").map(str::to_owned).collect()
}

/// Every key of every section is on the page, in a block of that section.
#[test]
fn every_key_is_in_the_book() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let page = std::fs::read_to_string(page).unwrap();
    let mut written = std::collections::BTreeSet::new();
    for block in page.split("```toml\n").skip(1).map(|rest| rest.split_once("```").unwrap().0) {
        let mut section = String::new();
        for line in block.lines().map(|line| line.trim_start_matches("# ")) {
            if let Some((name, _)) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                section = name.to_owned();
                let (above, last) = name.rsplit_once('.').unwrap_or(("", name));
                written.insert((above.to_owned(), last.to_owned()));
            } else if let Some((key, _)) = line.split_once(" = ") {
                written.insert((section.clone(), key.to_owned()));
            }
        }
    }
    for section in [
        "",
        "build",
        "run",
        "limits",
        "metric",
        "ratchet",
        "holdout",
        "workers",
        "screening",
        "excursion",
        "check",
        "stop",
        "git",
    ] {
        let keys = allowed(section, if section == "excursion" { "tolerance = 1.0\n" } else { "" });
        assert!(keys.len() >= if section == "git" { 1 } else { 2 }, "{section}: {keys:?}");
        for key in keys.into_iter().filter(|key| key != "workload") {
            assert!(written.contains(&(section.to_owned(), key.clone())), "[{section}] {key} is not in the book");
        }
    }
    for kind in ["knobs", "design", "merge", "replay", "portfolio", "agent"] {
        let more = if kind == "portfolio" { "[proposer.members.a]\nkind = 'knobs'\n" } else { "" };
        let row = page.lines().find(|line| line.starts_with(&format!("| `\"{kind}\"`"))).unwrap();
        let mut keys = allowed(&format!("proposer.{kind}"), more);
        // Read apart from the rest of its section.
        keys.extend((kind == "portfolio").then(|| "members".to_owned()));
        for key in keys {
            assert!(row.contains(&format!("`{key}`")), "{kind}: {key} is not in its row");
        }
    }
}

#[test]
fn the_reference_workload_is_read_under_its_presets() {
    for (file, is_measured) in [("autoresearch.toml", false), ("strict.toml", true)] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/nanochat").join(file);
        for (preset, seconds) in [("cpu", 100), ("h100", 600)] {
            let config = Config::read(&path, Some(preset), &toml::Table::new()).unwrap();
            assert_eq!((config.budget().run, config.preset.as_str()), (Duration::from_secs(seconds), preset));
            assert_eq!(config.evaluate.is_some(), is_measured);
            // What builds and runs may open is named there: nothing of the validation split.
            let walls = config.isolation;
            let open = [config.environment.values().cloned().collect(), walls.read, walls.write, walls.pristine];
            let open = [open.concat(), config.workspace.share, config.build.command, config.run.command].concat();
            assert!(!open.iter().any(|path| path.contains("-val")), "{open:?}");
        }
    }
}
