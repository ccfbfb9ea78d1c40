//! `[proposer]`: the kind of proposer and its settings.

use std::collections::BTreeMap;
use std::path::PathBuf;

use autoresearch_agents::http::{KeySource, Retry, Timeouts};
use autoresearch_agents::model::{Options, Price, Prices};
use autoresearch_agents::{ClaudeSettings, Factorial, OpenAiSettings, Search};
use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::agent::AgentSection;
use super::costs::{check_dollars, check_not_shared, check_prices};
use super::error::KeyError;
use super::schema;
use super::source::ValueError;
use super::values;

/// The section. Each kind has its own keys.
#[derive(Debug, Clone)]
pub enum ProposerSection {
    /// `knobs`: searches over the constants that carry a `knob:` range.
    Knobs(KnobsSection),
    /// `design`: measures the points of a factorial design over constants.
    Design(DesignSection),
    /// `merge`: combines changes that failed narrowly.
    Merge(MergeSection),
    /// `replay`: makes the proposals of a recorded run again.
    Replay(ReplaySection),
    /// `claude`: asks Claude, over the Messages interface.
    Claude(Box<ClaudeSettings>),
    /// `openai`: asks a model of OpenAI, or of a server that is compatible.
    Openai(Box<OpenAiSettings>),
    /// `agent`: lets an agent edit a scratch copy.
    Agent(Box<AgentSection>),
    /// `portfolio`: lets several take turns by what they bring.
    Portfolio(PortfolioSection),
}

/// The keys of `kind = "knobs"`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KnobsSection {
    /// The strategy that chooses the next values; `neighbour` by default.
    #[serde(default)]
    #[schemars(with = "schema::Search")]
    pub strategy: Search,
}

/// The keys of `kind = "design"`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DesignSection {
    /// Its name in the journal and in the report.
    name: String,
    /// The levels of each factor, a constant of an editable file, as literals.
    factors: BTreeMap<String, Vec<String>>,
    /// Generators such as `WARMDOWN = DEPTH * LR`, for a fraction of a two-level design.
    #[serde(default)]
    fraction: Vec<String>,
}

/// The keys of `kind = "merge"`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MergeSection {
    /// Loss against its incumbent up to which a change is a near miss, in the metric's unit.
    #[serde(deserialize_with = "values::not_negative")]
    #[schemars(range(min = 0.0))]
    pub margin: f64,
}

/// The keys of `kind = "replay"`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaySection {
    /// The journal of the recorded run, relative to the repository's root.
    pub journal: PathBuf,
}

/// The keys of `kind = "portfolio"`.
#[derive(Debug, Clone)]
pub struct PortfolioSection {
    /// The proposers by the names under which the journal remembers them.
    pub members: BTreeMap<String, ProposerSection>,
    /// The price of a minute of the machine.
    pub dollars_per_minute: Option<f64>,
}

impl Default for ProposerSection {
    fn default() -> Self {
        ProposerSection::Knobs(KnobsSection::default())
    }
}

const KINDS: &str = "knobs, design, merge, replay, claude, openai, agent, portfolio";

impl ProposerSection {
    /// Reads the table by its key `kind`; errors have the span of their key.
    pub fn read(value: Spanned<DeValue<'_>>) -> Result<ProposerSection, ValueError> {
        let span = value.span();
        let DeValue::Table(mut table) = value.into_inner() else {
            return Err(at(span, "is not a table; give [proposer] with a kind"));
        };
        let kind = match table.remove("kind") {
            Some(kind) => kind,
            None if table.is_empty() => return Ok(ProposerSection::default()),
            None => return Err(at(span, "missing field `kind`")),
        };
        let rest = Spanned::new(span, table);
        Ok(match kind.get_ref().as_str() {
            Some("knobs") => ProposerSection::Knobs(from(rest)?),
            Some("design") => ProposerSection::Design(from(rest)?),
            Some("merge") => ProposerSection::Merge(from(rest)?),
            Some("replay") => ProposerSection::Replay(from(rest)?),
            Some("claude") => ProposerSection::Claude(from(rest)?),
            Some("openai") => ProposerSection::Openai(from(rest)?),
            Some("agent") => ProposerSection::Agent(from(rest)?),
            Some("portfolio") => ProposerSection::Portfolio(PortfolioSection::read(rest)?),
            Some(other) => return Err(at(kind.span(), &format!("is '{other}'; give one of {KINDS}"))),
            None => return Err(at(kind.span(), &format!("is not a text; give one of {KINDS}"))),
        })
    }

    /// Returns whether it asks a model or an agent, which takes long enough to do something else meanwhile.
    pub fn asks(&self) -> bool {
        match self {
            ProposerSection::Claude(_) | ProposerSection::Openai(_) | ProposerSection::Agent(_) => true,
            ProposerSection::Portfolio(portfolio) => portfolio.members.values().any(ProposerSection::asks),
            ProposerSection::Knobs(_)
            | ProposerSection::Design(_)
            | ProposerSection::Merge(_)
            | ProposerSection::Replay(_) => false,
        }
    }

