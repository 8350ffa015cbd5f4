//! The end of a search: the ranking, and the finalists as a study.

use crate::metrics::Estimate;
use crate::results::{CapacityCell, CapacityTable, Fate, PlanDetail, Planned, Ranked, Study, Warning};
use crate::scenario::StudyPlan;
use crate::scenario::capacity::TrialRule;
use crate::scenario::capacity_study::few_seeds;
use crate::scenario::deployments::Objective;
use crate::scenario::execute::{Executed, Failure};
use crate::workload::Prepared;

use super::distserve::Choice;
use super::passes::funnel;
use super::{Entry, Planner, bootstrap, launch, position};

impl Planner<'_> {
    /// The ranking among those that were left to the end.
    pub(super) fn conclude(
        &self,
        entries: &[Entry<'_>],
        left: &[usize],
        mut found: Vec<Planned>,
        choices: &[Choice],
    ) -> Result<(Study, PlanDetail), Failure> {
        let last = |i: usize| found[i].findings.last().map_or(Vec::new(), |f| f.rates.clone());
        let values: Vec<Vec<f64>> =
            left.iter().map(|&i| last(i).iter().map(|rate| rate / entries[i].units).collect()).collect();
        let sure = bootstrap(&values);
        let mut ranked: Vec<Ranked> = left
            .iter()
            .zip(values.iter().zip(&sure))
            .filter_map(|(&i, (values, sure))| {
                let value = Estimate::of(values.iter().copied())?;
                Some(Ranked { deployment: i, value, best: sure.best, regret: sure.regret })
            })
            .collect();
        ranked.sort_by(|a, b| b.value.mean.total_cmp(&a.value.mean).then(a.deployment.cmp(&b.deployment)));
        ranked.iter().for_each(|r| found[r.deployment].fate = Fate::Ranked);
        let funnel = funnel(&found[..self.plan.candidates.len()], self.plan.refused.len());
        let refused = self.plan.refused.iter().map(|r| (r.name.clone(), r.reason.clone())).collect();
        let winner = ranked.first().map(|r| entries[r.deployment].candidate);
        let launch = winner.map_or_else(Vec::new, |c| launch::launch(&c.system, &c.pools));
        let study = self.study_of(entries, &ranked, &found);
        let planners = choices.iter().map(|c| c.chosen(position(entries, c))).collect();
        let detail = PlanDetail {
            objective: match self.plan.objective {
                Objective::GoodputPerGpu => "goodput-per-gpu".to_owned(),
                Objective::GoodputPerDollar => "goodput-per-dollar".to_owned(),
            },
            unit: match self.plan.objective {
                Objective::GoodputPerGpu => "req/s per GPU".to_owned(),
                Objective::GoodputPerDollar => "requests per $".to_owned(),
            },
            base: self.plan.base.clone(),
            gpus: self.plan.gpus,
            funnel,
            ranked,
            deployments: found,
            refused,
            launch,
            planners,
        };
        Ok((study, detail))
    }

    /// The finalists as a study without runs, for what is shown of any study.
    fn study_of(&self, entries: &[Entry<'_>], ranked: &[Ranked], found: &[Planned]) -> Study {
        let mut plan = self.study().clone();
        plan.systems = ranked.iter().map(|r| entries[r.deployment].candidate.system.clone()).collect();
        plan.reference = 0;
        let prepared: Vec<Prepared> = self.prepared.to_vec();
        if plan.systems.is_empty() {
            // Nothing was left: the reference still says what was deployed.
            plan.systems = self.study().systems[..1].to_vec();
        }
        let asked = plan.capacity.as_ref().map_or_else(TrialRule::default, |c| c.rule);
        let cell = |(system, r): (usize, &Ranked)| {
            let finding = found[r.deployment].findings.last();
            let by_seed = finding.map_or_else(Vec::new, |f| f.rates.clone());
            let short = finding.map_or(0, |f| f.short);
            CapacityCell { system, point: 0, value: Estimate::of(by_seed.iter().copied()), by_seed, short }
        };
        let cells: Vec<CapacityCell> = ranked.iter().enumerate().map(cell).collect();
        let short: u32 = cells.iter().map(|c| c.short).sum();
        let table =
            CapacityTable { requests: asked.requests, spans: asked.spans, cells, ..CapacityTable::default() };
        let executed = Executed::of_capacities(prepared, table);
        // What is worth saying of the winner alone: that knobs differ is the point of a search.
        let winner = StudyPlan { systems: plan.systems[..1].to_vec(), ..plan.clone() };
        let warnings = executed.clone().into_study(&winner).warnings;
        let mut study = executed.into_study(&plan);
        study.warnings = warnings;
        study.warnings.extend(few_seeds(&plan, self.prepared.len()));
        study.warnings.extend((short > 0).then(|| Warning::Note {
            message: format!(
                "{short} of the last trials are shorter than the rule asks, because the workload ends"
            ),
            advice: "use more requests (`--set workload.requests=…`)".to_owned(),
        }));
        study
    }
}
