//! Attacks of a candidate on the lab, the user's files and the machine. The tests try them on folders of their own, and
//! `autoresearch doctor --attack` beside a user's repository.
//!
//! An attack is harmless: its victims are files and processes made for it alone. Each has honest work that goes on in the same place,
//! so that walls which stop everything pass for none.

mod attack;
mod canaries;
mod files;
mod kernel;
mod leftovers;
mod network;
mod numbers;
mod processes;
mod proposals;
mod suite;

pub use attack::{Attack, AttackVerdict, Defence, Proof};
pub use canaries::AttackFolders;
pub use numbers::EVALUATE;
pub use suite::{AttackSuite, Tried};

/// All attacks.
pub fn all() -> impl Iterator<Item = &'static Attack> {
    let tables = [
        files::TABLE,
        processes::TABLE,
        network::TABLE,
        kernel::TABLE,
        leftovers::TABLE,
        numbers::TABLE,
        proposals::TABLE,
    ];
    tables.into_iter().flatten()
}

/// Those that cheat for a better number by what they print or leave.
pub fn cheats() -> impl Iterator<Item = &'static Attack> {
    numbers::TABLE.iter().filter(|attack| attack.defence == Defence::Evaluation)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_attack_has_a_name_of_its_own_and_honest_work() {
        let names: BTreeSet<&str> = all().map(|attack| attack.name).collect();
        assert_eq!(names.len(), all().count());
        assert!(names.len() >= 80, "{}", names.len());
        for attack in all() {
            let has_work = matches!(attack.proof, Proof::Accepted(..) | Proof::Number(_)) || !attack.control.is_empty();
            assert!(has_work, "{}", attack.name);
        }
    }
}
