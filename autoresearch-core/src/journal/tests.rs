use super::*;
use crate::experiment_id::ExperimentId;
use proptest::prelude::*;

fn stopped(reason: &str) -> Record {
    Record::Stopped { reason: reason.into() }
}

fn written(count: usize) -> (tempfile::TempDir, PathBuf, Vec<Entry>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run/journal.jsonl");
    let mut journal = Journal::open(&path).unwrap();
    assert!(journal.entries().is_empty());
    let entries = (0..count).map(|i| journal.append(stopped(&format!("n{i}"))).unwrap()).collect();
    (folder, path, entries)
}

#[test]
fn a_second_writer_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("j");
    let first = Journal::open(&path).unwrap();
    assert!(matches!(Journal::open(&path).unwrap_err().fault(), JournalFault::Locked(_)));
    drop(first);
    assert!(Journal::open(&path).is_ok());
}

#[test]
fn a_line_that_is_missing_is_noticed() {
    let (_folder, path, _) = written(4);
    let text = std::fs::read_to_string(&path).unwrap();
    let rest: Vec<&str> = text.lines().enumerate().filter(|(at, _)| *at != 1).map(|(_, line)| line).collect();
    std::fs::write(&path, rest.join("\n") + "\n").unwrap();
    let error = Journal::open(&path).unwrap_err();
    assert!(matches!(error.fault(), JournalFault::Damaged { line: 2, .. }), "{error}");
}

#[test]
fn lines_of_somebody_else_cost_themselves_alone() {
    let forged = "{\"crc\":\"00000000\",\"body\":{\"v\":2,\"seq\":1}}\n";
    for (at, text, number) in [
        (0, "hello\n", 1),
        (1, "hello\nyou\n", 2),
        (2, forged, 3),
        // Without an end, so that the next record stands in the same line.
        (3, "hello ", 4),
        (3, forged.trim_end(), 4),
        (4, "hello\n", 5),
        (4, "{\"forged\": true}\n{\"forged\": true}\n", 5),
    ] {
        let (folder, path, entries) = written(4);
        let whole = std::fs::read_to_string(&path).unwrap();
        let mut lines: Vec<&str> = whole.split_inclusive('\n').collect();
        lines.insert(at, text);
        let damaged = lines.concat();
        std::fs::write(&path, &damaged).unwrap();

        let read = Journal::read_all(&path).unwrap();
        assert_eq!(
            (&read.entries, read.is_torn, read.foreign[0].number),
            (&entries, false, number),
            "{text:?} at {at}"
        );
        let error = Journal::open(&path).unwrap_err();
        assert!(matches!(error.fault(), JournalFault::Foreign { line, .. } if *line == number), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), damaged, "nothing is changed unasked");

        let copy = Journal::set_aside(&path).unwrap().unwrap();
        assert_eq!(std::fs::read_to_string(copy).unwrap(), damaged);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), whole);
        assert_eq!(Journal::set_aside(&path).unwrap(), None);
        let mut journal = Journal::open(&path).unwrap();
        journal.append(stopped("on")).unwrap();
        assert_eq!(std::fs::read_dir(folder.path().join("run")).unwrap().count(), 2);
    }
}

#[test]
fn a_record_that_is_missing_is_no_line_of_somebody_else() {
    let (_folder, path, _) = written(4);
    let text = std::fs::read_to_string(&path).unwrap().replace("n1", "nx");
    std::fs::write(&path, &text).unwrap();
    let error = Journal::set_aside(&path).unwrap_err();
    assert!(matches!(error.fault(), JournalFault::Damaged { line: 2, .. }), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    // A record twice, as a forger may write one: nobody can tell which is the lab's.
    let (_folder, path, _) = written(2);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.clone() + text.lines().next().unwrap() + "\n").unwrap();
    let error = Journal::read(&path).unwrap_err();
    assert!(matches!(error.fault(), JournalFault::Damaged { line: 3, .. }), "{error}");
}

#[test]
fn a_text_of_nothing_but_beginnings_takes_no_time() {
    let (_folder, path, entries) = written(2);
    let whole = std::fs::read_to_string(&path).unwrap();
    // Each could be a record up to the end of the line.
    let text = "{\"crc\":\"00000000\",\"body\":[".repeat(100_000);
    let before = std::time::Instant::now();
    for damaged in
        [format!("{whole}{text}\n"), format!("{text}\n{whole}"), whole.replacen('\n', &format!("\n{text}"), 1)]
    {
        std::fs::write(&path, damaged).unwrap();
        assert_eq!(Journal::read(&path).unwrap(), entries);
    }
    assert!(before.elapsed() < std::time::Duration::from_secs(20), "{:?}", before.elapsed());
}

#[test]
fn a_journal_that_is_replaced_while_it_is_waited_for_is_opened_anew() {
    let (_folder, path, entries) = written(2);
    let held = Journal::open(&path).unwrap();
    let (waits, replaced) = (path.clone(), path.with_extension("new"));
    let opened = std::thread::spawn(move || {
        let mut journal = Journal::open(&waits).unwrap();
        journal.append(stopped("written after it")).unwrap();
    });
    // As setting lines aside does it, in the middle of the wait.
    std::thread::sleep(std::time::Duration::from_millis(200));
    std::fs::copy(&path, &replaced).unwrap();
    std::fs::rename(&replaced, &path).unwrap();
    drop(held);
    opened.join().unwrap();
    assert_eq!(Journal::read(&path).unwrap().len(), entries.len() + 1);
}

/// Fails once, in the middle of a line.
struct Full(Vec<u8>, bool);

impl Medium for Full {
    fn read(&mut self) -> std::io::Result<Vec<u8>> {
        Ok(self.0.clone())
    }