    /// The server that it asks by itself, and the source of the key; `None` for one that asks none, or by a login of its own.
    pub fn server(&self) -> Option<(String, KeySource)> {
        let of = |options: &Options, server: &str, variable: &str| {
            let server = options.base_url.clone().unwrap_or_else(|| server.to_owned());
            Some((server, options.key.clone().unwrap_or_else(|| KeySource::Env(variable.to_owned()))))
        };
        match self {
            ProposerSection::Claude(settings) => {
                of(&settings.options, "https://api.anthropic.com", "ANTHROPIC_API_KEY")
            }
            ProposerSection::Openai(settings) => of(&settings.options, "https://api.openai.com/v1", "OPENAI_API_KEY"),
            ProposerSection::Agent(agent) => agent.key_source().map(|key| (agent.server().to_owned(), key)),
            ProposerSection::Portfolio(portfolio) => portfolio.members.values().find_map(ProposerSection::server),
            _ => None,
        }
    }

    /// The cassettes that it records to or is answered from, as they are written.
    pub fn cassettes(&self) -> Vec<PathBuf> {
        let of = |options: &Options| options.record.iter().chain(&options.replay).cloned().collect();
        match self {
            ProposerSection::Claude(settings) => of(&settings.options),
            ProposerSection::Openai(settings) => of(&settings.options),
            ProposerSection::Portfolio(portfolio) => {
                portfolio.members.values().flat_map(ProposerSection::cassettes).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Returns whether the cost of its proposals becomes known: not that of an unknown agent with a login of its own.
    pub fn reports_costs(&self) -> bool {
        !matches!(self, ProposerSection::Agent(agent) if agent.has_login() && agent.agent.is_none())
    }

    /// Returns whether the prices of all models that it asks are known.
    pub fn is_priced(&self) -> bool {
        let known = |prices: &BTreeMap<String, Price>, model: &str| {
            Prices::with(prices).is_ok_and(|prices| prices.of(model).is_some())
        };
        match self {
            ProposerSection::Claude(settings) => known(&settings.options.prices, &settings.model),
            ProposerSection::Openai(settings) => known(&settings.options.prices, &settings.model),
            ProposerSection::Agent(agent) => agent.model().is_none_or(|model| known(agent.prices(), model)),
            ProposerSection::Portfolio(portfolio) => portfolio.members.values().all(ProposerSection::is_priced),
            ProposerSection::Knobs(_)
            | ProposerSection::Design(_)
            | ProposerSection::Merge(_)
            | ProposerSection::Replay(_) => true,
        }
    }

    /// Finds the mistakes that can be found before anything is opened or asked. `key` is where the section stands, `variables`
    /// are those of experiments, with the key that names each.
    pub fn check(&self, key: &str, variables: &BTreeMap<String, String>) -> Result<(), KeyError> {
        match self {
            ProposerSection::Knobs(_) | ProposerSection::Replay(_) | ProposerSection::Merge(_) => Ok(()),
            ProposerSection::Design(design) => design.factorial(key).map(drop),
            ProposerSection::Claude(settings) => {
                check_model(key, &settings.options, &settings.unknown, "ANTHROPIC_API_KEY", variables)
            }
            ProposerSection::Openai(settings) => {
                check_model(key, &settings.options, &settings.unknown, "OPENAI_API_KEY", variables)
            }
            ProposerSection::Agent(agent) => agent.check(key, variables),
            ProposerSection::Portfolio(PortfolioSection { members, .. }) => {
                if members.is_empty() {
                    let why = "is empty; add a table for each proposer, by name";
                    return Err(KeyError::new(format!("{key}.members"), why));
                }
                for (name, member) in members {
                    let key = format!("{key}.members.{name}");
                    if matches!(member, ProposerSection::Replay(_) | ProposerSection::Portfolio(_)) {
                        return Err(KeyError::new(key, "cannot take turns with others; make it the only proposer"));
                    }
                    member.check(&key, variables)?;
                }
                Ok(())
            }
        }
    }
}

impl DesignSection {
    /// The design as its proposer takes it. `key` is where the section stands.
    pub fn factorial(&self, key: &str) -> Result<Factorial, KeyError> {
        let DesignSection { name, factors, fraction } = self;
        Factorial::new(name, factors.clone(), fraction).map_err(|e| KeyError::new(key, format!(": {e}")))
    }
}

impl PortfolioSection {
    fn read(mut table: Spanned<DeTable<'_>>) -> Result<PortfolioSection, ValueError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Rest {
            #[serde(default, deserialize_with = "price")]
            dollars_per_minute: Option<f64>,
        }
        let span = table.span();
        let mut members = BTreeMap::new();
        match table.get_mut().remove("members").map(|value| (value.span(), value.into_inner())) {
            Some((_, DeValue::Table(tables))) => {
                for (name, value) in tables {
                    members.insert(name.into_inner().into_owned(), ProposerSection::read(value)?);
                }
            }
            Some((span, _)) => return Err(at(span, "is not a table; give [proposer.members.NAME] for each proposer")),
            None => return Err(at(span, "missing field `members`")),
        }
        let Rest { dollars_per_minute } = from(table)?;
        Ok(PortfolioSection { members, dollars_per_minute })
    }
}

fn price<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    values::not_negative(from).map(Some)
}

fn from<'a, T: Deserialize<'a>>(table: Spanned<DeTable<'a>>) -> Result<T, ValueError> {
    T::deserialize(Deserializer::from(table)).map_err(ValueError::from)
}

fn at(span: std::ops::Range<usize>, why: &str) -> ValueError {
    ValueError { offset: Some(span.start), message: why.to_owned() }
}

/// Checks the settings of a language model, whose key is usually in the variable `usual`.
fn check_model(
    key: &str,
    options: &Options,
    unknown: &BTreeMap<String, toml::Value>,
    usual: &str,
    variables: &BTreeMap<String, String>,
) -> Result<(), KeyError> {
    let wrong = |name: &str, why: String| Err(KeyError::new(format!("{key}.{name}"), why));
    if let Some(name) = unknown.keys().next() {
        return wrong(name, "is not a known key of this kind; see docs/proposers.md for those that are".into());
    }
    let named = match &options.key {
        Some(KeySource::Env(name)) => name.as_str(),
        _ => usual,
    };
    check_not_shared([named, usual], variables)?;
    let Timeouts { connect, first_byte, between_bytes, whole } = options.timeouts;
    let Retry { first, most, patience, .. } = options.retry;
    if [connect, first_byte, between_bytes, whole].into_iter().any(|limit| !(limit > 0.0 && limit < 1e9)) {
        return wrong("timeouts", "takes positive numbers of seconds".into());
    }
    if [first, most, patience].into_iter().any(|pause| !(0.0..1e9).contains(&pause)) {
        return wrong("retry", "takes numbers of seconds that are not negative".into());
    }
    if options.max_tokens == 0 || options.max_tokens > 10_000_000 {
        return wrong("max_tokens", format!("is {}; give a positive number of tokens", options.max_tokens));
    }
    check_prices(key, &options.prices)?;
    check_dollars(&format!("{key}.per_proposal.dollars"), options.per_proposal.dollars)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ProposerSection, String> {
        let table = DeTable::parse(text).map_err(|e| e.to_string())?;
        let value = Spanned::new(table.span(), DeValue::Table(table.into_inner()));
        let section = ProposerSection::read(value).map_err(|error| error.message)?;
        section.check("proposer", &BTreeMap::new()).map_err(|error| error.to_string())?;
        Ok(section)
    }

    #[test]
    fn every_kind_has_its_own_keys() {
        assert!(matches!(
            read("kind = 'knobs'"),
            Ok(ProposerSection::Knobs(KnobsSection { strategy: Search::Neighbour }))
        ));
        for (name, search) in
            [("neighbour", Search::Neighbour), ("random", Search::Random), ("grid", Search::Grid), ("tpe", Search::Tpe)]
        {
            let config = read(&format!("kind = 'knobs'\nstrategy = '{name}'")).unwrap();
            assert!(matches!(config, ProposerSection::Knobs(KnobsSection { strategy }) if strategy == search));
        }
        assert!(matches!(read("kind = 'agent'\nagent = 'codex'\nkey = 'login'"), Ok(ProposerSection::Agent(_))));
        let portfolio = "kind = 'portfolio'\n[members.tpe]\nkind = 'knobs'\nstrategy = 'tpe'\n[members.merge]\nkind = 'merge'\nmargin = 0.001\n";
        assert!(
            matches!(read(portfolio), Ok(ProposerSection::Portfolio(PortfolioSection { members, .. })) if members.len() == 2)
        );
        let design = "kind = 'design'\nname = 'd'\n[factors]\nA = ['1', '2']\nB = ['1', '2']\n";
        assert!(
            matches!(read(design), Ok(ProposerSection::Design(DesignSection { factors, .. })) if factors.len() == 2)
        );
        for (text, word) in [
            ("kind = 'design'\n[factors]\nA = ['1', '2']", "name"),
            ("kind = 'design'\nname = 'd'\n[factors]\nA = ['1', '1.0']", "factors.A"),
            ("kind = 'design'\nname = 'd'\nfraction = ['A = X * Y']\n[factors]\nA = ['1', '2']", "fraction"),
            ("kind = 'design'\nname = 'd'\nlevels = 2\n[factors]\nA = ['1', '2']", "levels"),
            ("kind = 'knobs'\nstrategy = 'luck'", "luck"),
            ("kind = 'knobs'\njournal = 'x'", "journal"),
            ("kind = 'replay'", "journal"),
            ("kind = 'agent'", "names no agent"),
            ("kind = 'agent'\nagent = 'codex'\nmargin = 1.0", "margin"),
            ("kind = 'merge'\nmargin = -1.0", "not negative"),
            ("kind = 'portfolio'\n[members]", "members"),
            ("kind = 'portfolio'\n[members.old]\nkind = 'replay'\njournal = 'x'", "members] old cannot take turns"),
            ("kind = 'magic'", "magic"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
