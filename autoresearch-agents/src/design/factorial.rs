//! The points of a design: all combinations of the levels, or a fraction of them chosen by generators.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use thiserror::Error;

use crate::constants::same;

/// Most points of a design: no run measures more.
const MOST: usize = 4096;
/// Most generators: the defining relation doubles with each.
const MOST_GENERATORS: usize = 16;

/// Fault of a design, with the next step.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct DesignError(String);

/// A factorial design over named factors: full, with any number of levels each, or a regular fraction of a two-level one.
///
/// A fraction is given by generators such as `WARMDOWN = DEPTH * LR`: the level of the factor on the left is not free, but
/// the product of the others', where the first level of each counts as −1 and the second as +1. With `p` generators 1 in 2^p
/// points remains, and some effects become indistinguishable from others, their aliases (Box, Hunter and Hunter, "Statistics
/// for Experimenters", 2nd edition, 2005, chapter 6).
///
/// ```
/// use autoresearch_agents::design::Factorial;
/// let factors = ["A", "B", "C", "D"].map(|name| (name.to_owned(), vec!["1".to_owned(), "2".to_owned()]));
/// let design = Factorial::new("half", factors, &["D = A * B * C".to_owned()])?;
/// assert_eq!((design.points().len(), design.resolution()), (8, Some(4)));
/// assert_eq!(design.aliases(&["A", "B"]), ["C × D"]);
/// # Ok::<(), autoresearch_agents::design::DesignError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Factorial {
    name: String,
    /// Levels of each factor, in their order.
    factors: BTreeMap<String, Vec<String>>,
    generators: Vec<Generator>,
}

/// A factor whose level follows from others.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Generator {
    factor: String,
    of: Vec<String>,
    negative: bool,
}

/// A product of factors' signs that is the same for all points: a bit for each factor, and true for −1.
type Word = (u64, bool);

impl Factorial {
    /// A design named `name`. `fraction` holds the generators; a full design has none.
    ///
    /// # Errors
    /// The design has no points or too many, or main effects that are aliased with the mean or with each other.
    pub fn new(
        name: impl Into<String>,
        factors: impl IntoIterator<Item = (String, Vec<String>)>,
        fraction: &[String],
    ) -> Result<Factorial, DesignError> {
        let (name, factors) = (name.into(), factors.into_iter().collect::<BTreeMap<_, _>>());
        let wrong = |why: String| Err(DesignError(why));
        if name.trim().is_empty() {
            return wrong("name is empty; give the design a name for the report".into());
        }
        if factors.is_empty() || factors.len() > 32 {
            return wrong(format!("factors has {} entries; give 1 to 32 constants with their levels", factors.len()));
        }
        for (factor, levels) in &factors {
            let distinct = levels.iter().enumerate().all(|(at, level)| !levels[..at].iter().any(|l| same(l, level)));
            if levels.len() < 2 || !distinct || levels.iter().any(|level| level.trim().is_empty()) {
                return wrong(format!("factors.{factor} needs two levels or more, all of them different literals"));
            }
        }
        if fraction.len() > MOST_GENERATORS {
            let given = fraction.len();
            return wrong(format!(
                "fraction has {given} generators, and at most {MOST_GENERATORS} are possible; leave factors out"
            ));
        }
        let mut design = Factorial { name, factors, generators: Vec::new() };
        for text in fraction {
            let generator = design.generator(text)?;
            design.generators.push(generator);
        }
        if let Some(generator) = design.generators.iter().find(|g| g.of.iter().any(|name| design.generated(name))) {
            let all = generator.of.join(" * ");
            return wrong(format!(
                "fraction: `{} = {all}` uses a factor that is itself generated; use only free factors on the right",
                generator.factor
            ));
        }
        if let Some(short) = design.resolution().filter(|resolution| *resolution < 3) {
            return wrong(format!(
                "fraction gives a design of resolution {short}, in which main effects cannot be told apart; take products of \
                 two or more factors, each another one"
            ));
        }
        let free = design.factors.iter().filter(|(name, _)| !design.generated(name));
        let count = free.fold(1usize, |count, (_, levels)| count.saturating_mul(levels.len()));
        if count > MOST {
            return wrong(format!(
                "factors gives {count} points, and at most {MOST} are sensible; add generators to fraction, or leave levels out"
            ));
        }
        Ok(design)
    }

    fn generator(&self, text: &str) -> Result<Generator, DesignError> {
        let wrong = |why: &str| Err(DesignError(format!("fraction: `{text}` {why}")));
        let Some((factor, product)) = text.split_once('=') else {
            return wrong("is no generator; write it like `D = A * B * C`, or with `-A` for the opposite fraction");
        };
        let product = product.trim();
        let (negative, product) = match product.strip_prefix(['-', '−']) {
            Some(rest) => (true, rest),
            None => (false, product),
        };
        let factor = factor.trim().to_owned();
        let mut of: Vec<String> = product.split('*').map(|name| name.trim().to_owned()).collect();
        let Some(unknown) = of.iter().chain([&factor]).find(|name| !self.factors.contains_key(*name)) else {
            of.sort_unstable();
            of.dedup();
            if of.len() != product.split('*').count() || of.contains(&factor) {
                return wrong("names a factor twice; each may stand in it once");
            }
            if self.generated(&factor) {
                return wrong("generates a factor that has a generator already; leave one of them out");
            }
            if self.factors.values().any(|levels| levels.len() != 2) {
                return wrong("needs two levels of every factor; leave fraction out, or levels");
            }
            return Ok(Generator { factor, of, negative });
        };
        let known: Vec<&str> = self.factors.keys().map(String::as_str).collect();
        wrong(&format!("names `{unknown}`, which is none of the factors {}", known.join(", ")))
    }

