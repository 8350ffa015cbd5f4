//! One stream of a twin: its rate process, clusters, campaigns and lengths, each layer with its own draws.

use super::super::arrivals::picoseconds;
use super::super::dialogue::{Dialogue, Growth};
use super::super::mixture::{Campaign, Mixture};
use super::super::rows::Row;
use super::super::sessions::{SideTables, lognormal_ps};
use super::clients;
use super::rate::{Bin, RateProcess};
use super::spec::{CampaignSpec, Cluster, Envelope, Session, StartGaps, StreamSpec, TickClock, TwinSpec};
use crate::ids::ClassId;
use crate::rng::{Component, Draws, mixed, stream};

/// Most starts in a bin that have their own identity.
const STARTS_PER_BIN: u64 = 1 << 24;

/// A stream that yields the requests of one bin after the other.
pub(super) struct StreamProcess {
    seed: u64,
    /// Which stream of the twin this is.
    place: u64,
    bin_ps: u64,
    rate: RateProcess,
    renewal: Option<Renewal>,
    cluster: Cluster,
    growth: Option<Growth>,
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

/// Starts that come one after the other, whatever the bin.
struct Renewal {
    gaps: StartGaps,
    rate_scale: f64,
    /// The next start: its number and time.
    next: Option<(u64, u128)>,
}

/// Where requests go: rows, and tables by their numbers.
pub(super) struct Out<'a> {
    pub rows: &'a mut Vec<Row>,
    pub tables: &'a mut SideTables,
    /// The next session of the twin.
    pub next_session: &'a mut u32,
}

/// Components of the draws of one stream.
struct Layers {
    starts: Component,
    active: Component,
    cluster: Component,
    part: Component,
    campaign: Component,
    lengths: Component,
    growth: Component,
}

impl StreamProcess {
    pub fn new(twin: &TwinSpec, place: u64, classes: &[ClassId], rate_scale: f64, seed: u64) -> Self {
        let spec: &StreamSpec = &twin.stream[usize::try_from(place).unwrap_or(usize::MAX)];
        let root = Component::named("twin/").then(&spec.name);
        let mut sum = 0.0;
        let shares = spec.part.iter().map(|p| {
            sum += p.share;
            sum
        });
        let shares: Vec<f64> = shares.collect();
        let mixture =
            |name: &str, shift: f64| twin.lengths.get(name).cloned().map(|m| m.shift_output(shift).ready());
        let parts = classes.iter().zip(&spec.part);
        StreamProcess {
            seed,
            place,
            bin_ps: twin.bin.as_ps(),
            rate: RateProcess::new(twin, spec, rate_scale, seed),
            renewal: match spec.envelope {
                Envelope::Renewal(gaps) => Some(Renewal { gaps, rate_scale, next: None }),
                _ => None,
            },
            growth: spec.prefix.and_then(|prefix| prefix.build("").ok()).map(|g| g.of_root(place)),
            requests_per_start: requests_per_start(&spec.cluster),
            cluster: spec.cluster.clone(),
            campaign: spec.campaign,
            templates: None,
            silent: true,
            shares,
            parts: parts.filter_map(|(c, p)| Some((*c, mixture(&p.lengths, p.output_shift)?))).collect(),
            who: Layers {
                starts: root.then("/starts"),
                active: root.then("/active-part"),
                cluster: root.then("/cluster"),
                part: root.then("/part"),
                campaign: root.then("/campaign"),
                lengths: root.then("/lengths"),
                growth: root.then("/growth"),
            },
        }
    }

