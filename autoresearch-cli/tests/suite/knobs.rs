//! Values of files in any language: listed with their ranges, proposed with new ones, searched.

use crate::fixture::{Repository, text};
use crate::reading::answer;

const TRAIN: &str = "\
import json, sys
lr = 0.04  # learning rate; knob: log 0.01..0.1
USE_BIAS = True  # knob: {True, False}
optimizer = 'sgd'  # knob: {\"sgd\", \"adam\"}
def model(depth=4, dropout=0.2):
    return depth * dropout
config = json.load(open('config.json'))
score = lr + (1 if USE_BIAS else 0) + (1 if optimizer == 'sgd' else 0) + config['optimizer']['momentum']
score += config['model']['momentum'] + model()
print('---')
print('score:', score)
";
const JSON: &str = "{\n  \"optimizer\": {\"momentum\": 0.9},\n  \"model\": {\"momentum\": 0.5}\n}\n";

/// A Python program with its settings, and `more` of the configuration.
fn python(train: &str, more: &str) -> Repository {
    let config = format!(
        "editable = ['train.py', 'config.json']\n[run]\ncommand = ['python3', 'train.py']\n[metric]\nname = 'score'\n\
         direction = 'minimise'\n[ratchet]\nrule = 'strict'\n{more}"
    );
    let files = [
        ("autoresearch.toml", config.as_str()),
        ("program.md", "# Lower the score\n"),
        ("train.py", train),
        ("config.json", JSON),
    ];
    Repository::with(&files)
}

