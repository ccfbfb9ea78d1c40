//! Lines that benchmark tools print. All times are in nanoseconds, whichever unit was printed.

use autoresearch_core::internal::metric::{convert_unit, parse_number};

use super::entry::Entry;

/// A time as printed, in nanoseconds.
fn nanoseconds(value: &str, unit: &str) -> Option<f64> {
    convert_unit(parse_number(value).ok()?.0, unit, "ns")
}

fn source(at: usize, line: &str) -> String {
    let shown: String = line.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(120).collect();
    format!("line {}: `{shown}`", at + 1)
}

/// Criterion: `fib 20   time:   [26.029 us 26.251 us 26.505 us]`; a long name has a line of its own.
pub(super) fn criterion(text: &str) -> Vec<Entry> {
    let mut found = Vec::new();
    let mut before = "";
    for (at, line) in text.lines().enumerate() {
        let time = line.split_once("time:").and_then(|(name, rest)| Some((name, rest.trim().strip_prefix('[')?)));
        if let Some((name, rest)) = time
            && let Some((inside, _)) = rest.split_once(']')
        {
            let name = if name.trim().is_empty() { before.trim() } else { name.trim() };
            let words: Vec<&str> = inside.split_whitespace().collect();
            if let [low, low_unit, middle, unit, high, high_unit] = words[..] {
                let each = [("", middle, unit), ("low", low, low_unit), ("high", high, high_unit)];
                for (statistic, value, unit) in each {
                    let Some(value) = nanoseconds(value, unit) else { continue };
                    found.push(match statistic {
                        "" => Entry::new(name, value, "ns", source(at, line)),
                        other => Entry::other(name, other, value, "ns", source(at, line)),
                    });
                }
            }
        }
        before = line;
    }
    found
}

/// The standard library's `#[bench]`: `test fib ... bench:       1,234 ns/iter (+/- 56)`.
pub(super) fn libtest(text: &str) -> Vec<Entry> {
    let entry = |(at, line): (usize, &str)| {
        let (name, rest) = line.trim().strip_prefix("test ")?.split_once(" ... bench:")?;
        let (value, _) = rest.trim().split_once(" ns/iter")?;
        Some(Entry::new(name.trim(), nanoseconds(value, "ns")?, "ns", source(at, line)))
    };
    text.lines().enumerate().filter_map(entry).collect()
}

/// Go: `BenchmarkFib-8   1000000   1234 ns/op   16 B/op   1 allocs/op`. The name is known with and without the processors.
pub(super) fn go(text: &str) -> Vec<Entry> {
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, count, numbers @ ..] = words.as_slice() else { continue };
        if !name.starts_with("Benchmark") || count.parse::<u64>().is_err() {
            continue;
        }
        let plain =
            name.rsplit_once('-').filter(|(_, cpus)| cpus.parse::<u32>().is_ok()).map_or(*name, |(plain, _)| plain);
        for pair in numbers.chunks_exact(2) {
            let Ok((value, _)) = parse_number(pair[0]) else { continue };
            match pair[1] {
                "ns/op" => {
                    found.push(Entry::new(plain, value, "ns", source(at, line)));
                    if plain != *name {
                        found.push(Entry { is_other: true, ..Entry::new(*name, value, "ns", source(at, line)) });
                    }
                }
                unit => found.push(Entry::other(plain, unit, value, unit, source(at, line))),
            }
        }
    }
    found
}

/// Google Benchmark's table: `BM_Fib/20   1234 ns   1230 ns   560000`. The processor time is another statistic.
pub(super) fn google(text: &str) -> Vec<Entry> {
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, wall, unit, cpu, cpu_unit, _count, ..] = words.as_slice() else { continue };
        if let (Some(wall), Some(cpu)) = (nanoseconds(wall, unit), nanoseconds(cpu, cpu_unit)) {
            found.push(Entry::new(*name, wall, "ns", source(at, line)));
            found.push(Entry::other(name, "cpu", cpu, "ns", source(at, line)));
        }
    }
    found
}
