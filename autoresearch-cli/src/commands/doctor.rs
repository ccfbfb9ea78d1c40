//! `autoresearch doctor`: checks the machine, the repository and the configuration, and names a remedy for whatever is wrong.

use std::process::ExitCode;
use std::time::Duration;

use autoresearch_agents::http::{Cassette, Request, Secret, Timeouts, Transport};
use autoresearch_core::Outcome;
use clap::Args;

use super::args::ConfigArgs;
use super::signals::cancel_on_signal;
use crate::attacks::{self, AttackFinding, Attacks};
use crate::checks::{self, Finding, Level, Subject};
use crate::error::CommandError;
use crate::json::{self, DoctorAnswer};
use crate::proposers;
use crate::rehearsal::{Noise, Rehearsal};
use crate::repository::Repository;
use crate::session::Session;
use crate::text::terminal;

/// Time that a model's server may take to answer.
const PATIENCE: f64 = 15.0;

/// Check machine, repository and configuration, with a remedy for each trouble.
#[derive(Debug, Args)]
#[command(
    after_help = "Starts no run. Exits with 1 if a run could not start, or if an attack succeeds that the\nconfiguration promises to stop; else with 0, warnings or not.\n\nExample:\n  autoresearch doctor --measure 5"
)]
pub struct DoctorArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Measure the last commit N times as well, and show the noise of the metric.
    #[arg(long, value_name = "N")]
    measure: Option<u32>,
    /// Ask the model's server whether it takes the key; no model is called.
    #[arg(long)]
    online: bool,
    /// Carry out a candidate's attacks, on files made for them, or those with WORDS.
    #[arg(long, value_name = "WORDS", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    #[arg(conflicts_with_all = ["measure", "online"])]
    attack: Option<String>,
    /// Print the findings as JSON.
    #[arg(long)]
    json: bool,
}

