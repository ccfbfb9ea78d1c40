//! Answers that a model may give: texts, paths, edits, costs, and none at all.

use std::collections::BTreeMap;

use async_trait::async_trait;
use autoresearch_core::*;

use super::candidates::script;
use super::dice::Dice;

const TEXTS: &[&str] = &[
    "lower it",
    "",
    " ",
    "nul \0 inside",
    "\u{1b}[31mred\u{1b}[0m \u{1b}]52;c;cHduZWQ=\u{7}",
    "two\nlines\r\nand a third",
    "tab\tseparated\tvalues",
    "\u{202e}drawkcab \u{2066}x",
    "größer, 大きい, 🦀",
    "--amend -m 'x' \"y\" $(false) `false`",
    "# a comment, as git drops it",
    "fatal: [rejected] refs/heads/main",
    "{\"type\":\"decided\"}",
    "\u{feff}\u{2028}\u{2029}",
    "Signed-off-by: nobody <>",
];

const PATHS: &[&str] = &[
    "notes/a.txt",
    "new.txt",
    "notes/new/deep/file.txt",
    "protected.txt",
    "run.sh/inside",
    "notes",
    ".git/config",
    ".GIT/config",
    "notes/.git/HEAD",
    ".gitattributes",
    ".gitmodules",
    ".gitignore",
    "../outside",
    "/etc/passwd",
    "notes/../run.sh",
    "./run.sh",
    "notes//a.txt",
    "",
    ".",
    "a\nb",
    "a\0b",
    "a\u{1b}[2Jb",
    "a\u{202e}b",
    " leading",
    "trailing ",
    "-rf",
    "ä/ö.txt",
    "CON",
    "a:b",
    "git~1",
    "back\\slash",
    "sub/file",
    "link",
    "link/below",
    "dir-link/x",
    "big.bin",
    "value.lock",
    "*",
];

fn text(dice: &mut Dice) -> String {
    match dice.below(30) {
        0 => "long ".repeat(40_000),
        1 => "x".repeat(70_000),
        2 => (0..40).filter_map(|_| char::from_u32(dice.below(0x500) as u32)).collect(),
        _ => dice.pick(TEXTS).to_owned(),
    }
}

fn path(dice: &mut Dice) -> String {
    match dice.below(30) {
        0 => format!("notes/{}", "n".repeat(300)),
        1 => format!("notes/{}", "ä".repeat(120)),
        2 => "d/".repeat(400 + dice.below(1200)) + "x",
        3 => (0..6).filter_map(|_| char::from_u32(dice.below(0x250) as u32)).collect(),
        _ => dice.pick(PATHS).to_owned(),
    }
}

fn content(dice: &mut Dice) -> String {
    match dice.below(10) {
        0 => String::new(),
        1 => "no end of line".into(),
        2 => "a\0b".into(),
        3 => "line\r\n".repeat(50),
        4 => "x".repeat(400_000),
        5 => "<<<<<<< ours\n=======\n>>>>>>> theirs\n".into(),
        _ => format!("text {}\n", dice.draw()),
    }
}

fn edit(dice: &mut Dice, files: &BTreeMap<String, String>) -> FileEdit {
    match dice.below(12) {
        0..=6 => FileEdit::Write { path: "run.sh".into(), text: script(dice) },
        7 => FileEdit::Write { path: path(dice), text: content(dice) },
        8 => FileEdit::Delete { path: if dice.percent(50) { "run.sh".into() } else { path(dice) } },
        9 => {
            let known: Vec<&str> = files.keys().map(String::as_str).collect();
            let path = if known.is_empty() || dice.percent(30) { path(dice) } else { dice.pick(&known).to_owned() };
            FileEdit::Replace {
                path,
                search: dice.pick(&["echo", "score", "10", "", "\n", "none"]).into(),
                replace: text(dice),
            }
        }
        10 => FileEdit::Diff {
            diff: format!(
                "--- a/run.sh\n+++ b/run.sh\n@@ -1,2 +1,2 @@\n #!/bin/sh\n-echo score: 10\n+echo score: {}\n",
                dice.below(12)
            ),
        },
        _ => {
            let path = path(dice);
            let head = dice.pick(&["--- /dev/null", "--- a/run.sh", "--- ", "diff --git a/x b/y\n--- a/x"]);
            FileEdit::Diff { diff: format!("{head}\n+++ b/{path}\n@@ -0,0 +1 @@\n+{}\n", text(dice)) }
        }
    }
}

fn cost(dice: &mut Dice) -> Cost {
    let dollars = [0.0, 0.01, -5.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, 5e-324][dice.below(8)];
    Cost { dollars, tokens: [0, 7, u64::MAX][dice.below(3)], calls: [0, 1, u64::MAX][dice.below(3)] }
}

/// Answers with what the seed and the number of a proposal say, whatever process it runs in.
pub struct Hostile {
    pub seed: u64,
    /// Number of proposals that it has.
    pub ideas: usize,
    /// Number of times that it was asked in this process.
    pub asked: usize,
}

impl Hostile {
    fn draft(&self, number: usize, files: &BTreeMap<String, String>) -> Result<Proposal, RejectedDraft> {
        let mut dice = Dice::of(self.seed, "proposal", number);
        if dice.percent(5) {
            return Err(RejectedDraft::new(text(&mut dice), text(&mut dice), cost(&mut dice)));
        }
        let edits = (0..dice.pick(&[&1, &1, &1, &1, &2, &3, &0]).to_owned()).map(|_| edit(&mut dice, files)).collect();
        let mut proposal =
            Proposal::new(Patch { edits }, text(&mut dice)).because(text(&mut dice)).at_cost(cost(&mut dice));
        if dice.percent(20) {
            proposal.proposer = text(&mut dice);
        }
        Ok(proposal)
    }
}

#[async_trait]
impl Proposer for Hostile {
    async fn propose(&mut self, context: &Context<'_>) -> Result<Proposal, ProposerError> {
        let mut wave = self.propose_wave(context, 1).await?;
        match wave.remove(0) {
            Ok(proposal) => Ok(proposal),
            Err(draft) => Err(draft.into()),
        }
    }

    async fn propose_wave(&mut self, context: &Context<'_>, most: usize) -> Result<Wave, ProposerError> {
        self.asked += 1;
        let first = context.proposals();
        if first >= self.ideas {
            return Err(ProposerError::Exhausted(text(&mut Dice::of(self.seed, "end", 0))));
        }
        let mut dice = Dice::of(self.seed, "wave", first);
        if self.asked == 1 && dice.percent(4) {
            return Err(ProposerError::Transient(text(&mut dice)));
        }
        // Now and then more than was asked for.
        let count = most.max(1) + usize::from(dice.percent(5));
        Ok((first..(first + count).min(self.ideas)).map(|number| self.draft(number, &context.files)).collect())
    }
}
