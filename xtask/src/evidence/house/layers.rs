//! The rooms of autoresearch-core and which of them may use which, as DESIGN has it.

use std::collections::BTreeSet;
use std::path::Path;

use super::graph::uses;

/// A room: its name, the modules in it, and the rooms that it may use beside itself. A module belongs to the room with the
/// longest name that leads to it.
type Room = (&'static str, &'static [&'static str], &'static [&'static str]);

/// From the bottom: the traits with the types of their signatures; rules and metrics; the log; the state, which is its fold;
/// views of both; the lab. Git and the command sandbox know the traits and nothing of the lab. A proposer is asked with a
/// view of the state, so that its trait stands above it.
const ROOMS: &[Room] = &[
    ("root", &["", "prelude", "internal"], EVERYTHING),
    ("failpoints", &["failpoint", "failpoints", "crash"], &[]),
    (
        "traits",
        &[
            "program",
            "proposal",
            "change",
            "text",
            "sandbox",
            "experiment_id",
            "revision",
            "cancel",
            "machine",
            "policy",
            "metric",
            "ratchet",
            "ratchet::arm",
            "ratchet::noise",
        ],
        &[],
    ),
    ("rules", &["ratchet::", "metric::"], &["traits"]),
    ("journal", &["journal"], &["traits", "rules", "failpoints"]),
    ("state", &["state"], &["traits", "rules", "journal"]),
    ("proposer", &["proposer"], &["traits", "rules", "journal", "state"]),
    ("views", &["audit", "import", "results"], &["traits", "rules", "journal", "state", "failpoints"]),
    ("lab", &["lab", "stop", "observer"], &["traits", "rules", "journal", "state", "proposer", "views", "failpoints"]),
    ("git", &["git"], &["traits", "failpoints"]),
    ("command", &["command", "workspace", "process", "slot"], &["traits", "git", "failpoints"]),
    ("verify", &["verify"], &["traits", "rules", "journal", "state", "views", "git"]),
    ("attacks", &["attacks"], EVERYTHING),
    ("testkit", &["testkit"], EVERYTHING),
];

/// The rooms below the root and the testkit.
const EVERYTHING: &[&str] =
    &["traits", "rules", "journal", "state", "proposer", "views", "lab", "git", "command", "verify", "failpoints"];

/// Describes every use that the rooms do not allow, one line each, and every module without a room.
pub fn found(core: &Path) -> Result<Vec<String>, String> {
    let src = core.join("src");
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    for one in uses(&src.join("lib.rs"))? {
        // The first line of each file's use of another is enough to find the rest.
        if !seen.insert((one.from.clone(), one.to.clone())) {
            continue;
        }
        let name = |path: &Path| path.strip_prefix(&src).unwrap_or(path).display().to_string();
        let (from, to) = (name(&one.from), name(&one.to));
        let missing = |file: &str| format!("{file} is in no room of xtask/src/evidence/house/layers.rs");
        match (room(&from), room(&to)) {
            (None, _) => found.push(missing(&from)),
            (_, None) => found.push(missing(&to)),
            (Some(own), Some(other)) if own.0 != other.0 && !own.2.contains(&other.0) => {
                found.push(format!("{from}:{} ({}) uses {} of {to} ({})", one.line, own.0, one.path, other.0));
            }
            _ => {}
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// The room of a file of src.
fn room(file: &str) -> Option<&'static Room> {
    let module = file.trim_end_matches(".rs").trim_end_matches("/mod").replace('/', "::");
    let module = if module == "lib" { String::new() } else { module };
    let leads = |name: &str| match name.strip_suffix("::") {
        Some(parent) => module.strip_prefix(parent).is_some_and(|rest| rest.starts_with("::")),
        None => module == name || (!name.is_empty() && module.starts_with(&format!("{name}::"))),
    };
    let rooms = ROOMS.iter().flat_map(|room| room.1.iter().map(move |name| (name, room)));
    rooms.filter(|(name, _)| leads(name)).max_by_key(|(name, _)| name.len()).map(|(_, room)| room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trait_file_and_the_rules_below_it_are_two_rooms() {
        assert_eq!(room("ratchet.rs").unwrap().0, "traits");
        assert_eq!(room("ratchet/paired.rs").unwrap().0, "rules");
        assert_eq!(room("ratchet/arm.rs").unwrap().0, "traits");
        assert_eq!(room("lab/settings.rs").unwrap().0, "lab");
        assert_eq!(room("lib.rs").unwrap().0, "root");
        assert_eq!(room("metric.rs").unwrap().0, "traits");
        assert!(room("labels.rs").is_none());
    }

    #[test]
    fn rooms_use_only_rooms_that_there_are_and_in_no_circle() {
        for (name, _, uses) in ROOMS {
            for used in *uses {
                let other = ROOMS.iter().find(|room| room.0 == *used).unwrap();
                assert!(!other.2.contains(name), "{name} and {used} may use each other");
            }
        }
    }
}
