//! The table of printed forms: each is read rightly, or refused with a message that shows the candidates.

use autoresearch_core::{Direction, LogMetric, Metric, Outcome, RunLog};
use serde::Deserialize;

#[derive(Deserialize)]
struct Table {
    form: Vec<Form>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    name: String,
    #[serde(default = "score")]
    metric: String,
    #[serde(default)]
    unit: String,
    output: String,
    value: Option<f64>,
    #[serde(default)]
    refused: Vec<String>,
}

fn score() -> String {
    "score".into()
}

#[test]
fn every_printed_form_is_read_rightly_or_refused_with_the_candidates() {
    let table: Table = toml::from_str(include_str!("../data/forms.toml")).unwrap();
    let mut wrong = Vec::new();
    for form in &table.form {
        let Form { name, metric, unit, output, value, refused } = form;
        assert!(value.is_some() == refused.is_empty(), "{name}: a value, or words of a message");
        let reader = LogMetric::new(metric, Direction::Minimise).with_unit(unit);
        let read = reader.read(&Outcome::Completed(RunLog::saying(output.as_str())));
        match (read, value) {
            (Ok(read), Some(value)) if read.score.get() == *value && read.source.is_some() => {}
            (Err(error), None) if refused.iter().all(|word| error.to_string().contains(word)) => {}
            (Ok(read), _) => wrong.push(format!("{name}: read {} from {:?}", read.score, read.source)),
            (Err(error), _) => wrong.push(format!("{name}: {error}")),
        }
    }
    let count = table.form.len();
    println!("metric-forms: {} of {count}", count - wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 80, "{count} forms");
}
