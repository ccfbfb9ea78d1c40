//! One source of a number: what is read, and how.

use autoresearch_core::internal::metric::{of_output, read};
use autoresearch_core::{MetricError, RunLog, Which};

use crate::file::FilePlace;
use crate::pattern::Pattern;
use crate::quantity::Quantity;
use crate::readers::ToolResult;
use crate::reading::Reading;

/// The source of a number.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Source {
    /// The output, by the name of the number.
    Printed,
    /// The output, by a pattern.
    Pattern(Pattern),
    /// A file that the run wrote, by the place in it.
    File(FilePlace),
    /// The results of a known tool.
    Tool(ToolResult),
    /// A quantity of the run.
    Quantity(Quantity),
}

impl From<Pattern> for Source {
    fn from(pattern: Pattern) -> Source {
        Source::Pattern(pattern)
    }
}

impl From<FilePlace> for Source {
    fn from(place: FilePlace) -> Source {
        Source::File(place)
    }
}

impl From<ToolResult> for Source {
    fn from(result: ToolResult) -> Source {
        Source::Tool(result)
    }
}

impl From<Quantity> for Source {
    fn from(quantity: Quantity) -> Source {
        Source::Quantity(quantity)
    }
}

/// A number of a run: its name, its source and its unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    name: String,
    unit: String,
    which: Option<Which>,
    source: Source,
}

impl Part {
    /// The number `name` of a source.
    pub fn new(name: impl Into<String>, source: impl Into<Source>) -> Part {
        Part { name: name.into(), unit: String::new(), which: None, source: source.into() }
    }

    /// Names the unit; a number in another unit of its kind is converted to it.
    pub fn with_unit(mut self, unit: impl Into<String>) -> Part {
        self.unit = unit.into();
        self
    }

    /// Sets the number that counts where there are several.
    pub fn which(mut self, which: Option<Which>) -> Part {
        self.which = which;
        self
    }

    /// Its unit; empty for none.
    pub fn unit(&self) -> &str {
        &self.unit
    }

    /// Reads the number from the log of a completed trial.
    ///
    /// # Errors
    /// If there is no such number, if there are several, or if it is not finite.
    pub fn reading(&self, log: &RunLog) -> Result<Reading, MetricError> {
        let Part { name, unit, which, source } = self;
        let reading = match source {
            Source::Printed => {
                let found = of_output(log, *which, |output| read(output, name, unit, *which))?;
                Reading::new(found.value, found.unit, found.source)
            }
            Source::Pattern(pattern) => {
                let found = of_output(log, *which, |output| pattern.readings(output, name))?;
                crate::reading::choose(found, name, *which)?
            }
            Source::File(place) => place.reading(log, name, *which)?,
            Source::Tool(result) => result.reading(log, name, *which)?,
            Source::Quantity(quantity) => quantity.reading(log)?,
        };
        reading.in_unit(name, unit)
    }

    /// The files that the run must write for it, as a pattern.
    pub fn files(&self) -> Option<&str> {
        match &self.source {
            Source::File(place) => Some(place.file()),
            Source::Tool(result) => result.files(),
            _ => None,
        }
    }

    /// The quantity, if it is one.
    pub fn quantity(&self) -> Option<Quantity> {
        match &self.source {
            Source::Quantity(quantity) => Some(*quantity),
            _ => None,
        }
    }
}
