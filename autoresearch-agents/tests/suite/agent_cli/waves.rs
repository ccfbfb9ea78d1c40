//! Agents at the same time.

use std::sync::Arc;

use autoresearch_agents::{Agent, AgentCliProposer};
use autoresearch_core::*;

use super::fixture::Place;

/// Each agent has a folder and a direction of its own; one that fails costs the others nothing.
#[tokio::test]
async fn agents_work_side_by_side_each_in_its_own_folder() {
    let place = Place::new();
    // Waits until all three are at work, so one after the other would never end. The second then changes nothing.
    let body = r#"nth=$(printf %s "$1" | sed -n 's/.*this is number \([0-9]\).*/\1/p')
here=$(dirname "$0"); : > "$here/at-work-$nth"; pwd >> "$here/folders"
while [ ! -e "$here/at-work-1" ] || [ ! -e "$here/at-work-2" ] || [ ! -e "$here/at-work-3" ]; do sleep 0.05; done
[ "$nth" = 2 ] || echo "echo 'score: $nth'" > value.sh
echo "{\"description\": \"number $nth\"}""#;
    let agent = Agent::Command(vec![place.script("agent", body), "{prompt}".into()]);
    let mut proposer = AgentCliProposer::new(place.settings(agent));
    let program = Program::parse("Lower the score.").unwrap();
    let files = [("value.sh".to_owned(), "echo 'score: 5'\n".to_owned())].into();
    let score = Score::new(5.0).unwrap();
    let context: Context<'_> =
        Context::new(&program, Revision("base".into()), score, Direction::Minimise, Arc::new(files), 0);
    let wave = proposer.propose_wave(&context, 3).await.unwrap();
    let told: Vec<Result<&str, &str>> = wave
        .iter()
        .map(|entry| entry.as_ref().map(|proposal| &*proposal.description).map_err(|draft| &*draft.description))
        .collect();
    assert_eq!(told, [Ok("number 1"), Err("number 2"), Ok("number 3")]);
    let reason = &wave[1].as_ref().unwrap_err().reason;
    assert!(reason.contains("changed nothing"), "{reason}");
    let folders = place.read("folders");
    let folders: std::collections::BTreeSet<&str> = folders.lines().collect();
    assert_eq!(folders.len(), 3, "{folders:?}");
    assert!(place.leftovers().is_empty(), "{:?}", place.leftovers());
}
