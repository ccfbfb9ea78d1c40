//! The command as a user meets it: real processes, real git, real signals.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const WORK: &str = "\
# const A: i64 = 50; // knob: int 1..99
const A: i64 = 50; // knob: int 1..99
const B: f64 = 0.5; // knob: lin 0..1
";

struct Repository {
    folder: tempfile::TempDir,
}

impl Repository {
    /// A program whose score follows from its constants, and takes `seconds` to tell.
    fn new(seconds: f64) -> Repository {
        let repository = Repository { folder: tempfile::tempdir().unwrap() };
        let config = format!(
            "editable = ['work.txt']\n[run]\ncommand = ['sh', '-c', \"\"\"\n\
             sleep {seconds}\n\
             echo ---\n\
             awk '/^const/ {{ sub(\";\", \"\", $5); s += $5 }} END {{ print \"score: \" s }}' work.txt\n\"\"\"]\n\
             [metric]\nname = 'score'\ndirection = 'minimise'\n"
        );
        for (name, text) in
            [("autoresearch.toml", config.as_str()), ("program.md", "# Lower the sum\n"), ("work.txt", WORK)]
        {
            std::fs::write(repository.folder.path().join(name), text).unwrap();
        }
        repository.git(&["init", "-q"]);
        repository.git(&["add", "."]);
        repository.git(&["-c", "user.name=u", "-c", "user.email=u@localhost", "commit", "-qm", "start"]);
        repository
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git").args(arguments).current_dir(self.folder.path()).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_autoresearch"));
        let cache = self.folder.path().with_extension("cache");
        command.args(arguments).current_dir(self.folder.path()).env("AUTORESEARCH_CACHE", cache).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn only_run(&self) -> PathBuf {
        let folder = self.folder.path().join(".autoresearch");
        let mut runs: Vec<PathBuf> =
            std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
        assert_eq!(runs.len(), 1, "{runs:?}");
        runs.pop().unwrap()
    }

    fn rows(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.only_run().join("results.tsv")).unwrap_or_default();
        text.lines().skip(1).map(|line| line.split_once('\t').unwrap().1.to_owned()).collect()
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.folder.path().with_extension("cache"));
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_night_ends_with_a_report_and_is_the_same_by_seed() {
    let nights: Vec<Vec<String>> = (0..2)
        .map(|_| {
            let repository = Repository::new(0.0);
            let output = repository.run(&["run", "--experiments", "12"]);
            assert!(output.status.success(), "{}", text(&output));
            assert!(
                text(&output).contains("12 experiments:") && text(&output).contains("report: "),
                "{}",
                text(&output)
            );
            let run = repository.only_run();
            for file in ["report.md", "progress.png", "progress.svg", "results.tsv", "journal.jsonl", "logs/0000.log"] {
                assert!(run.join(file).metadata().unwrap().len() > 0, "{file}");
            }
            assert_eq!(repository.git(&["status", "--porcelain"]), "", "the run's folder is invisible to git");
            repository.rows()
        })
        .collect();
    assert_eq!(nights[0].len(), 13);
    assert_eq!(nights[0], nights[1]);
    assert!(nights[0].iter().skip(1).any(|row| row.contains("keep")), "{:?}", nights[0]);
}

#[test]
fn a_night_by_a_portfolio_is_replayed_with_the_same_decisions() {
    let repository = Repository::new(0.0);
    let config = repository.folder.path().join("autoresearch.toml");
    let before = std::fs::read_to_string(&config).unwrap();
    let portfolio = "[proposer]\nkind = 'portfolio'\n[proposer.members.estimator]\nkind = 'knobs'\nstrategy = 'tpe'\n\
                     [proposer.members.steps]\nkind = 'knobs'\n[proposer.members.merge]\nkind = 'merge'\nmargin = 1.0\n";
    let replay = "[proposer]\nkind = 'replay'\njournal = '.autoresearch/first/journal.jsonl'\n";
    let mut nights = Vec::new();
    for (tag, proposer, experiments) in [("first", portfolio, "10"), ("again", replay, "100")] {
        std::fs::write(&config, format!("{before}{proposer}")).unwrap();
        let output = repository.run(&["run", "--tag", tag, "--experiments", experiments, "--allow-dirty"]);
        assert!(output.status.success(), "{}", text(&output));
        let folder = repository.folder.path().join(".autoresearch").join(tag);
        let rows = std::fs::read_to_string(folder.join("results.tsv")).unwrap();
        nights.push(rows.lines().map(|line| line.split_once('\t').unwrap().1.to_owned()).collect::<Vec<_>>());
        let journal = std::fs::read_to_string(folder.join("journal.jsonl")).unwrap();
        assert!(
            ["steps", "estimator"].iter().all(|name| journal.contains(&format!("\"proposer\":\"{name}\""))),
            "{tag}"
        );
    }
    assert_eq!(nights[0].len(), 12, "the header, the baseline and ten experiments");
    assert_eq!(nights[0], nights[1]);
}

