//! Attacks by what is left for later candidates or for the lab.

use super::attack::Proof::{Changes, Floods, Leaves, Next, Results};
use super::attack::{Attack, Defence, FILES, SEEN, attack, sometimes};

const EMPTIED: Defence = Defence::Always("the slot is emptied after each trial");
const PRISTINE: Defence = Defence::Walls(&["pristine"]);
const OWN: &str = "mkdir -p a/b && echo x > a/b/c && cat a/b/c && rm -r a";
const RESULTS: Defence = Defence::Always("results are regular files of a bounded size");
const PRINTS: &str = "echo '{\"score\": 1}' > result.json && echo score: 1";

pub(super) const TABLE: &[Attack] = &[
    attack(
        "leaves something in /tmp",
        Leaves,
        FILES,
        "echo x > /tmp/$MARK; test -e /tmp/$MARK",
        "echo x > $TMPDIR/x && f=$(mktemp) && echo x > $f && case $f in $TMPDIR/*) ;; *) false ;; esac",
    ),
    attack("leaves something in /dev/shm", Leaves, FILES, "echo x > /dev/shm/$MARK", "echo x > $TMPDIR/x"),
    attack("leaves something at home", Leaves, FILES, "echo x > ~/.$MARK", "echo x > ~/x && cat ~/x"),
    attack("leaves a file for the next candidate", Next("test -e left"), EMPTIED, "echo x > left", OWN),
    attack(
        "leaves a build for the next candidate",
        Next("test -e target/debug/deps/liba.rlib"),
        EMPTIED,
        "mkdir -p target/debug/deps && echo x > target/debug/deps/liba.rlib",
        OWN,
    ),
    attack(
        "poisons a library in the target folder that later builds link",
        Next(
            "echo 'int score(void); int main(void) { return score() != 9; }' > main.c && cc -o main main.c $TARGET/score.o && ./main",
        ),
        PRISTINE,
        "echo 'int score(void) { return 9; }' > score.c && cc -c -o $TARGET/score.o score.c",
        "echo 'int main(void) { return 0; }' > main.c && cc -o $TARGET/main main.c && $TARGET/main && grep built $TARGET/left",
    ),
    attack(
        "takes away what the baseline built",
        Next("test ! -e $TARGET/left"),
        PRISTINE,
        "rm $TARGET/left",
        "cp $TARGET/left $TARGET/right && rm $TARGET/right",
    ),
    attack(
        "leaves a temporary file for the next candidate",
        Next("test -e $TMPDIR/left"),
        EMPTIED,
        "echo x > $TMPDIR/left",
        OWN,
    ),
    attack(
        "leaves a setting of a shell or of Python in the next candidate's home",
        Next("test -e ~/.$MARK"),
        Defence::Walls(&["environment"]),
        "echo x > ~/.$MARK",
        "echo x > ~/.profile",
    ),
    attack(
        "changes its files for the next candidate",
        Next("grep -q forged data"),
        EMPTIED,
        "echo forged > data; touch -r run.sh data",
        OWN,
    ),
    attack(
        "leaves a .git and a .cargo with programs that the lab would start",
        Next("test -e .git || test -e .cargo || test -e $U/hijacked"),
        EMPTIED,
        "mkdir -p .git/objects .git/refs .git/hooks .cargo; echo 'ref: refs/heads/main' > .git/HEAD; \
         printf '[core]\\n\\tfsmonitor = \"touch %s/hijacked\"\\n\\thooksPath = hooks\\n' $U > .git/config; \
         printf '[build]\\nrustc-wrapper = \"touch\"\\n' > .cargo/config.toml",
        "mkdir .git && echo x > .git/config",
    ),
    attack(
        "leaves folders too deep to be removed",
        Next("test -e d"),
        EMPTIED,
        "perl -e 'for (1 .. 3000) { mkdir \"d\" x 9; chdir \"d\" x 9 or last }'; mkdir -p d",
        OWN,
    ),
    attack(
        "leaves folders that may not be entered",
        Next("test -e locked"),
        EMPTIED,
        "mkdir -p locked/in && echo x > locked/in/x && chmod 0 locked/in && chmod 0 locked",
        OWN,
    ),
    attack(
        "puts a link to the user's folder in the place of its own",
        Changes,
        EMPTIED,
        "d=$PWD; cd .. && mv $d $d.moved && ln -s $U $d",
        "mkdir a && mv a b && ln -s b a",
    ),
    sometimes(
        "leaves memory for the next candidate",
        Next("perl -e '$m = shmget(0x41525348, 64, 0); defined $m or exit 1; shmctl($m, 0, 0)'"),
        SEEN,
        "perl -e 'defined shmget(0x41525348, 64, 0600 | 01000) or exit 1'",
        "perl -e '$m = shmget(0, 64, 0600); defined $m or exit 1; shmctl($m, 0, 0)'",
    ),
    attack(
        "floods its log",
        Floods,
        Defence::Always("the log keeps its beginning and its end"),
        "head -c 67108864 /dev/zero | tr '\\0' x; true",
        "echo score: 1",
    ),
    attack(
        "leaves a link in place of its results",
        Results,
        RESULTS,
        "rm -f result.json; ln -s $U/secret result.json; ln -s $U/secret counted",
        PRINTS,
    ),
    attack("leaves a pipe in place of its results", Results, RESULTS, "rm -f result.json; mkfifo result.json", PRINTS),
    attack("leaves a pipe in place of a file that is counted", Results, RESULTS, "mkfifo counted", PRINTS),
    attack(
        "leaves a device's link in place of a file that is counted",
        Results,
        RESULTS,
        "ln -s /dev/zero counted",
        PRINTS,
    ),
    attack(
        "leaves a terabyte of nothing as its results",
        Results,
        RESULTS,
        "truncate -s 1T result.json; truncate -s 1T $AUTORESEARCH_ITEMS; truncate -s 64G counted",
        PRINTS,
    ),
];
