//! The results of benchmark tools that an output has, whatever they are called.

use super::Tool;
use crate::reading::Reading;

/// Tools that print results under names of their own, in forms that nothing else has.
const RECOGNISED: [Tool; 4] = [Tool::Criterion, Tool::CargoBench, Tool::GoBench, Tool::GoogleBenchmark];

/// A result that a benchmark tool printed.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Benchmark {
    /// The tool: what `[metric] reader` says.
    pub tool: Tool,
    /// The tool's name of the result: what `[metric] entry` says.
    pub name: String,
    /// The number, its unit and its line.
    pub reading: Reading,
}

/// Lists the results of the first benchmark tool whose form the output has, in the order in which they were printed. Empty
/// if it is that of none.
///
/// ```
/// let found = autoresearch_metrics::benchmarks("fib 20                  time:   [1.20 ns 1.25 ns 1.31 ns]\n");
/// assert_eq!((found[0].tool.name(), found[0].name.as_str(), found[0].reading.value), ("criterion", "fib 20", 1.25));
/// ```
pub fn benchmarks(output: &str) -> Vec<Benchmark> {
    let of_tool = |tool: Tool| -> Vec<Benchmark> {
        let entries = tool.of_output(output, "").unwrap_or_default().into_iter().filter(|entry| !entry.is_other);
        entries.map(|entry| Benchmark { tool, name: entry.name, reading: entry.reading }).collect()
    };
    RECOGNISED.into_iter().map(of_tool).find(|found| !found.is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tool_is_known_by_its_form_and_nothing_else_is() {
        let tool = |output: &str| benchmarks(output).first().map(|found| found.tool);
        assert_eq!(tool("test bench_add ... bench:       1,234 ns/iter (+/- 56)\n"), Some(Tool::CargoBench));
        assert_eq!(tool("BenchmarkFib-8   \t  300000\t      4098 ns/op\n"), Some(Tool::GoBench));
        assert_eq!(tool("score: 1\ntime: 1.5 s\nloss=0.5\n"), None);
    }
}
