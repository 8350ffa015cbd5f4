//! One stream of a twin: its rate process, clusters, campaigns and lengths, each layer with its own draws.

use super::super::mixture::{Campaign, Mixture};
use super::super::rows::Row;
use super::rate::{Bin, RateProcess};
use super::spec::{CampaignSpec, Cluster, StreamSpec, TwinSpec};
use crate::ids::ClassId;
use crate::rng::{Component, Draws, stream};

/// Most starts in a bin that have their own identity.
const STARTS_PER_BIN: u64 = 1 << 24;

/// A stream that yields the requests of one bin after the other.
pub(super) struct StreamProcess {
    seed: u64,
    bin_ps: u64,
    rate: RateProcess,
    cluster: Cluster,
    requests_per_start: f64,
    campaign: Option<CampaignSpec>,
    /// The campaign's template of each part.
    templates: Option<Vec<Campaign>>,
    /// Whether the last bin was off.
    silent: bool,
    shares: Vec<f64>,
    parts: Vec<(ClassId, Mixture)>,
    who: Layers,
}

/// Components of the draws of one stream.
struct Layers {
    starts: Component,
    active: Component,
    cluster: Component,
    part: Component,
    campaign: Component,
    lengths: Component,
}

impl StreamProcess {
    pub fn new(twin: &TwinSpec, spec: &StreamSpec, first_class: u16, rate_scale: f64, seed: u64) -> Self {
        let root = Component::named("twin/").then(&spec.name);
        let mut sum = 0.0;
        let shares = spec.part.iter().map(|p| {
            sum += p.share;
            sum
        });
        let shares: Vec<f64> = shares.collect();
        let mixture =
            |name: &str, shift: f64| twin.lengths.get(name).cloned().map(|m| m.shift_output(shift).ready());
        let parts = (first_class..).zip(&spec.part);
        StreamProcess {
            seed,
            bin_ps: twin.bin.as_ps(),
            rate: RateProcess::new(twin, spec, rate_scale, seed),
            cluster: spec.cluster,
            requests_per_start: requests_per_start(spec.cluster),
            campaign: spec.campaign,
            templates: None,
            silent: true,
            shares,
            parts: parts
                .filter_map(|(c, p)| Some((ClassId(c), mixture(&p.lengths, p.output_shift)?)))
                .collect(),
            who: Layers {
                starts: root.then("/starts"),
                active: root.then("/active-part"),
                cluster: root.then("/cluster"),
                part: root.then("/part"),
                campaign: root.then("/campaign"),
                lengths: root.then("/lengths"),
            },
        }
    }

    /// Adds the requests of all starts of a bin to `out`, in no order; some may arrive in later bins.
    pub fn bin(&mut self, bin: u64, out: &mut Vec<Row>) {
        let mut draws = stream(self.seed, self.who.starts, bin, 0);
        let (starts, silent) = match self.rate.next(bin) {
            Bin::On(mean) => (draws.poisson(mean / self.requests_per_start), false),
            Bin::Off(stray) => (stray, true),
        };
        self.next_campaign(bin, silent || self.silent);
        self.silent = silent;
        let (offset, length) = self.active_part(bin);
        for k in 0..starts.min(STARTS_PER_BIN) {
            let within = offset + draws.below(length);
            let at = u128::from(bin) * u128::from(self.bin_ps) + u128::from(within);
            self.start(bin * STARTS_PER_BIN + k, at, out);
        }
    }

    /// Goes on with the campaign, or starts a new one after silence and by chance.
    fn next_campaign(&mut self, bin: u64, after_silence: bool) {
        let Some(spec) = self.campaign else { return };
        let mut draws = stream(self.seed, self.who.campaign, bin, 0);
        let goes_on = draws.chance(spec.persist);
        if after_silence || self.templates.is_none() || !goes_on {
            let each = self.parts.iter().map(|(_, mixture)| mixture.campaign(spec.icc, &mut draws));
            self.templates = Some(each.collect());
        }
    }

    /// Where in the bin starts may fall: offset and length in picoseconds.
    fn active_part(&self, bin: u64) -> (u64, u64) {
        let Cluster::PartOfBin(part) = self.cluster else { return (0, self.bin_ps) };
        let mut draws = stream(self.seed, self.who.active, bin, 0);
        if !draws.chance(part.chance) {
            return (0, self.bin_ps);
        }
        let share = draws.between(part.active[0], part.active[1]);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of the bin")]
        let length = ((share * self.bin_ps as f64) as u64).clamp(1, self.bin_ps);
        (draws.below(self.bin_ps - length + 1), length)
    }

    /// The requests of one start at `at`.
    fn start(&self, id: u64, at: u128, out: &mut Vec<Row>) {
        let part = match self.parts.len() {
            1 => 0,
            _ => stream(self.seed, self.who.part, id, 0).pick(&self.shares),
        };
        match self.cluster {
            Cluster::None | Cluster::PartOfBin(_) => out.push(self.request(id, 0, part, at)),
            Cluster::Session(session) => {
                let mut draws = stream(self.seed, self.who.cluster, id, 0);
                let size = draws.log_series(session.p).min(u64::from(session.max));
                let mut time = at;
                for turn in 0..size {
                    if turn > 0 {
                        time += pause_ps(
                            &mut draws,
                            session.think_mu,
                            session.think_sigma,
                            session.think_cap.as_ps(),
                        );
                    }
                    out.push(self.request(id, turn, part, time));
                }
            }
            Cluster::Batch(batch) => {
                let size = 1 + stream(self.seed, self.who.cluster, id, 0).geometric(1.0 / batch.mean);
                for member in 0..size {
                    let time = at + u128::from(batch.gap.as_ps()) * u128::from(member);
                    out.push(self.request(id, member, part, time));
                }
            }
        }
    }

    fn request(&self, start: u64, turn: u64, part: usize, time: u128) -> Row {
        let mut draws = stream(self.seed, self.who.lengths, start, turn);
        let (class, mixture) = &self.parts[part];
        let (prompt, output) = match &self.templates {
            Some(templates) => mixture.draw_in(&templates[part], &mut draws),
            None => mixture.draw(&mut draws),
        };
        Row { time, prompt, output, number: 0, class: *class }
    }
}

/// Mean requests of one start.
fn requests_per_start(cluster: Cluster) -> f64 {
    match cluster {
        Cluster::None | Cluster::PartOfBin(_) => 1.0,
        Cluster::Session(s) => -s.p / ((1.0 - s.p) * libm::log1p(-s.p)),
        Cluster::Batch(b) => b.mean,
    }
}

/// A lognormal pause, drawn again until it is within the cap (whose check keeps at least half of the mass).
fn pause_ps(draws: &mut Draws, mu: f64, sigma: f64, cap_ps: u64) -> u128 {
    loop {
        let pause = draws.lognormal(mu, sigma) * 1e12;
        if pause <= cap_ps as f64 {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "positive and capped"
            )]
            return pause as u128;
        }
    }
}
