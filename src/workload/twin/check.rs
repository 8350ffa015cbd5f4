//! What serde cannot check in a twin recipe: numbers that make no law.

use super::spec::{Clients, Cluster, Envelope, Memory, Modulation, StreamSpec, TickClock, TwinSpec};
use crate::diagnostic::{InputError, InputErrors};
use crate::units::SimDuration;

impl TwinSpec {
    /// All that serde cannot check.
    pub(in super::super) fn check(&self) -> Result<(), InputErrors> {
        let mut errors = Vec::new();
        let mut need = |holds: bool, key: String, message: &str| {
            if !holds {
                errors.push(InputError::named(format!("twin.{key}"), message, "correct the recipe"));
            }
        };
        need(self.bin > SimDuration::ZERO, "bin".into(), "must be longer than zero");
        need(!self.stream.is_empty(), "stream".into(), "needs at least one stream");
        let calendar = |s: &StreamSpec| {
            matches!(s.envelope, Envelope::Weekly(_))
                || s.switch.as_ref().is_some_and(|w| w.on_by_hour.is_some())
        };
        let free = self.lead_in == SimDuration::ZERO || !self.stream.iter().any(calendar);
        need(free, "lead-in".into(), "cannot be combined with hours of the day");
        for (i, stream) in self.stream.iter().enumerate() {
            let hourly = self.bin == SimDuration::from_secs(3_600);
            let key = |name: &str| format!("stream[{i}].{name}");
            need(!stream.part.is_empty(), key("part"), "needs at least one part");
            for part in &stream.part {
                need(part.share > 0.0 && part.share.is_finite(), key("part.share"), "must be above zero");
                need(part.output_shift.abs() < 10.0, key("part.output-shift"), "must lie within ±10");
                need(
                    self.lengths.contains_key(&part.lengths),
                    key("part.lengths"),
                    "names no table of `lengths`",
                );
            }
            check_rate(stream, hourly, &mut |holds, name, message| need(holds, key(name), message));
            check_clusters(stream, &mut |holds, name, message| need(holds, key(name), message));
        }
        let blocks: Vec<u32> = self.stream.iter().filter_map(|s| s.prefix.map(|p| p.block)).collect();
        need(blocks.windows(2).all(|w| w[0] == w[1]), "stream.prefix".into(), "must have one `block`");
        for (i, prefix) in self.stream.iter().enumerate().filter_map(|(i, s)| Some((i, s.prefix?))) {
            errors.extend(prefix.build(&format!("twin.stream[{i}].prefix")).err());
        }
        errors.extend(
            self.lengths.iter().filter_map(|(name, m)| m.check(&format!("twin.lengths.{name}")).err()),
        );
        if errors.is_empty() { Ok(()) } else { Err(InputErrors(errors)) }
    }
}

type Need<'a> = &'a mut dyn FnMut(bool, &str, &str);

fn share(p: f64) -> bool {
    (0.0..=1.0).contains(&p)
}

fn check_rate(stream: &StreamSpec, hourly: bool, need: Need<'_>) {
    let profile = |p: &[f64]| p.len() == 24 && p.iter().all(|x| x.is_finite() && *x >= 0.0);
    match &stream.envelope {
        Envelope::Weekly(w) => {
            need(hourly, "envelope.weekly", "needs bins of one hour");
            need(profile(&w.weekday_profile), "envelope.weekly.weekday-profile", "needs 24 factors");
            need(profile(&w.weekend_profile), "envelope.weekly.weekend-profile", "needs 24 factors");
        }
        Envelope::Law(l) => {
            need(l.scale > 0.0 && l.scale.is_finite(), "envelope.law.scale", "must be above zero");
            let mixture = matches!(stream.modulation, Some(Modulation::LogMixture(_)));
            need(mixture, "envelope.law", "needs `modulation.log-mixture`");
        }
        Envelope::Renewal(r) => {
            let lone = stream.switch.is_none() && stream.modulation.is_none();
            need(
                log_normal([r.mu, r.sigma]),
                "envelope.renewal",
                "needs `mu` within ±30, `sigma` of 0 to 10",
            );
            need(lone, "envelope.renewal", "cannot be combined with `switch` or `modulation`");
        }
        Envelope::Flat(_) | Envelope::Linear(_) => {}
    }
    if let Some(switch) = &stream.switch {
        need(share(switch.stay), "switch.stay", "must lie in 0 to 1");
        need(switch.start.is_none_or(share), "switch.start", "must lie in 0 to 1");
        need(
            switch.start.is_some() != switch.on_by_hour.is_some(),
            "switch",
            "needs `start` or `on-by-hour`",
        );
        if let Some(hours) = &switch.on_by_hour {
            let inside = hours.len() == 24 && hours.iter().all(|p| *p > 0.0 && *p < 1.0);
            need(
                hourly && inside,
                "switch.on-by-hour",
                "needs bins of one hour and 24 probabilities inside 0 to 1",
            );
        }
        let background =
            switch.background.is_none_or(|b| share(b.zero) && b.geometric > 0.0 && b.geometric <= 1.0);
        need(background, "switch.background", "needs probabilities");
    }
    let memory = |m: &Option<Memory>| m.is_none_or(|m| m.sigma >= 0.0 && m.sigma < 10.0 && m.phi.abs() < 1.0);
    match &stream.modulation {
        Some(Modulation::Lognormal(l)) => {
            need(
                memory(&l.day) && memory(&l.bin),
                "modulation.lognormal",
                "needs sigmas of 0 to 10 and phis inside ±1",
            );
        }
        Some(Modulation::LogMixture(l)) => {
            let parts = l.parts.iter().all(|[w, mu, s]| *w > 0.0 && mu.abs() < 30.0 && *s > 0.0 && *s < 10.0);
            need(
                parts && !l.parts.is_empty(),
                "modulation.log-mixture.parts",
                "needs rows of [weight, mu, sigma]",
            );
            need(l.phi.abs() < 1.0, "modulation.log-mixture.phi", "must lie inside ±1");
            need(share(l.day_share), "modulation.log-mixture.day-share", "must lie in 0 to 1");
            let rest = share(l.run_share) && l.day_share + l.run_share <= 1.0;
            need(rest, "modulation.log-mixture.run-share", "must lie in 0 to 1, with `day-share`");
            let runs = l.run_share == 0.0 || stream.switch.is_some();
            need(runs, "modulation.log-mixture.run-share", "needs `switch`: without it there is one run");
            need(l.cap.is_none_or(|c| c > 0.0), "modulation.log-mixture.cap", "must be above zero");
        }
        None => {}
    }
}

