//! The block of results that a run prints last, key by key as karpathy's, so that logs compare.

use std::fmt;

use serde::Serialize;

/// The nine numbers of a run, of which an evaluation may measure one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Summary {
    /// Bits per byte on the validation split; lower is better. `None` where an evaluation measures it afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub val_bpb: Option<f64>,
    /// Training time, start-up and evaluation excluded.
    pub training_seconds: f64,
    /// Wall clock of the process.
    pub total_seconds: f64,
    /// Peak memory, see [`crate::device::peak_memory_mb`].
    pub peak_vram_mb: f64,
    /// Model FLOPs utilisation against an H100's bf16 peak; 0 on the CPU.
    pub mfu_percent: f64,
    /// Tokens trained on.
    pub total_tokens: f64,
    /// Optimizer steps.
    pub num_steps: u64,
    /// Parameters.
    pub num_params: f64,
    /// Transformer layers.
    pub depth: i64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "---")?;
        if let Some(val_bpb) = self.val_bpb {
            writeln!(f, "val_bpb:          {val_bpb:.6}")?;
        }
        writeln!(f, "training_seconds: {:.1}", self.training_seconds)?;
        writeln!(f, "total_seconds:    {:.1}", self.total_seconds)?;
        writeln!(f, "peak_vram_mb:     {:.1}", self.peak_vram_mb)?;
        writeln!(f, "mfu_percent:      {:.2}", self.mfu_percent)?;
        writeln!(f, "total_tokens_M:   {:.1}", self.total_tokens / 1e6)?;
        writeln!(f, "num_steps:        {}", self.num_steps)?;
        writeln!(f, "num_params_M:     {:.1}", self.num_params / 1e6)?;
        writeln!(f, "depth:            {}", self.depth)
    }
}

/// The further measurements of a run, and what they were made with.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Details {
    /// Tokens trained on per second of training time.
    pub tokens_per_second: f64,
    /// The share of the training time in which the trainer waited for its data.
    pub data_wait_percent: f64,
    /// From the start of the process to the first step.
    pub startup_seconds: f64,
    /// Time that val_bpb took.
    pub evaluation_seconds: f64,
    /// The device, as `AUTORESEARCH_DEVICE` names it.
    pub device: String,
    /// The kernel of attention in short windows, so that nobody takes a fallback for the fast way.
    pub attention: String,
    /// The GPU that kernels of this crate are used on, with its architecture, else `libtorch`.
    pub kernels: String,
}

impl Details {
    /// Formats all numbers of a run as one line of JSON, for programs. It goes before the block, which stays the last thing printed.
    ///
    /// ```
    /// # use autoresearch_llm::summary::{Details, Summary};
    /// # let summary = Summary {
    /// #     val_bpb: Some(1.5), training_seconds: 60.0, total_seconds: 70.0, peak_vram_mb: 300.0, mfu_percent: 0.0,
    /// #     total_tokens: 1e6, num_steps: 244, num_params: 2e6, depth: 4,
    /// # };
    /// let details = Details {
    ///     tokens_per_second: 2e4, data_wait_percent: 0.1, startup_seconds: 0.2, evaluation_seconds: 3.0,
    ///     device: "cpu".into(), attention: "Blocks".into(), kernels: "libtorch".into(),
    /// };
    /// let line = details.json(&summary)?;
    /// assert!(line.starts_with("{\"val_bpb\":1.5,") && line.ends_with("}\n"));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// None in practice: numbers can be written.
    pub fn json(&self, summary: &Summary) -> Result<String, serde_json::Error> {
        #[derive(Serialize)]
        struct Line<'a> {
            #[serde(flatten)]
            summary: &'a Summary,
            #[serde(flatten)]
            details: &'a Details,
        }
        Ok(serde_json::to_string(&Line { summary, details: self })? + "\n")
    }
}
