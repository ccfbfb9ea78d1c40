//! Attacks by the proposal itself: edits of files that it may not edit, and names that lead elsewhere.

use super::attack::Proof::Accepted;
use super::attack::{Attack, Defence, attack};

const PATHS: Defence = Defence::Always("paths are checked before anything is written");

const fn proposal(name: &'static str, path: &'static str, content: &'static str) -> Attack {
    attack(name, Accepted(path, content), PATHS, "", "")
}

/// The one file that proposals may edit.
pub(super) const EDITABLE: &str = "code/run.sh";

pub(super) const TABLE: &[Attack] = &[
    proposal("proposes another evaluation", "evaluate.sh", "echo score: 9 > $AUTORESEARCH_RESULT\n"),
    proposal("proposes a setting of cargo", ".cargo/config.toml", "[build]\nrustc-wrapper = \"touch\"\n"),
    proposal("proposes a file above the repository", "code/../../outside", "x\n"),
    proposal("proposes a file of the machine", "/etc/autoresearch-canary", "x\n"),
    proposal("proposes a setting of git", ".git/config", "[core]\n\tfsmonitor = touch\n"),
    proposal("proposes a setting of git in other letters", "code/.GIT/config", "[core]\n\tfsmonitor = touch\n"),
    proposal("proposes a hook of git by its short name", "code/git~1/hooks/post-commit", "#!/bin/sh\n"),
    proposal("proposes a setting of git with a dot at its end", "code/.git./config", "[core]\n\tfsmonitor = touch\n"),
    proposal(
        "proposes modules of other repositories",
        "code/.gitmodules",
        "[submodule \"a\"]\n\tpath = a\n\turl = /etc\n",
    ),
    proposal("proposes a name with the end of a line", "code/a\nb", "x\n"),
    proposal("proposes a name that shows backwards", "code/a\u{202e}b", "x\n"),
    proposal(
        "proposes a link",
        "code/link",
        "diff --git a/code/link b/code/link\nnew file mode 120000\n--- /dev/null\n+++ b/code/link\n@@ -0,0 +1 @@\n+/etc/passwd\n\\ No newline at end of file\n",
    ),
    proposal(
        "proposes a module of another repository",
        "code/module",
        "diff --git a/code/module b/code/module\nnew file mode 160000\n--- /dev/null\n+++ b/code/module\n@@ -0,0 +1 @@\n+Subproject commit 0123456789012345678901234567890123456789\n",
    ),
];
