//! Scripts that a model may write: what they leave, start, print, take away, and how they end.

use super::dice::Dice;

/// Deeds before the end, each harmless to everything outside the candidate's own folder. Links lead to the folder `VICTIM`,
/// whose file must outlive the run.
const DEEDS: &[&str] = &[
    // Names.
    "touch \"$(printf 'a\\nb')\" \"$(printf '\\377\\376')\" -- -rf ' ' '*' '$(false)' \"it's\"",
    "touch $(printf 'n%.0s' $(seq 255))",
    "i=0; while [ $i -lt 60 ]; do mkdir -p deep && cd deep; i=$((i+1)); done; touch end",
    "mkdir -p .git/objects; echo 'ref: refs/heads/evil' > .git/HEAD; echo '*' > .gitignore",
    // Bytes.
    // An end of the line behind it: else chance alone says whether the score after it can be read.
    "head -c 300000 /dev/urandom; echo",
    "printf '\\377\\376\\000\\001 \\033[2J\\033]0;title\\007\\r\\n'",
    "head -c 70000 /dev/zero | tr '\\0' x",
    "printf 'score: \\377\\n'; printf 'sc\\0ore: 1\\n'",
    "yes '\u{202e}evil\u{1b}[31m' | head -n 200",
    // Modes.
    "mkdir -p m/n; touch m/n/f; chmod 555 m/n; chmod 0 m",
    "chmod 0 run.sh",
    "chmod 555 .",
    "chmod 0 .",
    "mkdir -p $TMPDIR/c/d; touch $TMPDIR/c/d/f; chmod 0 $TMPDIR/c/d $TMPDIR/c",
    "chmod 4755 run.sh; chmod 1777 .; umask 777; touch nobody",
    // Sizes.
    "head -c 6000000 /dev/zero > large",
    "truncate -s 40G sparse",
    "i=0; while [ $i -lt 150 ]; do : > f$i; i=$((i+1)); done",
    "ulimit -c unlimited 2>/dev/null; ulimit -n 4",
    // Files in place of others.
    "rm -f run.sh; mkdir run.sh; touch run.sh/inside",
    "rm -f notes/a.txt; ln -s ../../.. notes/a.txt",
    "rm -rf notes; ln -s \"$VICTIM\" notes",
    "ln -s loop loop; ln -s \"$VICTIM\" victim; ln \"$VICTIM/precious\" linked; mkfifo pipe",
    "rm -rf \"$PWD\" 2>/dev/null",
    "rm -rf \"$TMPDIR\"",
    "rm -rf \"$TMPDIR\"; ln -s \"$VICTIM\" \"$TMPDIR\"",
    "rm -rf \"$TMPDIR\"; echo x > \"$TMPDIR\"",
    "mv \"$PWD\" \"$PWD.moved\"",
    "mv \"$PWD\" \"$PWD.moved\"; ln -s \"$VICTIM\" \"$PWD\"",
    "mv \"$PWD\" \"$PWD.moved\"; echo x > \"$PWD\"",
    "mkdir -p \"$AUTORESEARCH_ITEMS\"",
    "ln -s /dev/zero \"$AUTORESEARCH_ITEMS\"",
    // Processes.
    "sleep 30 &",
    "setsid sleep 30 &",
    "( ( setsid sleep 30 & ) & )",
    "(trap '' TERM HUP; setsid sh -c 'while :; do sleep 1; done') &",
    "setsid sh -c 'while :; do echo score: 0; sleep 0.05; done' &",
    "i=0; while [ $i -lt 12 ]; do setsid sleep 30 & i=$((i+1)); done",
    "env -i setsid sleep 30 &",
    "exec 2>&-",
    "exec </dev/null; cat",
    "nice -n 19 true; trap 'echo trapped' TERM INT HUP",
    "unset AUTORESEARCH_SLOT TMPDIR HOME PATH",
];

/// Ways to end. `S` is a score.
const ENDINGS: &[&str] = &[
    "echo score: S",
    "echo score: S",
    "echo score: S",
    "echo score: S",
    "echo score: S",
    "printf 'score: S'",
    "echo score: S; exit 0",
    "echo score: S; exit 1",
    "echo score: S; exit 255",
    "echo score: S; kill -9 $$",
    "echo score: S; kill -SEGV $$",
    "echo score: S; kill 0",
    "echo score: S; kill -KILL $PPID",
    "echo score: S; exec >&- 2>&-",
    "echo score: S; exec true",
    "echo score: S; exec /no/such/program",
    "echo score: S; (sleep 5; echo score: 0) & exit 0",
    "exit 3",
    "kill -STOP $$",
    "sleep 30",
    "exec sleep 30",
    "if then",
    "echo score: NaN",
    "echo score: inf",
    "echo score: -1e999",
    "echo score:",
    "echo score: 0x10",
    "echo score: 1,5",
    "echo score: S; echo score: S",
    "printf '\\033[31mscore: S\\033[0m\\n'",
    "printf 'score: S\\r\\n'",
    "echo no number",
    ":",
];

/// The slow ending is drawn seldom: the lab waits five seconds for what ignores its request to end.
const DEAF: &str = "trap '' TERM HUP INT; while :; do sleep 1; done";

const FIRST_LINES: &[&str] =
    &["#!/no/such/shell", "#!", "", "#!/bin/cat", "#!/bin/sh -x", "\u{feff}#!/bin/sh", "#!/bin"];

/// A whole script.
pub fn script(dice: &mut Dice) -> String {
    let first = if dice.percent(6) { dice.pick(FIRST_LINES) } else { "#!/bin/sh" };
    let mut lines = vec![first.to_owned(), "VICTIM=$(dirname \"$(dirname \"$PWD\")\")/victim".to_owned()];
    for _ in 0..dice.below(4) {
        lines.push(dice.pick(DEEDS).to_owned());
    }
    let score = dice.pick(&["9", "8.5", "7", "6.25", "10", "12", "5e-8", "-3", "1e300", "11"]);
    let ending = if dice.percent(1) { DEAF } else { dice.pick(ENDINGS) };
    lines.push(ending.replace('S', score));
    let end = if dice.percent(10) { "\r\n" } else { "\n" };
    lines.join(end) + end
}
