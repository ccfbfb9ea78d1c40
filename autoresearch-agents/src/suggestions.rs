//! Ranges for constants whose names say that a search could change them.

use crate::constants::{Constant, Knob, Located, Number, Site, Sources};

/// A range that could be searched.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Suggestion<'a> {
    /// Key of `[knobs]` that names the constant and no other.
    pub key: String,
    /// The constant with its file.
    pub located: Located<'a>,
    /// Range around its value.
    pub range: String,
}

impl Suggestion<'_> {
    /// Returns the line of `[knobs]` in a configuration.
    pub fn line(&self) -> String {
        let is_bare = self.key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
        let key = if is_bare { self.key.clone() } else { toml::Value::from(self.key.as_str()).to_string() };
        format!("{key} = {}", toml::Value::from(self.range.as_str()))
    }
}

/// Kinds of hyperparameters, from those that matter most often to those that matter least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Rates, which are searched over orders of magnitude.
    Rate,
    /// Decays, which may be zero.
    Decay,
    /// Shares, such as thresholds and ratios.
    Share,
    /// Probabilities of leaving something out.
    Dropout,
    /// Numbers a little below one.
    Momentum,
    /// Counts of layers and heads.
    Depth,
    /// Sizes, often powers of two.
    Size,
    /// Counts of steps.
    Steps,
    Threads,
    Unroll,
    Level,
    Flags,
    Switch,
}

/// Words of names by their kind.
const WORDS: [(&str, Kind); 61] = [
    ("lr", Kind::Rate),
    ("rate", Kind::Rate),
    ("eta", Kind::Rate),
    ("lambda", Kind::Rate),
    ("temperature", Kind::Rate),
    ("decay", Kind::Decay),
    ("threshold", Kind::Share),
    ("ratio", Kind::Share),
    ("fraction", Kind::Share),
    ("frac", Kind::Share),
    ("warmdown", Kind::Share),
    ("smoothing", Kind::Share),
    ("dropout", Kind::Dropout),
    ("drop", Kind::Dropout),
    ("momentum", Kind::Momentum),
    ("beta", Kind::Momentum),
    ("beta1", Kind::Momentum),
    ("beta2", Kind::Momentum),
    ("ema", Kind::Momentum),
    ("depth", Kind::Depth),
    ("layer", Kind::Depth),
    ("layers", Kind::Depth),
    ("heads", Kind::Depth),
    ("head", Kind::Depth),
    ("width", Kind::Size),
    ("hidden", Kind::Size),
    ("dim", Kind::Size),
    ("embd", Kind::Size),
    ("embed", Kind::Size),
    ("batch", Kind::Size),
    ("size", Kind::Size),
    ("block", Kind::Size),
    ("tile", Kind::Size),
    ("chunk", Kind::Size),
    ("cache", Kind::Size),
    ("buffer", Kind::Size),
    ("capacity", Kind::Size),
    ("window", Kind::Size),
    ("leaves", Kind::Size),
    ("steps", Kind::Steps),
    ("step", Kind::Steps),
    ("warmup", Kind::Steps),
    ("iters", Kind::Steps),
    ("iterations", Kind::Steps),
    ("epochs", Kind::Steps),
    ("estimators", Kind::Steps),
    ("trees", Kind::Steps),
    ("rounds", Kind::Steps),
    ("threads", Kind::Threads),
    ("workers", Kind::Threads),
    ("jobs", Kind::Threads),
    ("unroll", Kind::Unroll),
    ("level", Kind::Level),
    ("flags", Kind::Flags),
    ("cflags", Kind::Flags),
    ("cxxflags", Kind::Flags),
    ("ldflags", Kind::Flags),
    ("use", Kind::Switch),
    ("enable", Kind::Switch),
    ("flash", Kind::Switch),
    ("compile", Kind::Switch),
];

/// Words of names that are no hyperparameters, whatever else they say.
const OTHERS: [&str; 19] = [
    "seed", "version", "port", "id", "year", "sample", "frame", "bit", "log", "font", "screen", "eval", "timeout",
    "file", "page", "vocab", "header", "magic", "checksum",
];

