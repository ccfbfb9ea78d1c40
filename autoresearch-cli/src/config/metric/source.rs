//! The source of a metric: what is read, and how.

use autoresearch_core::Which;
use autoresearch_metrics::{FilePlace, Format, Part, Pattern, Quantity, Source, Tool, ToolResult};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::error::KeyError;
use crate::config::schema;

/// `[metric.parts.NAME]`: another number of a run, with the keys of a source that `[metric]` has, too. The names are written into
/// policies.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PartSection {
    /// The name under which the run prints it; that of the part by default.
    #[serde(rename = "name")]
    pub name: Option<String>,
    /// The unit; numbers in other units of its kind are converted.
    #[serde(rename = "unit", default)]
    pub unit: String,
    /// The number that counts, where there are several.
    #[serde(rename = "which")]
    #[schemars(with = "Option<schema::Which>")]
    pub which: Option<Which>,
    /// A regular expression with the group `value` around the number.
    #[serde(rename = "pattern")]
    pub pattern: Option<String>,
    /// The file that the run writes.
    #[serde(rename = "file")]
    pub file: Option<String>,
    /// The place in the file.
    #[serde(rename = "pointer")]
    pub pointer: Option<String>,
    /// The format of the file; its ending tells it by default.
    #[serde(rename = "format")]
    #[schemars(with = "Option<schema::Format>")]
    pub format: Option<Format>,
    /// The tool whose results are read.
    #[serde(rename = "reader")]
    #[schemars(with = "Option<schema::Tool>")]
    pub reader: Option<Tool>,
    /// The tool's name of the result.
    #[serde(rename = "entry")]
    pub entry: Option<String>,
    /// A quantity of the run itself.
    #[serde(rename = "quantity")]
    #[schemars(with = "Option<schema::Quantity>")]
    pub quantity: Option<Quantity>,
    /// The files that a quantity counts.
    #[serde(rename = "files", default)]
    pub files: Vec<String>,
}

impl PartSection {
    /// True if the number is that of a printed line `name: number`.
    pub fn is_printed(&self) -> bool {
        self.given().is_empty()
    }

    /// The keys of a source that are given.
    pub fn given(&self) -> Vec<&'static str> {
        let given = [
            ("pattern", self.pattern.is_some()),
            ("pointer", self.pointer.is_some()),
            ("reader", self.reader.is_some()),
            ("quantity", self.quantity.is_some()),
            ("file", self.file.is_some() && self.pointer.is_none() && self.reader.is_none()),
            ("format", self.format.is_some() && self.pointer.is_none()),
            ("entry", self.entry.is_some() && self.reader.is_none()),
            ("files", !self.files.is_empty() && self.quantity.is_none()),
        ];
        given.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect()
    }

    /// Finds keys that do not go together. `section` is the place of the keys, with a dot behind.
    pub fn check(&self, section: &str) -> Result<(), KeyError> {
        let wrong = |key: &str, why: &str| Err(KeyError::new(format!("{section}{key}"), why));
        match self.given().as_slice() {
            [] | ["pattern" | "pointer" | "reader" | "quantity"] => {}
            ["file", ..] => {
                return wrong("file", "needs a place in it; give pointer = '/val/loss', or a reader for the file");
            }
            ["format", ..] => return wrong("format", "belongs to file and pointer; leave it out"),
            ["entry", ..] => return wrong("entry", "belongs to reader; leave it out, or give the reader"),
            ["files", ..] => {
                return wrong("files", "belongs to quantity = 'lines_of_code' or 'binary_size'; leave it out");
            }
            [first, second, ..] => {
                return wrong(second, &format!("and {first} both say where the number is; leave one of them out"));
            }
            [_] => {}
        }
        if self.pointer.is_some() && self.file.is_none() {
            return wrong("pointer", "needs the file; give file = 'result.json'");
        }
        if self.pattern.is_some() && self.file.is_some() {
            return wrong("file", "and pattern do not go together: a pattern is for the output; leave one of them out");
        }
        if let Some(quantity) = self.quantity {
            if self.which.is_some() {
                return wrong("which", "has nothing to choose from: a quantity is one number; leave it out");
            }
            if !quantity.counts_files() && !self.files.is_empty() {
                return wrong("files", "belongs to quantity = 'lines_of_code' or 'binary_size'; leave it out");
            }
            if quantity == Quantity::BinarySize && self.files.is_empty() {
                return wrong("files", "is missing; name the program, as in files = ['target/release/app']");
            }
        }
        for (key, path) in
            self.file.iter().map(|path| ("file", path)).chain(self.files.iter().map(|path| ("files", path)))
        {
            let is_outside = path.is_empty()
                || path.starts_with('/')
                || path.contains('{')
                || path.split('/').any(|name| name == "..");
            if is_outside {
                let why = format!(
                    "has '{path}', and paths are below the folder that the run starts in; let the run write there, as in \
                     'out/result.json'"
                );
                return wrong(key, &why);
            }
        }
        self.source().map(drop).map_err(|(key, why)| KeyError::new(format!("{section}{key}"), why))
    }

    /// The number as the metrics take it. `name` is that of the part.
    pub fn part(&self, name: &str) -> Result<Part, (&'static str, String)> {
        let name = self.name.as_deref().unwrap_or(name);
        Ok(Part::new(name, self.source()?).with_unit(&self.unit).which(self.which))
    }

    fn source(&self) -> Result<Source, (&'static str, String)> {
        if let Some(pattern) = &self.pattern {
            return Pattern::new(pattern).map(Source::Pattern).map_err(|why| ("pattern", why));
        }
        if let Some(tool) = self.reader {
            let mut result = ToolResult::new(tool);
            if let Some(file) = &self.file {
                result = result.file(file);
            }
            if let Some(entry) = &self.entry {
                result = result.entry(entry);
            }
            return Ok(result.into());
        }
        if let (Some(file), Some(pointer)) = (&self.file, &self.pointer) {
            FilePlace::check(pointer).map_err(|why| ("pointer", why))?;
            let place = FilePlace::new(file, pointer);
            return Ok(self.format.map_or(place.clone(), |format| place.format(format)).into());
        }
        Ok(self.quantity.map_or(Source::Printed, Source::Quantity))
    }
}
