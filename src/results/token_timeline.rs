//! Every token of one request, and what the gap before it was spent on.

use serde::{Deserialize, Serialize};

use super::render::csv_bytes;

/// What the gap before a token was spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapCause {
    /// Before the first token: mostly in front of the first step that worked on the request.
    Queue,
    /// Before the first token: mostly steps that worked on its prompt, or waited for those of others.
    OwnPrompt,
    /// Decode steps without anybody's prompt.
    Decode,
    /// Prompts of others were computed in the meantime.
    OtherPrompt,
    /// It had lost its place.
    Preemption,
}

impl GapCause {
    /// Name in files.
    pub fn name(self) -> &'static str {
        match self {
            GapCause::Queue => "queue",
            GapCause::OwnPrompt => "own-prompt",
            GapCause::Decode => "decode",
            GapCause::OtherPrompt => "prompt-of-another",
            GapCause::Preemption => "preemption",
        }
    }
}

/// One token.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenRow {
    /// When the engine had it, in seconds since the first row of the run.
    pub at_s: f64,
    /// Time since the token before; for the first, since the request arrived.
    pub gap_s: f64,
    /// What the gap was spent on.
    pub cause: GapCause,
    /// The request of another with most prompt tokens in the steps of the gap, and how many.
    pub culprit: Option<(u32, u32)>,
    /// Prompt tokens of all others in these steps.
    pub other_prompt_tokens: u64,
    /// Steps of its replica in the gap.
    pub steps: u32,
    /// Sequences in the step that gave it.
    pub sequences: u32,
}

/// The life of one request, token by token.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TokenTimeline {
    /// Position of the run's system in `Study::systems`.
    pub system: usize,
    /// Position of its point in `Study::points`.
    pub point: usize,
    /// Its seed.
    pub seed: u64,
    /// The request.
    pub request: u32,
    /// Its prompt tokens.
    pub prompt: u32,
    /// When it arrived, in seconds since the first row of the run.
    pub arrival_s: f64,
    /// Its tokens in order.
    pub tokens: Vec<TokenRow>,
}

impl TokenTimeline {
    /// Position of the token after the longest gap between two tokens.
    pub fn longest_gap(&self) -> Option<usize> {
        (1..self.tokens.len()).max_by(|&a, &b| {
            // The earlier one of equals.
            self.tokens[a].gap_s.total_cmp(&self.tokens[b].gap_s).then(b.cmp(&a))
        })
    }

    /// File below `timeline/`.
    pub fn file(&self) -> String {
        format!("request-{}.csv", self.request)
    }

    /// One line per token.
    pub fn csv(&self) -> Vec<u8> {
        let header = [
            "token",
            "at_s",
            "gap_s",
            "cause",
            "culprit_request",
            "culprit_prompt_tokens",
            "other_prompt_tokens",
            "steps",
            "sequences",
        ];
        let cells = |(i, t): (usize, &TokenRow)| {
            vec![
                i.to_string(),
                t.at_s.to_string(),
                t.gap_s.to_string(),
                t.cause.name().to_owned(),
                t.culprit.map_or_else(String::new, |c| c.0.to_string()),
                t.culprit.map_or_else(String::new, |c| c.1.to_string()),
                t.other_prompt_tokens.to_string(),
                t.steps.to_string(),
                t.sequences.to_string(),
            ]
        };
        csv_bytes(&header, self.tokens.iter().enumerate().map(cells))
    }
}
