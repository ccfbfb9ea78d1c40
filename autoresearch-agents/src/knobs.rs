//! A search over annotated constants that needs no model: local steps from the incumbent, guided by what was kept.

use async_trait::async_trait;
use autoresearch_core::{Context, Cost, Experiment, FileEdit, Patch, Proposal, Proposer, ProposerError, Status};
use rand::{Rng, RngExt, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use crate::constants::{Constant, Knob};

/// So many unheard-of proposals are looked for before the space counts as exhausted.
const TRIES: usize = 200;

/// Proposes new values for the constants that carry a `knob:` range, in the file or in the programme.
///
/// Each proposal changes one constant, sometimes two, by a step from its present value; now and then it draws one anew
/// from its whole range. A constant whose last change was kept is tried again in the same direction; one that failed
/// often is tried less. The same seed and history give the same proposal.
#[derive(Debug, Clone)]
pub struct KnobProposer {
    seed: u64,
}

/// One constant that may be changed.
struct Site<'a> {
    path: &'a str,
    constant: Constant<'a>,
    knob: Knob,
    /// What the past says of it.
    past: Past,
}

/// How a constant fared since it was last kept.
#[derive(Default)]
struct Past {
    failures: u32,
    /// The direction of its last kept change: 1 for up, -1 for down.
    kept: Option<i32>,
}

impl KnobProposer {
    /// A search with a seed of its own.
    pub fn new(seed: u64) -> KnobProposer {
        KnobProposer { seed }
    }

    fn sites<'a>(context: &'a Context<'_, Patch>) -> Result<Vec<Site<'a>>, ProposerError> {
        let mut sites = Vec::new();
        let overridden = &context.program.knobs;
        for (path, source) in context.files.iter() {
            for constant in Constant::all(source) {
                let Some(range) = overridden.get(constant.name).map(String::as_str).or(constant.range) else {
                    continue;
                };
                let knob = Knob::parse(constant.name, range).map_err(|e| ProposerError::Fatal(e.to_string()))?;
                let past = past(constant.name, context.experiments);
                sites.push(Site { path, constant, knob, past });
            }
        }
        if let Some(name) = overridden.keys().find(|name| !sites.iter().any(|site| site.constant.name == *name)) {
            return Err(ProposerError::Fatal(format!(
                "there is a range for {name}, in program.md or [knobs], but no editable file has a line `const {name}: … = …;`"
            )));
        }
        match sites.is_empty() {
            true => Err(ProposerError::Fatal(
                "no constant in the editable files has a range; annotate one: `const LR: f64 = 0.04; // knob: log 0.01..0.1`".into(),
            )),
            false => Ok(sites),
        }
    }
}

#[async_trait]
impl Proposer<Patch> for KnobProposer {
    async fn propose(&mut self, context: &Context<'_, Patch>) -> Result<Proposal, ProposerError> {
        let sites = KnobProposer::sites(context)?;
        // A stream of its own for every proposal: a resumed run goes on exactly, without any state of ours.
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(context.proposals() as u64 + 1);
        for _ in 0..TRIES {
            let count = if rng.random_bool(0.75) { 1 } else { 2 };
            let weight = |site: &&Site<'_>| match site.past.kept {
                Some(_) if site.past.failures == 0 => 3.0,
                _ => 1.0 / f64::from(1 + site.past.failures),
            };
            let all: Vec<&Site<'_>> = sites.iter().collect();
            let chosen =
                all.sample_weighted(&mut rng, count, weight).map_err(|e| ProposerError::Fatal(e.to_string()))?;
            let changes: Vec<(&Site<'_>, String)> = chosen.map(|site| (*site, step(site, &mut rng))).collect();
            let description = changes
                .iter()
                .map(|(site, value)| format!("{} {} -> {value}", site.constant.name, site.constant.value))
                .collect::<Vec<_>>()
                .join(", ");
            let unchanged = changes.iter().any(|(site, value)| site.constant.value == value);
            let here = |e: &&Experiment| e.parent.as_ref() == Some(&context.incumbent);
            let tried = context.experiments.iter().filter(here).any(|e| e.description == description)
                || context.rejections.iter().any(|r| r.description == description);
            if unchanged || tried {
                continue;
            }
            let edits = changes.iter().map(|(site, value)| FileEdit::Replace {
                path: site.path.to_owned(),
                search: site.constant.line.to_owned(),
                replace: site.constant.line_with(value),
            });
            let hypothesis = changes.iter().map(|(site, _)| reason(site)).collect::<Vec<_>>().join(" ");
            return Ok(Proposal {
                change: Patch { edits: edits.collect() },
                description,
                hypothesis,
                cost: Cost::default(),
            });
        }
        Err(ProposerError::Exhausted(format!("{TRIES} draws in a row had all been tried from this incumbent")))
    }
}

fn reason(site: &Site<'_>) -> String {
    let Constant { name, range, .. } = &site.constant;
    match site.past.kept {
        Some(_) => format!("The last change of {name} was kept, so a further one may help."),
        None => format!("{name} may not be at its best within {}.", range.unwrap_or("its range")),
    }
}

