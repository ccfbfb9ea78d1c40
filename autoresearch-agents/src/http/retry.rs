//! Retries: which failed requests are sent again and after which pause, by the rules that both vendors document.

use std::time::Duration;

use jiff::Timestamp;
use rand::RngExt;
use serde::Deserialize;

use super::limits::until;
use super::request::Headers;
use super::timeouts::seconds;

/// Number and pauses of the retries of one request.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    /// Greatest number of retries. Default: 5.
    pub times: u32,
    /// Seconds before the first retry where the server names no pause; doubled for each further one. Default: 0.5.
    pub first: f64,
    /// Longest of these pauses in seconds. Default: 8.
    pub most: f64,
    /// Longest pause in seconds that a server may ask for; a longer one fails the proposal. Default: 120.
    pub patience: f64,
}

impl Default for Retry {
    fn default() -> Self {
        Retry { times: 5, first: 0.5, most: 8.0, patience: 120.0 }
    }
}

/// Step after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Next {
    /// Send the request again after this pause.
    After(Duration),
    /// The server asks for a pause beyond [`Retry::patience`].
    TooLong(Duration),
    /// Give up: the retries are used up.
    Never,
}

/// Returns true if a response with this status is worth a retry. The header `x-should-retry` outweighs the status.
pub fn is_worth_retrying(status: u16, headers: &Headers) -> bool {
    match headers.get("x-should-retry").map(|value| value.trim()) {
        Some("true") => true,
        Some("false") => false,
        _ => matches!(status, 408 | 409 | 429) || status >= 500,
    }
}

impl Retry {
    /// Returns the step after attempt number `attempt` (from 0) failed in a way that is worth a retry.
    pub fn next(&self, attempt: u32, headers: &Headers, now: Timestamp) -> Next {
        if attempt >= self.times {
            return Next::Never;
        }
        match asked(headers, now) {
            Some(pause) if pause > seconds(self.patience) => Next::TooLong(pause),
            Some(pause) => Next::After(pause),
            None => {
                let pause = (self.first * 2f64.powi(attempt.min(30) as i32)).min(self.most);
                // Up to a quarter less, so that many clients do not return at the same moment.
                Next::After(seconds(pause * (1.0 - 0.25 * rand::rng().random::<f64>())))
            }
        }
    }
}

/// Returns the pause that the server asks for.
fn asked(headers: &Headers, now: Timestamp) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.trim().parse::<f64>().ok().filter(|n| *n >= 0.0);
    let of = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    if let Some(milliseconds) = number("retry-after-ms") {
        return Some(of(milliseconds / 1000.0));
    }
    if let Some(seconds) = number("retry-after") {
        return Some(of(seconds));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(headers.get("retry-after")?.trim()).ok()?;
    Some(until(date, now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> Headers {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_status_decides_unless_the_server_says_otherwise() {
        for (status, again) in [(200, false), (400, false), (401, false), (404, false), (408, true), (409, true)] {
            assert_eq!(is_worth_retrying(status, &headers(&[])), again, "{status}");
        }
        for status in [429, 500, 502, 503, 529] {
            assert!(is_worth_retrying(status, &headers(&[])));
            assert!(!is_worth_retrying(status, &headers(&[("x-should-retry", "false")])));
        }
        assert!(is_worth_retrying(400, &headers(&[("x-should-retry", "true")])));
    }

    #[test]
    fn the_server_s_pause_comes_first() {
        let now: Timestamp = "1994-11-06T08:49:30Z".parse().unwrap();
        let next = |pairs: &[(&str, &str)]| Retry::default().next(0, &headers(pairs), now);
        let after = |milliseconds| Next::After(Duration::from_millis(milliseconds));
        assert_eq!(next(&[("retry-after-ms", "30"), ("retry-after", "9")]), after(30));
        assert_eq!(next(&[("retry-after", "9")]), after(9000));
        assert_eq!(next(&[("retry-after", "0.25")]), after(250));
        assert_eq!(next(&[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")]), after(7000));
        assert_eq!(next(&[("retry-after", "Sun, 06 Nov 1994 08:40:37 GMT")]), after(0));
        assert_eq!(next(&[("retry-after", "121")]), Next::TooLong(Duration::from_secs(121)));
        assert!(matches!(next(&[("retry-after", "1e300")]), Next::TooLong(_)));
        assert_eq!(next(&[("retry-after", "120")]), after(120_000));
    }

    #[test]
    fn without_a_word_the_pause_doubles_up_to_its_most() {
        let now = Timestamp::now();
        let retry = Retry { times: 40, ..Retry::default() };
        for (attempt, most) in [(0, 0.5), (1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 8.0), (39, 8.0)] {
            for nonsense in ["soon", "-3", "NaN"] {
                let Next::After(pause) = retry.next(attempt, &headers(&[("retry-after", nonsense)]), now) else {
                    panic!("must be tried again")
                };
                assert!((most * 0.749..=most).contains(&pause.as_secs_f64()), "{attempt}: {pause:?}");
            }
        }
        assert_eq!(retry.next(40, &headers(&[]), now), Next::Never);
    }

    #[test]
    fn fuzz_of_headers() {
        crate::fuzz::fuzz("headers", |input| {
            let text = String::from_utf8_lossy(input);
            let pairs = text.lines().filter_map(|line| line.split_once(':'));
            let headers: Headers = pairs.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect();
            let now: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
            let retry = Retry::default();
            for attempt in [0, 4, 5] {
                match retry.next(attempt, &headers, now) {
                    Next::After(pause) if pause > seconds(retry.patience) => {
                        return Err(format!("it waits for {pause:?}"));
                    }
                    Next::Never if attempt < 5 => return Err("it gives up".into()),
                    Next::After(_) | Next::TooLong(_) if attempt >= 5 => return Err("it goes on".into()),
                    _ => {}
                }
            }
            // The sum with the present is made with a check.
            let _ = crate::http::limits::wait(&headers, now).map(|wait| std::time::Instant::now().checked_add(wait));
            let _ = [200, 408, 429, 500].map(|status| is_worth_retrying(status, &headers));
            Ok(())
        });
    }
}
