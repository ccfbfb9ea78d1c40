//! `autoresearch.toml`: what is run, how it is measured, and when to stop. Each section has a type and a file of its own.

use std::path::Path;

use serde::Deserialize;
use toml::de::Deserializer;

mod agent;
mod combination;
mod costs;
mod error;
mod evaluate;
mod examples;
mod excursion;
mod file;
mod git;
mod guard;
mod holdout;
mod isolation;
mod limits;
mod metric;
mod proposer;
mod published;
mod ratchet;
mod run;
mod schema;
mod screening;
mod source;
mod stop;
mod values;
pub mod workers;
mod workspace;

pub use agent::{AgentSection, KnownAgent};
pub use error::{ConfigError, KeyError};
pub use file::Config;
pub use git::GitSection;
pub use isolation::NetworkSetting;
pub use metric::{MetricKind, PartSection, parse_direction};
pub use proposer::ProposerSection;
pub use published::schema;
pub use ratchet::RatchetSection;
pub use stop::{DefaultCap, StopLimits};

use error::{COMMAND_LINE, Invalid, Place};
use source::{Source, ValueError};

impl Config {
    /// Reads the file `path`, lays `presets/<preset>.toml` beside it over it, and the arguments of the command line over both.
    pub fn read(path: &Path, preset: Option<&str>, arguments: &toml::Table) -> Result<Config, ConfigError> {
        let mut source = Source::default();
        if !path.exists() {
            return Err(ConfigError::Missing(path.into()));
        }
        push_file(&mut source, path)?;
        if let Some(name) = preset {
            let folder = path.with_file_name("presets");
            let file = folder.join(format!("{name}.toml"));
            if !file.is_file() {
                return Err(ConfigError::NoPreset { name: name.into(), config: path.into(), known: presets(&folder) });
            }
            push_file(&mut source, &file)?;
        }
        if !arguments.is_empty() {
            source.push(COMMAND_LINE, arguments.to_string());
        }
        let mut config = parse(&source).map_err(|mistake| mistake.in_source(&source))?;
        config.preset = preset.unwrap_or_default().to_owned();
        config.source = source;
        Ok(config)
    }

    /// Reads a configuration that stands in no file yet; errors call it `name`.
    pub fn from_text(name: &str, text: &str) -> Result<Config, ConfigError> {
        let mut source = Source::default();
        source.push(name, text);
        let mut config = parse(&source).map_err(|mistake| mistake.in_source(&source))?;
        config.source = source;
        Ok(config)
    }

    /// The texts that it was read from.
    pub fn texts(&self) -> ConfigTexts {
        let mut layers = self.source.layers().iter().peekable();
        let file = layers.next().map(|layer| layer.text.clone()).unwrap_or_default();
        let preset = layers.next_if(|layer| layer.name != COMMAND_LINE).map(|layer| layer.text.clone());
        ConfigTexts { file, preset, arguments: layers.next().map(|layer| layer.text.clone()) }
    }

    /// Reads a configuration from such texts; `preset` is the preset's name, empty without one.
    pub fn from_texts(texts: ConfigTexts, preset: &str) -> Result<Config, ConfigError> {
        let mut source = Source::default();
        source.push("the bundle's autoresearch.toml", texts.file);
        if let Some(text) = texts.preset {
            source.push(format!("the bundle's preset {preset}"), text);
        }
        if let Some(text) = texts.arguments {
            source.push(COMMAND_LINE, text);
        }
        let mut config = parse(&source).map_err(|mistake| mistake.in_source(&source))?;
        config.preset = preset.to_owned();
        config.source = source;
        Ok(config)
    }

    /// Returns whether a section or key of this name is given.
    pub fn gives(&self, key: &str) -> bool {
        self.source.find(key).is_some()
    }

    /// Adds the place of its key, and an example, to an error that was found after the configuration was read.
    pub fn locate(&self, error: KeyError) -> ConfigError {
        Mistake::Key(error).in_source(&self.source)
    }
}

/// The texts that a configuration is read from.
#[derive(Debug, Clone, Default)]
pub struct ConfigTexts {
    /// Text of `autoresearch.toml`.
    pub file: String,
    /// The preset that lies over it.
    pub preset: Option<String>,
    /// The keys of the command line that lie over both, as TOML.
    pub arguments: Option<String>,
}

