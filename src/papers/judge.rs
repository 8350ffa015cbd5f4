//! The verdict on a claim, in words.
//!
//! *Mechanism reproduced*: in the mechanism run the sign is the published one at every seed and the size lies in the
//! band. *Direction only*: the sign holds at every seed, the size is outside. *Only with era engines*: it takes each
//! system's own engine. *Not reproduced* says why. Controls *hold* or not. Nothing is judged below the rule: five
//! seeds, trials of 2,000 requests and 20 P99 end-to-end latencies, the file as it stands.

use crate::report::format;
use crate::scenario::capacity::TrialRule;

use super::claim::Numbers;
use super::plan::PaperPlan;
use super::run::Measured;
use super::schema::{ClaimOptions, Role, Test};

/// Fewest seeds of a judgement.
const SEEDS: u32 = 5;

/// Every word a verdict may start with.
pub const WORDS: [&str; 8] = [
    "mechanism reproduced",
    "direction only",
    "only with era engines",
    "not reproduced",
    "holds",
    "does not hold",
    "shown",
    "not judged",
];

/// Whether a recorded verdict is worth a gate.
pub fn is_good(word: &str) -> bool {
    ["mechanism reproduced", "holds"].contains(&word)
}

/// What follows from a claim's numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Sign at every seed, and size inside the band.
    Reproduced,
    /// Sign at every seed, size outside.
    DirectionOnly(String),
    /// Only the as-published run has it.
    EraOnly(String),
    /// With the reason.
    NotReproduced(String),
    /// A control or baseline inside its band.
    Holds,
    /// A control or baseline outside.
    DoesNotHold(String),
    /// A number without a band.
    Shown,
    /// Below the rule.
    NotJudged(String),
}

impl Verdict {
    /// The verdict without its reason.
    pub fn word(&self) -> &'static str {
        WORDS[match self {
            Verdict::Reproduced => 0,
            Verdict::DirectionOnly(_) => 1,
            Verdict::EraOnly(_) => 2,
            Verdict::NotReproduced(_) => 3,
            Verdict::Holds => 4,
            Verdict::DoesNotHold(_) => 5,
            Verdict::Shown => 6,
            Verdict::NotJudged(_) => 7,
        }]
    }

    /// Why; empty where there is nothing to explain.
    pub fn reason(&self) -> &str {
        match self {
            Verdict::DirectionOnly(why)
            | Verdict::EraOnly(why)
            | Verdict::NotReproduced(why)
            | Verdict::DoesNotHold(why)
            | Verdict::NotJudged(why) => why,
            _ => "",
        }
    }
}

/// Why nothing of this run may be judged; empty if it may.
pub(super) fn doubts(plan: &PaperPlan) -> Vec<String> {
    let mut doubts = Vec::new();
    let rule = TrialRule::default();
    if plan.seeds < SEEDS {
        doubts.push(format!("{} seeds are fewer than {SEEDS}", plan.seeds));
    }
    if plan.rule.requests < rule.requests || plan.rule.spans < rule.spans {
        doubts.push(format!(
            "trials of {} requests and {} P99 latencies are shorter than {} and {}",
            plan.rule.requests, plan.rule.spans, rule.requests, rule.spans
        ));
    }
    if !plan.flags.is_empty() {
        doubts.push(format!("the file was changed by flags: {}", plan.flags.join(" ")));
    }
    doubts
}

/// How many capacities of these were found by a trial that should have been longer than the workload is.
pub(super) fn short_trials<'a>(measured: impl IntoIterator<Item = &'a Measured>) -> usize {
    measured.into_iter().filter(|m| matches!(m, Measured::Capacity(c, _) if c.short)).count()
}

/// A claim and its numbers.
pub(super) struct Judged<'a> {
    pub claim: &'a ClaimOptions,
    /// The mechanism run.
    pub ours: &'a Numbers,
    /// The as-published run; none where its engines are the mechanism's.
    pub theirs: Option<&'a Numbers>,
}

