//! Every fixture of tests/data/import has the outcome that expected.txt names.

use std::path::{Path, PathBuf};

use autoresearch_core::{Journal, Score, State, Status};
use proptest::prelude::*;

use super::{Choices, Imported, read, read_text, records};
use crate::config::parse_direction;
use crate::import::decide::decide;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/import")
}

/// The path of a fixture. A database is kept as its SQL, and made of it here.
fn on_disk(folder_of_databases: &Path, file: &str) -> PathBuf {
    let Some(name) = file.strip_suffix(".sql") else { return folder().join(file) };
    let path = folder_of_databases.join(format!("{name}.db"));
    if !path.exists() {
        let sql = std::fs::read_to_string(folder().join(file)).unwrap();
        rusqlite::Connection::open(&path)
            .unwrap()
            .execute_batch(&format!("PRAGMA foreign_keys = OFF;\n{sql}"))
            .unwrap();
    }
    path
}

/// The outcome in the words of expected.txt.
fn outcome(result: &Result<Imported, String>) -> String {
    let imported = match result {
        Ok(imported) => imported,
        Err(why) => return format!("error: {why}"),
    };
    let count = |status| imported.rows.iter().skip(1).filter(|row| row.status == status).count();
    let keeps = || imported.rows.iter().filter(|row| row.status == Status::Keep).filter_map(|row| row.score);
    let shown = |score: Option<Score>| score.map_or("none".into(), |score| score.get().to_string());
    let direction = format!("{:?}", imported.direction).to_lowercase();
    format!(
        "{} {direction}: {} kept, {} discarded, {} crashed; {} -> {}; {} problems",
        imported.metric,
        count(Status::Keep),
        count(Status::Discard),
        count(Status::Crash),
        shown(keeps().next()),
        shown(keeps().next_back()),
        imported.problems.len()
    )
}

fn replayed(imported: &Imported) -> State {
    let mut journal = Journal::in_memory();
    let entries: Vec<_> = records(imported, "t").into_iter().map(|record| journal.append(record).unwrap()).collect();
    State::replay(&entries).unwrap()
}

#[test]
fn every_table_has_its_outcome() {
    let expected = std::fs::read_to_string(folder().join("expected.txt")).unwrap();
    let (mut right, mut wrong) = (0, Vec::new());
    let databases = tempfile::tempdir().unwrap();
    let mut named: Vec<String> = vec!["expected.txt".into()];
    for line in expected.lines().filter(|line| !line.starts_with('#')) {
        let [files, arguments, expected] = <[&str; 3]>::try_from(line.split(" | ").collect::<Vec<_>>()).unwrap();
        let paths: Vec<PathBuf> = files.split(' ').map(|file| on_disk(databases.path(), file)).collect();
        named.extend(files.split(' ').map(str::to_owned));
        let words: Vec<&str> = arguments.split_whitespace().collect();
        let after = |flag: &str| words.windows(2).find(|pair| pair[0] == flag).map(|pair| pair[1]);
        let choices = Choices {
            metric: after("--metric"),
            direction: after("--direction").map(|direction| parse_direction(direction).unwrap()),
            name: after("--name"),
            segment: after("--segment").map(|segment| segment.parse().unwrap()),
        };
        let imported = read(&paths, choices);
        let found = outcome(&imported);
        let fits = match expected.strip_prefix("error: ") {
            Some(words) => imported.is_err() && found.contains(words),
            None => found == expected,
        };
        // Every run that is read replays.
        if let Ok(imported) = &imported {
            assert_eq!(replayed(imported).experiments.len(), imported.rows.len(), "{files}");
        }
        match fits {
            true => right += 1,
            false => {
                let problems = imported.map(|imported| format!("{:?}", imported.problems)).unwrap_or_default();
                wrong.push(format!("{files} {arguments}\n  expected: {expected}\n  found:    {found}\n  {problems}"));
            }
        }
    }
    for file in std::fs::read_dir(folder()).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(named.contains(&name), "{name} is not in expected.txt");
    }
    // Counted by the evidence.
    println!("import tables: {right} of {} as expected", right + wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(right >= 41);
}

fn cell() -> impl Strategy<Value = String> {
    let known = [
        "commit", "status", "val_bpb", "mem", "notes", "keep", "discard", "crash", "baseline", "ok", "1.5", "0.9",
        "2 ms", "", "\"", "{", "|", "metrics",
    ];
    prop_oneof![prop::sample::select(known.to_vec()).prop_map(str::to_owned), ".{0,6}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn no_table_is_too_odd(
        rows in prop::collection::vec(prop::collection::vec(cell(), 0..7), 0..8),
        separator in prop::sample::select(vec!["\t", ",", ";", "|", "  "]),
        metric in prop::option::of(cell()),
        maximise in any::<bool>(),
    ) {
        let text = rows.iter().map(|row| row.join(separator)).collect::<Vec<_>>().join("\n");
        let direction = parse_direction(if maximise { "maximise" } else { "minimise" }).unwrap();
        let choices = Choices { metric: metric.as_deref(), direction: Some(direction), ..Choices::default() };
        if let Ok(Some(found)) = read_text(&text, choices)
            && let Ok(imported) = decide(found, choices)
        {
            // A number is one that is written in the table.
            for score in imported.rows.iter().filter_map(|row| row.score) {
                prop_assert!(text.contains(&score.get().abs().to_string()) || text.contains(['e', 'E', ',', '_', '.']), "{score} of {text}");
            }
            prop_assert_eq!(replayed(&imported).experiments.len(), imported.rows.len());
        }
    }

    #[test]
    fn the_table_of_a_run_is_read_back(
        baseline in -1e4..1e4f64,
        steps in prop::collection::vec((0..3u8, -1e4..1e4f64, "[a-z ]{0,12}"), 0..20),
    ) {
        let mut text = format!("commit\tval_bpb\tmemory_gb\tstatus\tdescription\nb\t{baseline}\t1.0\tkeep\tbaseline\n");
        for (at, (kind, score, description)) in steps.iter().enumerate() {
            let status = ["keep", "discard", "crash"][usize::from(*kind)];
            text += &format!("{at:07x}\t{score}\t1.0\t{status}\t{}\n", description.trim());
        }
        let choices = Choices { direction: Some(parse_direction("minimise").unwrap()), ..Choices::default() };
        let imported = decide(read_text(&text, choices).unwrap().unwrap(), choices).unwrap();
        prop_assert_eq!(imported.rows.len(), steps.len() + 1);
        for (row, (kind, score, description)) in imported.rows[1..].iter().zip(&steps) {
            prop_assert_eq!(row.score.map(Score::get), (*kind < 2).then_some(*score));
            prop_assert_eq!(&row.description, description.trim());
        }
    }
}
