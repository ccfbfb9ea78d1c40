//! Several proposals at once: of one call, and of conversations side by side.

use std::sync::Arc;

use autoresearch_agents::model::{Caps, Mode};
use autoresearch_core::*;
use serde_json::{Value, json};

use super::fixture::*;
use super::mock::{Act, Mock, Seen};
use super::vendors::*;

/// Returns the first wave of a proposer, or its first proposal if `most` is 0.
async fn wave(proposer: &mut dyn Proposer, most: usize) -> Result<Wave, ProposerError> {
    let program = Program::parse("Lower the score.").unwrap();
    let files = [(FILE.to_owned(), "// A number.\nconst X: f64 = 10.0;\n".to_owned())].into();
    let score = Score::new(7.0).unwrap();
    let context: Context<'_> =
        Context::new(&program, Revision("base".into()), score, Direction::Minimise, Arc::new(files), 0);
    match most {
        0 => Ok(vec![Ok(proposer.propose(&context).await?)]),
        most => proposer.propose_wave(&context, most).await,
    }
}

fn list(answers: &[String]) -> String {
    let answers: Vec<Value> = answers.iter().map(|answer| serde_json::from_str(answer).unwrap()).collect();
    json!({ "proposals": answers }).to_string()
}

fn tokens(wave: &Wave) -> Vec<u64> {
    let cost = |entry: &Result<Proposal, RejectedDraft>| entry.as_ref().map_or_else(|d| d.cost, |p| p.cost);
    wave.iter().map(|entry| cost(entry).tokens).collect()
}

/// Returns the descriptions of the proposals of a wave.
fn described(wave: &Wave) -> Vec<&str> {
    wave.iter().flatten().map(|proposal| proposal.description.as_str()).collect()
}

/// Returns the reasons of the rejected drafts of a wave.
fn reasons(wave: &Wave) -> Vec<&str> {
    wave.iter().filter_map(|entry| Some(&*entry.as_ref().err()?.reason)).collect()
}

fn said(seen: &Seen, word: &str) -> bool {
    seen.body.to_string().contains(word)
}

#[tokio::test]
async fn one_call_gives_several_proposals() {
    for interface in INTERFACES {
        let answers = list(&[answer("10.0", "9.0"), answer("10.0", "8.0"), answer("10.0", "7.0"), good()]);
        let mock = Mock::script(vec![Act::stream(interface.text(&answers, End::Complete, 10, 50))]).await;
        let proposals = wave(&mut *setup(&mock.url).proposer(interface), 3).await.unwrap();
        let told = described(&proposals);
        assert_eq!(told, ["X 10.0 -> 9.0", "X 10.0 -> 8.0", "X 10.0 -> 7.0"], "no more than were asked for");
        assert_eq!(tokens(&proposals), [INPUT + 10, 0, 0], "the call is paid for once");
        let [seen] = &mock.seen()[..] else { panic!("{interface:?}") };
        assert!(said(seen, "Make 3 proposals") && said(seen, "none of them builds on another"), "{interface:?}");
        assert!(said(seen, "\"proposals\":{\"items\":{"), "the form is enforced: {}", seen.body);
    }
}

/// A wave of one is the question that was always asked.
#[tokio::test]
async fn a_wave_of_one_asks_as_before() {
    for interface in INTERFACES {
        let mock = Mock::script(vec![Act::stream(interface.text(&good(), End::Complete, 10, 50))]).await;
        for most in [1, 0] {
            assert_eq!(wave(&mut *setup(&mock.url).proposer(interface), most).await.unwrap().len(), 1);
        }
        let seen = mock.seen();
        assert_eq!(seen[0].body, seen[1].body, "{interface:?}");
    }
}

#[tokio::test]
async fn what_does_not_fit_is_mended_alone_and_paid_for_alone() {
    for interface in INTERFACES {
        let first = list(&[answer("10.0", "9.0"), answer("11.0", "8.0"), answer("12.0", "7.0")]);
        let acts = [first, list(&[answer("10.0", "8.0")]), list(&[answer("13.0", "7.0")])];
        let acts = acts.iter().map(|text| Act::stream(interface.text(text, End::Complete, 10, 50))).collect();
        let mock = Mock::script(acts).await;
        let mut setup = setup(&mock.url);
        setup.options.repairs = 1;
        let proposals = wave(&mut *setup.proposer(interface), 3).await.unwrap();
        let told = described(&proposals);
        assert_eq!(told, ["X 10.0 -> 9.0", "X 10.0 -> 8.0"], "each has its record");
        assert_eq!(tokens(&proposals), [INPUT + 10; 3], "each pays for its own repairs, the first for the call");
        assert!(
            matches!(reasons(&proposals)[..], [why] if why.contains("stands nowhere")),
            "{:?}",
            reasons(&proposals)
        );
        let seen = mock.seen();
        assert_eq!(seen.len(), 3);
        assert!(said(&seen[1], "Proposal 2 of the list: The patch cannot be applied"), "{interface:?}");
        assert!(said(&seen[2], "Proposal 3 of the list") && !said(&seen[2], "Proposal 2 of the list"), "{interface:?}");
    }
}