    fn generated(&self, factor: &str) -> bool {
        self.generators.iter().any(|generator| generator.factor == factor)
    }

    /// Returns the name of the design.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the factors with their levels.
    pub fn factors(&self) -> &BTreeMap<String, Vec<String>> {
        &self.factors
    }

    /// Returns the level of each factor at every point, in the standard order: the first free factor changes fastest.
    pub fn points(&self) -> Vec<BTreeMap<String, String>> {
        let free: Vec<(&String, &Vec<String>)> =
            self.factors.iter().filter(|(name, _)| !self.generated(name)).collect();
        let count: usize = free.iter().map(|(_, levels)| levels.len()).product();
        let mut points = Vec::with_capacity(count);
        for nth in 0..count {
            let (mut rest, mut places) = (nth, BTreeMap::new());
            for (name, levels) in &free {
                places.insert(name.as_str(), rest % levels.len());
                rest /= levels.len();
            }
            for Generator { factor, of, negative } in &self.generators {
                let low = of.iter().filter(|name| places.get(name.as_str()) == Some(&0)).count();
                let up = (low % 2 == 0) != *negative;
                places.insert(factor, usize::from(up));
            }
            let level = |(name, at): (&str, usize)| {
                let level = self.factors.get(name).and_then(|levels| levels.get(at));
                (name.to_owned(), level.cloned().unwrap_or_default())
            };
            points.push(places.into_iter().map(level).collect());
        }
        points
    }

    /// Returns the points in an order that follows from a seed: a drift of the machine must not look like an effect.
    pub fn shuffled(&self, seed: u64) -> Vec<BTreeMap<String, String>> {
        let mut points = self.points();
        points.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        points
    }

    /// Returns the resolution: the length of the shortest product of factors that is the same for all points; `None` for a full design. With 3 main
    /// effects are aliased with interactions of two factors, with 4 such interactions with each other, from 5 on neither.
    pub fn resolution(&self) -> Option<u32> {
        self.words().iter().map(|(word, _)| word.count_ones()).min()
    }

    /// Returns the aliases of the effect of these factors (one for a main effect, several for an interaction),
    /// the shortest first, with a minus where they count against it. Those of more than two factors are left out.
    pub fn aliases(&self, effect: &[&str]) -> Vec<String> {
        let names: Vec<&String> = self.factors.keys().collect();
        let bit = |name: &str| names.iter().position(|known| *known == name).map_or(0, |at| 1u64 << at);
        let effect = effect.iter().fold(0, |word, name| word ^ bit(name));
        let others = self.words().into_iter().map(|(word, negative)| (word ^ effect, negative));
        let mut short: Vec<Word> = others.filter(|(word, _)| (1..=2).contains(&word.count_ones())).collect();
        short.sort_by_key(|(word, _)| (word.count_ones(), std::cmp::Reverse(word.reverse_bits())));
        let text = |(word, negative): Word| {
            let of = names.iter().enumerate().filter(|(at, _)| word >> at & 1 == 1).map(|(_, name)| name.as_str());
            format!("{}{}", if negative { "−" } else { "" }, of.collect::<Vec<_>>().join(" × "))
        };
        short.into_iter().map(text).collect()
    }

