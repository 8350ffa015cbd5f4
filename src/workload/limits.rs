//! The model's context limit and the client's `max_tokens`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::report::LoadReport;
use super::trace::Trace;

/// The client's `max_tokens`: what reservation rules see, never below the true output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MaxTokens {
    /// All that the context leaves after the prompt.
    #[default]
    ContextRest,
    /// The same number for all; longer outputs are cut to it and counted.
    Fixed(u32),
    /// The true output length (a client that knows).
    True,
    /// The true output length rounded up to a power of two.
    Pow2,
    /// So many times the true output length (a client that guesses), at least 1.
    Times(u32),
}

impl MaxTokens {
    /// What a client says for an answer of `output` tokens where the context leaves `rest`.
    fn declared(self, output: u32, rest: u32) -> u32 {
        match self {
            MaxTokens::ContextRest => rest,
            MaxTokens::Fixed(cap) => cap.max(1).min(rest),
            MaxTokens::True => output,
            MaxTokens::Pow2 => output.checked_next_power_of_two().unwrap_or(u32::MAX).min(rest),
            MaxTokens::Times(factor) => output.saturating_mul(factor.max(1)).min(rest),
        }
    }
}

/// What `apply_limits` changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LimitCounts {
    /// Outputs cut to fit the context.
    pub outputs_truncated: u64,
    /// Outputs cut by `fixed`.
    pub outputs_capped: u64,
    /// Prompts that leave no room for an answer; left as they are, for the engine to reject.
    pub prompts_too_long: u64,
}

impl LimitCounts {
    /// Adds the counts to a report.
    pub fn note(&self, report: &mut LoadReport) {
        report.outputs_truncated += self.outputs_truncated;
        report.outputs_capped += self.outputs_capped;
        report.prompts_too_long += self.prompts_too_long;
    }
}

/// Makes every request fit a context of `limit` tokens (prompt + output) and sets its `max_tokens`.
///
/// Afterwards `output <= max_tokens <= limit - prompt` for every request whose prompt is below `limit`.
pub fn apply_limits(trace: &mut Trace, limit: u32, rule: MaxTokens) -> LimitCounts {
    let mut counts = LimitCounts::default();
    for request in &mut trace.requests {
        let rest = limit.saturating_sub(request.prompt);
        if rest == 0 {
            counts.prompts_too_long += 1;
            request.max_tokens = request.output;
            continue;
        }
        if let MaxTokens::Fixed(cap) = rule
            && request.output > cap.max(1)
        {
            counts.outputs_capped += 1;
            request.output = cap.max(1);
        }
        if request.output > rest {
            counts.outputs_truncated += 1;
            request.output = rest;
        }
        request.max_tokens = rule.declared(request.output, rest);
        debug_assert!(request.output <= request.max_tokens);
    }
    counts
}

/// Lets a gateway say another `max_tokens` to the engine than the client did. Answers stay as they are, so that all
/// deployments of a study answer the same tokens: what is declared is never below the true output.
pub fn declare(trace: &mut Trace, limit: u32, rule: MaxTokens) {
    for request in &mut trace.requests {
        let rest = limit.saturating_sub(request.prompt);
        request.max_tokens = rule.declared(request.output, rest).max(request.output);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ClassId;
    use crate::units::SimTime;
    use crate::workload::Request;

    #[track_caller]
    fn check(rule: MaxTokens, (prompt, output): (u32, u32), expected: (u32, u32)) {
        let request =
            Request { arrival: SimTime::ZERO, prompt, output, max_tokens: output, class: ClassId(0) };
        let mut trace = Trace { requests: vec![request], classes: vec!["all".into()], ..Trace::default() };
        let counts = apply_limits(&mut trace, 1000, rule);
        let got = trace.requests[0];
        assert_eq!((got.output, got.max_tokens), expected);
        assert_eq!(counts.prompts_too_long, u64::from(prompt >= 1000));
        assert_eq!(counts.outputs_truncated + counts.outputs_capped, u64::from(got.output < output));
    }

    #[test]
    fn limits_follow_the_rule() {
        check(MaxTokens::ContextRest, (100, 50), (50, 900));
        check(MaxTokens::ContextRest, (100, 901), (900, 900));
        check(MaxTokens::ContextRest, (1000, 50), (50, 50));
        check(MaxTokens::Fixed(64), (100, 50), (50, 64));
        check(MaxTokens::Fixed(64), (100, 65), (64, 64));
        check(MaxTokens::Fixed(64), (990, 50), (10, 10));
        check(MaxTokens::True, (100, 50), (50, 50));
        check(MaxTokens::Pow2, (100, 50), (50, 64));
        check(MaxTokens::Pow2, (100, 64), (64, 64));
        check(MaxTokens::Pow2, (900, 70), (70, 100));
        check(MaxTokens::Times(2), (100, 50), (50, 100));
        check(MaxTokens::Times(2), (900, 70), (70, 100));
    }

    #[test]
    fn a_gateway_declares_no_less_than_the_answer() {
        let request = |output| Request {
            arrival: SimTime::ZERO,
            prompt: 100,
            output,
            max_tokens: 900,
            class: ClassId(0),
        };
        let mut trace = Trace { requests: vec![request(50), request(500)], ..Trace::default() };
        declare(&mut trace, 1000, MaxTokens::Fixed(64));
        let got: Vec<_> = trace.requests.iter().map(|r| (r.output, r.max_tokens)).collect();
        assert_eq!(got, [(50, 64), (500, 500)]);
    }
}
