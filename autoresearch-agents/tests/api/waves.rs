//! Several proposals at once: of one call, and of conversations side by side.

use std::sync::Arc;

use autoresearch_agents::model::{Caps, Mode};
use autoresearch_core::*;
use serde_json::{Value, json};

use crate::bench::*;
use crate::mock::{Act, Mock, Seen};
use crate::wire::*;

/// What a proposer makes of a first wave; of one proposal, if `most` is 0.
async fn wave(proposer: &mut dyn Proposer, most: usize) -> Result<Vec<Proposal>, ProposerError> {
    let program = Program::parse("Lower the score.").unwrap();
    let files = [(FILE.to_owned(), "// A number.\nconst X: f64 = 10.0;\n".to_owned())].into();
    let score = Score::new(7.0).unwrap();
    let context: Context<'_> =
        Context::first(&program, Revision("base".into()), score, Direction::Minimise, Arc::new(files), 0);
    match most {
        0 => Ok(vec![proposer.propose(&context).await?]),
        most => proposer.propose_wave(&context, most).await,
    }
}

fn list(answers: &[String]) -> String {
    let answers: Vec<Value> = answers.iter().map(|answer| serde_json::from_str(answer).unwrap()).collect();
    json!({ "proposals": answers }).to_string()
}

fn tokens(proposals: &[Proposal]) -> Vec<u64> {
    proposals.iter().map(|proposal| proposal.cost.tokens).collect()
}

fn said(seen: &Seen, word: &str) -> bool {
    seen.body.to_string().contains(word)
}

#[tokio::test]
async fn one_call_gives_several_proposals() {
    for wire in WIRES {
        let answers = list(&[answer("10.0", "9.0"), answer("10.0", "8.0"), answer("10.0", "7.0"), good()]);
        let mock = Mock::script(vec![Act::stream(wire.text(&answers, End::Complete, 10, 50))]).await;
        let proposals = wave(&mut *setup(&mock.url).proposer(wire), 3).await.unwrap();
        let told: Vec<&str> = proposals.iter().map(|proposal| proposal.description.as_str()).collect();
        assert_eq!(told, ["X 10.0 -> 9.0", "X 10.0 -> 8.0", "X 10.0 -> 7.0"], "no more than were asked for");
        assert_eq!(tokens(&proposals), [INPUT + 10, 0, 0], "the call is paid for once");
        let [seen] = &mock.seen()[..] else { panic!("{wire:?}") };
        assert!(said(seen, "Make 3 proposals") && said(seen, "none of them builds on another"), "{wire:?}");
        assert!(said(seen, "\"proposals\":{\"items\":{"), "the form is enforced: {}", seen.body);
    }
}

/// A wave of one is the question that was always asked.
#[tokio::test]
async fn a_wave_of_one_asks_as_before() {
    for wire in WIRES {
        let mock = Mock::script(vec![Act::stream(wire.text(&good(), End::Complete, 10, 50))]).await;
        for most in [1, 0] {
            assert_eq!(wave(&mut *setup(&mock.url).proposer(wire), most).await.unwrap().len(), 1);
        }
        let seen = mock.seen();
        assert_eq!(seen[0].body, seen[1].body, "{wire:?}");
    }
}

#[tokio::test]
async fn what_does_not_fit_is_mended_alone_and_paid_for_alone() {
    for wire in WIRES {
        let first = list(&[answer("10.0", "9.0"), answer("11.0", "8.0"), answer("12.0", "7.0")]);
        let acts = [first, list(&[answer("10.0", "8.0")]), list(&[answer("13.0", "7.0")])];
        let acts = acts.iter().map(|text| Act::stream(wire.text(text, End::Complete, 10, 50))).collect();
        let mock = Mock::script(acts).await;
        let mut setup = setup(&mock.url);
        setup.options.repairs = 1;
        let proposals = wave(&mut *setup.proposer(wire), 3).await.unwrap();
        let told: Vec<&str> = proposals.iter().map(|proposal| proposal.description.as_str()).collect();
        assert_eq!(told, ["X 10.0 -> 9.0", "X 10.0 -> 8.0"], "what stays unusable is dropped");
        assert_eq!(tokens(&proposals), [2 * (INPUT + 10), INPUT + 10], "and paid for by the first");
        let seen = mock.seen();
        assert_eq!(seen.len(), 3);
        assert!(said(&seen[1], "Proposal 2 of the list: The patch cannot be applied"), "{wire:?}");
        assert!(said(&seen[2], "Proposal 3 of the list") && !said(&seen[2], "Proposal 2 of the list"), "{wire:?}");
    }
}

