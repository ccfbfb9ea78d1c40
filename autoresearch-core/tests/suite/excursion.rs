//! Excursions: the search continues for a while from candidates that are a little worse, and they reach the lineage only with
//! a change that makes up for them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use autoresearch_core::internal::Settings;
use autoresearch_core::internal::{results, verify};
use autoresearch_core::testkit::{Script, SimulatedMachine as Machine, Step};
use autoresearch_core::*;

/// Position of a proposer: the revision to change, its score, the score to beat, and the sacrifices.
type Told = (String, f64, f64, Vec<ExperimentId>);

/// A script that remembers the positions that it was told.
struct Remembers<P>(P, Arc<Mutex<Vec<Told>>>);

#[async_trait]
impl<C: Send + Sync + 'static, P: Proposer<C>> Proposer<C> for Remembers<P> {
    async fn propose(&mut self, context: &Context<'_, C>) -> Result<Proposal<C>, ProposerError> {
        let proposal = self.0.propose(context).await?;
        let sacrifices = context.sacrifices.to_vec();
        let told = (context.incumbent.0.clone(), context.score.get(), context.to_beat.get(), sacrifices);
        self.1.lock().unwrap().push(told);
        Ok(proposal)
    }
}

const RULE: ExcursionRule = ExcursionRule { after: 2, steps: 2, tolerance: 1.0 };

/// Searches for `more` experiments with a newly started lab.
async fn work(machine: &Machine, script: &[f64], rule: ExcursionRule, more: usize) -> (State, Vec<Told>) {
    machine.restart(1.0);
    let told = Arc::new(Mutex::new(Vec::new()));
    let mut settings = Settings::new("t", Duration::from_secs(1));
    settings.excursion = Some(rule);
    let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
    let proposer = Box::new(Remembers(Script::new(script.iter().map(|score| Step::score(*score))), told.clone()));
    let (program, journal) = (Program::parse("Lower it.").unwrap(), machine.journal().unwrap());
    let mut lab = Lab::builder(machine.sandbox(), proposer, metric)
        .ratchet(Arc::new(Strict))
        .program(program)
        .settings(settings)
        .open_journal(journal)
        .build()
        .unwrap();
    lab.set_stop(Stop::after(lab.state().finished() + more));
    lab.run(&Cancel::new()).await.unwrap();
    let told = told.lock().unwrap().clone();
    (lab.state().clone(), told)
}

fn told(base: &str, score: f64, to_beat: f64, sacrifices: &[ExperimentId]) -> Told {
    (base.into(), score, to_beat, sacrifices.to_vec())
}

#[tokio::test]
async fn a_side_line_that_beats_the_incumbent_reaches_the_lineage() {
    let machine = Machine::new(Step::score(5.0));
    // Two that fail; two sacrifices, the second one worse than the first; and a change that makes up for both.
    let script = [7.0, 5.5, 5.25, 5.75, 4.5, 6.0];
    let (state, seen) = work(&machine, &script, ExcursionRule { steps: 3, ..RULE }, 4).await;
    assert_eq!(machine.incumbent(), Some(Revision("kept-0".into())), "the incumbent never moves to a sacrifice");
    assert_eq!(state.incumbent.as_ref().unwrap().experiment, ExperimentId(0));
    assert_eq!(seen[2], told("kept-0", 5.0, 5.0, &[]));
    assert_eq!(seen[3], told("3", 5.25, 5.0, &[ExperimentId(3)]));
    let line = state.side_line.unwrap();
    assert_eq!((line.sacrifices, line.score.get(), line.added_lines), ([3, 4].map(ExperimentId).to_vec(), 5.75, 2));
    assert!(state.experiments[4].reason.contains("sacrificed"), "{}", state.experiments[4].reason);

    // The lab is started anew in the middle.
    let (state, seen) = work(&machine, &script, ExcursionRule { steps: 3, ..RULE }, 2).await;
    assert_eq!(seen, [told("4", 5.75, 5.0, &[ExperimentId(3), ExperimentId(4)]), told("kept-5", 4.5, 4.5, &[])]);
    assert_eq!(state.experiments[5].status, Status::Keep);
    assert_eq!(state.experiments[5].before, Score::new(5.0), "it was judged against the incumbent");
    let [excursion] = &state.excursions[..] else { panic!("{:?}", state.excursions) };
    assert_eq!(
        (&excursion.sacrifices[..], excursion.tried, excursion.last, excursion.kept),
        (&[3, 4].map(ExperimentId)[..], 2, ExperimentId(5), true)
    );
    assert_eq!(state.experiments[6].parent, Some(Revision("kept-5".into())));
}

