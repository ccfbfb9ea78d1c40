//! Progress lines of training programs.

/// A progress line of the form `step 00012 (3.4%) | loss: 5.1 | tok/sec: 15,123 | remaining: 58s`.
#[derive(Debug, PartialEq)]
pub struct Progress {
    /// From 0 to 1.
    pub share: f64,
    /// The parts of the line that are worth showing.
    pub text: String,
}

impl Progress {
    /// Parses a line; `None` if it is not of this form.
    pub fn parse(line: &str) -> Option<Progress> {
        let mut parts = line.split('|').map(str::trim);
        let first = parts.next()?;
        let (what, percent) = first.split_once('(')?;
        let percent: f64 = percent.split_once('%')?.0.trim().parse().ok()?;
        let wanted = |part: &&str| ["loss", "tok/sec", "remaining"].iter().any(|name| part.starts_with(name));
        let shown: Vec<&str> = std::iter::once(what.trim()).chain(parts.filter(wanted)).collect();
        percent.is_finite().then(|| Progress { share: (percent / 100.0).clamp(0.0, 1.0), text: shown.join(" | ") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_lines_are_understood() {
        let line = "step 00012 (3.4%) | loss: 5.123456 | lrm: 1.00 | dt: 130ms | tok/sec: 15123 | mfu: 0.0% | epoch: 1 | remaining: 58s";
        let progress = Progress::parse(line).unwrap();
        assert_eq!(progress.text, "step 00012 | loss: 5.123456 | tok/sec: 15123 | remaining: 58s");
        assert!((progress.share - 0.034).abs() < 1e-9);
        for odd in ["", "|", "(", "a (x%) | b", "(%)", "Compiling é (99", "step (NaN%)"] {
            assert_eq!(Progress::parse(odd), None, "{odd}");
        }
    }
}
