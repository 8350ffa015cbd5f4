//! What a paper's pictures and its page say first, as sentences made from the numbers.

use crate::metrics::Estimate;
use crate::metrics::slo::{Limit, Slo};
use crate::report::format;

use super::claim::{ClaimResult, SystemNumbers};
use super::judge;
use super::plan::{Mode, PER_GPU, is_capacity};
use super::run::{Measured, PaperResult};
use super::schema::{Role, Test};
use super::tables;

/// The limit that a curve is about, its column and its value.
pub(super) fn subject(slo: &Slo) -> Option<(Limit, &'static str, f64)> {
    let shown = [Limit::NormalisedP50, Limit::NormalisedMean, Limit::GapP99, Limit::SchedulingDelayP50];
    shown.into_iter().find_map(|l| Some((l, l.column()?, slo.get(l)?.as_secs_f64())))
}

/// The limit of an experiment as sentences say it: `at 190 ms median time per output token`.
fn limit(result: &PaperResult, experiment: usize) -> String {
    let of = &result.plan.experiments[experiment];
    if let Some(low) = of.low_load {
        return format!("within {} × its own low-load {}", low.times, low.limit.limit().name());
    }
    match subject(&of.plan(Mode::Mechanism).slo) {
        Some((limit, _, value)) => format!("at {} {}", format::limit(value), limit.name()),
        None => "within the limits".to_owned(),
    }
}

/// The best of these by capacity.
fn best<'a>(systems: &'a [SystemNumbers], names: &[String]) -> Option<(&'a str, Estimate)> {
    let of = systems.iter().filter(|s| names.contains(&s.system));
    of.filter_map(|s| Some((s.system.as_str(), s.mean?))).max_by(|a, b| a.1.mean.total_cmp(&b.1.mean))
}

/// The unit of a capacity claim.
fn unit(claim: &ClaimResult) -> &'static str {
    if claim.claim.metric.as_deref() == Some(PER_GPU) { "req/s per GPU" } else { "req/s" }
}

/// `orca-64 serves 43.5 × the rate of ft-1 at 190 ms …: 11.6 against 0.266 req/s`.
fn ratio_title(result: &PaperResult, claim: &ClaimResult) -> Option<String> {
    let Test::Ratio(ratio) = &claim.claim.test else { return None };
    let numbers = claim.of(Mode::Mechanism);
    let (winner, above) = best(&numbers.systems, &ratio.of)?;
    let (other, below) = best(&numbers.systems, &ratio.to)?;
    let place = limit(result, claim.experiment);
    let Some(value) = numbers.value.filter(|_| below.mean > 0.0) else {
        return Some(format!(
            "{other} meets the limit at no rate; {winner} serves {above} {unit} {place}",
            above = format::digits(above.mean),
            unit = unit(claim)
        ));
    };
    let tie = if value.half_width.is_some() && !value.differs_from(1.0) { " (a tie)" } else { "" };
    Some(format!(
        "{winner} serves {} × the rate of {other} {place}{tie}: {} against {} {}",
        format::digits(value.mean),
        format::digits(above.mean),
        format::digits(below.mean),
        unit(claim)
    ))
}

/// The finding of an experiment's curves: its first ratio of capacities, else who carries most and least.
pub(super) fn curves(result: &PaperResult, experiment: usize) -> String {
    let about = result.claims.iter().filter(|c| {
        c.experiment == experiment
            && is_capacity(c.claim.metric.as_deref())
            && !c.claim.test.is_about_claims()
    });
    if let Some(title) = about.clone().find_map(|c| ratio_title(result, c)) {
        return title;
    }
    let unit = about.clone().next().map_or("req/s", unit);
    let mut all: Vec<(&str, f64)> = about
        .filter(|c| self::unit(c) == unit)
        .flat_map(|c| &c.of(Mode::Mechanism).systems)
        .filter_map(|s| Some((s.system.as_str(), s.mean?.mean)))
        .collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    let place = limit(result, experiment);
    match (all.first(), all.last()) {
        (Some(most), Some(least)) if most.0 != least.0 => format!(
            "{} serves most {place}: {} {unit}, against {} with {}",
            most.0,
            format::digits(most.1),
            format::digits(least.1),
            least.0
        ),
        (Some(one), _) => format!("{} serves {} {unit} {place}", one.0, format::digits(one.1)),
        _ => format!("Rates {place}"),
    }
}

