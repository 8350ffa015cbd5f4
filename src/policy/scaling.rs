//! When replicas are added and taken away: the rule that looks at the replicas at every tick (docs/semantics.md §15).
//! Which replica starts or drains, and what that means for its requests, is `cluster::fleet`.
//!
//! # Papers
//! * `freeness`: "Llumnix: Dynamic Scheduling for Large Language Model Serving", OSDI'24,
//!   <https://arxiv.org/abs/2406.03243>, section 4.4.3 (row A46): the mean freeness is kept in a range; below it "for a
//!   while" an instance is added, above it the one with the fewest requests is drained. The range is not in the paper's
//!   text; the authors' code has 10 and 60 steps of a request, which stand here in blocks per request.
//! * `requests`, `memory`: thresholds on a mean per replica, as any autoscaler of containers has them. Those compute a
//!   target number at once (`⌈replicas · mean / target⌉`); here one replica starts or drains per tick.

use crate::units::SimDuration;

/// When replicas start and drain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scaling {
    /// What is looked at.
    pub rule: Rule,
    /// Replicas that are up at the beginning, at least 1.
    pub initial: u16,
    /// Replicas that stay, at least 1.
    pub min: u16,
    /// Time between two looks, above 0.
    pub period: SimDuration,
    /// From the decision to start a replica until requests can be sent to it.
    pub cold_start: SimDuration,
    /// Looks in a row that must want the same, at least 1.
    pub hold: u32,
    /// How many may be starting at once, at least 1.
    pub max_starting: u16,
}

/// What is looked at, and its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Outstanding requests per replica.
    Requests(Range),
    /// Share of KV memory held or queued for.
    Memory(Range),
    /// Mean freeness, in blocks per request.
    Freeness {
        /// A replica is added below this.
        out_below: i64,
        /// One is taken away above this.
        in_above: i64,
    },
}

/// A range of a load, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// A replica is added above this.
    pub out_above: u64,
    /// One is taken away below this.
    pub in_below: u64,
}

/// What a look at the replicas wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// More of them.
    Out,
    /// Fewer of them.
    In,
    /// Neither.
    Stay,
}

impl Rule {
    /// What a mean, in thousandths, asks for.
    pub fn wish(&self, mean: i128) -> Wish {
        let (out, fewer) = match *self {
            Rule::Requests(range) | Rule::Memory(range) => {
                (mean > i128::from(range.out_above), mean < i128::from(range.in_below))
            }
            Rule::Freeness { out_below, in_above } => {
                (mean < i128::from(out_below) * 1000, mean > i128::from(in_above) * 1000)
            }
        };
        match (out, fewer) {
            (true, _) => Wish::Out,
            (_, true) => Wish::In,
            _ => Wish::Stay,
        }
    }
}

/// Looks in a row that wanted the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Streak {
    /// For more replicas.
    pub out: u32,
    /// For fewer.
    pub fewer: u32,
}

impl Streak {
    /// One more look; none where no replica was up.
    pub fn look(&mut self, wish: Option<Wish>) {
        self.out = if wish == Some(Wish::Out) { self.out + 1 } else { 0 };
        self.fewer = if wish == Some(Wish::In) { self.fewer + 1 } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_above_its_range_wants_more_and_freeness_below_it() {
        let load = Rule::Requests(Range { out_above: 8_000, in_below: 2_000 });
        assert_eq!(
            [8_001, 8_000, 2_000, 1_999].map(|m| load.wish(m)),
            [Wish::Out, Wish::Stay, Wish::Stay, Wish::In]
        );
        let freeness = Rule::Freeness { out_below: 10, in_above: 60 };
        assert_eq!(
            [9_999, 10_000, 60_000, 60_001, -5].map(|m| freeness.wish(m)),
            [Wish::Out, Wish::Stay, Wish::Stay, Wish::In, Wish::Out]
        );
    }

    #[test]
    fn a_streak_ends_with_the_first_look_that_wants_something_else() {
        let mut streak = Streak::default();
        for wish in [Wish::Out, Wish::Out, Wish::In, Wish::Out] {
            streak.look(Some(wish));
        }
        assert_eq!(streak, Streak { out: 1, fewer: 0 });
        streak.look(None);
        assert_eq!(streak, Streak::default());
    }
}