#[tokio::test]
async fn one_that_leads_nowhere_is_dropped_and_the_next_one_takes_its_time() {
    let machine = Machine::new(Step::score(5.0));
    let script = [7.0, 7.0, 5.5, 8.0, 5.5, 7.0, 5.5, 5.5];
    let (state, seen) = work(&machine, &script, RULE, 8).await;
    let bases: Vec<&str> = seen.iter().map(|(base, ..)| base.as_str()).collect();
    // After two that fail the third is sacrificed, the fourth is worse than the tolerance, the fifth was the last step; two
    // more must fail before the next.
    assert_eq!(bases, ["kept-0", "kept-0", "kept-0", "3", "3", "kept-0", "kept-0", "kept-0"]);
    assert_eq!((state.excursions.len(), state.excursions[0].kept, state.excursions[0].tried), (1, false, 2));
    assert_eq!(state.side_line.unwrap().sacrifices, [ExperimentId(8)]);
    assert_eq!(machine.incumbent(), Some(Revision("kept-0".into())));
}

#[tokio::test]
async fn a_crash_is_no_sacrifice_and_a_search_that_may_not_go_on_comes_back() {
    let machine = Machine::new(Step::score(5.0));
    let script = [f64::NAN, f64::NAN, f64::NAN, 5.5, 5.5];
    let (state, _) = work(&machine, &script, RULE, 4).await;
    assert_eq!(state.side_line.as_ref().unwrap().sacrifices, [ExperimentId(4)]);
    assert_eq!(state.excursions, []);
    let without = ExcursionRule { steps: 0, ..RULE };
    machine.restart(1.0);
    assert!(without.check().unwrap_err().contains("steps is 0"));
}

#[tokio::test]
async fn lines_of_sacrifices_count_where_equal_is_kept_for_less_code() {
    // The side line has two lines more than the incumbent: a tie with one line less than that is not simpler, with two it is.
    let machine = Machine::new(Step::score(5.0));
    let mut lab = {
        let mut settings = Settings::new("t", Duration::from_secs(1));
        settings.excursion = Some(ExcursionRule { after: 0, steps: 2, tolerance: 1.0 });
        let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
        let script = Script::new([Step::score(5.5).lines(2), Step::score(5.0).lines(-1), Step::score(5.0).lines(-2)]);
        let (program, journal) = (Program::parse("Lower it.").unwrap(), machine.journal().unwrap());
        Lab::builder(machine.sandbox(), Box::new(script), metric)
            .ratchet(Arc::new(Strict))
            .program(program)
            .settings(settings)
            .open_journal(journal)
            .build()
            .unwrap()
    };
    lab.run(&Cancel::new()).await.unwrap();
    let decided: Vec<Status> = lab.state().experiments.iter().map(|e| e.status).collect();
    assert_eq!(decided, [Status::Keep, Status::Discard, Status::Discard, Status::Keep]);
    assert!(lab.state().experiments[3].reason.contains("1 lines less"), "{}", lab.state().experiments[3].reason);
}

/// Over real git and processes.
#[cfg(unix)]
mod real {
    use super::*;
    use autoresearch_core::Commands;
    use autoresearch_core::Slot;
    use autoresearch_core::internal::git::Lineage;

    /// Each change alone makes it worse, both make it better; and the second one learns slowly at first.
    const PROGRAM: &str = "echo ---; . ./a.sh; . ./b.sh; \
        case $A-$B in 0-0) score=50;; 8-0) score=58;; 8-1) score=45;; *) score=90;; esac; \
        case $AUTORESEARCH_FIDELITY in 1) ;; 0.5) score=$((score + 100));; *) score=$((score + 100 + SLOW));; esac; \
        echo \"score: $score.$((AUTORESEARCH_SEED > 0))\"";