impl Judged<'_> {
    pub fn verdict(&self) -> Verdict {
        if self.claim.role != Role::Claim {
            return self.control();
        }
        if matches!(self.claim.test, Test::Order(_) | Test::Larger(_)) {
            return self.relation();
        }
        let Some(band) = self.claim.band else { return Verdict::Shown };
        let inside = |n: &Numbers| n.value.is_some_and(|v| band[0] <= v.mean && v.mean <= band[1]);
        let sign = self.sign(band);
        let all = |n: &Numbers| if n.rungs.is_empty() { n.by_seed.clone() } else { n.rungs.clone() };
        let signed =
            |n: &Numbers| sign.is_none_or(|up| all(n).iter().all(|&v| if up { v > 1.0 } else { v < 1.0 }));
        if inside(self.ours) && signed(self.ours) {
            return Verdict::Reproduced;
        }
        if sign.is_some() && signed(self.ours) {
            return Verdict::DirectionOnly(self.outside(band));
        }
        if self.theirs.is_some_and(|n| inside(n) && signed(n)) {
            return Verdict::EraOnly(format!("on one engine it is {}", shown(self.ours)));
        }
        if sign.is_some() && !signed(self.ours) {
            let values = all(self.ours);
            let against = values.iter().filter(|&&v| (v > 1.0) != (sign == Some(true))).count();
            let what = if self.ours.rungs.is_empty() { "seeds" } else { "rungs and seeds" };
            let count = values.len();
            return Verdict::NotReproduced(format!("{against} of {count} {what} have the other sign"));
        }
        Verdict::NotReproduced(self.outside(band))
    }

    /// Whether the number should be above 1 (or below); none where it is no ratio to 1.
    fn sign(&self, band: [f64; 2]) -> Option<bool> {
        if !matches!(self.claim.test, Test::Ratio(_) | Test::Chain(_) | Test::Ladder(_)) {
            return None;
        }
        match self.claim.published {
            Some(published) if published != 1.0 => Some(published > 1.0),
            _ if band[0] >= 1.0 => Some(true),
            _ if band[1] <= 1.0 => Some(false),
            _ => None,
        }
    }

    fn relation(&self) -> Verdict {
        let every = |n: &Numbers| !n.holds.is_empty() && n.holds.iter().all(|h| *h);
        if every(self.ours) {
            return Verdict::Reproduced;
        }
        let failing = self.ours.holds.iter().filter(|h| !**h).count();
        let seeds = self.ours.holds.len();
        if self.ours.holds_on_average {
            return Verdict::DirectionOnly(format!(
                "on average; at {failing} of {seeds} seeds it does not hold"
            ));
        }
        if self.theirs.is_some_and(every) {
            return Verdict::EraOnly("on one engine it does not hold".to_owned());
        }
        Verdict::NotReproduced(format!("it does not hold at {failing} of {seeds} seeds, nor on average"))
    }

    fn control(&self) -> Verdict {
        if matches!(self.claim.test, Test::Order(_) | Test::Larger(_)) {
            return match self.relation() {
                Verdict::Reproduced => Verdict::Holds,
                other => Verdict::DoesNotHold(other.reason().to_owned()),
            };
        }
        let Some(band) = self.claim.band else { return Verdict::Shown };
        match self.ours.value {
            Some(v) if band[0] <= v.mean && v.mean <= band[1] => Verdict::Holds,
            _ => Verdict::DoesNotHold(self.outside(band)),
        }
    }

    fn outside(&self, band: [f64; 2]) -> String {
        let infinite = self.ours.by_seed.iter().any(|v| v.is_infinite());
        if infinite && self.ours.value.is_none() {
            return "the other system meets the limit at no rate".to_owned();
        }
        format!("{} is outside {}", shown(self.ours), band_text(band))
    }
}

/// A number with its interval.
pub(super) fn shown(numbers: &Numbers) -> String {
    match numbers.value {
        Some(value) => number(value),
        None if numbers.by_seed.iter().any(|v| v.is_infinite()) => "∞".to_owned(),
        None => "–".to_owned(),
    }
}

/// An estimate with its interval, three digits.
pub(super) fn number(value: crate::metrics::Estimate) -> String {
    match value.half_width {
        Some(half) if half > value.mean.abs() * 5e-5 => {
            format!("{} ± {}", format::digits(value.mean), format::digits(half))
        }
        _ => format::digits(value.mean),
    }
}

