//! The research programme: the `program.md` with which a human steers a run.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use thiserror::Error;

/// A parsed `program.md`: prose for the proposer and, optionally, a TOML front matter between two lines `+++`.
///
/// ```
/// let program = autoresearch_core::Program::parse("+++\n[knobs]\nMATRIX_LR = \"log 0.01..0.1\"\n+++\n# Lower val_bpb\nTry the learning rates first.\n")?;
/// assert_eq!(program.title, "Lower val_bpb");
/// assert_eq!(program.knobs["MATRIX_LR"], "log 0.01..0.1");
/// # Ok::<(), autoresearch_core::ProgramError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The first heading, or the first line of text.
    pub title: String,
    /// The whole text below the front matter, as the proposer sees it.
    pub text: String,
    /// Search ranges by constant, which override those annotated in the source (see `autoresearch-agents`).
    pub knobs: BTreeMap<String, String>,
}

/// The reason for which a programme could not be read, in words that say what to do.
#[derive(Debug, Error)]
#[error(transparent)]
pub struct ProgramError(#[from] Fault);

#[derive(Debug, Error)]
enum Fault {
    /// The file could not be read as UTF-8 text.
    #[error("cannot read the programme {path}: {source}; write one, or name another file with `program = …`")]
    Unreadable {
        /// Path of the file.
        path: String,
        /// The cause.
        source: std::io::Error,
    },
    /// There is no text for the proposer.
    #[error("the programme is empty; say in a few sentences of Markdown what is to be improved and how")]
    Empty,
    /// The front matter is not valid.
    #[error("the programme's front matter is not valid: {0}; it may hold a table [knobs] of NAME = \"range\" lines")]
    FrontMatter(String),
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct FrontMatter {
    #[serde(default)]
    knobs: BTreeMap<String, String>,
}

impl FrontMatter {
    #[cfg(feature = "front-matter")]
    fn parse(text: &str) -> Result<FrontMatter, String> {
        toml::from_str(text).map_err(|error| error.to_string().trim().replace('\n', " "))
    }

    #[cfg(not(feature = "front-matter"))]
    fn parse(_text: &str) -> Result<FrontMatter, String> {
        Err("this program is built without the feature `front-matter` of autoresearch-core".into())
    }
}

impl Program {
    /// Reads and parses `path`.
    pub fn read(path: &Path) -> Result<Program, ProgramError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| Fault::Unreadable { path: path.display().to_string(), source })?;
        Program::parse(&text)
    }

    /// Parses the text of a `program.md`.
    pub fn parse(text: &str) -> Result<Program, ProgramError> {
        let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
        let (front, body) = match text.strip_prefix("+++\n") {
            None => (FrontMatter::default(), text.as_str()),
            Some(rest) => {
                let end = rest
                    .find("\n+++\n")
                    .map(|at| (at + 1, at + 5))
                    .or_else(|| rest.starts_with("+++\n").then_some((0, 4)));
                let unclosed = || {
                    let why = "the `+++` in line 1 is never closed: add a second line `+++` after it";
                    Fault::FrontMatter(why.into())
                };
                let (end, body) = end.ok_or_else(unclosed)?;
                (FrontMatter::parse(&rest[..end]).map_err(Fault::FrontMatter)?, &rest[body..])
            }
        };
        let title = body.lines().map(str::trim).find(|line| !line.is_empty()).ok_or(Fault::Empty)?;
        Ok(Program {
            title: title.trim_start_matches('#').trim().to_owned(),
            text: body.to_owned(),
            knobs: front.knobs,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_alone_is_a_programme() {
        let program = Program::parse("\n# autoresearch\r\nLower it.\n").unwrap();
        assert_eq!(program.title, "autoresearch");
        assert!(program.knobs.is_empty());
    }

    #[test]
    fn what_is_malformed_is_named() {
        assert!(matches!(Program::parse(" \n\n"), Err(ProgramError(Fault::Empty))));
        let unclosed = Program::parse("+++\n[knobs]\n").unwrap_err().to_string();
        assert!(unclosed.contains("never closed: add a second line"), "{unclosed}");
        assert!(matches!(Program::parse("+++\n+++\n"), Err(ProgramError(Fault::Empty))));
        let error = Program::parse("+++\n[knob]\nA = \"x\"\n+++\ntext\n").unwrap_err().to_string();
        assert!(error.contains("knob"), "{error}");
    }
}
