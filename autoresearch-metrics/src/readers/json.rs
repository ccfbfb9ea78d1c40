//! Files of benchmark tools in JSON.

use autoresearch_core::internal::metric::convert_unit;
use serde_json::Value;

use super::entry::{self, Entry};
use crate::file::Format;
use crate::files::Written;

pub(super) fn parse(file: &Written) -> Result<Value, String> {
    let rows = Format::Json.rows(&file.bytes).map_err(|why| format!("is not JSON: {why}"))?;
    Ok(rows.into_iter().next().unwrap_or_default())
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

/// The statistics of a benchmark; the first one is the tool's own.
fn statistics(name: &str, from: &Value, keys: &[&str], unit: &str, found: &mut Vec<Entry>) {
    for (at, key) in keys.iter().enumerate() {
        let Some(value) = from.get(key).and_then(Value::as_f64) else { continue };
        let source = format!("{key} of {name}");
        if at == 0 {
            found.push(Entry::new(name, value, unit, source.as_str()));
        }
        found.push(Entry::other(name, key, value, unit, source));
    }
}

/// hyperfine's `--export-json`, in seconds. The mean is its own statistic.
pub(super) fn hyperfine(value: &Value) -> Vec<Entry> {
    let mut found = Vec::new();
    for result in list(value, "results") {
        let name = text(result, "command").unwrap_or_default();
        statistics(name, result, &["mean", "median", "min", "max", "stddev", "user", "system"], "s", &mut found);
    }
    found
}

/// pytest-benchmark's `--benchmark-json`, in seconds. The mean is its own statistic.
pub(super) fn pytest_benchmark(value: &Value) -> Vec<Entry> {
    let mut found = Vec::new();
    for benchmark in list(value, "benchmarks") {
        let (Some(name), Some(stats)) = (text(benchmark, "name"), benchmark.get("stats")) else { continue };
        statistics(name, stats, &["mean", "median", "min", "max", "stddev"], "s", &mut found);
        if let Some(ops) = stats.get("ops").and_then(Value::as_f64) {
            found.push(Entry::other(name, "ops", ops, "1/s", format!("ops of {name}")));
        }
    }
    found
}

/// Google Benchmark's JSON, in nanoseconds. Of several repetitions only the aggregates count, where there are some.
pub(super) fn google(value: &Value) -> Vec<Entry> {
    let mut found = Vec::new();
    let is_aggregate = |one: &Value| text(one, "run_type") == Some("aggregate");
    let any = list(value, "benchmarks").any(is_aggregate);
    for benchmark in list(value, "benchmarks") {
        let (Some(name), Some(unit)) = (text(benchmark, "name"), text(benchmark, "time_unit")) else { continue };
        let time = |key: &str| convert_unit(benchmark.get(key)?.as_f64()?, unit, "ns");
        let (Some(wall), Some(cpu)) = (time("real_time"), time("cpu_time")) else { continue };
        let base = text(benchmark, "run_name").unwrap_or(name);
        match text(benchmark, "aggregate_name").filter(|_| is_aggregate(benchmark)) {
            Some("median") => {
                found.push(Entry::new(base, wall, "ns", format!("real_time of {name}")));
                found.push(Entry::other(base, "cpu", cpu, "ns", format!("cpu_time of {name}")));
            }
            Some(aggregate) => found.push(Entry::other(base, aggregate, wall, "ns", format!("real_time of {name}"))),
            None if !any => {
                found.push(Entry::new(name, wall, "ns", format!("real_time of {name}")));
                found.push(Entry::other(name, "cpu", cpu, "ns", format!("cpu_time of {name}")));
            }
            None => {}
        }
    }
    found
}

/// Criterion's `estimates.json`, in nanoseconds. The name is the path between `criterion` and the folder of the file.
pub(super) fn criterion(value: &Value, path: &str) -> Result<Vec<Entry>, String> {
    let folder = path.rsplit_once("/new/").map_or(path, |(folder, _)| folder);
    let name = folder.rsplit_once("criterion/").map_or(folder, |(_, name)| name);
    let estimate = |key: &str| value.get(key)?.get("point_estimate")?.as_f64();
    // What Criterion prints: the slope where the samples are of different lengths, else the mean.
    let own = estimate("slope").or_else(|| estimate("mean")).ok_or("has no estimate")?;
    let mut found = vec![Entry::new(name, own, "ns", format!("the estimate in {path}"))];
    let others = ["mean", "median", "slope", "std_dev"].into_iter().filter_map(|key| Some((key, estimate(key)?)));
    found.extend(others.map(|(key, value)| Entry::other(name, key, value, "ns", format!("{key} in {path}"))));
    Ok(found)
}

/// The summary of Weights & Biases: numbers by their names.
pub(super) fn wandb(value: &Value) -> Vec<Entry> {
    let entries = value.as_object().into_iter().flatten().filter(|(name, _)| !name.starts_with('_'));
    let number = |(name, value): (&String, &Value)| {
        Some(Entry::new(name, entry::number(value)?, "", format!("{name} in the summary")))
    };
    entries.filter_map(number).collect()
}

/// JMH's results, in the unit of each.
pub(super) fn jmh(value: &Value) -> Vec<Entry> {
    let mut found = Vec::new();
    for result in value.as_array().into_iter().flatten() {
        let (Some(name), Some(primary)) = (text(result, "benchmark"), result.get("primaryMetric")) else { continue };
        let Some(score) = primary.get("score").and_then(Value::as_f64) else { continue };
        let unit = text(primary, "scoreUnit").unwrap_or_default();
        let source = format!("score of {name}, {}", text(result, "mode").unwrap_or("a mode unknown"));
        found.push(Entry::new(name, score, unit, source.as_str()));
        // The name without the package is how people call it.
        let short = name.rsplitn(3, '.').take(2).collect::<Vec<_>>();
        if let [method, class] = short[..] {
            found.push(Entry {
                is_other: true,
                ..Entry::new(format!("{class}.{method}"), score, unit, source.as_str())
            });
            found.push(Entry { is_other: true, ..Entry::new(method, score, unit, source) });
        }
    }
    found
}

/// BenchmarkDotNet's results, in nanoseconds. The mean is its own statistic.
pub(super) fn benchmarkdotnet(value: &Value) -> Vec<Entry> {
    let mut found = Vec::new();
    for benchmark in list(value, "Benchmarks") {
        let name = text(benchmark, "Method").or_else(|| text(benchmark, "FullName")).unwrap_or_default();
        if let Some(stats) = benchmark.get("Statistics") {
            statistics(name, stats, &["Mean", "Median", "Min", "Max"], "ns", &mut found);
        }
    }
    found
}
