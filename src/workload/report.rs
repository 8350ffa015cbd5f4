//! Where a workload came from and what was done to it: every row is accounted for.

use serde::Serialize;

/// Counts and provenance of one prepared workload; goes into the manifest as it is.
///
/// Invariant: `rows_read = rows_bad + rows_dropped + rows_outside_slice + rows_filtered + rows_thinned + rows_unused +
/// rows_kept − rows_copied`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LoadReport {
    /// The trace file, `recipe NAME`, or `synthetic`.
    pub source: String,
    /// Name of the format a file was read as.
    pub format: Option<&'static str>,
    /// [`ContentHash`](crate::rng::ContentHash) of the bytes of the file or of the recipe text.
    pub content_hash: Option<String>,
    /// Data rows in the file, or requests generated.
    pub rows_read: u64,
    /// Rows that could not be read and were skipped, because `on-bad-row = "skip"` says so.
    pub rows_bad: u64,
    /// The first skipped row: its place and what was wrong.
    pub first_bad: Option<String>,
    /// Rows that record a failed request (BurstGPT: no response tokens).
    pub rows_failed: u64,
    /// Failed rows left out; the others became prefill-only requests of one token.
    pub rows_dropped: u64,
    /// Rows outside `slice`.
    pub rows_outside_slice: u64,
    /// Rows that `filter` left out.
    pub rows_filtered: u64,
    /// Rows left out by `rate-scale` below 1.
    pub rows_thinned: u64,
    /// Rows added by `rate-scale` above 1.
    pub rows_copied: u64,
    /// Rows after the wanted number of requests or the wanted duration.
    pub rows_unused: u64,
    /// Requests in the trace.
    pub rows_kept: u64,
    /// Rows that came before an earlier time and were moved, because `sort = true` says so.
    pub rows_reordered: u64,
    /// Grain of a coarse clock whose ties were spread, in picoseconds; none: times are as written.
    pub dequantised_grain_ps: Option<u64>,
    /// Requests whose output was cut to fit the model's context.
    pub outputs_truncated: u64,
    /// Requests whose output was cut by `max-tokens = { fixed = … }`.
    pub outputs_capped: u64,
    /// Requests whose prompt leaves no room for an answer: the engine will reject them.
    pub prompts_too_long: u64,
    /// From first to last arrival, in picoseconds, after all transforms.
    pub span_ps: u64,
    /// Mean arrival rate in requests per second before it was set by `rate`.
    pub natural_rate_per_s: Option<f64>,
    /// Mean arrival rate in requests per second; none in a closed loop.
    pub rate_per_s: Option<f64>,
}

impl LoadReport {
    /// Says where all rows went.
    pub(super) fn why_nothing_is_left(&self) -> String {
        let fates = [
            (self.rows_bad, "could not be read"),
            (self.rows_dropped, "failed and were dropped"),
            (self.rows_outside_slice, "lie outside `slice`"),
            (self.rows_filtered, "are left out by `filter`"),
            (self.rows_thinned, "are left out by `rate-scale`"),
            (self.rows_unused, "come after the wanted end"),
        ];
        let told: Vec<String> =
            fates.iter().filter(|(n, _)| *n > 0).map(|(n, fate)| format!("{n} {fate}")).collect();
        format!("no request is left: of {} rows {}", self.rows_read, told.join(", "))
    }
}

/// The content hash of some bytes.
pub(super) fn hash_text(bytes: &[u8]) -> String {
    crate::rng::ContentHash::of(bytes)
}
