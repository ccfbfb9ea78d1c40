//! Short trials and excursions.

use crate::fixture::{Repository, text};

#[test]
fn a_run_with_short_trials_and_excursions_says_what_came_of_them() {
    let repository = Repository::new(0.0);
    let config = repository.config();
    let mut text_of = std::fs::read_to_string(&config).unwrap();
    // A short trial of this program tells the opposite of the full one.
    text_of =
        text_of.replace("print \"score: \" s", "print \"score: \" (ENVIRON[\"AUTORESEARCH_FIDELITY\"] < 1 ? -s : s)");
    text_of += "[screening]\nrungs = [0.25]\nallowance = 1000\n[excursion]\nafter = 1\nsteps = 2\ntolerance = 1000\n";
    std::fs::write(&config, text_of).unwrap();
    repository.git(&["commit", "-qam", "screening"]);
    let output = repository.run(&["run", "--experiments", "14"]);
    assert!(output.status.success(), "{}", text(&output));
    let said = text(&output);
    assert!(said.contains("0 screened out after short trials, 14 promoted, 0 promoted as controls"), "{said}");
    let correlation = |value: &str| {
        let text = format!(
            "at 25 % of the budget the rank correlation with the full budget is {value} (Spearman, of gains; n = 14)"
        );
        said.contains(&text)
    };
    // Gains that differ by rounding alone may change places.
    assert!(correlation("-1.00") || correlation("-0.99"), "{said}");
    assert!(said.contains("misleads") && said.contains("more than it saved"), "{said}");
    let report = std::fs::read_to_string(repository.only_run().join("report.md")).unwrap();
    assert!(report.contains("## Screening") && report.contains("## Excursions\n\n- over 0"), "{report}");
    let output = repository.run(&["verify"]);
    assert!(output.status.success(), "{}", text(&output));

    // Without it the same run would be another one.
    let plain = std::fs::read_to_string(&config).unwrap().replace("allowance = 1000", "allowance = 999");
    std::fs::write(&config, plain).unwrap();
    let tag = repository.only_run().file_name().unwrap().to_str().unwrap().to_owned();
    let output = repository.run(&["run", "--tag", &tag, "--experiments", "20", "--allow-dirty"]);
    assert!(!output.status.success() && text(&output).contains("started with other settings"), "{}", text(&output));
}