/// The finding of a factor chain: all together, and the largest step.
pub(super) fn chain(claim: &ClaimResult) -> String {
    let numbers = claim.of(Mode::Mechanism);
    let (Some(first), Some(last)) = (numbers.systems.first(), numbers.systems.last()) else {
        return claim.claim.statement.clone();
    };
    let steps = numbers.systems.windows(2).filter_map(|w| Some((&w[0], &w[1], tables::ratio(&w[0], &w[1])?)));
    let largest = steps.max_by(|a, b| a.2.mean.total_cmp(&b.2.mean));
    let total = format!(
        "From {} to {} the factors multiply to {}",
        first.system,
        last.system,
        numbers.value.map_or_else(|| "–".to_owned(), |v| format!("{} ×", format::digits(v.mean)))
    );
    match largest {
        Some((from, to, by)) if numbers.systems.len() > 2 => {
            format!(
                "{total}; the largest is {} × from {} to {}",
                format::digits(by.mean),
                from.system,
                to.system
            )
        }
        _ => total,
    }
}

/// The search of the first seed.
pub(super) fn first_seed(runs: &[Measured]) -> Option<(&crate::scenario::capacity::SeedCapacity, &Slo)> {
    match runs.first()? {
        Measured::Capacity(capacity, slo) => Some((capacity, slo)),
        Measured::Run(_) => None,
    }
}

/// The answer in a sentence or two: how many claims hold and as what, then the first claim's number.
pub(super) fn answer(result: &PaperResult) -> String {
    let count = |role: Role, word: &str| {
        result.claims.iter().filter(|c| c.claim.role == role && c.verdict.word() == word).count()
    };
    let of = |role: Role| result.claims.iter().filter(|c| c.claim.role == role).count();
    let parts = |role: Role| {
        let found = judge::WORDS.iter().map(|w| (count(role, w), *w)).filter(|(n, _)| *n > 0);
        join(&found.map(|(n, word)| format!("{n} {}", in_words(word, n))).collect::<Vec<String>>())
    };
    if result.claims.iter().all(|c| c.verdict.word() == "not judged") {
        return "This run is not judged: its numbers stand without verdicts.".to_owned();
    }
    let sentence = |role: Role, things: &str| match of(role) {
        0 => String::new(),
        1 => format!("The {} {}.", things.trim_end_matches('s'), parts(role).trim_start_matches("1 ")),
        n => format!("Of {n} {things}, {}.", parts(role)),
    };
    let sentences = [sentence(Role::Claim, "claims"), sentence(Role::Control, "negative controls")];
    sentences.into_iter().filter(|s| !s.is_empty()).collect::<Vec<String>>().join(" ")
}

/// The first claim that has a published number, with what was found.
pub(super) fn first_number(result: &PaperResult) -> Option<String> {
    let claim = result.claims.iter().find(|c| c.claim.role == Role::Claim && c.claim.published.is_some())?;
    let theirs = if claim.same_engines {
        String::new()
    } else {
        format!(", with the engines of the time {}", judge::shown(claim.of(Mode::AsPublished)))
    };
    Some(format!(
        "{}: published {}, found {} on one engine{theirs} ({}).",
        claim.claim.statement,
        format::digits(claim.claim.published?),
        judge::shown(claim.of(Mode::Mechanism)),
        claim.verdict.word()
    ))
}

/// A verdict as a predicate of `n` claims.
fn in_words(word: &str, n: usize) -> String {
    let one = n == 1;
    match word {
        "mechanism reproduced" => {
            if one {
                "is reproduced by its mechanism alone"
            } else {
                "are reproduced by their mechanism alone"
            }
        }
        "direction only" => {
            if one {
                "keeps only its direction"
            } else {
                "keep only their direction"
            }
        }
        "only with era engines" => {
            if one {
                "appears only with the engines of the time"
            } else {
                "appear only with the engines of the time"
            }
        }
        "not reproduced" => {
            if one {
                "is not reproduced"
            } else {
                "are not reproduced"
            }
        }
        "holds" => {
            if one {
                "holds"
            } else {
                "hold"
            }
        }
        "does not hold" => {
            if one {
                "does not hold"
            } else {
                "do not hold"
            }
        }
        "shown" => {
            if one {
                "is shown without a verdict"
            } else {
                "are shown without a verdict"
            }
        }
        _ => {
            if one {
                "is not judged"
            } else {
                "are not judged"
            }
        }
    }
    .to_owned()
}

/// `a, b and c`.
fn join(parts: &[String]) -> String {
    match parts {
        [] => "none is there".to_owned(),
        [one] => one.clone(),
        [front @ .., last] => format!("{} and {last}", front.join(", ")),
    }
}