    /// Adds the requests of all starts of a bin to `out`, in no order; some may arrive in later bins.
    pub fn bin(&mut self, bin: u64, out: &mut Out<'_>) {
        if self.renewal.is_some() {
            return self.renewal_bin(bin, out);
        }
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

    /// The same for starts with gaps of their own.
    fn renewal_bin(&mut self, bin: u64, out: &mut Out<'_>) {
        let end = (u128::from(bin) + 1) * u128::from(self.bin_ps);
        while let Some(renewal) = &mut self.renewal {
            let (mu, sigma) = (renewal.gaps.mu, renewal.gaps.sigma);
            let gap = |id| {
                let gap_s = stream(self.seed, self.who.starts, id, 0).lognormal(mu, sigma);
                u128::from(picoseconds(gap_s / renewal.rate_scale * 1e12))
            };
            let (id, at) = renewal.next.unwrap_or_else(|| (0, gap(0)));
            if at >= end {
                renewal.next = Some((id, at));
                return;
            }
            renewal.next = Some((id + 1, at + gap(id + 1)));
            self.start(id, at, out);
        }
    }

    /// Goes on with the campaign, or starts a new one after silence and by chance.
    fn next_campaign(&mut self, bin: u64, after_silence: bool) {
        let Some(spec) = self.campaign else { return };
        let Some(persist) = spec.persist else { return };
        let mut draws = stream(self.seed, self.who.campaign, bin, 0);
        let goes_on = draws.chance(persist);
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
    fn start(&self, id: u64, at: u128, out: &mut Out<'_>) {
        let part = match self.parts.len() {
            1 => 0,
            _ => stream(self.seed, self.who.part, id, 0).pick(&self.shares),
        };
        match &self.cluster {
            Cluster::None | Cluster::PartOfBin(_) => self.request((id, 0), part, at, None, out),
            Cluster::Session(session) => self.session(id, part, at, session, out),
            Cluster::Batch(batch) => {
                let mut draws = stream(self.seed, self.who.cluster, id, 0);
                let size = 1 + draws.geometric(1.0 / batch.mean);
                let at = batch.clock.map_or(at, |clock| next_tick(clock, at, &mut draws));
                for member in 0..size {
                    let time = at + u128::from(batch.gap.as_ps()) * u128::from(member);
                    self.request((id, member), part, time, None, out);
                }
            }
            Cluster::Clients(clients) => {
                // Each client is a campaign of its own.
                let own = self.campaign.map(|spec| {
                    self.parts[part].1.campaign(spec.icc, &mut stream(self.seed, self.who.campaign, id, 0))
                });
                let times = clients::times(clients, at, &mut stream(self.seed, self.who.cluster, id, 0));
                for (member, time) in (0..).zip(times) {
                    self.request((id, member), part, time, own.as_ref(), out);
                }
            }
        }
    }

    /// The template of one start, where each is a campaign of its own.
    fn own_campaign(&self, id: u64, part: usize) -> Option<Campaign> {
        let spec = self.campaign.filter(|spec| spec.persist.is_none())?;
        Some(self.parts[part].1.campaign(spec.icc, &mut stream(self.seed, self.who.campaign, id, 0)))
    }

    fn session(&self, id: u64, part: usize, at: u128, session: &Session, out: &mut Out<'_>) {
        let mut draws = stream(self.seed, self.who.cluster, id, 0);
        let size = draws.log_series(session.p).min(u64::from(session.max));
        let number = *out.next_session;
        *out.next_session = number.saturating_add(1);
        let own = self.own_campaign(id, part);
        let class = self.parts[part].0;
        let mut time = at;
        let mut growing: Option<Dialogue> = None;
        for turn in 0..size {
            if turn > 0 {
                let cap_ps = session.think_cap.as_ps() as f64;
                time += lognormal_ps(&mut draws, session.think_mu, session.think_sigma, cap_ps);
            }
            let mut lengths = self.lengths((id, turn), part, own.as_ref());
            if let Some(growth) = &self.growth {
                let goes_on = match &mut growing {
                    None => {
                        let key = mixed([self.seed, self.place, id]);
                        growing = Some(Dialogue::open(key, lengths.0, lengths.1));
                        true
                    }
                    Some(dialogue) => {
                        let mut draws = stream(self.seed, self.who.growth, id, turn);
                        dialogue.next(growth, lengths, &mut draws)
                    }
                };
                if !goes_on {
                    return;
                }
                lengths = growing.as_ref().map_or(lengths, |d| (d.prompt, d.output));
            }
            let number = out.tables.add(Some(number), growing.as_ref().zip(self.growth.as_ref()));
            out.rows.push(Row { time, prompt: lengths.0, output: lengths.1, number, class });
        }
    }

    /// (prompt, output) of a request: of its campaign, if it has one.
    fn lengths(&self, (start, turn): (u64, u64), part: usize, own: Option<&Campaign>) -> (u32, u32) {
        let mut draws = stream(self.seed, self.who.lengths, start, turn);
        let mixture = &self.parts[part].1;
        match own.or_else(|| self.templates.as_ref().map(|t| &t[part])) {
            Some(template) => mixture.draw_in(template, &mut draws),
            None => mixture.draw(&mut draws),
        }
    }

    fn request(&self, who: (u64, u64), part: usize, time: u128, own: Option<&Campaign>, out: &mut Out<'_>) {
        let (prompt, output) = self.lengths(who, part, own);
        let number = out.tables.add(None, None);
        out.rows.push(Row { time, prompt, output, number, class: self.parts[part].0 });
    }
}

/// When a clock passes on what came at `at`.
fn next_tick(clock: TickClock, at: u128, draws: &mut Draws) -> u128 {
    if !draws.chance(clock.share) {
        return at;
    }
    let delay = picoseconds(draws.exponential(clock.delay.as_ps() as f64));
    at.next_multiple_of(u128::from(clock.period.as_ps())) + u128::from(delay)
}

/// Mean requests of one start.
fn requests_per_start(cluster: &Cluster) -> f64 {
    match cluster {
        // Clients start by themselves, not by a rate of requests.
        Cluster::None | Cluster::PartOfBin(_) | Cluster::Clients(_) => 1.0,
        Cluster::Session(s) => -s.p / ((1.0 - s.p) * libm::log1p(-s.p)),
        Cluster::Batch(b) => b.mean,
    }
}
