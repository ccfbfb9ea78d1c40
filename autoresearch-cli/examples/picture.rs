//! Draws docs/terminal.svg and docs/staircase.svg: searches a small regression and draws the run.
//!
//! ```sh
//! cargo build -p autoresearch-cli && cargo run -p autoresearch-cli --example picture
//! ```

use std::error::Error;
use std::path::Path;
use std::process::Command;

const CONFIG: &str = r#"editable = ["fit.txt"]

[run]
command = ["sh", "-c", "awk -v seed=$AUTORESEARCH_SEED -f fit.awk"]

[metric]
name = "val_loss"
direction = "minimise"

[ratchet]
rule = "strict"
"#;

/// The constants that the search changes.
const FIT: &str = r#"const LR: f64 = 0.02; // knob: log 0.001..0.5
const MOMENTUM: f64 = 0.0; // knob: lin 0..0.98
const BATCH: i64 = 16; // knob: {2, 4, 8, 16, 32}
const DEGREE: i64 = 2; // knob: int 1..9
const DECAY: f64 = 0.01; // knob: log 0.00001..0.1
"#;

/// Fits a polynomial to noisy samples of a sine by stochastic gradient descent, with a fixed number of samples.
const PROGRAM: &str = r#"
function constant(name,   line, parts) {
    while ((getline line < "fit.txt") > 0) {
        split(line, parts, /[ ;]+/)
        if (parts[1] == "const" && parts[2] == name ":") { close("fit.txt"); return parts[5] }
    }
    close("fit.txt")
}
function predict(x,   k, power, sum) {
    power = 1; sum = 0
    for (k = 0; k <= degree; k++) { sum += weight[k] * power; power *= x }
    return sum
}
BEGIN {
    srand(seed)
    lr = constant("LR"); momentum = constant("MOMENTUM"); batch = constant("BATCH")
    degree = constant("DEGREE"); decay = constant("DECAY")
    for (step = 0; step < 24000 / batch; step++) {
        for (k = 0; k <= degree; k++) gradient[k] = 0
        for (i = 0; i < batch; i++) {
            x = 2 * rand() - 1
            error = predict(x) - sin(3 * x) - (rand() - 0.5)
            power = 1
            for (k = 0; k <= degree; k++) { gradient[k] += error * power; power *= x }
        }
        for (k = 0; k <= degree; k++) {
            velocity[k] = momentum * velocity[k] - lr * (gradient[k] / batch + decay * weight[k])
            weight[k] += velocity[k]
        }
    }
    for (i = 0; i < 500; i++) { x = 2 * rand() - 1; loss += (predict(x) - sin(3 * x) - (rand() - 0.5)) ^ 2 / 500 }
    print "---\nval_loss: " loss
}
"#;

fn main() -> Result<(), Box<dyn Error>> {
    // The command lies beside the folder of this example.
    let own = std::env::current_exe()?;
    let command = own.ancestors().nth(2).ok_or("no folder of builds")?.join("autoresearch");
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").canonicalize()?;
    let folder = tempfile::tempdir()?;
    let repository = folder.path().join("repository");
    std::fs::create_dir(&repository)?;
    for (name, text) in
        [("autoresearch.toml", CONFIG), ("program.md", "# Lower val_loss\n"), ("fit.txt", FIT), ("fit.awk", PROGRAM)]
    {
        std::fs::write(repository.join(name), text)?;
    }
    let run = |program: &Path, arguments: &[&str]| -> Result<(), Box<dyn Error>> {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&repository).env("AUTORESEARCH_CACHE", folder.path().join("cache"));
        match command.status()?.success() {
            true => Ok(()),
            false => Err(format!("{} {arguments:?} failed", program.display()).into()),
        }
    };
    let git = Path::new("git");
    run(git, &["init", "-q"])?;
    run(git, &["add", "."])?;
    run(git, &["-c", "user.name=demo", "-c", "user.email=demo@localhost", "commit", "-qm", "start"])?;
    run(&command, &["run", "--tag", "demo", "--experiments", "60", "--seed", "7"])?;
    run(&command, &["picture", "--tag", "demo", &book.to_string_lossy()])
}
