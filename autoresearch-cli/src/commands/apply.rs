//! `autoresearch apply`: takes the kept changes of a run over, by the user's own git with its hooks and signatures.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use autoresearch_core::internal::git::Lineage;
use autoresearch_core::internal::import::is_imported;
use autoresearch_core::internal::journal::RunHeader;
use autoresearch_core::{Experiment, State, Status};
use clap::{Args, ValueEnum};

use crate::error::CommandError;
use crate::git::{failure, git, output};
use crate::report;
use crate::repository::Repository;
use crate::text::terminal;

/// The files below git's own folder by which it knows an operation that the user has begun.
const IN_PROGRESS: [(&str, &str); 6] = [
    ("MERGE_HEAD", "a merge"),
    ("CHERRY_PICK_HEAD", "a cherry-pick"),
    ("REVERT_HEAD", "a revert"),
    ("sequencer", "a cherry-pick or revert of several commits"),
    ("rebase-merge", "a rebase"),
    ("rebase-apply", "a rebase or git am"),
];

/// The form in which the kept changes are taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    Branch,
    Commit,
    Patches,
}

/// Take the kept changes of a run over: as a branch, as one commit, or as one commit each.
#[derive(Debug, Args)]
#[command(
    after_help = "commit and patches go onto the branch that is checked out, through your hooks; a conflict or a hook that\nsays no leaves everything as it was. A working tree with changes is not touched.\n\nExample:\n  autoresearch apply --as commit"
)]
pub struct ApplyArgs {
    /// The run [default: the latest one]
    #[arg(long)]
    tag: Option<String>,
    /// A new branch, one commit, or patches: a commit of each.
    #[arg(
        long = "as",
        value_enum,
        default_value = "branch",
        hide_possible_values = true,
        value_name = "branch|commit|patches"
    )]
    form: Form,
    /// Name of the new branch [default: best-TAG]
    #[arg(long, value_name = "BRANCH")]
    name: Option<String>,
    /// Message of the one commit [default: the kept changes]
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
}

/// The kept changes of a run.
struct Kept<'a> {
    tag: &'a str,
    /// The baseline: what lies before it is the user's own, and a preset's constants are no change that was kept.
    from: String,
    /// The incumbent.
    best: String,
    changes: Vec<&'a Experiment>,
    state: &'a State,
}

