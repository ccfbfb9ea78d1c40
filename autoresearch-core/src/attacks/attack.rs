//! One attack: its program, the sign of its success, and the part that stops it.

use std::collections::BTreeSet;

use crate::command::isolation::Enforcement;

/// One attack, and the honest work beside it.
#[derive(Debug, Clone, Copy)]
pub struct Attack {
    /// The deed of the candidate, in words.
    pub name: &'static str,
    /// The candidate's program, for `bash`. The names of its victims stand before it, as shell variables.
    pub script: &'static str,
    /// The sign of its success.
    pub proof: Proof,
    /// The part that stops it.
    pub defence: Defence,
    /// Honest work by the same means: it ends with 0, whatever the walls.
    pub control: &'static str,
    /// True for an attack that fails on many machines without walls, too, for want of a right or of a part of the kernel.
    pub sometimes: bool,
}

/// The sign that an attack has succeeded.
#[derive(Debug, Clone, Copy)]
pub enum Proof {
    /// Its program ends with 0.
    Ends,
    /// The victims' files are not as they were.
    Changes,
    /// A file with the name of the victims is found in a folder that all users share, or in the home.
    Leaves,
    /// A datagram arrives.
    Sends,
    /// The program of the next candidate, this one, ends with 0. In either's folder `TARGET` the baseline has left its build.
    Next(&'static str),
    /// A process of the candidate lives on after its trial.
    Survives,
    /// The trial goes on after its limit of a second.
    Overruns,
    /// The log that is kept is larger than a log may be.
    Floods,
    /// A file that is kept as a result holds the secret or is too large, or the lab waits for one without end.
    Results,
    /// The records of a journal are other ones.
    Forges,
    /// The number is better than that of the files as they were. These are the candidate's further files, by path and content.
    Number(&'static [(&'static str, &'static str)]),
    /// A proposal of this edit is accepted: a path, and a file's content or a diff.
    Accepted(&'static str, &'static str),
}

/// The part that stops an attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defence {
    /// A rule that holds at every level, in words.
    Always(&'static str),
    /// Any one of these protections of an isolation, by their names in its [`Enforcement`].
    Walls(&'static [&'static str]),
    /// The evaluation of what a run left.
    Evaluation,
    /// Nothing: what a user does instead, in words.
    Nothing(&'static str),
}

/// The result of an attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttackVerdict {
    /// It was stopped.
    Contained,
    /// It succeeded.
    Open,
    /// It was carried out, and the lab noticed: it counts for nothing.
    Detected,
    /// It was not tried, or its honest work fails: nothing is known.
    Untested,
}

impl Defence {
    /// Names the protection, if it is one that holds. `evaluates` tells whether there is an evaluation.
    pub fn holds(self, enforcement: &Enforcement, evaluates: bool) -> Option<String> {
        match self {
            Defence::Always(how) => Some(how.to_owned()),
            Defence::Walls(names) => {
                let held = enforcement.protections.iter().filter(|protection| protection.enforced);
                let mut held = held.filter(|protection| names.contains(&protection.name.as_str()));
                held.next().map(|protection| format!("{} ({})", protection.name, protection.how))
            }
            Defence::Evaluation => evaluates.then(|| "the evaluation".to_owned()),
            Defence::Nothing(_) => None,
        }
    }

    /// Says what to do where it does not hold.
    pub fn remedy(self, enforcement: &Enforcement) -> String {
        match self {
            Defence::Always(_) => "report it: see SECURITY.md".into(),
            Defence::Evaluation => "let [evaluate] measure what the run leaves".into(),
            Defence::Nothing(instead) => instead.into(),
            Defence::Walls(_) if enforcement.protections.is_empty() => "[isolation] level = \"best-effort\"".into(),
            Defence::Walls(names) => {
                let missing: Vec<String> = enforcement
                    .missing()
                    .filter(|missing| names.contains(&missing.name.as_str()))
                    .map(|missing| format!("{}: {}", missing.name, missing.how))
                    .collect();
                match missing.is_empty() {
                    // The configuration leaves the wall out.
                    true => format!("[isolation] must not leave out: {}", names.join(", ")),
                    false => missing.join("; "),
                }
            }
        }
    }
}

impl Attack {
    /// The candidate's files of a cheat beside its program, by path and content.
    pub fn files(&self) -> &'static [(&'static str, &'static str)] {
        if let Proof::Number(files) = self.proof { files } else { &[] }
    }

    /// Programs that its scripts call and that not every machine has.
    pub fn programs(&self) -> BTreeSet<&'static str> {
        const NOT_EVERYWHERE: &[&str] =
            &["perl", "cc", "setsid", "unshare", "nsenter", "mount", "mknod", "truncate", "touch", "readlink"];
        let scripts = [self.script, self.control, if let Proof::Next(script) = self.proof { script } else { "" }];
        let words = scripts.iter().flat_map(|script| script.split(|c: char| !c.is_alphanumeric() && c != '-'));
        let called: BTreeSet<&str> = words.collect();
        let programs = NOT_EVERYWHERE.iter().copied().filter(|program| called.contains(program));
        programs.chain(["bash"]).collect()
    }
}

/// An attack that succeeds on every machine without walls.
pub(super) const fn attack(
    name: &'static str,
    proof: Proof,
    defence: Defence,
    script: &'static str,
    control: &'static str,
) -> Attack {
    Attack { name, script, proof, defence, control, sometimes: false }
}

/// An attack that does not.
pub(super) const fn sometimes(
    name: &'static str,
    proof: Proof,
    defence: Defence,
    script: &'static str,
    control: &'static str,
) -> Attack {
    Attack { name, script, proof, defence, control, sometimes: true }
}

/// Reading files, or finding them.
pub(super) const FILES: Defence = Defence::Walls(&["files", "what can be seen"]);
/// Examining files and changing what is not their content, of which Landlock knows nothing.
pub(super) const SEEN: Defence = Defence::Walls(&["what can be seen"]);
pub(super) const OTHERS: Defence = Defence::Walls(&["other processes", "process namespace", "system calls"]);
pub(super) const CALLS: Defence = Defence::Walls(&["system calls", "capabilities"]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protection_that_is_missing_is_no_promise_and_its_reason_is_the_remedy() {
        let none = Enforcement { protections: Vec::new() };
        assert_eq!(FILES.holds(&none, false), None);
        assert_eq!(FILES.remedy(&none), "[isolation] level = \"best-effort\"");
        assert_eq!(Defence::Evaluation.holds(&none, true).as_deref(), Some("the evaluation"));
        assert!(Defence::Always("it is always so").holds(&none, false).is_some());
        let protection = |name: &str, enforced| crate::command::isolation::Protection {
            name: name.into(),
            enforced,
            how: "by its means".into(),
        };
        let some = Enforcement { protections: vec![protection("files", false), protection("network", true)] };
        assert_eq!(FILES.holds(&some, false), None);
        assert_eq!(FILES.remedy(&some), "files: by its means");
        assert_eq!(Defence::Walls(&["network"]).holds(&some, false).as_deref(), Some("network (by its means)"));
    }
}