/// Returns ranges for constants that look like hyperparameters and have none, the most promising first.
///
/// ```
/// use autoresearch_agents::{constants::Sources, suggestions};
/// let files = [("train.py".to_owned(), "learning_rate = 3e-4\nseed = 1\n".to_owned())].into();
/// let sources = Sources::new(&files);
/// let lines: Vec<String> = suggestions(&sources, &[]).iter().map(|one| one.line()).collect();
/// assert_eq!(lines, ["learning_rate = \"log 3e-5..0.003\""]);
/// ```
pub fn suggestions<'a>(sources: &Sources<'a>, known: &[Site<'_>]) -> Vec<Suggestion<'a>> {
    let mut found: Vec<(Kind, Suggestion<'a>)> = Vec::new();
    for located in sources.all() {
        let Located { path, constant, .. } = &located;
        let is_known = known.iter().any(|site| site.path == *path && site.constant.place == constant.place);
        let Some((kind, range)) = suggestion(constant).filter(|_| !is_known && is_source(path)) else { continue };
        let Ok(knob) = Knob::parse(&constant.name, &range) else { continue };
        let by_name = sources.find_for(&constant.name, Some(&knob));
        let is_it = |one: Located<'_>| one.path == *path && one.constant.place == constant.place;
        let key = if by_name.is_ok_and(is_it) { constant.name.clone() } else { sources.key_of(&located) };
        found.push((kind, Suggestion { key, located, range }));
    }
    found.sort_by_key(|(kind, _)| *kind);
    found.into_iter().map(|(_, suggestion)| suggestion).collect()
}

/// Returns false for what a search has no business in: tests, hidden folders, files that a package manager writes.
fn is_source(path: &str) -> bool {
    let is_other = |part: &str| part.starts_with('.') || part.starts_with("test") || part.ends_with("_test.go");
    let is_made = path.ends_with(".lock") || path.ends_with("-lock.json");
    !is_made && !path.split('/').any(is_other)
}

/// Returns the range of a constant that looks like a hyperparameter.
fn suggestion(constant: &Constant<'_>) -> Option<(Kind, String)> {
    let words = words(&constant.name);
    if words.iter().any(|word| OTHERS.contains(&word.as_str())) {
        return None;
    }
    let kinds = words.iter().rev().filter_map(|word| WORDS.iter().find(|(known, _)| known == word));
    let kind = kinds.map(|(_, kind)| *kind).next()?;
    if matches!(constant.value, "true" | "false" | "True" | "False" | "ON" | "OFF") {
        return matches!(kind, Kind::Switch).then(|| (kind, "bool".to_owned()));
    }
    if kind == Kind::Flags {
        return flags(constant.value).map(|range| (kind, range));
    }
    let number = Number::parse(constant.value).filter(|number| number.value >= 0.0)?;
    Some((kind, around(kind, number.value, number.is_integer(), &words)?))
}

/// Returns a range around a value.
fn around(kind: Kind, value: f64, is_integer: bool, words: &[String]) -> Option<String> {
    let is_share = value < 1.0;
    let log = |factor: f64| Some(format!("log {}..{}", short(value / factor), short(value * factor)));
    match kind {
        Kind::Rate | Kind::Decay if value > 0.0 && !is_integer => log(10.0),
        Kind::Decay if value == 0.0 => Some("lin 0..0.3".into()),
        Kind::Share | Kind::Steps if !is_integer && is_share => {
            Some(format!("lin 0..{}", short((value * 2.0).clamp(0.5, 1.0))))
        }
        Kind::Share if value > 0.0 && !is_integer => log(4.0),
        Kind::Dropout if is_share => Some(format!("lin 0..{}", short((value * 1.5).clamp(0.5, 0.95)))),
        Kind::Momentum if value > 0.0 && is_share => {
            let rest = 1.0 - value;
            Some(format!("lin {}..{}", exact((1.0 - 4.0 * rest).max(0.0)), exact(1.0 - rest / 4.0)))
        }
        _ if !is_integer => None,
        Kind::Depth if value >= 1.0 => Some(format!("int {}..{}", (value / 2.0).ceil().max(1.0), value * 2.0)),
        Kind::Size | Kind::Share if value >= 4.0 && (value as u64).is_power_of_two() => {
            let list = [0.25, 0.5, 1.0, 2.0, 4.0].map(|factor| (value * factor).to_string());
            Some(format!("{{{}}}", list.join(", ")))
        }
        Kind::Size | Kind::Steps | Kind::Share if value >= 8.0 => {
            Some(format!("log {}..{}", (value / 4.0).round(), value * 4.0))
        }
        Kind::Size | Kind::Steps if value >= 2.0 => Some(format!("int 1..{}", (value * 2.0).max(4.0))),
        Kind::Steps => Some("int 0..100".into()),
        Kind::Threads if value >= 1.0 => Some(format!("int 1..{}", (value * 2.0).max(8.0))),
        Kind::Unroll if [1.0, 2.0, 4.0, 8.0].contains(&value) => Some("{1, 2, 4, 8}".into()),
        Kind::Level if words.iter().any(|word| word == "opt") && value <= 3.0 => Some("int 0..3".into()),
        Kind::Level if (1.0..=9.0).contains(&value) => Some("int 1..9".into()),
        _ => None,
    }
}

/// Returns a list of flags with other levels of optimisation.
fn flags(value: &str) -> Option<String> {
    let levels = ["-O1", "-O2", "-O3"];
    let present = levels.into_iter().find(|level| {
        let after = value.split_once(level).map(|(_, rest)| rest.chars().next());
        after.is_some_and(|next| next.is_none_or(|c| c.is_whitespace() || matches!(c, '"' | '\'')))
    })?;
    let list = levels.map(|level| value.replacen(present, level, 1));
    (!value.contains(['{', '}', ','])).then(|| format!("{{{}}}", list.join(", ")))
}

/// Splits a name into lower-case words: at `_`, `-`, `.`, spaces, and before capitals.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before_is_lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || c.is_uppercase() && before_is_lower {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
        before_is_lower = c.is_lowercase() || c.is_ascii_digit();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Writes a number with two significant digits.
fn short(value: f64) -> String {
    let short = format!("{value:.1e}").parse::<f64>().unwrap_or(value);
    if short != 0.0 && short < 1e-3 { format!("{short:e}") } else { short.to_string() }
}

/// Writes a share with four digits.
fn exact(value: f64) -> String {
    ((value * 1e4).round() / 1e4).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(files: &[(&str, &str)]) -> Vec<String> {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        let sources = Sources::new(&files);
        let found = suggestions(&sources, &[]);
        for one in &found {
            let knob = Knob::parse(&one.key, &one.range).unwrap();
            assert!(knob.number(one.located.constant.value).is_some() || one.range == "bool", "{}", one.line());
            let ranges = [(one.key.clone(), one.range.clone())].into();
            let sites = crate::constants::sites(&sources, &ranges).unwrap();
            assert_eq!(sites[0].constant.place, one.located.constant.place, "{}", one.line());
        }
        found.iter().map(Suggestion::line).collect()
    }

    #[test]
    fn constants_that_look_like_hyperparameters_get_a_range_around_their_value() {
        let source = "weight_decay = 0.1\nLR = 3e-4\ndropout = 0.0\nADAM_BETA1 = 0.9\nn_layer = 12\nhiddenSize = 768\n\
                      batch_size = 32\nwarmup_steps = 100\nnum_threads = 4\nunroll = 4\nthreshold = 0.5\nuse_flash = True\n\
                      seed = 1337\nsample_rate = 16000\nname = 'x'\nport = 8080\nbatch = n * 2\nmax_lr = lr\n";
        assert_eq!(
            lines(&[("train.py", source)]),
            [
                "LR = \"log 3e-5..0.003\"",
                "weight_decay = \"log 0.01..1\"",
                "threshold = \"lin 0..1\"",
                "dropout = \"lin 0..0.5\"",
                "ADAM_BETA1 = \"lin 0.6..0.975\"",
                "n_layer = \"int 6..24\"",
                "hiddenSize = \"log 192..3072\"",
                "batch_size = \"{8, 16, 32, 64, 128}\"",
                "warmup_steps = \"log 25..400\"",
                "num_threads = \"int 1..8\"",
                "unroll = \"{1, 2, 4, 8}\"",
                "use_flash = \"bool\"",
            ]
        );
    }

    #[test]
    fn keys_name_one_place_each() {
        let found = lines(&[
            ("a.py", "lr = 0.1\nf(lr=0.2)\n"),
            ("b.json", "{\"x\": {\"lr\": 0.1}, \"y\": {\"lr\": 0.2, \"depth\": 3}}"),
            ("Makefile", "CFLAGS ?= -O2 -Wall\n"),
            ("Cargo.toml", "opt-level = 2\n"),
            ("Cargo.lock", "level = 2\n"),
            ("tests/a.py", "depth = 2\n"),
            (".github/a.yml", "depth: 2\n"),
        ]);
        assert_eq!(
            found,
            [
                "\"a.py:lr#1\" = \"log 0.01..1\"",
                "\"a.py:lr#2\" = \"log 0.02..2\"",
                "\"b.json:/x/lr\" = \"log 0.01..1\"",
                "\"b.json:/y/lr\" = \"log 0.02..2\"",
                "\"b.json:depth\" = \"int 2..6\"",
                "opt-level = \"int 0..3\"",
                "CFLAGS = \"{-O1 -Wall, -O2 -Wall, -O3 -Wall}\"",
            ]
        );
    }
}
