//! Moments of the wall clock, as the journal writes them.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// A moment of the wall clock, written in UTC as RFC 3339 has it: `2026-05-01T03:14:15.926Z`. The default is the first of 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Moment(SystemTime);

impl Moment {
    /// This moment.
    pub fn now() -> Moment {
        Moment(SystemTime::now())
    }

    /// The time since an earlier moment; nothing if the clock was put back meanwhile.
    pub fn since(self, earlier: Moment) -> Duration {
        self.0.duration_since(earlier.0).unwrap_or_default()
    }
}

impl Default for Moment {
    fn default() -> Moment {
        Moment(SystemTime::UNIX_EPOCH)
    }
}

impl From<SystemTime> for Moment {
    fn from(time: SystemTime) -> Moment {
        Moment(time)
    }
}

impl From<Moment> for SystemTime {
    fn from(moment: Moment) -> SystemTime {
        moment.0
    }
}

impl TryFrom<String> for Moment {
    type Error = String;
    fn try_from(text: String) -> Result<Moment, String> {
        let time = humantime::parse_rfc3339(&text);
        time.map(Moment).map_err(|error| format!("`{text}` is no time as 2026-05-01T03:14:15Z: {error}"))
    }
}

impl From<Moment> for String {
    fn from(moment: Moment) -> String {
        moment.to_string()
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What lies beyond the years that the format has is not written at all, rather than a panic.
        let last = SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799);
        humantime::format_rfc3339(self.0.clamp(SystemTime::UNIX_EPOCH, last)).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_they_were_written_by_this_and_earlier_versions() {
        for (text, nanoseconds) in [
            ("2026-05-01T03:14:15Z", 0),
            ("2026-05-01T03:14:15.926Z", 926_000_000),
            ("2026-05-01T03:14:15.9265358Z", 926_535_800),
            ("2026-05-01T03:14:15.926535897Z", 926_535_897),
        ] {
            let moment: Moment = serde_json::from_value(text.into()).unwrap();
            assert_eq!(moment.since(Moment::default()), Duration::new(1_777_605_255, nanoseconds), "{text}");
            let written = serde_json::to_value(moment).unwrap();
            assert_eq!(serde_json::from_value::<Moment>(written).unwrap(), moment, "{text}");
        }
        let now = Moment::now();
        assert_eq!(Moment::try_from(now.to_string()), Ok(now));
        assert!(Moment::try_from("yesterday".to_owned()).unwrap_err().contains("`yesterday` is no time"));
        assert_eq!(Moment::default().since(now), Duration::ZERO);
        let beyond = Moment(SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40));
        assert_eq!(beyond.to_string(), "9999-12-31T23:59:59Z");
    }
}