    #[tokio::test]
    async fn a_run_with_screening_and_an_excursion_has_a_linear_lineage() {
        let folder = tempfile::tempdir().unwrap();
        let repo = folder.path().join("repo");
        std::fs::create_dir(&repo).unwrap();
        for (name, text) in [("a.sh", "A=0\n"), ("b.sh", "B=0; SLOW=0\n")] {
            std::fs::write(repo.join(name), text).unwrap();
        }
        test_fixtures::init(&repo);

        let lineage = || Lineage::open(&repo, "t").unwrap();
        let commands = Commands {
            editable: EditablePaths::new(["a.sh", "b.sh"]),
            run: ["sh", "-c", PROGRAM].map(String::from).into(),
            ..Commands::default()
        };
        let run = folder.path().join("run");
        let slot = Slot::new(folder.path().join("slot"));
        let sandbox = CommandSandbox::local(&repo, "t", commands, vec![slot], run.join("logs")).unwrap();
        let mut settings = Settings::new("t", Duration::from_secs(30));
        settings.base = Some(sandbox.base().clone());
        settings.screening = Some(Screening { control: 0, ..Screening::new([0.2, 0.5]) });
        settings.excursion = Some(ExcursionRule { after: 1, steps: 2, tolerance: 10.0 });
        let write =
            |path: &str, text: &str| Patch { edits: vec![FileEdit::Write { path: path.into(), text: text.into() }] };
        let script = Script::new([
            // Clearly worse on a fifth of the budget.
            write("a.sh", "A=30\n"),
            // Worse by less than the tolerance.
            write("a.sh", "A=8\n"),
            // On a fifth of the budget a little too far behind, on half of it ahead.
            write("b.sh", "B=1; SLOW=16\n"),
            write("b.sh", "B=2; SLOW=0\n"),
        ]);
        let metric = Arc::new(LogMetric::new("score", Direction::Minimise));
        let (program, path) = (Program::parse("Lower it.").unwrap(), run.join("journal.jsonl"));
        let journal = Journal::open(&path).unwrap();
        let mut lab = Lab::builder(Arc::new(sandbox), Box::new(script), metric)
            .ratchet(Arc::new(Strict))
            .program(program)
            .settings(settings)
            .open_journal(journal)
            .build()
            .unwrap();
        lab.run(&Cancel::new()).await.unwrap();
        let state = lab.state().clone();
        drop(lab);

        let shown: Vec<String> = state
            .experiments
            .iter()
            .map(|e| {
                let looks = e.screening.as_ref().map_or(0, |screened| screened.rungs.len());
                format!("{} {} {looks}", e.status, e.score().map_or("-".into(), |score| format!("{:.0}", score.get())))
            })
            .collect();
        let reasons: Vec<&str> = state.experiments.iter().map(|e| e.reason.as_str()).collect();
        assert_eq!(shown, ["keep 50 0", "discard - 1", "discard 58 1", "keep 45 2", "discard - 1"], "{reasons:#?}");
        assert_eq!((state.excursions.len(), state.excursions[0].kept), (1, true));

        // One commit for the whole side line, on the incumbent before it; and the side line itself stays to be looked at.
        assert_eq!(test_fixtures::git(&repo, &["log", "--format=%s", "autoresearch/t"]), "step 2\nstart\n");
        let message = test_fixtures::git(&repo, &["log", "-1", "--format=%b", "autoresearch/t"]);
        assert!(message.contains("score: 50.000000 -> 45.000000"), "{message}");
        assert!(
            message.contains("sacrifices, which were not kept by themselves:\n- experiment 2: step 1"),
            "{message}"
        );
        assert_eq!(
            test_fixtures::git(&repo, &["show", "autoresearch/t:a.sh", "autoresearch/t:b.sh"]),
            "A=8\nB=1; SLOW=16\n"
        );
        let pins = ["refs/autoresearch/t/exp/3^", "refs/autoresearch/t/exp/2"]
            .map(|name| test_fixtures::git(&repo, &["rev-parse", name]));
        assert_eq!(pins[0], pins[1]);

        let entries = Journal::read(&path).unwrap();
        assert_eq!(State::replay(&entries).unwrap(), state);
        assert_eq!(verify::journal(&entries), []);
        assert_eq!(verify::repository(&state, &lineage()).unwrap(), []);
        assert!(verify::fsck(&lineage()).is_none_or(|found| found.is_empty()));
        let found = results::screened(&state).unwrap();
        assert_eq!((found.out, found.passed, found.second_looks), (2, 2, 1));
    }
}
