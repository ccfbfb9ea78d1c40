//! The sources of a metric and its parts, taken together.

use std::collections::BTreeMap;

use autoresearch_core::ResultFiles;
use autoresearch_metrics::{Composite, Part, Quantity, SourceMetric};

use super::source::PartSection;
use super::{MetricKind, MetricSection};
use crate::config::error::KeyError;

impl MetricSection {
    /// The source of the number that decides, with the keys of a part.
    pub fn own(&self) -> PartSection {
        PartSection {
            name: Some(self.name.clone()),
            unit: self.unit.clone(),
            which: self.which,
            pattern: self.pattern.clone(),
            file: self.file.clone(),
            pointer: self.pointer.clone(),
            format: self.format,
            reader: self.reader,
            entry: self.entry.clone(),
            quantity: self.quantity,
            files: self.files.clone(),
        }
    }

    /// True if the number that decides stands in a printed line of its own, and nothing else is read.
    pub fn is_printed(&self) -> bool {
        self.composite.is_none() && self.parts.is_empty() && self.own().is_printed()
    }

    /// Finds keys of sources that do not go together.
    pub(super) fn check_source(&self, repeats: u32) -> Result<(), KeyError> {
        let own = self.own();
        own.check("metric.")?;
        for (name, part) in &self.parts {
            part.check(&format!("metric.parts.{name}."))?;
        }
        let given = own.given();
        let extra =
            given.first().copied().or(self.which.map(|_| "which")).or(self.composite.as_ref().map(|_| "composite"));
        let extra = extra.or((!self.parts.is_empty()).then_some("parts"));
        if let Some(key) = extra.filter(|_| self.kind != MetricKind::Number) {
            return Err(KeyError::new(
                format!("metric.{key}"),
                "belongs to kind = 'number'; leave it out, or the kind",
            ));
        }
        if let (Some(key), true) = (given.first(), self.composite.is_some()) {
            let why = format!(
                "and {key} both say where the number is; leave one of them out, or describe a part under [metric.parts]"
            );
            return Err(KeyError::new("metric.composite", why));
        }
        if let Some(key) = extra.filter(|_| self.repeats_of.is_some()) {
            let why =
                format!("belongs to a number that is printed alone, and [metric] has {key}; leave repeats_of out");
            return Err(KeyError::new("metric.repeats_of", why));
        }
        if self.which.is_some() && repeats > 1 && given.is_empty() {
            let why = "chooses among the lines of one run, and [run] repeats makes several; give repeats_of instead";
            return Err(KeyError::new("metric.which", why));
        }
        let parts = || self.parts.iter().map(|(name, part)| (format!("metric.parts.{name}."), part));
        let sections = || [("metric.".to_owned(), &own)].into_iter().chain(parts());
        if repeats > 1 && !self.is_printed() {
            self.check_repeats()?;
        }
        let counting = sections().filter(|(_, part)| part.quantity.is_some_and(Quantity::counts_files));
        if let Some((section, _)) = counting.skip(1).last() {
            return Err(KeyError::new(
                format!("{section}quantity"),
                "counts files, as another one does already; leave one of them out",
            ));
        }
        self.composite().map(drop)
    }

    /// Finds a source that would read one of several repeats in silence.
    fn check_repeats(&self) -> Result<(), KeyError> {
        let own = self.own();
        let is_read = self.composite.is_none();
        let parts = self.parts.iter().map(|(name, part)| (format!("metric.parts.{name}"), part));
        let sections = [("metric".to_owned(), &own)].into_iter().filter(|_| is_read).chain(parts);
        for (section, part) in sections {
            let (key, why) = match part.given().as_slice() {
                ["quantity", ..] => continue,
                ["pattern", ..] if part.which.is_some() => continue,
                ["pattern", ..] => {
                    ("which", "is needed, since [run] repeats prints several numbers; give which = 'median'")
                }
                [key, ..] => {
                    (*key, "tells one number, and [run] repeats makes several; let the program repeat its work instead")
                }
                [] => (
                    "name",
                    "is printed beside other parts, and [run] repeats prints each several times; give a pattern with which",
                ),
            };
            return Err(KeyError::new(format!("{section}.{key}"), why));
        }
        let named = Composite::names(self.composite.as_deref().unwrap_or("0")).unwrap_or_default();
        match named.iter().find(|name| !self.parts.contains_key(*name)) {
            Some(name) => {
                let why = format!(
                    "has {name}, which is printed, and [run] repeats prints it several times; describe it under [metric.parts.{name}] \
                     by a pattern with which"
                );
                Err(KeyError::new("metric.composite", why))
            }
            None => Ok(()),
        }
    }

    /// The composite, with the units of its parts checked.
    fn composite(&self) -> Result<Option<Composite>, KeyError> {
        let Some(text) = &self.composite else { return Ok(None) };
        let wrong = |why: String| KeyError::new("metric.composite", why);
        let unit = |part: &PartSection| match part.quantity {
            Some(quantity) if part.unit.is_empty() => quantity.unit().to_owned(),
            _ => part.unit.clone(),
        };
        // A name without a section is printed under this very name.
        let named = Composite::names(text).map_err(wrong)?.into_iter().map(|name| (name, String::new()));
        let mut units: BTreeMap<String, String> = named.collect();
        units.extend(self.parts.iter().map(|(name, part)| (name.clone(), unit(part))));
        Composite::new(text, &units).map(Some).map_err(wrong)
    }

    /// The parts as the metrics take them; those that a composite names and that have no section, too.
    fn parts(&self) -> Result<BTreeMap<String, Part>, KeyError> {
        let of = |name: &str, section: &PartSection| {
            section.part(name).map_err(|(key, why)| KeyError::new(format!("metric.parts.{name}.{key}"), why))
        };
        let mut parts = BTreeMap::new();
        for name in Composite::names(self.composite.as_deref().unwrap_or("0")).unwrap_or_default() {
            parts.insert(name.clone(), of(&name, &PartSection::default())?);
        }
        for (name, section) in &self.parts {
            parts.insert(name.clone(), of(name, section)?);
        }
        Ok(parts)
    }

    /// The files that the sandbox must keep or count. Those of a count are the `editable` ones by default.
    pub fn results(&self, editable: &[String]) -> ResultFiles {
        let mut results = ResultFiles::default();
        let own = self.own();
        for (name, part) in [(&self.name, &own)].into_iter().chain(&self.parts) {
            let files = part.part(name).ok().and_then(|part| part.files().map(str::to_owned));
            results.written.extend(files);
            if part.quantity.is_some_and(Quantity::counts_files) {
                results.counted = if part.files.is_empty() { editable.to_vec() } else { part.files.clone() };
            }
        }
        results
    }

    /// True if the exit code is a number of the run, so that any code is a result.
    pub fn any_exit_code(&self) -> bool {
        let is_code = |quantity: Option<Quantity>| quantity == Some(Quantity::ExitCode);
        is_code(self.quantity) || self.parts.values().any(|part| is_code(part.quantity))
    }

    /// The metric over the sources that are given.
    pub(super) fn of_sources(&self) -> Result<SourceMetric, KeyError> {
        let MetricSection { name, direction, unit, .. } = self;
        let parts = self.parts()?;
        Ok(match self.composite()? {
            Some(composite) => SourceMetric::composite(name, *direction, composite, parts).with_unit(unit),
            None => {
                let own = self.own().part(name).map_err(|(key, why)| KeyError::new(format!("metric.{key}"), why))?;
                SourceMetric::new(name, *direction, own).with_parts(parts)
            }
        })
    }
}
