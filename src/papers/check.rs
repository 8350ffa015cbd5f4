//! Whether a claim is sound: its names exist, and what it compares can be measured.

use crate::diagnostic::{InputError, InputErrors, Node, Sources, nearest};
use crate::metrics::column;
use crate::scenario::Axis;

use super::judge;
use super::plan::{CAPACITY, Experiment, is_capacity};
use super::schema::{ClaimOptions, Test};

/// What must hold for a claim before anything is run.
pub(super) struct Check<'a> {
    pub claim: &'a ClaimOptions,
    pub node: &'a Node,
    pub all: &'a [ClaimOptions],
    pub experiments: &'a [Experiment],
    pub sources: &'a Sources,
}

impl Check<'_> {
    /// The position of the claim's experiment, if the claim is sound.
    pub fn experiment(&self) -> Result<usize, InputErrors> {
        let mut errors = InputErrors::default();
        let name = self.claim.experiment.as_deref().unwrap_or("scenario");
        let found = self.experiments.iter().position(|e| e.name == name);
        let Some(i) = found else {
            let names = self.experiments.iter().map(|e| e.name.as_str());
            let help = match nearest(name, names.clone()) {
                Some(best) => format!("did you mean `{best}`?"),
                None => format!("known: {}", names.collect::<Vec<_>>().join(", ")),
            };
            return Err(self.error("experiment", format!("unknown experiment `{name}`"), help).into());
        };
        if self.all.iter().filter(|c| c.name == self.claim.name).count() > 1 {
            let message = format!("two claims are called `{}`", self.claim.name);
            errors.0.push(self.error("name", message, "give each claim its own name"));
        }
        if let Some([low, high]) = self.claim.band
            && !(low <= high && low.is_finite())
        {
            let message = format!("`band = [{low}, {high}]` holds no number");
            errors.0.push(self.error("band", message, "write [least, greatest]"));
        }
        if let Some(word) = self.claim.recorded.as_deref().filter(|w| !judge::WORDS.contains(w)) {
            let message = format!("`{word}` is no verdict");
            errors.0.push(self.error("recorded", message, format!("one of: {}", judge::WORDS.join(", "))));
        }
        self.check_test(&self.experiments[i], &mut errors);
        self.check_metric(&self.experiments[i], &mut errors);
        errors.or(i)
    }

    fn check_test(&self, experiment: &Experiment, errors: &mut InputErrors) {
        let known = || experiment.plans[0].systems.iter().map(|s| s.name.as_str());
        for name in self.claim.test.systems() {
            if experiment.system(name).is_none() {
                let help = match nearest(name, known()) {
                    Some(best) => format!("did you mean `{best}`?"),
                    None => format!("in `systems.compare` are: {}", known().collect::<Vec<_>>().join(", ")),
                };
                let message = format!("claim `{}` is about `{name}`, which is not compared", self.claim.name);
                errors.0.push(self.error("test", message, help));
            }
        }
        match &self.claim.test {
            Test::Larger(_) | Test::Quotient(_) | Test::Ladder(_) => {
                let names = self.claim.test.claims();
                if names.is_empty() {
                    errors.0.push(self.error("test", "a ladder has rungs", "name at least one claim"));
                }
                let number =
                    |c: &&ClaimOptions| !c.test.is_about_claims() && !matches!(c.test, Test::Order(_));
                for name in names {
                    if !self.all.iter().filter(|c| c.name == name).any(|c| number(&c)) {
                        let message = format!("`{name}` is no claim with a number");
                        let help = "name claims with `ratio`, `value`, `spread` or `chain`";
                        errors.0.push(self.error("test", message, help));
                    }
                }
            }
            Test::Ratio(r) if r.of.is_empty() || r.to.is_empty() => {
                errors.0.push(self.error(
                    "test",
                    "a ratio has two sides",
                    "name systems in `of` and in `to`",
                ));
            }
            Test::Value(list) if list.is_empty() => {
                errors.0.push(self.error("test", "a value is of some system", "name at least one"));
            }
            Test::Order(_) | Test::Spread(_) | Test::Chain(_) if self.claim.test.systems().len() < 2 => {
                errors.0.push(self.error(
                    "test",
                    "two systems at least are compared here",
                    "name more systems",
                ));
            }
            _ => {}
        }
    }

    fn check_metric(&self, experiment: &Experiment, errors: &mut InputErrors) {
        let metric = self.claim.metric.as_deref().unwrap_or(CAPACITY);
        if self.claim.test.is_about_claims() {
            let own = [&self.claim.metric, &self.claim.experiment, &self.claim.class];
            if own.iter().any(|key| key.is_some()) {
                let help = "remove `metric`, `experiment` and `class`: they are those of the other claims";
                errors.0.push(self.error("test", "this test is about other claims", help));
            }
            return;
        }
        let plan = &experiment.plans[0];
        if is_capacity(Some(metric)) {
            if self.claim.class.is_some() {
                let message = "a capacity is that of all classes";
                errors.0.push(self.error("class", message, "remove `class`, or name a `metric`"));
            }
            if plan.slo.is_empty() && experiment.low_load.is_none() {
                let message = format!("experiment `{}` has no limit, so it has no capacity", experiment.name);
                errors.0.push(self.error("name", message, "add `[slo]`, or name a `metric` at a rate"));
            }
            return;
        }
        if column::find(metric).is_none() {
            let help = match nearest(metric, column::all().map(|c| c.key)) {
                Some(best) => format!("did you mean `{best}`?"),
                None => "see `windtunnel list metrics`, or write `capacity` or `capacity-per-gpu`".to_owned(),
            };
            errors.0.push(self.error("metric", format!("unknown metric `{metric}`"), help));
        }
        if self.claim.class.is_some() && !column::of_requests(metric) {
            let message = format!("`{metric}` is a number of the run, which no class has");
            errors.0.push(self.error("class", message, "remove `class`, or name a number of requests"));
        }
        let fixed = match &plan.axis {
            Axis::Rates(rates) => rates.len() == 1,
            Axis::Natural => true,
            Axis::Loads(_) => false,
        };
        if !fixed {
            let message = format!(
                "`{metric}` is measured at one rate, but experiment `{}` has others",
                experiment.name
            );
            errors.0.push(self.error("metric", message, "give the experiment `workload.rate` with one rate"));
        }
    }

    fn error(&self, key: &str, message: impl Into<String>, help: impl Into<String>) -> InputError {
        self.sources.error(self.node.value_span(key), message, help)
    }
}
