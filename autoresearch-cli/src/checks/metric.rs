//! The name of the metric, held against the texts of the commit.

use super::subject::{Finding, Subject};

const NAME: &str = "metric";

/// Most committed files that are searched for the name.
const FILES: usize = 2000;

/// Warns of a metric whose name no committed file contains: it may be misspelt, unless a tool prints it.
pub fn metric(subject: &Subject<'_>) -> Finding {
    let config = &subject.session.config;
    let metric = &config.metric;
    let name = metric.name.to_lowercase();
    let editable = config.editable();
    // Those that measure are likely not editable, and few.
    let mut files: Vec<&String> = subject.files.keys().collect();
    files.sort_by_key(|path| editable.allows(path));
    let mentions = |path: &&&String| subject.text(path).is_some_and(|text| text.to_lowercase().contains(&name));
    let is_configuration = |path: &&&String| path.ends_with(".toml") || path.ends_with(".md");
    let commands = config.run.command.iter().chain(&config.build.command);
    if commands.into_iter().any(|argument| argument.to_lowercase().contains(&name)) {
        return Finding::fine(NAME, format!("{} ({})", metric.name, metric.direction_name()));
    }
    match files.iter().take(FILES).filter(|path| !is_configuration(path)).find(mentions) {
        Some(path) => Finding::fine(NAME, format!("{} ({}), of {path}", metric.name, metric.direction_name())),
        None => Finding::warning(
            NAME,
            format!(
                "no committed file contains the name `{}`: unless a tool prints it, the run will find no such number; \
                 autoresearch doctor --measure 1 shows the numbers that it prints",
                metric.name
            ),
        ),
    }
}