/// Takes the kept changes over.
pub fn apply(repository: &Repository, args: &ApplyArgs) -> Result<ExitCode, CommandError> {
    let tag = repository.tag_or_latest(args.tag.clone())?;
    let state = repository.state(&tag)?;
    if is_imported(&state) {
        return Err(CommandError::Imported(tag));
    }
    let Some(incumbent) = &state.incumbent else { return Err(CommandError::NothingMeasured(tag)) };
    let changes: Vec<&Experiment> =
        state.experiments.iter().filter(|made| !made.id.is_baseline() && made.status == Status::Keep).collect();
    let baseline = state.experiments.first().filter(|made| made.id.is_baseline() && !changes.is_empty());
    let Some(baseline) = baseline else { return Err(CommandError::NothingKept(tag)) };
    let (from, best) = (baseline.revision().0.clone(), incumbent.revision.0.clone());
    let kept = Kept { tag: &tag, from, best, changes, state: &state };
    let root = &repository.root;
    match args.form {
        Form::Branch => kept.branch(root, args.name.as_deref())?,
        Form::Commit => {
            let branch = kept.check_out(repository)?;
            kept.commit(root, &branch, args.message.as_deref())?;
        }
        Form::Patches => {
            let branch = kept.check_out(repository)?;
            kept.patches(root, &branch)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Kept<'_> {
    /// Makes a branch at the incumbent. No file changes.
    fn branch(&self, root: &Path, name: Option<&str>) -> Result<(), CommandError> {
        let name = name.map_or_else(|| format!("best-{}", self.tag), str::to_owned);
        let count = self.changes.len();
        let there = output(root, &["rev-parse", "--verify", "--quiet", &format!("refs/heads/{name}")])?;
        let already = match String::from_utf8_lossy(&there.stdout).trim() {
            "" => {
                git(root, &["branch", "--no-track", &name, &self.best])?;
                ""
            }
            commit if commit == self.best => " already",
            commit => {
                let short = commit.get(..7).unwrap_or(commit);
                return Err(CommandError::Other(format!(
                    "there is a branch {name} already, at the commit {short}, which is not the best of the run; give the new one \
                     another name: autoresearch apply --as branch --name {name}-2"
                )));
            }
        };
        terminal::out(format_args!(
            "the branch {name} has {count} kept changes{already}: git switch {name}, or git merge {name}"
        ));
        Ok(())
    }

    /// Checks that the user's branch can take commits, and returns its name.
    fn check_out(&self, repository: &Repository) -> Result<String, CommandError> {
        let head = output(&repository.root, &["symbolic-ref", "--quiet", "--short", "HEAD"])?;
        let branch = String::from_utf8_lossy(&head.stdout).trim().to_owned();
        if !head.status.success() || branch.is_empty() {
            let why = "no branch is checked out; check out the one that the changes go onto: git switch BRANCH";
            return Err(CommandError::Other(why.into()));
        }
        if branch == self.own_branch() {
            let why = format!("the run's own branch {branch} is checked out; check out yours: git switch BRANCH");
            return Err(CommandError::Other(why));
        }
        // What `apply` undoes if it fails would be undone with it.
        for (file, what) in IN_PROGRESS {
            let path = git(&repository.root, &["rev-parse", "--git-path", file])?;
            if repository.root.join(path.trim()).exists() {
                return Err(CommandError::Other(format!(
                    "{what} is in progress here, and nothing was applied; finish or abort it first (git status), or take a \
                     branch: autoresearch apply --as branch"
                )));
            }
        }
        let changed = Lineage::open(&repository.root, self.tag)?.uncommitted()?;
        if !changed.is_empty() {
            let files = changed.iter().take(10).map(|path| format!("  {path}")).collect::<Vec<_>>().join("\n");
            return Err(CommandError::Other(format!(
                "the working tree has uncommitted changes, and nothing was applied:\n{files}\ncommit or stash them, or take a \
                 branch: autoresearch apply --as branch"
            )));
        }
        Ok(branch)
    }

    /// Makes one commit of all changes.
    fn commit(&self, root: &Path, branch: &str, message: Option<&str>) -> Result<(), CommandError> {
        // All changes together as one, with the baseline before it: it meets the user's branch in one three-way merge.
        let tree = format!("{}^{{tree}}", self.best);
        let whole = git(root, &["commit-tree", "-p", &self.from, "-m", self.tag, &tree])?;
        let pick = ["cherry-pick", "--no-commit", whole.trim()];
        let picked = output(root, &pick)?;
        if !picked.status.success() {
            return Err(self.undone(root, failure(&pick[..2], &picked)));
        }
        if output(root, &["diff", "--cached", "--quiet"])?.status.success() {
            self.tell_already(branch);
            return Ok(());
        }
        let message = message.map_or_else(|| self.message(), str::to_owned);
        let commit = ["commit", "--quiet", "--message", message.as_str()];
        let committed = output(root, &commit)?;
        if !committed.status.success() {
            return Err(self.undone(root, failure(&["commit"], &committed)));
        }
        self.applied(root, branch, "as one commit")
    }

    /// Makes a commit of each change.
    fn patches(&self, root: &Path, branch: &str) -> Result<(), CommandError> {
        let range = format!("{}..{}", self.from, self.best);
        let pick = ["cherry-pick", range.as_str()];
        let picked = output(root, &pick)?;
        if !picked.status.success() {
            let error = failure(&pick, &picked);
            let aborted = output(root, &["cherry-pick", "--abort"])?;
            return match aborted.status.success() {
                true if self.merge_changes_nothing(root)? => {
                    self.tell_already(branch);
                    Ok(())
                }
                true => Err(self.unchanged(error)),
                false => Err(error),
            };
        }
        self.applied(root, branch, "as one commit each")
    }

    /// Returns whether the branch that is checked out has all changes, as far as git can tell without touching a file: before 2.40 it
    /// cannot.
    fn merge_changes_nothing(&self, root: &Path) -> Result<bool, CommandError> {
        let base = format!("--merge-base={}", self.from);
        let merged = output(root, &["merge-tree", "--write-tree", &base, "HEAD", &self.best])?;
        let tree = git(root, &["rev-parse", "HEAD^{tree}"])?;
        Ok(merged.status.success() && String::from_utf8_lossy(&merged.stdout).trim() == tree.trim())
    }

    fn tell_already(&self, branch: &str) {
        terminal::out(format_args!("the branch {branch} has the changes of {} already", self.tag));
    }

    /// Puts the working tree back to the commit that is checked out.
    fn undone(&self, root: &Path, error: CommandError) -> CommandError {
        let reset = git(root, &["reset", "--quiet", "--merge"]);
        // It refuses files that a hook has edited.
        match reset.or_else(|_| restored(root)) {
            Ok(_) => self.unchanged(error),
            Err(reset) => CommandError::Other(format!("{error}\nand it could not be undone: {reset}")),
        }
    }

    /// The branch of the run, as a user types it.
    fn own_branch(&self) -> String {
        self.state.header.as_ref().map(RunHeader::branch).unwrap_or_default()
    }

    fn unchanged(&self, error: CommandError) -> CommandError {
        CommandError::Other(format!(
            "{error}\nnothing was changed; take over by hand what conflicts: git cherry-pick {}..{}",
            self.from.get(..7).unwrap_or(&self.from),
            self.own_branch()
        ))
    }

    fn applied(&self, root: &Path, branch: &str, form: &str) -> Result<(), CommandError> {
        let count = self.changes.len();
        let head = git(root, &["rev-parse", "--short", "HEAD"])?;
        terminal::out(format_args!("applied {count} kept changes of {} to {branch} {form}: {}", self.tag, head.trim()));
        if !output(root, &["diff", "--quiet", "HEAD", &self.best])?.status.success() {
            terminal::note(
                "the branch has other changes beside them, which were not measured together: measure it again",
            );
        }
        Ok(())
    }

    /// The message of the one commit.
    fn message(&self) -> String {
        let metric = self.state.header.as_ref().map_or("score", |header| header.metric.as_str());
        let mut text = match self.changes.as_slice() {
            [only] => format!("{}\n", only.description),
            more => format!("{} changes that improve {metric}\n", more.len()),
        };
        let _ = write!(text, "\nautoresearch {}: {}\n\n", self.tag, report::totals(self.state));
        for change in &self.changes {
            let _ = writeln!(text, "- {}", change.description);
        }
        text
    }
}

/// Puts the staged files back as the commit has them, and no others.
fn restored(root: &Path) -> Result<String, CommandError> {
    let staged = git(root, &["diff", "--cached", "--name-only", "--no-renames", "-z"])?;
    let paths = staged.split_terminator('\0');
    let restore = ["--literal-pathspecs", "restore", "--source=HEAD", "--staged", "--worktree", "--"];
    git(root, &restore.into_iter().chain(paths).collect::<Vec<_>>())
}