fn log_normal([mu, sigma]: [f64; 2]) -> bool {
    mu.abs() < 30.0 && (0.0..10.0).contains(&sigma)
}

fn check_clients(c: &Clients, need: Need<'_>) {
    let pairs = [c.sequential_size, c.sequential_mean_gap, c.sequential_gap, c.pool_size];
    need(
        pairs.into_iter().all(log_normal),
        "cluster.clients",
        "needs pairs of `mu` within ±30 and `sigma` of 0 to 10",
    );
    let shares = [c.sequential, c.pool_full, c.pool_extra, c.pool_on_time].into_iter().all(share);
    need(shares, "cluster.clients", "needs shares in 0 to 1");
    let pools = c.pool_of.iter().all(|[k, w]| (1.0..1e6).contains(k) && *w > 0.0 && w.is_finite());
    need(pools && !c.pool_of.is_empty(), "cluster.clients.pool-of", "needs rows of [requests, weight]");
    let period = c.pool_period >= SimDuration::from_secs(1);
    need(period, "cluster.clients.pool-period", "must be at least a second");
}

fn check_clusters(stream: &StreamSpec, need: Need<'_>) {
    let sessions = matches!(stream.cluster, Cluster::Session(_));
    need(stream.prefix.is_none() || sessions, "prefix", "needs `cluster.session`");
    need(
        stream.prefix.is_none() || stream.campaign.is_none(),
        "prefix",
        "cannot be combined with `campaign`",
    );
    let binless = matches!(stream.envelope, Envelope::Renewal(_));
    let in_bins = matches!(stream.cluster, Cluster::PartOfBin(_));
    need(!(binless && in_bins), "cluster.part-of-bin", "cannot be combined with `envelope.renewal`");
    match &stream.cluster {
        Cluster::None => {}
        Cluster::Session(s) => {
            need(s.p > 0.0 && s.p < 1.0, "cluster.session.p", "must lie inside 0 to 1");
            need(s.max > 0, "cluster.session.max", "must be at least 1");
            let cap_s = s.think_cap.as_secs_f64();
            let sane = s.think_sigma >= 0.0 && s.think_sigma < 10.0 && s.think_mu.abs() < 30.0;
            need(
                sane && cap_s > libm::exp(s.think_mu),
                "cluster.session",
                "needs a `think-cap` above the median pause",
            );
        }
        Cluster::Clients(c) => check_clients(c, need),
        Cluster::Batch(b) => {
            need(b.mean >= 1.0 && b.mean.is_finite(), "cluster.batch.mean", "must be at least 1");
            let sane = |c: TickClock| c.period > SimDuration::ZERO && share(c.share);
            need(b.clock.is_none_or(sane), "cluster.batch.clock", "needs a period and a share in 0 to 1");
        }
        Cluster::PartOfBin(p) => {
            let [low, high] = p.active;
            let sane = share(p.chance) && low > 0.0 && low <= high && high <= 1.0;
            need(sane, "cluster.part-of-bin", "needs probabilities and shares of the bin");
        }
    }
    if let Some(c) = stream.campaign {
        need(share(c.icc) && c.persist.is_none_or(share), "campaign", "needs shares in 0 to 1");
        let clients = matches!(stream.cluster, Cluster::Clients(_));
        let of_starts = clients || matches!(stream.cluster, Cluster::Session(_));
        let bins = matches!(stream.envelope, Envelope::Renewal(_));
        need(c.persist.is_some() || of_starts, "campaign.persist", "is needed without sessions or clients");
        need(c.persist.is_none() || !clients, "campaign.persist", "has no meaning for `cluster.clients`");
        need(
            c.persist.is_none() || !bins,
            "campaign.persist",
            "needs bins, which `envelope.renewal` has not",
        );
    }
}
