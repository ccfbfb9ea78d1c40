//! The figures of the proposers: quality and cost of the ideas.

use super::{Line, Measure, number, printed};

/// All of them.
pub const FIGURES: &[(&str, Measure)] = &[("searcher-beats-random", searcher)];

const AGENTS: &str = "autoresearch-agents";

fn searcher() -> Result<Line, String> {
    let words = printed(AGENTS, "searcher", "", "searcher-beats-random")?;
    let number = |key| number(&words, key);
    let (seeds, low) = (number("seeds")?, number("low")?);
    let value = format!(
        "+{} on average over {seeds} seeds, 95 % interval +{low} to +{}, better in {}",
        number("mean_gain")?,
        number("high")?,
        number("wins")?
    );
    Ok(Line::Measured(low > 0.0 && seeds >= 20.0, value, "the interval lies above 0, paired over 20 seeds"))
}
