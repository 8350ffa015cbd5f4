//! Conversations whose prompts grow: what a turn asks, and the prefix identities that its prompt shares with earlier
//! ones (generator.md §5, "Prefix layer").
//!
//! A turn either *extends* the one before (prompt + answer + new tokens) or *repeats* it: a retry of the same prompt,
//! or a fork that keeps a leading part and replaces the rest. With `replace` every turn brings passages of its own
//! (retrieval): its prompt is a fresh one and what was said before, and only the common root is shared. Left out: two turns that extend the same prompt, and
//! documents shared by several sessions beyond the common root (under 1 % of Mooncake's requests).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::law::{TokenLaw, Tokens};
use crate::diagnostic::InputError;
use crate::rng::{Draws, mixed};

/// Share of the repeats that ask the very same prompt again (Mooncake's conversations: 118 of 805 repeats).
const RETRY: f64 = 0.15;

/// Most ids of prefixes of one generated workload (8 GiB of them).
pub(super) const MOST_IDS: usize = 1 << 30;

/// How the prompts of a session grow, and what of them is shared.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PrefixSpec {
    /// Tokens per prefix identity; a multiple of the block size of the simulated KV cache.
    pub block: u32,
    /// The first so many tokens are the same in all prompts (a system prompt); a multiple of `block`.
    pub shared: u32,
    /// New tokens of a turn after the first; none: the prompt of a draw of the lengths.
    pub new: Option<TokenLaw>,
    /// Share of the turns after the first that repeat a prefix and do not extend it (retries, forks).
    pub repeat: f64,
    /// Retrieval: a turn keeps nothing but the first `shared` tokens. Its prompt is that of a draw of the lengths, and
    /// `new` tokens for each earlier turn (what was said before).
    pub replace: bool,
    /// A session ends before a turn whose prompt would be longer (tokens).
    pub max_prompt: u32,
}

impl Default for PrefixSpec {
    fn default() -> Self {
        PrefixSpec { block: 64, shared: 0, new: None, repeat: 0.0, replace: false, max_prompt: 131_072 }
    }
}

/// A prefix law ready to draw from.
#[derive(Clone, Debug)]
pub(super) struct Growth {
    pub block: u32,
    shared_blocks: u32,
    new: Option<Tokens>,
    repeat: f64,
    replace: bool,
    max_prompt: u32,
    /// Whose root it is: streams of a twin have system prompts of their own.
    root: u64,
}

impl PrefixSpec {
    /// The law, checked; `key` is its place in messages.
    pub(super) fn build(&self, key: &str) -> Result<Growth, InputError> {
        let wrong = |name: &str, message: String, help: &str| {
            Err(InputError::named(format!("{key}.{name}"), message, help.to_owned()))
        };
        if self.block == 0 {
            return wrong("block", "`0` tokens are no block".to_owned(), "write for example `block = 64`");
        }
        if !self.shared.is_multiple_of(self.block) {
            let message = format!("`{}` is no multiple of the block of {} tokens", self.shared, self.block);
            return wrong("shared", message, "round it to whole blocks");
        }
        if !(0.0..=1.0).contains(&self.repeat) {
            return wrong("repeat", format!("`{}` is no share", self.repeat), "write a number from 0 to 1");
        }
        if self.replace && (self.repeat > 0.0 || self.new.is_none()) {
            let message = "`true` needs `new`, and no `repeat`".to_owned();
            return wrong("replace", message, "say how many tokens an earlier turn adds");
        }
        if self.max_prompt == 0 {
            return wrong("max-prompt", "`0` tokens hold no prompt".to_owned(), "write 1 or more");
        }
        Ok(Growth {
            block: self.block,
            shared_blocks: self.shared / self.block,
            new: self.new.map(|law| law.build(&format!("{key}.new"))).transpose()?,
            repeat: self.repeat,
            replace: self.replace,
            root: 0,
            max_prompt: self.max_prompt,
        })
    }
}

impl Growth {
    /// The same law with a common root of its own.
    pub fn of_root(self, root: u64) -> Self {
        Growth { root, ..self }
    }
}

/// One session under way.
#[derive(Clone, Debug)]
pub(super) struct Dialogue {
    key: u64,
    /// Prompt tokens of the current turn.
    pub prompt: u32,
    /// Answer tokens of the current turn.
    pub output: u32,
    turn: u32,
    /// Tokens of earlier turns in the prompt, where it is replaced.
    said: u32,
    /// (first block, turn that wrote it and what follows).
    written: Vec<(u32, u32)>,
}

impl Dialogue {
    /// The first turn. `key` is the identity of the session: equal keys have equal tokens.
    pub fn open(key: u64, prompt: u32, output: u32) -> Self {
        Dialogue { key, prompt, output, turn: 0, said: 0, written: vec![(0, 0)] }
    }