    fn truncate(&mut self, length: u64) -> std::io::Result<()> {
        self.0.truncate(length as usize);
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let full = std::mem::take(&mut self.1);
        self.0.extend_from_slice(if full { &bytes[..bytes.len() / 2] } else { bytes });
        if full { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_journal_that_failed_writes_no_more() {
    let mut journal = Journal::over(Box::new(Full(vec![], true)), Path::new("j")).unwrap();
    assert!(matches!(journal.append(stopped("a")).unwrap_err().fault(), JournalFault::DiskFull(_)));
    // There is room again, but the line would be glued to the torn one.
    assert!(matches!(journal.append(stopped("b")).unwrap_err().fault(), JournalFault::Failed(_)));
}

#[test]
fn a_bare_file_name_is_a_path() {
    let name = format!("bare-{}.jsonl", std::process::id());
    let opened = Journal::open(Path::new(&name));
    std::fs::remove_file(&name).unwrap();
    assert!(opened.is_ok());
}

#[test]
fn other_formats_are_refused_with_what_to_do() {
    let (_folder, path, _) = written(0);
    for (version, advice) in [(1, "start a run with another tag"), (VERSION + 1, "use the newer program")] {
        // The first record of version 1 is not one of this version.
        let record = "{\"type\":\"intent\",\"experiment\":0}";
        let body = format!("{{\"v\":{version},\"seq\":0,\"at\":\"2026-01-01T00:00:00Z\",\"record\":{record}}}");
        let crc = crc32c::crc32c(body.as_bytes());
        std::fs::write(&path, format!("{{\"crc\":\"{crc:08x}\",\"body\":{body}}}\n")).unwrap();
        let error = Journal::open(&path).unwrap_err().to_string();
        assert!(error.contains(&format!("format {version}")) && error.contains(advice), "{error}");
    }
}

#[test]
fn a_record_that_could_not_be_read_back_is_refused_and_the_journal_goes_on() {
    let (_folder, path, _) = written(1);
    let mut journal = Journal::open(&path).unwrap();
    let measured = |secondary: f64| {
        let mut measurement = crate::metric::Measurement::new(crate::metric::Score::new(1.0).unwrap());
        measurement.secondary.insert("memory".into(), secondary);
        Record::HealthChecked { failure: None, measurement: Some(measurement), reference: None }
    };
    let nested = |levels: usize| {
        let mut change = serde_json::Value::Null;
        (0..levels).for_each(|_| change = serde_json::Value::Array(vec![std::mem::take(&mut change)]));
        let cost = crate::proposal::Cost::default();
        Record::Rejected { description: "".into(), reason: "".into(), change, cost, proposer: "".into() }
    };
    let costly = Record::Rejected {
        description: String::new(),
        reason: String::new(),
        change: serde_json::Value::Null,
        cost: crate::proposal::Cost { dollars: f64::INFINITY, ..Default::default() },
        proposer: String::new(),
    };
    for record in [measured(f64::NAN), nested(130), costly] {
        let error = journal.append(record).unwrap_err();
        assert!(matches!(error.fault(), JournalFault::Unreadable { seq: 1, .. }), "{error}");
    }
    journal.append(measured(2.0)).unwrap();
    journal.append(nested(100)).unwrap();
    drop(journal);
    assert_eq!(Journal::open(&path).unwrap().entries().len(), 3);
}

#[test]
fn nobody_starts_a_run_over_the_decisions_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("j");
    let header = || Record::Started(RunHeader::new("t", "score", crate::metric::Direction::Minimise));
    let mut journal = Journal::open(&path).unwrap();
    journal.append(header()).unwrap();
    journal.append(header()).unwrap();
    journal.append(Record::Decided(Decision::new(ExperimentId(0), Status::Discard))).unwrap();
    assert!(matches!(journal.append(header()).unwrap_err().fault(), JournalFault::AlreadyStarted(_)));
    drop(journal);
    assert!(matches!(
        Journal::open(&path).unwrap().append(header()).unwrap_err().fault(),
        JournalFault::AlreadyStarted(_)
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_torn_tail_loses_no_acknowledged_record(count in 1usize..6, cut in 0usize..400) {
        let (_folder, path, entries) = written(count);
        let bytes = std::fs::read(&path).unwrap();
        let cut = cut % (bytes.len() + 1);
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let whole = bytes[..cut].iter().filter(|b| **b == b'\n').count();
        let mut journal = Journal::open(&path).unwrap();
        prop_assert_eq!(journal.entries(), &entries[..whole]);
        journal.append(stopped("again")).unwrap();
        drop(journal);
        prop_assert_eq!(Journal::open(&path).unwrap().entries().len(), whole + 1);
    }

    #[test]
    fn scores_are_read_back_to_the_last_bit(bits: u64) {
        let Some(score) = crate::metric::Score::new(f64::from_bits(bits)) else { return Ok(()) };
        let text = serde_json::to_string(&score).unwrap();
        let back: crate::metric::Score = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(back.get().to_bits(), score.get().to_bits());
    }

    #[test]
    fn a_flipped_bit_before_a_valid_line_is_noticed(at in 0usize..100_000, bit in 0u8..8) {
        let (_folder, path, entries) = written(4);
        let mut bytes = std::fs::read(&path).unwrap();
        let last = bytes.len() - 1 - bytes[..bytes.len() - 1].iter().rev().position(|b| *b == b'\n').unwrap();
        let at = at % last;
        bytes[at] ^= 1 << bit;
        std::fs::write(&path, &bytes).unwrap();
        // A flip that leaves the JSON's meaning (the case of a hex digit of the checksum, white space) is no damage.
        match Journal::open(&path) {
            Err(error) if error.fault().is_content() => {}
            Ok(journal) => prop_assert_eq!(journal.entries(), entries),
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}
