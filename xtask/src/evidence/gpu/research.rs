//! Sixty experiments of the reference workload on the CPU: what was kept, what of it an audit finds again, and what of it holds for a
//! model of twice the depth.

use std::sync::OnceLock;

use crate::evidence::main_run;
use crate::figure::Line;
use crate::sh;

const TAG: &str = "sixty";
const EXPERIMENTS: &str = "60";
/// One core, so that the run can go on beside other work.
const DEVICES: &str = "cpus:0";
/// Options of the commands that go on with it: the devices belong to what a run is made with.
const RUN: [&str; 4] = ["--tag", TAG, "--devices", DEVICES];
/// Rounds of the audit, and of the transfer, decided on before either.
const ROUNDS: &str = "5";
/// The preset's depth is 4.
const SETTING: &str = "DEPTH=8";

/// The run, made once, and the minutes that it took from its baseline on.
struct Run {
    rows: Vec<main_run::Row>,
    minutes: f64,
}

impl Run {
    fn count(&self, status: &str) -> usize {
        self.rows.iter().skip(1).filter(|row| row.status == status).count()
    }
}

fn once() -> Result<&'static Run, String> {
    static FINISHED: OnceLock<Result<Run, String>> = OnceLock::new();
    let run = || {
        let options = ["--preset", "cpu", "--tag", TAG, "--experiments", EXPERIMENTS, "--devices", DEVICES];
        let said = main_run::nanochat(&options, None)?;
        let rows = main_run::rows(&said.named("results:").ok_or("it named no results")?)?;
        Ok(Run { rows, minutes: said.minutes_of_research().ok_or("it never began with the baseline")? })
    };
    FINISHED.get_or_init(run).as_ref().map_err(Clone::clone)
}

/// The run by the default rule, every decision judged again, and its keeps audited beside the baseline.
pub fn sixty_experiments() -> Result<Line, String> {
    let run = once()?;
    let (kept, crashed) = (run.count("keep"), run.count("crash"));
    let decided = run.rows.len().saturating_sub(1);
    main_run::verified(&RUN, decided - crashed)?;
    let mut value =
        format!("{decided} experiments in {:.0} min: {kept} kept, {crashed} crashed, no wrong decision", run.minutes);
    let mut holds = decided >= 60;
    if kept > 0 {
        let mut audit = main_run::autoresearch("audit", &RUN)?;
        audit.args(["--rounds", ROUNDS]);
        let said = sh::output(&mut audit)?;
        eprint!("{said}");
        let scores = audited(&said);
        let (first, last) = scores.first().zip(scores.last()).ok_or("the audit printed no score")?;
        value += &format!(
            "; val_bpb of the baseline {:.6} and the incumbent {:.6} in an audit of {ROUNDS} rounds",
            first.1, last.1
        );
        let links = scores.windows(2).map(|pair| format!("{} {:+.6}", pair[1].0, pair[0].1 - pair[1].1));
        value += &format!("; the gain of each keep there: {}", links.collect::<Vec<_>>().join(", "));
        holds &= scores.len() == kept + 1 && last.1 < first.1;
    }
    Ok(Line::Measured(holds, value, "60 experiments, no wrong decision, the incumbent better in the audit"))
}

/// The mean of each audited experiment's scores, in the order of the lineage.
fn audited(said: &str) -> Vec<(String, f64)> {
    let mut scores: Vec<(String, Vec<f64>)> = Vec::new();
    for line in said.lines() {
        let Some((change, score)) = line.rsplit_once("; val_bpb: ") else { continue };
        let Ok(score) = score.trim().parse() else { continue };
        match scores.iter_mut().find(|(known, _)| known == change) {
            Some((_, of_it)) => of_it.push(score),
            None => scores.push((change.to_owned(), vec![score])),
        }
    }
    scores.into_iter().map(|(change, of_it)| (change, of_it.iter().sum::<f64>() / of_it.len() as f64)).collect()
}

/// Each keep of the run, and their sum, beside the baseline at twice the depth.
pub fn transfer_check() -> Result<Line, String> {
    if once()?.count("keep") == 0 {
        return Ok(Line::Skip("the run of sixty experiments has kept nothing".into()));
    }
    let mut transfer = main_run::autoresearch("transfer", &["--from", TAG, "--devices", DEVICES])?;
    transfer.args(["--set", SETTING, "--repeats", ROUNDS]);
    let said = sh::output(&mut transfer)?;
    eprint!("{said}");
    let findings: Vec<Finding> = said.lines().filter_map(finding).collect();
    let value =
        findings.iter().map(|found| format!("{}: {} ({}), {}", found.of, found.gain, found.interval, found.verdict));
    let value = value.collect::<Vec<_>>().join("; ");
    let whole = findings.last().is_some_and(|last| last.of == "sum")
        && findings.iter().all(|found| ["transferred", "not shown", "worse", "replaced"].contains(&found.verdict));
    Ok(Line::Measured(whole, value, "an interval for each keep and for their sum"))
}

/// A row of transfer's table.
#[derive(Debug, PartialEq)]
struct Finding<'a> {
    of: &'a str,
    gain: &'a str,
    interval: &'a str,
    verdict: &'a str,
}

fn finding(line: &str) -> Option<Finding<'_>> {
    let row = line.strip_prefix("| ")?.strip_suffix(" |")?;
    let (of, rest) = row.split_once(" | ")?;
    if of != "sum" && of.parse::<u32>().is_err() {
        return None;
    }
    // From the right, since a change may have any text.
    let mut cells = rest.rsplitn(4, " | ");
    let (verdict, interval, gain) = (cells.next()?, cells.next()?, cells.next()?);
    Some(Finding { of, gain, interval, verdict })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_tables_are_read() {
        let said = "000 baseline; val_bpb: 1.5\n002 A = 1; B = 2; val_bpb: 1.25\n\n000 baseline; val_bpb: 1.6\n\
                    002 A = 1; B = 2; val_bpb: 1.35\nnoise of a trial: 0.1\n";
        let means: Vec<String> = audited(said).iter().map(|(change, mean)| format!("{change} {mean:.2}")).collect();
        assert_eq!(means, ["000 baseline 1.55", "002 A = 1; B = 2 1.30"]);
        let row = "| 002 | A = 1 \\| 2 | +0.250000 | -0.100000 | -0.200000 to +0.000000 | not shown |";
        let of_row = Finding { of: "002", gain: "-0.100000", interval: "-0.200000 to +0.000000", verdict: "not shown" };
        assert_eq!(finding(row), Some(of_row));
        assert_eq!(finding("| sum | all keeps | +1 | +2 | +1 to +3 | transferred |").unwrap().of, "sum");
        assert_eq!(finding("| keep | change | gain in the run | gain here | interval | verdict |"), None);
    }
}