fn interrupted(repository: &Repository, arguments: &[&str], after_rows: usize) -> Child {
    let child = repository.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !repository.folder.path().join(".autoresearch").is_dir() || repository.rows().len() < after_rows {
        assert!(Instant::now() < deadline, "the run does not get on");
        std::thread::sleep(Duration::from_millis(50));
    }
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    child
}

#[test]
fn a_reader_that_is_gone_is_no_failure() {
    let repository = Repository::new(0.0);
    for arguments in [&["run", "--experiments", "2", "--tag", "t"][..], &["report", "--tag", "t"], &["verify"]] {
        let mut command = repository.command(arguments);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        command.stderr(writer.try_clone().unwrap()).stdout(writer);
        assert!(command.status().unwrap().success(), "{arguments:?}");
    }
}

#[test]
fn ctrl_c_ends_cleanly_and_the_same_command_goes_on() {
    let repository = Repository::new(0.4);
    let command = ["run", "--experiments", "5"];
    let mut child = interrupted(&repository, &command, 2);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let before = repository.rows();
    assert!(before.len() < 6);

    let output = repository.run(&command);
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("going on with"), "{}", text(&output));
    let after = repository.rows();
    assert_eq!((after.len(), &after[..before.len()]), (6, &before[..]));

    // The interruption leaves no trace in the decisions.
    let whole = Repository::new(0.0);
    whole.run(&command);
    assert_eq!(whole.rows(), after);
}

#[test]
fn the_best_state_can_be_measured_again() {
    let repository = Repository::new(0.0);
    repository.run(&["run", "--experiments", "6", "--tag", "t"]);
    let best =
        repository.rows().iter().rfind(|row| row.contains("keep")).unwrap().split('\t').next().unwrap().to_owned();
    let output = repository.run(&["rerun", "--tag", "t", "--times", "2", "--baseline"]);
    let pair = format!("baseline score: 50.500000\nscore: {best}\n");
    assert_eq!(String::from_utf8_lossy(&output.stdout), pair.repeat(2));
}

#[test]
fn what_cannot_be_continued_is_said() {
    let repository = Repository::new(0.0);
    assert!(repository.run(&["run", "--experiments", "1", "--tag", "t"]).status.success());
    let again = repository.run(&["run", "--experiments", "1", "--tag", "t"]);
    assert!(!again.status.success() && text(&again).contains("the run t is complete"), "{}", text(&again));
    let seed = repository.run(&["run", "--experiments", "2", "--tag", "t", "--seed", "1"]);
    assert!(!seed.status.success() && text(&seed).contains("another tag"), "{}", text(&seed));
    let missing = repository.run(&["report", "--tag", "nothing"]);
    assert!(
        !missing.status.success() && text(&missing).contains("the runs of this repository are: t"),
        "{}",
        text(&missing)
    );
    let outside = Command::new(env!("CARGO_BIN_EXE_autoresearch")).arg("report").current_dir("/").output().unwrap();
    assert!(!outside.status.success() && text(&outside).contains("git init"), "{}", text(&outside));
}

