use super::*;

const MINIMAL: &str = "editable = ['a']\n[run]\ncommand = ['./run']\n[metric]\nname = 'ms'\ndirection = 'minimise'\n";

fn read(text: &str, preset: Option<&str>) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("autoresearch.toml");
    std::fs::create_dir(folder.path().join("presets")).unwrap();
    std::fs::write(folder.path().join("presets/fast.toml"), "[run]\nlimit_seconds = 5\n[workload]\nx = 1\n").unwrap();
    std::fs::write(&path, text).unwrap();
    Config::read(&path, preset, &WorkersArgs::default())
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
        ("editable = [", "not valid"),
        ("editable = ['a']\n[metric]\nname='x'\ndirection='minimise'\n", "run"),
        (&format!("{MINIMAL}[stop]\nexperimets = 3\n"), "experimets"),
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
    assert_eq!(config.stop().dollars, Some(5.0));
    let ProposerConfig::Claude(settings) = config.proposer else { panic!("{:?}", config.proposer) };
    assert_eq!(settings.model, "claude-haiku-5-5");
    assert_eq!(settings.options.per_proposal.dollars, Some(2.0));
    assert_eq!(settings.options.prices["own"].output, 2.0);
}