    /// Returns the defining relation: all products of the generators' words.
    fn words(&self) -> Vec<Word> {
        let names: Vec<&String> = self.factors.keys().collect();
        let bit = |name: &String| names.iter().position(|known| *known == name).map_or(0, |at| 1u64 << at);
        let mut words: Vec<Word> = Vec::new();
        for generator in &self.generators {
            let word = generator.of.iter().fold(bit(&generator.factor), |word, name| word ^ bit(name));
            let with: Vec<Word> = words.iter().map(|(other, sign)| (other ^ word, sign ^ generator.negative)).collect();
            words.push((word, generator.negative));
            words.extend(with);
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    fn two_levels(names: &[&str], fraction: &[&str]) -> Result<Factorial, DesignError> {
        let factors = names.iter().map(|name| ((*name).to_owned(), vec!["-1".to_owned(), "1".to_owned()]));
        Factorial::new("d", factors, &fraction.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    /// Returns the signs of a factor over all points.
    fn signs(design: &Factorial, of: &[&str]) -> Vec<f64> {
        let sign =
            |point: &BTreeMap<String, String>| of.iter().map(|name| point[*name].parse::<f64>().unwrap()).product();
        design.points().iter().map(sign).collect()
    }

    /// The textbook's 2^(7-4) design of resolution III, its relations and its signs.
    #[test]
    fn a_sixteenth_of_seven_factors_is_the_textbook_s() {
        let fraction = ["D = A * B", "E = A * C", "F = B * C", "G = A * B * C"];
        let design = two_levels(&["A", "B", "C", "D", "E", "F", "G"], &fraction).unwrap();
        assert_eq!((design.points().len(), design.resolution()), (8, Some(3)));
        assert_eq!(signs(&design, &["A"]), [-1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0]);
        assert_eq!(signs(&design, &["D"]), [1.0, -1.0, -1.0, 1.0, 1.0, -1.0, -1.0, 1.0]);
        assert_eq!(signs(&design, &["G"]), [-1.0, 1.0, 1.0, -1.0, 1.0, -1.0, -1.0, 1.0]);
        assert_eq!(design.aliases(&["A"]), ["B × D", "C × E", "F × G"]);
        let opposite = two_levels(&["A", "B", "C"], &["C = -A * B"]).unwrap();
        assert_eq!((opposite.resolution(), opposite.aliases(&["A"])), (Some(3), vec!["−B × C".to_owned()]));
        assert_eq!(signs(&opposite, &["A", "B", "C"]), [-1.0; 4]);
    }

    #[test]
    fn a_full_design_has_every_combination_once_and_no_alias() {
        let factors = [("A", vec!["1", "2", "3"]), ("B", vec!["x", "y"])];
        let factors = factors.map(|(name, levels)| (name.to_owned(), levels.into_iter().map(String::from).collect()));
        let design = Factorial::new("d", factors, &[]).unwrap();
        let points: BTreeSet<_> = design.points().into_iter().collect();
        assert_eq!((points.len(), design.resolution(), design.aliases(&["A"])), (6, None, vec![]));
        assert_eq!(design.shuffled(1).into_iter().collect::<BTreeSet<_>>(), points);
        assert_eq!(design.shuffled(1), design.shuffled(1));
    }

    #[test]
    fn what_is_wrong_with_a_design_is_said() {
        let error = |names: &[&str], fraction: &[&str]| two_levels(names, fraction).unwrap_err().to_string();
        assert!(error(&[], &[]).contains("factors"));
        assert!(error(&["A", "B", "C"], &["C"]).contains("`D = A * B * C`"));
        assert!(error(&["A", "B", "C"], &["C = A * X"]).contains("`X`, which is none of the factors A, B, C"));
        assert!(error(&["A", "B", "C"], &["C = A * A"]).contains("twice"));
        assert!(error(&["A", "B", "C"], &["C = A * B", "C = -A * B"]).contains("already"));
        assert!(error(&["A", "B", "C", "D"], &["C = A * B", "D = A * C"]).contains("itself generated"));
        assert!(error(&["A", "B", "C"], &["C = A"]).contains("resolution 2"));
        assert!(error(&["A", "B", "C", "D"], &["C = A * B", "D = A * B"]).contains("resolution 2"));
        let many: Vec<String> = (0..13).map(|n| format!("F{n}")).collect();
        assert!(error(&many.iter().map(String::as_str).collect::<Vec<_>>(), &[]).contains("8192 points"));
        let generated: Vec<String> = (1..=17).map(|n| format!("G{n} = A * B")).collect();
        let generated: Vec<&str> = generated.iter().map(String::as_str).collect();
        assert!(error(&["A", "B"], &generated).contains("17 generators, and at most 16"));
        let levels = |levels: &[&str]| vec![("A".to_owned(), levels.iter().map(|l| (*l).to_owned()).collect())];
        assert!(Factorial::new("d", levels(&["0.10", "0.1"]), &[]).is_err(), "the same value twice");
        assert!(
            Factorial::new("d", levels(&["1"]), &[]).is_err() && Factorial::new(" ", levels(&["1", "2"]), &[]).is_err()
        );
    }

    proptest! {
        /// Over all points of a fraction, an effect and its alias are the same column.
        #[test]
        fn aliases_are_equal_columns(first in 3..8u64, second in 3..8u64, negative: bool) {
            let of = |mask: u64| ["A", "B", "C"].into_iter().enumerate()
                .filter(move |(at, _)| mask >> at & 1 == 1).map(|(_, name)| name).collect::<Vec<_>>().join(" * ");
            let sign = if negative { "-" } else { "" };
            let fraction = [format!("D = {}", of(first)), format!("E = {sign}{}", of(second))];
            let design = two_levels(&["A", "B", "C", "D", "E"], &fraction.iter().map(String::as_str).collect::<Vec<_>>());
            let Ok(design) = design else { return Ok(()) };
            for effect in [vec!["A"], vec!["D"], vec!["A", "B"], vec!["C", "E"]] {
                for alias in design.aliases(&effect) {
                    let (sign, alias) = alias.strip_prefix('−').map_or((1.0, alias.as_str()), |alias| (-1.0, alias));
                    let other: Vec<f64> = signs(&design, &alias.split(" × ").collect::<Vec<_>>());
                    prop_assert_eq!(signs(&design, &effect), other.iter().map(|x| x * sign).collect::<Vec<_>>());
                }
            }
        }
    }
}