#[test]
fn a_table_written_by_hand_is_imported_and_only_reported() {
    let repository = Repository::new(0.0);
    // A run that an import must not stand in the way of.
    assert!(repository.run(&["run", "--experiments", "1", "--tag", "own"]).status.success());
    let table = "SHA\tscore\tresult\tnotes\r\n\
        aaaaaaa\t50.5\tKEEP\tas it is\r\n\
        bbbbbbb\t40\tkept\tless of it\r\n\
        ccccccc\t41\tkeep*\tsimpler\r\n\
        ddddddd\t\tOOM\tmore of it\r\n\
        eeeeeee\t39\tperhaps\tunsure\r\n\
        fffffff\t45\treverted\tthe other way\r\n";
    std::fs::write(repository.folder.path().join("mine.tsv"), table).unwrap();

    let output = repository.run(&["import", "mine.tsv"]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("experiments: 5; problems: 1; metric: score, lower is better"), "{}", text(&output));
    assert!(text(&output).contains("line 6: the status `perhaps`"), "{}", text(&output));
    let again = repository.run(&["import", "mine.tsv"]);
    assert!(!again.status.success() && text(&again).contains("there is a run mine already"), "{}", text(&again));

    let report = repository.run(&["report", "--tag", "mine"]);
    assert!(report.status.success(), "{}", text(&report));
    assert!(text(&report).contains("4 experiments: 2 kept, 1 discarded, 1 crashed"), "{}", text(&report));
    assert!(
        text(&report).contains(
            "Decisions that strict improvement would not have made:\n\
             - 002 simpler: 40.000000 -> 41.000000, KEPT (worse by 1.000000)\n\n"
        ),
        "{}",
        text(&report)
    );
    let folder = repository.folder.path().join(".autoresearch/mine");
    for file in ["report.md", "progress.png", "progress.svg", "results.tsv"] {
        assert!(folder.join(file).metadata().unwrap().len() > 0, "{file}");
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 5, "nothing else is left");

    for command in ["run", "rerun"] {
        let refused = repository.run(&[command, "--tag", "mine"]);
        assert!(!refused.status.success(), "{}", text(&refused));
        assert!(text(&refused).contains("the run mine was imported, it can only be reported"), "{}", text(&refused));
    }
    let on = repository.run(&["run", "--experiments", "2"]);
    assert!(text(&on).contains("night: own "), "the run without a name goes on with one's own: {}", text(&on));

    std::fs::write(repository.folder.path().join("empty.tsv"), "commit\tscore\tdescription\na\t1\tx\n").unwrap();
    let empty = repository.run(&["import", "empty.tsv"]);
    assert!(!empty.status.success() && text(&empty).contains("no column is named `status`"), "{}", text(&empty));
    assert!(!repository.folder.path().join(".autoresearch/empty").exists());
}