/// Makes all checks and prints what they found.
pub async fn doctor(args: DoctorArgs) -> Result<ExitCode, CommandError> {
    if let Some(words) = &args.attack {
        return attack(&args, words).await;
    }
    let mut findings = checks::machine();
    match Repository::find() {
        Ok(repository) => findings.extend(of_repository(repository, &args).await?),
        Err(error) => findings.push(Finding::error("repository", error.to_string())),
    }
    if args.json {
        json::print(&DoctorAnswer { version: json::VERSION, findings: &findings, attacks: None })?;
    } else {
        for finding in &findings {
            terminal::out(finding);
        }
    }
    let is_wrong = findings.iter().any(|finding| finding.level == Level::Error);
    Ok(if is_wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Carries out the attacks, and prints the end of each.
async fn attack(args: &DoctorArgs, words: &str) -> Result<ExitCode, CommandError> {
    let session = Session::new(Repository::find()?, args.config.read()?, "attack".into())?;
    let attacks = Attacks::new(&session)?;
    let findings = attacks.findings();
    if !args.json {
        findings.iter().for_each(terminal::out);
    }
    let print = |finding: &AttackFinding| {
        if !args.json {
            terminal::out(finding);
        }
    };
    let ends = attacks.carry_out(words, &cancel_on_signal(), print).await?;
    match args.json {
        true => json::print(&DoctorAnswer { version: json::VERSION, findings: &findings, attacks: Some(&ends) })?,
        false => terminal::out(attacks::summary(&ends)),
    }
    Ok(if ends.iter().any(AttackFinding::is_wrong) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Checks a repository with its configuration. What cannot be read ends the checks that need it, and no others.
async fn of_repository(repository: Repository, args: &DoctorArgs) -> Result<Vec<Finding>, CommandError> {
    let mut findings = vec![Finding::fine("repository", repository.root.display().to_string())];
    let session = args.config.read().map_err(CommandError::from);
    let session = match session.and_then(|config| Session::new(repository, config, "doctor".into())) {
        Ok(session) => session,
        Err(error) => {
            let hint = if args.config.config.exists() { "" } else { "\nor let `autoresearch init` write it" };
            findings.push(Finding::error("configuration", format!("{error}{hint}")));
            return Ok(findings);
        }
    };
    findings.push(Finding::fine("configuration", args.config.config.display().to_string()));
    if let Err(error) = session.program() {
        findings.push(Finding::error("programme", error.to_string()));
        return Ok(findings);
    }
    let lineage = session.lineage()?;
    let base = match lineage.head() {
        Ok(base) => base,
        Err(error) => {
            findings.push(Finding::error("repository", error.to_string()));
            return Ok(findings);
        }
    };
    if lineage.is_detached() {
        let message = format!(
            "HEAD is detached: a run starts from {} all the same, and no branch holds what you commit next; git switch -c NAME",
            base.short()
        );
        findings.push(Finding::warning("repository", message));
    }
    match lineage.uncommitted() {
        Ok(changed) => findings.extend(changed.first().map(|first| {
            let count = changed.len();
            let message =
                format!("{count} files have uncommitted changes, as {first}; commit or stash them before a run");
            Finding::warning("repository", message)
        })),
        Err(error) => findings.push(Finding::error("repository", error.to_string())),
    }
    let subject = Subject::new(&session, &lineage, &base)?;
    let cheap = checks::cheap(&subject).await?;
    let is_wrong = cheap.iter().any(|finding| finding.level == Level::Error);
    findings.extend(cheap);
    findings.push(checks::metric(&subject));
    findings.extend(checks::measured(&subject));
    findings.push(checks::devices(&subject));
    findings.extend(key(&session));
    if args.online {
        findings.push(online(&session).await);
    }
    match args.measure {
        Some(count) if !is_wrong => findings.push(noise(&subject, count.max(1)).await?),
        Some(_) => {
            findings.push(Finding::warning("noise", "not measured, since a trial would fail; mend the errors first"))
        }
        None => {}
    }
    Ok(findings)
}

/// The key of a model's proposer must be there. Making the proposer reads it and asks nobody.
fn key(session: &Session) -> Option<Finding> {
    if !session.config.proposer.asks() {
        return None;
    }
    Some(match proposers::proposer(session, 0) {
        Ok(_) => Finding::fine("key", "the proposer has what it needs"),
        Err(error) => Finding::error("key", error.to_string()),
    })
}

/// Sends the model's server an empty request with the key: it answers what it thinks of both.
async fn online(session: &Session) -> Finding {
    const NAME: &str = "model";
    let Some((server, key)) = session.config.proposer.server() else {
        return Finding::fine(NAME, "the proposer asks no server by itself");
    };
    // A server of one's own may need no key; where one is missing, another check says so.
    match ask(&server, key.read().ok()).await {
        Ok(401 | 403) => {
            Finding::error(NAME, format!("{server} does not take the key; make a new one, or name another: key = …"))
        }
        Ok(status @ 500..) => Finding::warning(NAME, format!("{server} answers with {status}; try again later")),
        Ok(_) => Finding::fine(NAME, format!("{server} answers, and takes the key if there is one")),
        Err(why) => Finding::error(
            NAME,
            format!("{server} cannot be reached: {why}; look at the network, the proxy and base_url"),
        ),
    }
}

async fn ask(server: &str, secret: Option<Secret>) -> Result<u16, String> {
    let timeouts = Timeouts { connect: PATIENCE, whole: PATIENCE, ..Timeouts::default() };
    let transport = Transport::new(server, timeouts, Cassette::none()).map_err(|e| e.to_string())?;
    let is_claude = server.contains("anthropic");
    let (header, prefix) = if is_claude { ("x-api-key", "") } else { ("authorization", "Bearer ") };
    let path = if is_claude { "/v1/messages" } else { "/chat/completions" };
    let request = Request {
        url: format!("{}{path}", server.trim_end_matches('/')),
        headers: if is_claude { vec![("anthropic-version", "2023-06-01".into())] } else { Vec::new() },
        key: secret.map(|secret| (header, prefix, secret)),
        body: serde_json::json!({}),
    };
    let answer = tokio::time::timeout(Duration::from_secs_f64(PATIENCE), transport.send(&request)).await;
    let answer = answer.map_err(|_| format!("no answer within {PATIENCE:.0} s"))?;
    answer.map(|stream| stream.status).map_err(|e| e.to_string())
}

/// Measures the last commit several times.
async fn noise(subject: &Subject<'_>, count: u32) -> Result<Finding, CommandError> {
    const NAME: &str = "noise";
    let metric = subject.session.config.metric()?;
    let mut rehearsal = Rehearsal::new(subject.session, subject.base)?;
    let (cancel, mut measurements, mut seconds) = (cancel_on_signal(), Vec::new(), 0.0);
    for number in 0..count {
        let outcome = rehearsal.trial(u64::from(number), &cancel).await?;
        seconds += outcome.log().elapsed.as_secs_f64() + outcome.log().build.as_secs_f64();
        match metric.read(&outcome) {
            Ok(measurement) => measurements.push(measurement),
            Err(error) => {
                let why = if matches!(outcome, Outcome::Completed(_)) { error.to_string() } else { outcome.describe() };
                return Ok(Finding::error(NAME, format!("the last commit gives no number: {why}; make it run first")));
            }
        }
    }
    let described = Noise::of(&measurements).map_or_else(String::new, |noise| noise.describe());
    let each = seconds / f64::from(count);
    Ok(Finding::fine(NAME, format!("{} {described}; {each:.1} s each", subject.session.config.metric.name)))
}
