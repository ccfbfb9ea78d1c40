//! The kept experiments of a run, measured again under another setting: the change of each alone on the baseline, and all of them
//! together, in turns with the baseline. The run itself stays as it is.

mod compare;
mod measure;
mod plan;
mod record;
mod repeats;
mod setting;

pub use compare::{Finding, LEVEL, Results, Verdict};
pub use measure::{Ended, measure};
pub use plan::{Form, Planned, Recheck, plan};
pub use record::Record;
pub use repeats::{default_repeats, usual_trial};
pub use setting::{Change, Given, pair};