/// What the experiments so far say of a constant.
fn past(name: &str, experiments: &[Experiment]) -> Past {
    let mut past = Past::default();
    for experiment in experiments {
        let Ok(patch) = serde_json::from_value::<Patch>(experiment.change.clone()) else { continue };
        let changed = patch.edits.iter().find_map(|edit| match edit {
            FileEdit::Replace { search, replace, .. } => {
                let (old, new) = (Constant::parse(search)?, Constant::parse(replace)?);
                (old.name == name && new.name == name).then(|| (old.value.to_owned(), new.value.to_owned()))
            }
            FileEdit::Write { .. } | FileEdit::Diff { .. } => None,
        });
        match (changed, experiment.status) {
            (None, _) => {}
            (Some((old, new)), Status::Keep) => {
                let up = old
                    .parse::<f64>()
                    .ok()
                    .zip(new.parse::<f64>().ok())
                    .map(|(old, new)| if new > old { 1 } else { -1 });
                past = Past { failures: 0, kept: up };
            }
            (Some(_), _) => past.failures += 1,
        }
    }
    past
}

/// A new literal for a constant.
fn step(site: &Site<'_>, rng: &mut impl Rng) -> String {
    let anew = rng.random_bool(0.2);
    let sign = match site.past.kept {
        Some(sign) if site.past.failures == 0 => sign,
        _ => {
            if rng.random_bool(0.5) {
                1
            } else {
                -1
            }
        }
    };
    let up = sign > 0;
    let value = site.constant.value.replace('_', "");
    match &site.knob {
        Knob::Log(low, high) => {
            let factor = *[1.25f64, 1.5, 2.0].choose(rng).unwrap_or(&1.5);
            let new = match value.parse::<f64>() {
                Ok(now) if !anew && now > 0.0 => now * if up { factor } else { 1.0 / factor },
                _ => (low.ln() + rng.random::<f64>() * (high.ln() - low.ln())).exp(),
            };
            float(new.clamp(*low, *high))
        }
        Knob::Lin(low, high) => {
            let share = *[0.05f64, 0.1, 0.2].choose(rng).unwrap_or(&0.1);
            let new = match value.parse::<f64>() {
                Ok(now) if !anew => now + f64::from(sign) * share * (high - low),
                _ => low + rng.random::<f64>() * (high - low),
            };
            float(new.clamp(*low, *high))
        }
        Knob::Int(low, high) => {
            let new = match value.parse::<i64>() {
                Ok(now) if !anew => now + i64::from(sign),
                _ => rng.random_range(*low..=*high),
            };
            new.clamp(*low, *high).to_string()
        }
        Knob::Choice(choices) => {
            let now = choices.iter().position(|choice| choice.replace('_', "") == value);
            let next = now.and_then(|at| if up { choices.get(at + 1) } else { choices.get(at.checked_sub(1)?) });
            // Beyond the end there is nothing: the unchanged value makes the search look elsewhere.
            let drawn = if anew || now.is_none() { choices.choose(rng) } else { next };
            drawn.cloned().unwrap_or_else(|| site.constant.value.to_owned())
        }
    }
}

/// A Rust float literal with two significant digits: finer steps drown in the noise of a run.
fn float(value: f64) -> String {
    let rounded: f64 = format!("{value:.1e}").parse().unwrap_or(value);
    let text = rounded.to_string();
    if text.contains(['.', 'e']) { text } else { format!("{text}.0") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn site(line: &'static str, past: Past) -> Site<'static> {
        let constant = Constant::parse(line).unwrap();
        let knob = Knob::parse(constant.name, constant.range.unwrap()).unwrap();
        Site { path: "train.rs", constant, knob, past }
    }

    proptest! {
        #[test]
        fn steps_stay_in_their_range(seed: u64) {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let log = step(&site("const A: f64 = 0.04; // knob: log 0.01..0.1", Past::default()), &mut rng);
            prop_assert!((0.01..=0.1).contains(&log.parse::<f64>().unwrap()), "{}", log);
            let lin = step(&site("const A: f64 = 0.0; // knob: lin 0..1", Past::default()), &mut rng);
            prop_assert!(lin.contains('.') && (0.0..=1.0).contains(&lin.parse::<f64>().unwrap()), "{}", lin);
            let int = step(&site("const A: i64 = 8; // knob: int 1..8", Past::default()), &mut rng);
            prop_assert!((1..=8).contains(&int.parse::<i64>().unwrap()));
            let choice = step(&site("const A: &str = \"SSSL\"; // knob: {\"L\", \"SSSL\"}", Past::default()), &mut rng);
            prop_assert!(["\"L\"", "\"SSSL\""].contains(&choice.as_str()));
        }
    }

    #[test]
    fn floats_are_short_rust_literals() {
        assert_eq!([float(0.0555), float(3.0), float(0.00001), float(0.0)], ["0.056", "3.0", "0.00001", "0.0"]);
    }
}
