//! What an infinite prefix cache would find, in one pass. Memory grows with the distinct ids.

use serde::Serialize;

use crate::collections::LookupMap;

/// Leading ids that came before, as an infinite cache sees them.
#[derive(Default)]
pub(super) struct Prefixes {
    seen: LookupMap<u64, ()>,
    tokens_per_id: u32,
    ids: u64,
    hits: u64,
    tokens: u64,
    hit_tokens: u64,
}

/// Hits of an infinite prefix cache.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PrefixStats {
    /// Tokens of an id; none: segments of unknown size.
    pub tokens_per_id: Option<u32>,
    /// Ids of all prompts.
    pub ids: u64,
    /// Different ones.
    pub distinct: u64,
    /// Leading ids of a prompt that all came before.
    pub hits: u64,
    /// Hits by ids.
    pub hit_share: f64,
    /// Prompt tokens under these ids, where sizes are known.
    pub hit_tokens: Option<u64>,
    /// The same by all prompt tokens.
    pub hit_token_share: Option<f64>,
}

impl Prefixes {
    pub fn new(tokens_per_id: u32) -> Self {
        Prefixes { tokens_per_id, ..Prefixes::default() }
    }

    pub fn add(&mut self, prompt: u32, ids: &[u64]) {
        let hits = ids.iter().take_while(|id| self.seen.get(id).is_some()).count() as u64;
        for id in ids {
            self.seen.insert(*id, ());
        }
        self.ids += ids.len() as u64;
        self.hits += hits;
        self.tokens += u64::from(prompt);
        self.hit_tokens += (hits * u64::from(self.tokens_per_id)).min(u64::from(prompt));
    }

    pub fn stats(&self) -> Option<PrefixStats> {
        let known = self.tokens_per_id > 0;
        (self.ids > 0).then(|| PrefixStats {
            tokens_per_id: known.then_some(self.tokens_per_id),
            ids: self.ids,
            distinct: self.seen.len() as u64,
            hits: self.hits,
            hit_share: self.hits as f64 / self.ids as f64,
            hit_tokens: known.then_some(self.hit_tokens),
            hit_token_share: known.then(|| self.hit_tokens as f64 / self.tokens as f64),
        })
    }
}