#[tokio::test]
async fn an_unusable_wave_is_rejected_with_its_cost() {
    for interface in INTERFACES {
        let mock = Mock::script(vec![Act::stream(interface.text("sorry", End::Complete, 10, 50))]).await;
        match wave(&mut *setup(&mock.url).proposer(interface), 4).await {
            Ok(wave) => {
                assert!(matches!(reasons(&wave)[..], [why] if why.contains("`proposals`")), "{wave:?}");
                assert_eq!(tokens(&wave), [4 * (INPUT + 10)]);
            }
            other => panic!("{other:?}"),
        }
        let mock = Mock::script(vec![Act::stream(interface.text("frontier_llm", End::Refusal, 10, 50))]).await;
        let declined = wave(&mut *setup(&mock.url).proposer(interface), 4).await.unwrap();
        assert_eq!((described(&declined), tokens(&declined)), (vec![], vec![INPUT + 10]));
    }
}

/// Money that is spent is reported with what there is, whatever happens then.
#[tokio::test]
async fn a_wave_that_breaks_off_gives_what_it_has() {
    for interface in INTERFACES {
        let first = list(&[answer("10.0", "9.0"), answer("11.0", "8.0")]);
        let mock = Mock::script(vec![
            Act::stream(interface.text(&first, End::Complete, 10, 50)),
            Act::error(401, &[], r#"{"error":{"type":"authentication_error","message":"no"}}"#),
        ])
        .await;
        let mut proposer = setup(&mock.url).proposer(interface);
        let proposals = wave(&mut *proposer, 2).await.unwrap();
        assert_eq!(tokens(&proposals), [INPUT + 10]);
        assert!(matches!(wave(&mut *proposer, 2).await, Err(ProposerError::Fatal(_))), "the run ends with the next");
    }
}

/// Each conversation edits its `X` by what its direction says, and proposes.
fn worker(interface: Interface) -> impl FnMut(&Seen) -> Act + Send + 'static {
    move |seen| {
        let text = seen.body.to_string();
        let nth = (1..=3).find(|nth| text.contains(&format!("this is number {nth}"))).unwrap();
        let edit = json!({ "kind": "replace", "path": FILE, "search": "10.0", "replace": format!("{nth}.5") });
        match text.contains("call_0") {
            false => Act::stream(interface.calls(&[("edit", edit)], 10)),
            true => Act::stream(interface.calls(&[("propose", json!({ "description": format!("number {nth}") }))], 10)),
        }
    }
}

#[tokio::test]
async fn conversations_go_side_by_side_with_different_directions() {
    for interface in INTERFACES {
        let mock = Mock::start(worker(interface)).await;
        let mut setup = setup(&mock.url);
        setup.options.mode = Mode::Agentic;
        let proposals = wave(&mut *setup.proposer(interface), 3).await.unwrap();
        let told = described(&proposals);
        assert_eq!((told, tokens(&proposals)), (vec!["number 1", "number 2", "number 3"], vec![2 * (INPUT + 10); 3]));
        let seen = mock.seen();
        let first: Vec<bool> = seen.iter().take(3).map(|seen| said(seen, "call_0")).collect();
        assert_eq!(first, [false; 3], "all of them begin before any goes on");
        assert!(["explore", "simplify"].iter().all(|word| seen.iter().take(3).any(|seen| said(seen, word))));
    }
}

/// A call in flight for one conversation counts for the others.
#[tokio::test]
async fn conversations_share_the_budget_of_the_run() {
    for interface in INTERFACES {
        let mock = Mock::start(worker(interface)).await;
        let mut setup = setup(&mock.url);
        setup.options.mode = Mode::Agentic;
        setup.run_caps = Caps { calls: Some(2), ..Caps::default() };
        let mut proposer = setup.proposer(interface);
        let made = wave(&mut *proposer, 3).await;
        assert_eq!(mock.seen().len(), 2, "{interface:?}");
        let calls: u64 = made.unwrap().iter().map(|entry| entry.as_ref().unwrap_err().cost.calls).sum();
        assert_eq!(calls, 2, "every call has its record");
        assert!(wave(&mut *proposer, 3).await.is_ok(), "the journal is new");
    }
}