/// A mistake, found in one of three ways.
enum Mistake {
    /// The text is not TOML.
    Syntax(Option<Place>, String),
    /// A value is not of its type, a key is unknown or missing.
    Type(ValueError),
    /// A value is of its type and may not stand there.
    Key(KeyError),
}

fn parse(source: &Source) -> Result<Config, Mistake> {
    let mut table = source.merged().map_err(|(place, why)| Mistake::Syntax(place, why))?;
    let proposer = table.get_mut().remove("proposer");
    let mut config = Config::deserialize(Deserializer::from(table)).map_err(|error| Mistake::Type(error.into()))?;
    if let Some(value) = proposer {
        config.proposer = ProposerSection::read(value).map_err(Mistake::Type)?;
    }
    check(&config).map_err(Mistake::Key)?;
    Ok(config)
}

fn check(config: &Config) -> Result<(), KeyError> {
    config.run.check()?;
    config.workspace.check()?;
    config.isolation.check()?;
    config.evaluate.as_ref().map_or(Ok(()), |evaluate| evaluate.check())?;
    config.guard.as_ref().map_or(Ok(()), |guard| guard.check())?;
    config.git.check()?;
    config.metric.check(config.run.repeats)?;
    config.ratchet.check()?;
    config.screening.as_ref().map_or(Ok(()), |screening| screening.check())?;
    config.excursion.as_ref().map_or(Ok(()), |excursion| excursion.check())?;
    config.workers.check()?;
    combination::check(config)?;
    config.proposer.check("proposer", &config.variables_of_trials())
}

impl Mistake {
    /// Says where the mistake is, what is allowed, and shows a right line.
    fn in_source(self, source: &Source) -> ConfigError {
        let (place, key, what) = match self {
            Mistake::Syntax(place, why) => (place, String::new(), format!("this is not TOML: {why}")),
            Mistake::Key(error) => (source.find(&error.key), error.key.clone(), error.to_string()),
            Mistake::Type(error) => {
                let key = error.offset.map(|at| source.key_at(at)).unwrap_or_default();
                let explained = explain(key, &error.message);
                // A key that is missing has no place; the section that it belongs to may have one.
                let at = error.offset.filter(|_| !explained.is_missing && !explained.key.is_empty());
                let place = at.and_then(|at| source.place(at)).or_else(|| source.find(&explained.key));
                (place, explained.key, explained.what)
            }
        };
        let file = source.name().to_owned();
        ConfigError::Invalid(Box::new(Invalid { place, file, what, example: examples::example(&key) }))
    }
}

/// An error of serde's in words.
struct Explained {
    /// The key that it is about.
    key: String,
    what: String,
    is_missing: bool,
}

/// Puts an error of serde's at `key` into words.
fn explain(key: String, message: &str) -> Explained {
    let message = message.trim();
    let quoted = |prefix: &str| message.strip_prefix(prefix).and_then(|rest| rest.split_once('`'));
    if let Some((name, _)) = quoted("missing field `") {
        let key =
            if key.is_empty() || examples::is_top_level(name) { name.to_owned() } else { format!("{key}.{name}") };
        let what = KeyError::new(key.clone(), "is missing; give it").to_string();
        return Explained { key, what, is_missing: true };
    }
    let mut why = message.to_owned();
    let mut key = key;
    if let Some((name, rest)) = quoted("unknown field `") {
        if key != name && !key.ends_with(&format!(".{name}")) {
            key = if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
        }
        let likely = examples::closest(&key).and_then(|known| known.rsplit('.').next());
        let likely = likely.map_or(".".to_owned(), |likely| format!("; do you mean {likely}?"));
        let allowed = rest.trim_start_matches(", expected ").trim_start_matches("one of ").replace('`', "");
        why = format!("is not a known key{likely} Allowed are: {allowed}");
    } else if key.is_empty() {
        return Explained { key, what: why, is_missing: false };
    } else if !why.starts_with("is ") && !why.starts_with(':') {
        why = format!(": {why}");
    }
    let what = KeyError::new(key.clone(), why).to_string();
    Explained { key, what, is_missing: false }
}

fn push_file(source: &mut Source, path: &Path) -> Result<(), ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.into(), source })?;
    source.push(path.display().to_string(), text);
    Ok(())
}

fn presets(folder: &Path) -> String {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let named = files.filter(|path| path.extension().is_some_and(|e| e == "toml"));
    let mut names: Vec<String> =
        named.filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect();
    names.sort();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

#[cfg(test)]
mod tests;