#[test]
fn knobs_are_listed_and_ranges_proposed() {
    let repository = python(TRAIN, "[knobs]\n'config.json:/optimizer/momentum' = 'lin 0.5..0.99'\n");
    let said = repository.succeeds(&["knobs"]);
    for line in [
        "train.py:2     lr = 0.04  log 0.01..0.1",
        "train.py:3     USE_BIAS = True  {True, False}",
        "config.json:2  config.json:/optimizer/momentum = 0.9  lin 0.5..0.99",
        "[knobs]\n",
        "depth = \"int 2..8\"",
        "\"config.json:/model/momentum\" = \"lin 0..0.875\"  # config.json:3, now 0.5",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let json = answer(&repository, "knobs", &["knobs", "--json"]);
    assert_eq!((json["knobs"].as_array().unwrap().len(), &json["knobs"][1]["line"]), (4, &serde_json::json!(2)));
    let keys: Vec<&str> = json["suggestions"].as_array().unwrap().iter().map(|s| s["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["dropout", "config.json:/model/momentum", "depth"]);
    // The lines can be pasted.
    let lines = said.split("[knobs]\n").nth(1).unwrap().to_owned();
    repository.configure(|text| format!("{text}{lines}\n"));
    assert!(repository.succeeds(&["knobs"]).contains("depth = 4  int 2..8"), "{lines}");
}

#[test]
fn files_are_looked_at_without_a_configuration() {
    let repository = Repository::with(&[("src/a.lua", "local depth = 3\n"), ("b.py", "x = 1  # knob: int 1..9\n")]);
    assert!(repository.fails(&["knobs"]).contains("autoresearch knobs train.py"));
    assert!(repository.succeeds(&["knobs", "b.py"]).contains("b.py:1  x = 1  int 1..9"));
    let said = repository.succeeds(&["knobs", "src"]);
    assert!(said.contains("no value in 1 files has a range") && said.contains("depth = \"int 2..6\""), "{said}");
    assert!(repository.fails(&["knobs", "c.py"]).contains("c.py"));
}

#[test]
fn a_search_over_python_and_json_changes_values_only() {
    if test_fixtures::left_for_thorough() {
        return;
    }
    let repository = python(
        TRAIN,
        "[knobs]\n'config.json:/optimizer/momentum' = 'lin 0.5..0.99'\n[proposer]\nkind = 'knobs'\nstrategy = 'tpe'\n",
    );
    let said = repository.succeeds(&["run", "--tag", "t", "--experiments", "14"]);
    assert!(said.contains("config.json:/optimizer/momentum 0.9 -> "), "{said}");
    assert!(said.contains("USE_BIAS True -> False"), "{said}");
    let kept = repository.git(&["show", "autoresearch/t:train.py"]);
    let same = |line: &str, before: &str| {
        let name = |line: &str| line.split(" = ").next().unwrap_or_default().to_owned();
        line == before || (line.contains("# ") && before.contains("# ") && name(line) == name(before))
    };
    assert!(kept != TRAIN && kept.lines().zip(TRAIN.lines()).all(|(line, before)| same(line, before)), "{kept}");
    assert!(!kept.contains("true") && !kept.contains("\"sgd\"  #"), "{kept}");
    let json = repository.git(&["show", "autoresearch/t:config.json"]);
    assert!(json.ends_with("},\n  \"model\": {\"momentum\": 0.5}\n}\n"), "{json}");
    assert!(!repository.rows().iter().any(|row| row.contains("crash")), "{:?}", repository.rows());
    assert!(repository.succeeds(&["verify"]).ends_with("\nsound\n"));
}

#[test]
fn without_a_range_some_are_proposed_before_the_baseline() {
    let train: String = TRAIN.lines().map(|line| format!("{}\n", line.split("  #").next().unwrap())).collect();
    let repository = python(&train, "");
    let said = repository.fails(&["run", "--tag", "t", "--experiments", "2"]);
    for words in
        ["no constant in the editable files has a range", "\n    [knobs]\n    lr = \"log 0.004..0.4\"\n", "depth"]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!repository.folder.join(".autoresearch/t").exists(), "{said}");
}

#[test]
fn a_name_in_several_places_and_a_computed_value_are_told_before_the_baseline() {
    let ambiguous = python(TRAIN, "[knobs]\nmomentum = 'lin 0..0.99'\n");
    let said = ambiguous.fails(&["run", "--tag", "t", "--experiments", "2"]);
    for words in ["momentum stands in 2 places", "\"config.json:/optimizer/momentum\" (line 2, 0.9)"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let computed = python(&TRAIN.replace("lr = 0.04", "lr = 2 ** -5"), "");
    let said = computed.fails(&["run", "--tag", "t", "--experiments", "2"]);
    assert!(said.contains("train.py:2: the value of lr is `2 ** -5`") && said.contains("{2 ** -5, …}"), "{said}");
    let preset = python(TRAIN, "[constants]\n'config.json:/model/momentum' = '0.25'\ndepth = '2'\n");
    let output = preset.run(&["run", "--tag", "t", "--experiments", "1"]);
    let first =
        preset.git(&["show", "autoresearch/t~1:config.json"]) + &preset.git(&["show", "autoresearch/t:train.py"]);
    assert!(
        first.contains("\"model\": {\"momentum\": 0.25}") && first.contains("depth=2,"),
        "{first} {}",
        text(&output)
    );
}

#[test]
fn every_searcher_works_over_values_of_any_language() {
    let knobs = "[knobs]\n'config.json:/optimizer/momentum' = 'lin 0.5..0.99'\n";
    for strategy in test_fixtures::one_in(3, ["neighbour", "random", "grid"]) {
        let repository = python(
            TRAIN,
            &format!("{knobs}[proposer]\nkind = 'knobs'\nstrategy = '{strategy}'\n[stop]\nplateau = 99\n"),
        );
        repository.succeeds(&["run", "--tag", "t", "--experiments", "5"]);
        let rows = repository.rows();
        assert!(rows.len() == 6 && !rows.iter().any(|row| row.contains("crash")), "{strategy}: {rows:?}");
    }
    let design = "[proposer]\nkind = 'design'\nname = 'd'\n[proposer.factors]\nlr = ['0.04', '0.02']\nUSE_BIAS = ['True', 'False']\n\
                  'config.json:/model/momentum' = ['0.5', '0.25']\n";
    let repository = python(TRAIN, design);
    repository.succeeds(&["run", "--tag", "t"]);
    let rows = repository.rows();
    assert_eq!(rows.len(), 8, "{rows:?}");
    assert!(
        rows.iter().any(|row| row.contains("USE_BIAS = False, config.json:/model/momentum = 0.25, lr = 0.02")),
        "{rows:?}"
    );
    // The effect of the setting in the JSON file: the score is linear in it.
    let report = repository.succeeds(&["report"]);
    assert!(
        report.contains("raising config.json:/model/momentum from 0.25 to 0.5 raises score by 0.250000"),
        "{report}"
    );
}