    /// Goes to the next turn; false: its prompt would be too long, and the session is over. `fresh` is a draw of the
    /// lengths: its output is the answer, its prompt the new tokens where the law has none of its own.
    pub fn next(&mut self, growth: &Growth, fresh: (u32, u32), draws: &mut Draws) -> bool {
        if growth.replace {
            let new = growth.new.as_ref().map_or(0, |law| law.draw(draws));
            self.said = self.said.saturating_add(new);
            let prompt = fresh.0.saturating_add(self.said);
            if prompt > growth.max_prompt {
                return false;
            }
            (self.prompt, self.output) = (prompt, fresh.1);
            self.rewrite(0);
            return true;
        }
        let full = self.prompt / growth.block;
        if draws.chance(growth.repeat) {
            let retry = draws.chance(RETRY);
            let part = draws.uniform();
            if !retry {
                // The square of a uniform share: kept parts of Mooncake's forks have quartiles .13, .23, .47.
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below `full`")]
                let kept = (part * part * f64::from(full)) as u32;
                self.rewrite(kept.max(growth.shared_blocks + 1).min(full));
            }
        } else {
            let new = growth.new.as_ref().map_or(fresh.0, |law| law.draw(draws));
            let prompt = u64::from(self.prompt) + u64::from(self.output) + u64::from(new);
            match u32::try_from(prompt) {
                Ok(prompt) if prompt <= growth.max_prompt => self.prompt = prompt,
                _ => return false,
            }
            self.rewrite(full);
        }
        self.output = fresh.1;
        true
    }

    /// A new turn writes everything from `block` on.
    fn rewrite(&mut self, block: u32) {
        self.turn += 1;
        self.written.retain(|(first, _)| *first < block);
        self.written.push((block, self.turn));
    }

    /// The identities of the prompt's blocks, the last and shorter one included.
    pub fn ids(&self, growth: &Growth, out: &mut Vec<u64>) {
        let full = self.prompt / growth.block;
        let mut parts = self.written.iter().peekable();
        let mut turn = 0;
        for block in 0..self.prompt.div_ceil(growth.block) {
            while let Some((_, by)) = parts.next_if(|(first, _)| *first <= block) {
                turn = *by;
            }
            out.push(if block < growth.shared_blocks {
                mixed([0, u64::from(block), growth.root])
            } else if block < full {
                mixed([self.key, u64::from(block), u64::from(turn)])
            } else {
                // A block that is not full is another one than the full block which it will become.
                mixed([!self.key, u64::from(block), u64::from(turn)])
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;

    fn ids(dialogue: &Dialogue, growth: &Growth) -> Vec<u64> {
        let mut ids = Vec::new();
        dialogue.ids(growth, &mut ids);
        ids
    }

    fn growth(repeat: f64) -> Growth {
        let new = Some(TokenLaw::Constant(10));
        let spec =
            PrefixSpec { block: 16, shared: 32, new, repeat, max_prompt: 500, ..PrefixSpec::default() };
        spec.build("prefix").unwrap_or_else(|e| panic!("{}", e.message))
    }

    #[test]
    fn a_turn_shares_the_full_blocks_of_the_one_before() {
        let (growth, mut draws) = (growth(0.0), stream(1, "dialogue", 0, 0));
        let mut dialogue = Dialogue::open(7, 100, 20);
        let first = ids(&dialogue, &growth);
        assert_eq!(first.len(), 7);
        assert!(dialogue.next(&growth, (999, 30), &mut draws));
        assert_eq!((dialogue.prompt, dialogue.output), (130, 30));
        let second = ids(&dialogue, &growth);
        assert_eq!((second.len(), &second[..6]), (9, &first[..6]));
        assert_ne!(second[6], first[6], "the block that was not full");
        // Other sessions share the root only.
        let other = ids(&Dialogue::open(8, 100, 20), &growth);
        assert_eq!(other[..2], first[..2]);
        assert!(other[2..].iter().all(|id| !first.contains(id)));
        // The session ends before a prompt of more than 500 tokens.
        assert!(dialogue.next(&growth, (0, 400), &mut draws));
        assert!(!dialogue.next(&growth, (0, 1), &mut draws));
    }

    #[test]
    fn a_replaced_turn_keeps_the_root_and_adds_what_was_said() {
        let new = Some(TokenLaw::Constant(10));
        let spec = PrefixSpec { block: 16, shared: 32, new, replace: true, ..PrefixSpec::default() };
        let growth = spec.build("prefix").unwrap_or_else(|e| panic!("{}", e.message));
        let mut dialogue = Dialogue::open(7, 100, 20);
        let first = ids(&dialogue, &growth);
        for prompt in [90, 100, 110] {
            assert!(dialogue.next(&growth, (80, 30), &mut stream(1, "dialogue", 0, 0)));
            assert_eq!((dialogue.prompt, dialogue.output), (prompt, 30));
            let now = ids(&dialogue, &growth);
            assert_eq!(now[..2], first[..2]);
            assert!(now[2..].iter().all(|id| !first.contains(id)));
        }
        // Another stream has a root of its own.
        let other = growth.clone().of_root(1);
        assert!(ids(&dialogue, &other)[..2].iter().all(|id| !first.contains(id)));
        let wrong = PrefixSpec { repeat: 0.5, ..spec };
        assert!(wrong.build("prefix").is_err_and(|e| e.message.contains("needs `new`")));
    }

    #[test]
    fn a_repeat_keeps_a_leading_part() {
        let (growth, mut draws) = (growth(1.0), stream(1, "dialogue", 0, 0));
        let (mut retries, mut forks) = (0, 0);
        let mut dialogue = Dialogue::open(7, 490, 20);
        for _ in 0..2_000 {
            let before = ids(&dialogue, &growth);
            assert!(dialogue.next(&growth, (1, 1), &mut draws));
            let after = ids(&dialogue, &growth);
            let kept = before.iter().zip(&after).take_while(|(a, b)| a == b).count();
            assert_eq!(before.len(), after.len());
            assert!(kept >= 3, "the root and one block stay");
            assert!(after[kept..].iter().all(|id| !before.contains(id)));
            if kept == after.len() { retries += 1 } else { forks += 1 }
        }
        assert!((250..350).contains(&retries), "{retries} retries, {forks} forks");
    }
}
