//! The figures of the Ladder: what it takes from an attack on a shared evaluation set.

use crate::figure::{Line, number, printed};

/// Blum and Hardt's boosting attack, against the strict rule and against the Ladder.
pub fn attack() -> Result<Line, String> {
    let words = printed("suite", "ladder::a_boosting_attack", "ladder")?;
    let number = |key| number(&words, key);
    let (greedy, ladder) = (number("greedy")?, number("ladder")?);
    let value = format!(
        "a false gain of {greedy} under the strict rule, {ladder} under the Ladder; climbing by what is kept: {} and {} \
         ({} items, {} seeds)",
        number("climb_greedy")?,
        number("climb_ladder")?,
        number("items")?,
        number("seeds")?
    );
    Ok(Line::Measured(greedy > 0.2 && ladder * 3.0 < greedy, value, "more than 0.2, and less than a third of it"))
}
