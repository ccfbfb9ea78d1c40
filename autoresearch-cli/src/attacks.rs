//! The attacks of `doctor --attack`: carried out in the user's repository, on files made for them.

use std::fmt;

use autoresearch_core::Cancel;
#[cfg(target_os = "linux")]
use autoresearch_core::internal::attacks::{self, Attack, AttackFolders, AttackSuite, AttackVerdict, Tried};
use autoresearch_core::internal::isolation::{Isolation, IsolationLevel};
use schemars::JsonSchema;
use serde::Serialize;

use crate::checks::Finding;
use crate::error::CommandError;
use crate::session::Session;

/// The end of an attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It was stopped.
    Contained,
    /// It succeeded.
    Open,
    /// It was carried out and noticed: it counts for nothing.
    Detected,
    /// It was not tried, or honest work beside it fails.
    Untested,
}

/// An attack with its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AttackFinding {
    /// The deed of the candidate.
    pub attack: &'static str,
    /// The end.
    pub verdict: Verdict,
    /// The protection that stops it; `null` where nothing does.
    pub protection: Option<String>,
    /// True if the configuration promises to stop it on this machine.
    pub promised: bool,
    /// Advice where it succeeds, or the reason for which it was not tried.
    pub remedy: Option<String>,
    /// True if honest work fails that every program may do.
    #[serde(skip)]
    pub is_broken: bool,
}

impl AttackFinding {
    /// Returns whether a promise is broken.
    pub fn is_wrong(&self) -> bool {
        self.is_broken || self.promised && self.verdict == Verdict::Open
    }
}

impl fmt::Display for AttackFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Contained => "contained",
            Verdict::Open => "OPEN",
            Verdict::Detected => "detected",
            Verdict::Untested => "untested",
        };
        write!(f, "{verdict:<10}{}: ", self.attack)?;
        match (self.verdict, &self.protection, &self.remedy) {
            (Verdict::Open, Some(broken), remedy) => {
                write!(f, "in spite of: {broken}; {}", remedy.as_deref().unwrap_or_default())
            }
            (_, _, Some(remedy)) => f.write_str(remedy),
            (_, Some(protection), None) => f.write_str(protection),
            (_, None, None) => f.write_str("not possible for this user on this machine"),
        }
    }
}

/// Counts the ends of all attacks, in one line.
pub fn summary(ends: &[AttackFinding]) -> String {
    let count = |verdict| ends.iter().filter(|end| end.verdict == verdict).count();
    let wrong = ends.iter().filter(|end| end.is_wrong()).count();
    let (open, untested) = (count(Verdict::Open), count(Verdict::Untested));
    format!(
        "{} attacks: {} contained, {} detected, {open} open, {untested} untested; {}",
        ends.len(),
        count(Verdict::Contained),
        count(Verdict::Detected),
        match wrong {
            0 => "no promise is broken".to_owned(),
            wrong => format!("{wrong} against what the configuration promises"),
        }
    )
}

/// The attacks on the set-up of a session. Its victims and slots are removed with it.
pub struct Attacks {
    isolation: Isolation,
    evaluates: bool,
    is_default: bool,
    #[cfg(target_os = "linux")]
    folders: AttackFolders,
}

impl Attacks {
    /// Prepares them. A configuration without `[isolation]` is attacked behind best-effort isolation.
    #[cfg(target_os = "linux")]
    pub fn new(session: &Session) -> Result<Attacks, CommandError> {
        let is_default = !session.config.gives("isolation");
        let isolation = if is_default { Isolation::best_effort() } else { session.isolation() };
        let home = std::env::var_os("HOME").ok_or_else(|| {
            CommandError::Other("HOME is not set, and a candidate attacks what lies there; set it".into())
        })?;
        let folders = AttackFolders {
            user: session.repository.attacked_folder(),
            home: home.into(),
            git: session.lineage()?.git_folder().to_owned(),
            work: session.placeholders.cache.join("attacks").join(std::process::id().to_string()),
        };
        Ok(Attacks { isolation, evaluates: session.config.evaluate.is_some(), is_default, folders })
    }