#[tokio::test]
async fn an_unusable_wave_is_refused_with_its_cost() {
    for wire in WIRES {
        let mock = Mock::script(vec![Act::stream(wire.text("sorry", End::Complete, 10, 50))]).await;
        match wave(&mut *setup(&mock.url).proposer(wire), 4).await {
            Err(ProposerError::Rejected { reason, cost, .. }) => {
                assert!(reason.contains("`proposals`"), "{reason}");
                assert_eq!(cost.tokens, 4 * (INPUT + 10));
            }
            other => panic!("{other:?}"),
        }
        let mock = Mock::script(vec![Act::stream(wire.text("frontier_llm", End::Refusal, 10, 50))]).await;
        let refused = wave(&mut *setup(&mock.url).proposer(wire), 4).await;
        assert!(matches!(refused, Err(ProposerError::Rejected { cost, .. }) if cost.tokens == INPUT + 10));
    }
}

/// Money that is spent is reported with what there is, whatever happens then.
#[tokio::test]
async fn a_wave_that_breaks_off_gives_what_it_has() {
    for wire in WIRES {
        let first = list(&[answer("10.0", "9.0"), answer("11.0", "8.0")]);
        let mock = Mock::script(vec![
            Act::stream(wire.text(&first, End::Complete, 10, 50)),
            Act::error(401, &[], r#"{"error":{"type":"authentication_error","message":"no"}}"#),
        ])
        .await;
        let mut proposer = setup(&mock.url).proposer(wire);
        let proposals = wave(&mut *proposer, 2).await.unwrap();
        assert_eq!(tokens(&proposals), [INPUT + 10]);
        assert!(matches!(wave(&mut *proposer, 2).await, Err(ProposerError::Fatal(_))), "the run ends with the next");
    }
}

/// Each conversation edits its `X` by what its direction says, and proposes.
fn worker(wire: Wire) -> impl FnMut(&Seen) -> Act + Send + 'static {
    move |seen| {
        let text = seen.body.to_string();
        let nth = (1..=3).find(|nth| text.contains(&format!("this is number {nth}"))).unwrap();
        let edit = json!({ "kind": "replace", "path": FILE, "search": "10.0", "replace": format!("{nth}.5") });
        match text.contains("call_0") {
            false => Act::stream(wire.calls(&[("edit", edit)], 10)),
            true => Act::stream(wire.calls(&[("propose", json!({ "description": format!("number {nth}") }))], 10)),
        }
    }
}

#[tokio::test]
async fn conversations_go_side_by_side_with_different_directions() {
    for wire in WIRES {
        let mock = Mock::start(worker(wire)).await;
        let mut setup = setup(&mock.url);
        setup.options.mode = Mode::Agentic;
        let proposals = wave(&mut *setup.proposer(wire), 3).await.unwrap();
        let told: Vec<&str> = proposals.iter().map(|proposal| proposal.description.as_str()).collect();
        assert_eq!((told, tokens(&proposals)), (vec!["number 1", "number 2", "number 3"], vec![2 * (INPUT + 10); 3]));
        let seen = mock.seen();
        let first: Vec<bool> = seen.iter().take(3).map(|seen| said(seen, "call_0")).collect();
        assert_eq!(first, [false; 3], "all of them begin before any goes on");
        assert!(["explore", "simplify"].iter().all(|word| seen.iter().take(3).any(|seen| said(seen, word))));
    }
}

/// What is on its way for one conversation counts for the others.
#[tokio::test]
async fn conversations_share_the_budget_of_the_night() {
    for wire in WIRES {
        let mock = Mock::start(worker(wire)).await;
        let mut setup = setup(&mock.url);
        setup.options.mode = Mode::Agentic;
        setup.night = Caps { calls: Some(2), ..Caps::default() };
        let mut proposer = setup.proposer(wire);
        let made = wave(&mut *proposer, 3).await;
        assert_eq!(mock.seen().len(), 2, "{wire:?}");
        assert!(matches!(made, Err(ProposerError::Rejected { cost, .. }) if cost.calls == 2), "{made:?}");
        assert!(
            matches!(wave(&mut *proposer, 3).await, Ok(_) | Err(ProposerError::Rejected { .. })),
            "the journal is new"
        );
    }
}