/// A band in words; 1000 and more is no upper end.
pub(super) fn band_text(band: [f64; 2]) -> String {
    let [low, high] = band;
    match (low > 0.0 && low.is_finite(), high < 1000.0) {
        (true, true) => format!("{low} to {high}"),
        (false, true) => format!("at most {high}"),
        _ => format!("at least {low}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Estimate;

    fn claim(test: &str, more: &str) -> ClaimOptions {
        let text = format!("name = \"x\"\nstatement = \"y\"\ntest.{test}\n{more}\n");
        toml::from_str(&text).unwrap()
    }

    fn numbers(by_seed: &[f64]) -> Numbers {
        let value = Estimate::of(by_seed.iter().copied());
        Numbers { by_seed: by_seed.to_vec(), value, ..Numbers::default() }
    }

    fn relation(holds: &[bool], on_average: bool) -> Numbers {
        Numbers { holds: holds.to_vec(), holds_on_average: on_average, ..Numbers::default() }
    }

    fn word(claim: &ClaimOptions, ours: &Numbers, theirs: Option<&Numbers>) -> &'static str {
        Judged { claim, ours, theirs }.verdict().word()
    }

    const RATIO: &str = "ratio = { of = [\"a\"], to = [\"b\"] }";

    #[test]
    fn a_size_inside_the_band_with_the_sign_at_every_seed_is_reproduced() {
        let claim = claim(RATIO, "published = 2.0\nband = [1.5, 3.0]");
        assert_eq!(word(&claim, &numbers(&[1.8, 2.2]), None), "mechanism reproduced");
        assert_eq!(word(&claim, &numbers(&[1.2, 1.3]), None), "direction only");
        assert_eq!(word(&claim, &numbers(&[4.0, 5.0]), None), "direction only");
        // Inside on average, but one seed says the opposite.
        assert_eq!(word(&claim, &numbers(&[0.9, 3.0]), None), "not reproduced");
        assert_eq!(word(&claim, &numbers(&[0.9, 0.8]), Some(&numbers(&[1.9, 2.1]))), "only with era engines");
        assert_eq!(word(&claim, &numbers(&[0.9, 0.8]), Some(&numbers(&[0.9, 1.0]))), "not reproduced");
    }

    #[test]
    fn a_published_loss_needs_a_loss_at_every_seed() {
        let claim = claim(RATIO, "published = 0.5\nband = [0.4, 0.6]");
        assert_eq!(word(&claim, &numbers(&[0.5, 0.45]), None), "mechanism reproduced");
        assert_eq!(word(&claim, &numbers(&[0.9, 0.95]), None), "direction only");
        assert_eq!(word(&claim, &numbers(&[1.1, 1.2]), None), "not reproduced");
    }

    #[test]
    fn a_value_has_no_direction() {
        let claim = claim("value = [\"a\"]", "published = 0.2\nband = [0.1, 0.4]");
        assert_eq!(word(&claim, &numbers(&[0.3, 0.3]), None), "mechanism reproduced");
        assert_eq!(word(&claim, &numbers(&[0.5, 0.5]), None), "not reproduced");
        assert_eq!(word(&claim, &numbers(&[0.5, 0.5]), Some(&numbers(&[0.2, 0.2]))), "only with era engines");
    }

    #[test]
    fn a_relation_holds_at_every_seed_or_on_average_or_not() {
        let claim = claim("order = { rising = [\"a\", \"b\"] }", "");
        assert_eq!(word(&claim, &relation(&[true, true], true), None), "mechanism reproduced");
        assert_eq!(word(&claim, &relation(&[true, false], true), None), "direction only");
        let broken = relation(&[true, false], false);
        assert_eq!(word(&claim, &broken, Some(&relation(&[true, true], true))), "only with era engines");
        assert_eq!(word(&claim, &broken, None), "not reproduced");
    }

    #[test]
    fn a_ladder_needs_the_sign_on_every_rung() {
        let claim = claim("ladder = [\"a\", \"b\"]", "band = [1.3, inf]");
        let with = |rungs: &[f64]| Numbers { rungs: rungs.to_vec(), ..numbers(&[1.8, 1.7]) };
        assert_eq!(word(&claim, &with(&[1.1, 2.9, 1.2, 2.4]), None), "mechanism reproduced");
        assert_eq!(word(&claim, &with(&[0.9, 3.6, 1.2, 2.4]), None), "not reproduced");
    }

    #[test]
    fn controls_hold_or_not_and_a_number_without_a_band_is_shown() {
        let control = claim(RATIO, "role = \"control\"\nband = [0.9, 1.1]");
        assert_eq!(word(&control, &numbers(&[1.0, 1.05]), None), "holds");
        assert_eq!(word(&control, &numbers(&[1.4, 1.5]), None), "does not hold");
        assert_eq!(word(&claim(RATIO, "role = \"baseline\""), &numbers(&[7.0, 8.0]), None), "shown");
    }

    #[test]
    fn a_baseline_that_meets_the_limit_nowhere_is_said_in_words() {
        let claim = claim(RATIO, "published = 2.0\nband = [1.5, 3.0]");
        let never = Numbers { by_seed: vec![f64::INFINITY; 2], ..Numbers::default() };
        let verdict = Judged { claim: &claim, ours: &never, theirs: None }.verdict();
        assert_eq!(verdict, Verdict::DirectionOnly("the other system meets the limit at no rate".to_owned()));
    }
}