    /// Fails: the attacks are written for Linux.
    #[cfg(not(target_os = "linux"))]
    pub fn new(_: &Session) -> Result<Attacks, CommandError> {
        let system = std::env::consts::OS;
        let why = format!("the attacks are written for Linux, and {system} has no walls around candidates yet");
        Err(CommandError::Other(why))
    }

    /// The walls and the evaluation that are attacked.
    pub fn findings(&self) -> Vec<Finding> {
        let (level, enforcement) = (self.isolation.level, self.isolation.enforcement());
        let walls = match (level, self.is_default) {
            (IsolationLevel::None, _) => Finding::warning("isolation", format!("level = \"none\": {enforcement}")),
            (_, true) => Finding::warning(
                "isolation",
                format!(
                    "the configuration has none; attacked behind [isolation] level = \"best-effort\", as it would be: {enforcement}"
                ),
            ),
            _ => Finding::fine("isolation", enforcement.to_string()),
        };
        let number = match self.evaluates {
            true => Finding::fine("evaluate", "[evaluate] measures what a run leaves"),
            false => Finding::warning("evaluate", "there is no [evaluate]: the number is what a run prints"),
        };
        vec![walls, number]
    }

    /// Carries out those whose name has these words, and shows each as it ends.
    #[cfg(target_os = "linux")]
    pub async fn carry_out(
        &self,
        words: &str,
        cancel: &Cancel,
        show: impl Fn(&AttackFinding),
    ) -> Result<Vec<AttackFinding>, CommandError> {
        let enforcement = self.isolation.enforcement();
        let suite = AttackSuite::new(self.folders.clone(), self.isolation.clone(), self.evaluates);
        let mut ends = Vec::new();
        for attack in attacks::all().filter(|attack| attack.name.contains(words)) {
            let tried = suite.try_attack(attack, cancel).await?;
            let end = finding(attack, tried, attack.defence.holds(&enforcement, self.evaluates), &enforcement);
            show(&end);
            ends.push(end);
        }
        match ends.is_empty() {
            true => {
                Err(CommandError::Other(format!("no attack has {words:?} in its name; `--attack` alone lists all")))
            }
            false => Ok(ends),
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub async fn carry_out(
        &self,
        _: &str,
        _: &Cancel,
        _: impl Fn(&AttackFinding),
    ) -> Result<Vec<AttackFinding>, CommandError> {
        Ok(Vec::new())
    }
}

#[cfg(target_os = "linux")]
impl Drop for Attacks {
    fn drop(&mut self) {
        // What cannot be removed stays in the cache and does no harm.
        let _ = std::fs::remove_dir_all(&self.folders.user);
        let _ = crate::slots::remove(&self.folders.work);
        // Its folder stays if there are runs.
        let _ = self.folders.user.parent().map(std::fs::remove_dir);
    }
}

#[cfg(target_os = "linux")]
fn finding(
    attack: &Attack,
    tried: Tried,
    protection: Option<String>,
    enforcement: &autoresearch_core::internal::isolation::Enforcement,
) -> AttackFinding {
    let promised = protection.is_some();
    let (verdict, remedy) = match tried.verdict {
        AttackVerdict::Contained => (Verdict::Contained, None),
        AttackVerdict::Detected => (Verdict::Detected, None),
        AttackVerdict::Untested => (Verdict::Untested, Some(tried.note)),
        AttackVerdict::Open if promised => {
            (Verdict::Open, Some("if no path in [isolation] opens it, report it: SECURITY.md says how".into()))
        }
        AttackVerdict::Open => (Verdict::Open, Some(attack.defence.remedy(enforcement))),
    };
    AttackFinding { attack: attack.name, verdict, protection, promised, remedy, is_broken: tried.is_broken }
}
