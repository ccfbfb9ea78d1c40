//! The text of a configuration: a file, a preset over it, and the command line over both.
//!
//! Each of these is a [`Layer`]. The spans of the merged table count through all layers, as if one stood after the other, so
//! that the place of every key and every value is known wherever it came from.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Place;

/// One text that a configuration is made of.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The file's path, or the name of another origin, as an error shows it.
    pub name: String,
    /// Its TOML.
    pub text: String,
}

/// A value cannot be read.
#[derive(Debug)]
pub struct ValueError {
    /// Its offset in the merged table's spans.
    pub offset: Option<usize>,
    /// The mistake.
    pub message: String,
}

impl From<toml::de::Error> for ValueError {
    fn from(error: toml::de::Error) -> ValueError {
        ValueError { offset: error.span().map(|span| span.start), message: error.message().to_owned() }
    }
}

/// The layers of a configuration, the lowest one first.
#[derive(Debug, Clone, Default)]
pub struct Source {
    layers: Vec<Layer>,
}

impl Source {
    /// Adds a layer over those that are there.
    pub fn push(&mut self, name: impl Into<String>, text: impl Into<String>) {
        self.layers.push(Layer { name: name.into(), text: text.into() });
    }

    /// All layers, the lowest one first.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The name of the lowest layer.
    pub fn name(&self) -> &str {
        self.layers.first().map_or("the configuration", |layer| layer.name.as_str())
    }

    /// Parses all layers and merges them: tables are merged, everything else is replaced.
    pub fn merged(&self) -> Result<Spanned<DeTable<'_>>, (Option<Place>, String)> {
        let mut merged = Spanned::new(0..0, DeTable::new());
        let mut start = 0;
        for layer in &self.layers {
            let table = DeTable::parse(&layer.text).map_err(|error| {
                let place = error.span().and_then(|span| self.place(start + span.start));
                (place, error.message().to_owned())
            })?;
            let span = shift(table.span(), start);
            overlay(merged.get_mut(), shifted(table.into_inner(), start));
            if merged.span().is_empty() {
                merged = Spanned::new(span, merged.into_inner());
            }
            start += layer.text.len() + 1;
        }
        Ok(merged)
    }

    /// Finds the file and line of an offset in the merged table's spans.
    pub fn place(&self, offset: usize) -> Option<Place> {
        let mut start = 0;
        for Layer { name, text } in &self.layers {
            if offset <= start + text.len() {
                let before = text.get(..offset - start)?;
                let line = before.matches('\n').count() + 1;
                let shown = text.lines().nth(line - 1).unwrap_or_default().to_owned();
                return Some(Place { name: name.clone(), line, text: shown });
            }
            start += text.len() + 1;
        }
        None
    }

    /// Finds where the key `path` is set, or the innermost of its tables that is there.
    pub fn find(&self, path: &str) -> Option<Place> {
        let merged = self.merged().ok()?;
        let mut table = merged.get_ref();
        let mut found = None;
        for part in path.split('.') {
            let Some((key, value)) = table.get_key_value(part) else { break };
            found = Some(key.span().start);
            let DeValue::Table(inner) = value.get_ref() else { break };
            table = inner;
        }
        self.place(found?)
    }

    /// Names the key that an offset belongs to, with dots between its parts; empty outside of all keys.
    pub fn key_at(&self, offset: usize) -> String {
        let Ok(merged) = self.merged() else { return String::new() };
        let mut parts = Vec::new();
        collect_key(merged.get_ref(), offset, &mut parts);
        parts.join(".")
    }
}

fn collect_key(table: &DeTable<'_>, offset: usize, parts: &mut Vec<String>) {
    for (key, value) in table {
        let holds = |span: Range<usize>| span.contains(&offset);
        match value.get_ref() {
            _ if holds(key.span()) => parts.push(key.get_ref().to_string()),
            DeValue::Table(inner) => {
                // The spans of a table that is written as `[name]` may end before its keys.
                let length = parts.len();
                parts.push(key.get_ref().to_string());
                collect_key(inner, offset, parts);
                if parts.len() > length + 1 || holds(value.span()) {
                    return;
                }
                parts.truncate(length);
                continue;
            }
            _ if holds(value.span()) => parts.push(key.get_ref().to_string()),
            _ => continue,
        }
        return;
    }
}

fn overlay<'a>(below: &mut DeTable<'a>, above: DeTable<'a>) {
    for (key, value) in above {
        match (below.get_mut(key.get_ref().as_ref()).map(Spanned::get_mut), value.into_parts()) {
            (Some(DeValue::Table(below)), (_, DeValue::Table(above))) => overlay(below, above),
            (_, (span, value)) => {
                // Removed first: an equal key would keep its old span.
                below.remove(key.get_ref().as_ref());
                below.insert(key, Spanned::new(span, value));
            }
        }
    }
}

/// Takes a value and its span apart.
trait IntoParts<T> {
    fn into_parts(self) -> (Range<usize>, T);
}

impl<T> IntoParts<T> for Spanned<T> {
    fn into_parts(self) -> (Range<usize>, T) {
        (self.span(), self.into_inner())
    }
}

fn shift(span: Range<usize>, by: usize) -> Range<usize> {
    span.start + by..span.end + by
}

fn shifted(table: DeTable<'_>, by: usize) -> DeTable<'_> {
    let entries = table.into_iter().map(|(key, value)| {
        let (key_span, key): (_, Cow<'_, str>) = key.into_parts();
        (Spanned::new(shift(key_span, by), key), shifted_value(value, by))
    });
    entries.collect()
}

fn shifted_value(value: Spanned<DeValue<'_>>, by: usize) -> Spanned<DeValue<'_>> {
    let (span, value) = value.into_parts();
    let value = match value {
        DeValue::Table(table) => DeValue::Table(shifted(table, by)),
        DeValue::Array(array) => DeValue::Array(array.into_iter().map(|value| shifted_value(value, by)).collect()),
        other => other,
    };
    Spanned::new(shift(span, by), value)
}