#[test]
fn a_run_is_verified_and_each_fault_has_its_words() {
    let repository = Repository::new(0.0);
    assert!(repository.run(&["run", "--experiments", "5", "--tag", "t"]).status.success());
    let before = repository.git(&["for-each-ref"]);
    let verify = |tag: &str| repository.run(&["verify", "--tag", tag]);
    let sound = || {
        let output = verify("t");
        assert!(output.status.success(), "{}", text(&output));
        text(&output)
    };
    let broken = |words: &[&str]| {
        let output = verify("t");
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        assert!(words.iter().all(|word| text(&output).contains(word)), "{words:?}: {}", text(&output));
    };
    let said = sound();
    for words in [
        "records, 5 experiments: sound\n",
        "repository: 6 candidates, ",
        "git fsck: sound\n",
        "results.tsv: 6 rows: sound\n",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(said.ends_with("\nsound\n"), "{said}");
    assert_eq!(repository.git(&["for-each-ref"]), before);
    assert!(text(&repository.run(&["verify"])).ends_with("\nsound\n"), "the latest run");

    let run = repository.folder.path().join(".autoresearch/t");
    let (journal, table) = (run.join("journal.jsonl"), run.join("results.tsv"));
    let whole = std::fs::read(&journal).unwrap();
    let third = whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(2).unwrap().0;
    let mut flipped = whole.clone();
    flipped[third + 40] ^= 1;
    std::fs::write(&journal, flipped).unwrap();
    broken(&["journal: not readable: 1 violation\n", "line 4 of ", "is damaged", "not checked", "\n1 violation\n"]);
    std::fs::write(&journal, &whole[..whole.len() - 5]).unwrap();
    assert!(sound().contains("note: journal: its last line is torn"));
    std::fs::write(&journal, &whole).unwrap();

    let branch = "refs/heads/autoresearch/t";
    let tip = repository.git(&["rev-parse", branch]);
    repository.git(&["update-ref", branch, "HEAD"]);
    broken(&[
        "branch autoresearch/t: 1 violation\n",
        "repository: the branch refs/heads/autoresearch/t is at",
        tip.trim(),
    ]);
    repository.git(&["update-ref", branch, tip.trim()]);

    let pin = "refs/autoresearch/t/exp/2";
    let candidate = repository.git(&["rev-parse", pin]);
    repository.git(&["update-ref", "-d", pin]);
    broken(&["the candidate of experiment 2 is not pinned", "\n1 violation\n"]);
    repository.git(&["update-ref", pin, candidate.trim()]);

    let rows = std::fs::read_to_string(&table).unwrap();
    std::fs::write(&table, rows.replacen("50.500000", "10.500000", 1)).unwrap();
    broken(&["results.tsv: 6 rows: 1 violation\n", "results.tsv: line 2 is `", "the next run writes it anew\n"]);
    let last = rows.trim_end().rfind('\n').unwrap();
    std::fs::write(&table, &rows[..=last]).unwrap();
    assert!(sound().contains("note: results.tsv: the last decision is missing"));
    std::fs::write(&table, &rows).unwrap();
    sound();

    std::fs::write(repository.folder.path().join("mine.tsv"), "aaaaaaa\t5\t1\tkeep\tas it is\n").unwrap();
    assert!(repository.run(&["import", "mine.tsv"]).status.success());
    let imported = verify("mine");
    assert!(imported.status.success(), "{}", text(&imported));
    assert!(text(&imported).contains("repository: imported: no commits to check\n"), "{}", text(&imported));
    let missing = verify("nothing");
    assert!(!missing.status.success() && text(&missing).contains("there is no run nothing"), "{}", text(&missing));
}

#[test]
fn a_run_that_goes_on_is_sound() {
    let repository = Repository::new(0.05);
    let mut night = repository.command(&["run", "--experiments", "20", "--tag", "t"]);
    let mut night = night.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let journal = repository.folder.path().join(".autoresearch/t/journal.jsonl");
    let mut looks = 0;
    while night.try_wait().unwrap().is_none() {
        if journal.exists() {
            let output = repository.run(&["verify", "--tag", "t"]);
            assert!(output.status.success(), "{}", text(&output));
            looks += 1;
        }
    }
    assert!(looks > 5, "{looks}");
    assert!(repository.run(&["verify"]).status.success());
}

#[test]
fn a_holdout_stays_sealed_until_it_is_opened_and_each_opening_is_remembered() {
    let repository = Repository::new(0.0);
    let config = repository.folder.path().join("autoresearch.toml");
    let seen = repository.folder.path().with_extension("seen");
    let text_before = std::fs::read_to_string(&config).unwrap();
    let holdout = format!(
        "[holdout]\nenvironment = {{ HOLDOUT_DATA = '1000' }}\ncommand = ['sh', '-c', \"\"\"\n\
         echo opened >> {}\n\
         echo ---\n\
         awk -v more=$HOLDOUT_DATA '/^const/ {{ sub(\";\", \"\", $5); s += $5 }} END {{ print \"score: \" s + more }}' work.txt\n\
         \"\"\"]\n",
        seen.display()
    );
    // A night that reads its own variables would crash here if it had that of the holdout.
    let guarded = text_before.replace("echo ---", "test -z \"$HOLDOUT_DATA\" || exit 9\necho ---");
    std::fs::write(&config, format!("{guarded}{holdout}")).unwrap();
    let output = repository.run(&["run", "--tag", "night", "--experiments", "6", "--allow-dirty"]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(!seen.exists(), "the night never ran it");
    let sealed = text(&repository.run(&["report"]));
    assert!(!sealed.contains("holdout"), "{sealed}");

    let opened = repository.run(&["report", "--open-holdout"]);
    assert!(opened.status.success(), "{}", text(&opened));
    assert_eq!(std::fs::read_to_string(&seen).unwrap().lines().count(), 2, "the baseline and the best");
    let shown = text(&opened);
    assert!(shown.contains("The holdout was opened once") && shown.contains("after experiment 6"), "{shown}");
    assert!(
        shown.contains("score on the holdout: 1050.500000 -> ") && shown.contains("own score: 50.500000 -> "),
        "{shown}"
    );
    let report = std::fs::read_to_string(repository.only_run().join("report.md")).unwrap();
    assert!(report.contains("## The holdout") && report.contains("- score on the holdout: 1050.5"), "{report}");
    let later = text(&repository.run(&["report"]));
    assert!(later.contains("opened once"), "the report keeps both numbers: {later}");

    let again = text(&repository.run(&["report", "--open-holdout"]));
    assert!(again.contains("The holdout has been opened 2 times"), "{again}");
    let verified = repository.run(&["verify"]);
    assert!(verified.status.success(), "{}", text(&verified));
    let more = repository.run(&["run", "--tag", "night", "--experiments", "8", "--allow-dirty"]);
    assert!(more.status.success(), "{}", text(&more));
    assert!(text(&repository.run(&["report"])).contains("2 experiments were made since"));

    std::fs::write(&config, guarded).unwrap();
    let none = repository.run(&["report", "--open-holdout"]);
    assert!(!none.status.success() && text(&none).contains("[holdout] with a command"), "{}", text(&none));
    let _ = std::fs::remove_file(seen);
}

#[test]
fn a_time_is_decided_by_pairs_on_one_machine() {
    let repository = Repository::new(0.0);
    let config = repository.folder.path().join("autoresearch.toml");
    let before = std::fs::read_to_string(&config).unwrap();
    let timing = before.replace(
        "[metric]",
        "repeats = 3\n[ratchet]\nrule = 'strict'\npairs = 2\n[metric]\nkind = 'timing'\nstatistic = 'minimum'",
    );
    std::fs::write(&config, &timing).unwrap();
    let output = repository.run(&["run", "--tag", "night", "--experiments", "6", "--allow-dirty"]);
    assert!(output.status.success(), "{}", text(&output));
    let journal = std::fs::read_to_string(repository.only_run().join("journal.jsonl")).unwrap();
    let kept =
        journal.lines().filter(|line| line.contains("over 2 pairs") && line.contains("\"status\":\"keep\"")).count();
    assert!(kept > 0, "{}", text(&output));
    assert!(journal.contains("\"score_samples\":3.0") && journal.contains(" processors, "), "{journal}");
    assert!(journal.contains("\"side\":\"incumbent\""));

    std::fs::write(&config, timing.replace("repeats = 3", "repeats = 3\ncpus = [1023]")).unwrap();
    let refused = repository.run(&["run", "--tag", "other", "--experiments", "1", "--allow-dirty"]);
    assert!(!refused.status.success() && text(&refused).contains("CPUs 1023: allowed here are"), "{}", text(&refused));

    std::fs::write(&config, before.replace("[metric]", "[ratchet]\nrule = 'ladder'\n[metric]\nkind = 'items'"))
        .unwrap();
    let without = repository.run(&["run", "--tag", "items", "--experiments", "1", "--allow-dirty"]);
    assert!(!without.status.success() && text(&without).contains("AUTORESEARCH_ITEMS"), "{}", text(&without));
}

#[test]
fn a_night_with_short_runs_and_excursions_says_what_came_of_them() {
    let repository = Repository::new(0.0);
    let config = repository.folder.path().join("autoresearch.toml");
    let mut text_of = std::fs::read_to_string(&config).unwrap();
    // A short run of this program tells the opposite of the full one.
    text_of =
        text_of.replace("print \"score: \" s", "print \"score: \" (ENVIRON[\"AUTORESEARCH_FIDELITY\"] < 1 ? -s : s)");
    text_of += "[screening]\nrungs = [0.25]\nallowance = 1000\n[excursion]\nafter = 2\nsteps = 2\ntolerance = 1000\n";
    std::fs::write(&config, text_of).unwrap();
    repository.git(&["-c", "user.name=u", "-c", "user.email=u@localhost", "commit", "-qam", "screening"]);
    let output = repository.run(&["run", "--experiments", "14"]);
    assert!(output.status.success(), "{}", text(&output));
    let said = text(&output);
    assert!(said.contains("0 screened out after short runs, 14 promoted, 0 promoted as controls"), "{said}");
    assert!(
        said.contains(
            "at 25 % of the budget the rank correlation with the full budget is -1.00 (Spearman, of gains; n = 14)"
        ),
        "{said}"
    );
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
    assert!(!output.status.success() && text(&output).contains("settings that decide the number"), "{}", text(&output));
}
