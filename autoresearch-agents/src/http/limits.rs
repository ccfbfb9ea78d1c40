//! Rate limits that servers announce in response headers; they are obeyed before a request fails on them.

use std::time::Duration;

use jiff::Timestamp;

use super::request::Headers;

/// Returns the wait before the next request by the last response's headers: until the latest reset among the limits that
/// have nothing left.
pub fn wait(headers: &Headers, now: Timestamp) -> Option<Duration> {
    let anthropic = ["requests", "tokens", "input-tokens", "output-tokens"].into_iter().filter_map(|what| {
        let get = |field: &str| headers.get(&format!("anthropic-ratelimit-{what}-{field}"));
        spent(get("remaining")?).then_some(())?;
        until(get("reset")?.parse().ok()?, now)
    });
    let openai = ["requests", "tokens"].into_iter().filter_map(|what| {
        let get = |field: &str| headers.get(&format!("x-ratelimit-{field}-{what}"));
        spent(get("remaining")?).then_some(())?;
        duration(get("reset")?)
    });
    anthropic.chain(openai).max().filter(|wait| !wait.is_zero())
}

fn spent(remaining: &str) -> bool {
    remaining.trim().parse::<f64>().is_ok_and(|remaining| remaining <= 0.0)
}

/// Returns the time from `now` until `then`, or `None` if `then` has passed.
pub(super) fn until(then: Timestamp, now: Timestamp) -> Option<Duration> {
    Duration::try_from(then.duration_since(now)).ok()
}

/// Reads durations such as `6m0s`, `1s`, `12ms` and `1.5`.
fn duration(text: &str) -> Option<Duration> {
    let mut seconds = 0.0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let unit = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let factor = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" | "" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * factor;
        rest = after;
    }
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> Headers {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn nothing_left_means_waiting_until_the_reset() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let reset = "2026-11-21T12:00:07Z";
        let of = |remaining| {
            headers(&[
                ("anthropic-ratelimit-output-tokens-remaining", remaining),
                ("anthropic-ratelimit-output-tokens-reset", reset),
            ])
        };
        assert_eq!(wait(&of("0"), now), Some(Duration::from_secs(7)));
        assert_eq!(wait(&of("1"), now), None);
        assert_eq!(wait(&of("none"), now), None);
        let openai = headers(&[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "1m2s500ms")]);
        assert_eq!(wait(&openai, now), Some(Duration::from_millis(62_500)));
    }

    #[test]
    fn nonsense_is_no_duration() {
        for text in ["", "soon", "1x", "-1s", "s", "1e999s"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
