//! Layers 1 and 2: how many requests a stream means to bring in a bin.

use super::spec::{
    Envelope, LogMixture, LognormalModulation, Memory, Modulation, StreamSpec, Switch, TwinSpec, Weekday,
};
use crate::rng::{Component, stream};

/// Seconds in a day.
const DAY_S: f64 = 86_400.0;

/// The rate of one stream, bin after bin.
#[derive(Clone, Debug)]
pub(super) struct RateProcess {
    seed: u64,
    bin_s: f64,
    lead_in_s: f64,
    rate_scale: f64,
    envelope: Envelope,
    switch: Option<Switch>,
    modulation: Option<Modulation>,
    /// Components of the draws: on/off, per bin, per day, background, per run.
    who: [Component; 5],
    on: bool,
    /// First bin of the run of bins that are on.
    run_start: u64,
    bin_noise: Option<f64>,
    day_noise: Option<(u64, f64)>,
}

/// What one bin brings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Bin {
    /// A Poisson number of requests with this mean.
    On(f64),
    /// Exactly this many stray requests.
    Off(u64),
}

impl RateProcess {
    pub fn new(twin: &TwinSpec, spec: &StreamSpec, rate_scale: f64, seed: u64) -> Self {
        let root = Component::named("twin/").then(&spec.name);
        RateProcess {
            seed,
            bin_s: twin.bin.as_secs_f64(),
            lead_in_s: twin.lead_in.as_secs_f64(),
            rate_scale,
            envelope: spec.envelope.clone(),
            switch: spec.switch.clone(),
            modulation: spec.modulation.clone(),
            who: ["/switch", "/bin-noise", "/day-noise", "/background", "/run-noise"]
                .map(|layer| root.then(layer)),
            on: true,
            run_start: 0,
            bin_noise: None,
            day_noise: None,
        }
    }

    /// The next bin; call with 0, 1, 2 … in order.
    pub fn next(&mut self, bin: u64) -> Bin {
        let start_s = bin as f64 * self.bin_s;
        let off = self.switch_off(bin);
        // The memory of the bins goes on while the stream is off.
        let factor = self.modulate(bin, start_s);
        if let Some(off) = off {
            return Bin::Off(off);
        }
        let mean = match &self.envelope {
            Envelope::Flat(f) => f.rate.as_per_second() * self.bin_s * factor,
            Envelope::Linear(l) => {
                let middle_s = start_s + self.bin_s / 2.0 - self.lead_in_s;
                let done = (middle_s / l.over.as_secs_f64()).clamp(0.0, 1.0);
                let (from, to) = (l.from.as_per_second(), l.to.as_per_second());
                (from + (to - from) * done) * self.bin_s * factor
            }
            Envelope::Weekly(w) => {
                let (day, hour) = (bin / 24, usize::try_from(bin % 24).unwrap_or(0));
                let weekend = (day + monday_is_zero(w.first_day)) % 7 >= 5;
                let (rate, profile) =
                    if weekend { (w.weekend, &w.weekend_profile) } else { (w.weekday, &w.weekday_profile) };
                rate.as_per_second() * profile[hour] * self.bin_s * factor
            }
            Envelope::Law(l) => l.scale * factor,
            // Starts do not come from bins: `StreamProcess` draws their gaps.
            Envelope::Renewal(_) => 0.0,
        };
        Bin::On(mean * self.rate_scale)
    }

    /// Moves the on/off chain; the number of stray requests if the bin is off.
    fn switch_off(&mut self, bin: u64) -> Option<u64> {
        let switch = self.switch.as_ref()?;
        let (stay, start) = match (&switch.on_by_hour, switch.start) {
            (Some(hours), _) => {
                let at = |b: u64| hours[usize::try_from(b % 24).unwrap_or(0)];
                let (now, before) = (at(bin), at(bin + 23));
                let stay = (switch.stay * (now / before).sqrt()).clamp(0.5, 0.97);
                (stay, ((now - before * stay) / (1.0 - before)).clamp(0.02, 0.9))
            }
            (None, start) => (switch.stay, start.unwrap_or(0.0)),
        };
        let p_on = match (bin, &switch.on_by_hour) {
            (0, Some(hours)) => hours[0],
            (0, None) => {
                if start > 0.0 {
                    start / (start + 1.0 - stay)
                } else {
                    1.0
                }
            }
            _ if self.on => stay,
            _ => start,
        };
        let was_on = bin > 0 && self.on;
        self.on = stream(self.seed, self.who[0], bin, 0).chance(p_on);
        if self.on {
            if !was_on {
                self.run_start = bin;
            }
            return None;
        }
        let Some(background) = switch.background else { return Some(0) };
        let mut draws = stream(self.seed, self.who[3], bin, 0);
        Some(if draws.chance(background.zero) { 0 } else { 1 + draws.geometric(background.geometric) })
    }

    /// The factor of the modulation; with `Envelope::Law` the mean number of requests.
    fn modulate(&mut self, bin: u64, start_s: f64) -> f64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a small positive number"
        )]
        let day = (start_s / DAY_S) as u64;
        let bin_draw = stream(self.seed, self.who[1], bin, 0).normal();
        let day_draw = || stream(self.seed, self.who[2], day, 0).normal();
        match &self.modulation {
            None => 1.0,
            Some(Modulation::Lognormal(LognormalModulation { day: of_day, bin: of_bin })) => {
                let log_day = of_day.map_or(0.0, |m| {
                    let noise = match self.day_noise {
                        Some((d, z)) if d == day => z,
                        before => remember(before.map(|(_, z)| z), m.phi, day_draw()),
                    };
                    self.day_noise = Some((day, noise));
                    centred(m, noise)
                });
                let log_bin = of_bin.map_or(0.0, |m| {
                    let noise = remember(self.bin_noise, m.phi, bin_draw);
                    self.bin_noise = Some(noise);
                    centred(m, noise)
                });
                libm::exp(log_day + log_bin)
            }
            Some(Modulation::LogMixture(law)) => {
                let noise = remember(self.bin_noise, law.phi, bin_draw);
                self.bin_noise = Some(noise);
                let common = if law.day_share > 0.0 { day_draw() } else { 0.0 };
                let of_run = || stream(self.seed, self.who[4], self.run_start, 0).normal();
                let run = if law.run_share > 0.0 { law.run_share.sqrt() * of_run() } else { 0.0 };
                let own = 1.0 - law.day_share - law.run_share;
                let g = law.day_share.sqrt() * common + own.max(0.0).sqrt() * noise + run;
                libm::exp(quantile(law, g)).min(law.cap.unwrap_or(f64::INFINITY))
            }
        }
    }
}

/// A stationary AR(1) of unit variance.
fn remember(before: Option<f64>, phi: f64, draw: f64) -> f64 {
    before.map_or(draw, |z| phi * z + (1.0 - phi * phi).sqrt() * draw)
}

/// The log of a factor with mean 1.
fn centred(m: Memory, noise: f64) -> f64 {
    m.sigma * noise - m.sigma * m.sigma / 2.0
}

fn monday_is_zero(day: Weekday) -> u64 {
    day as u64
}

/// The point of the normal mixture with the same probability below it as a standard normal has below `g`.
fn quantile(law: &LogMixture, g: f64) -> f64 {
    if let [[_, mu, sigma]] = law.parts[..] {
        return mu + sigma * g;
    }
    let below = |x: f64| libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2) / 2.0;
    let total: f64 = law.parts.iter().map(|p| p[0]).sum();
    let target = below(g) * total;
    let ends = law.parts.iter().map(|[_, mu, s]| (mu - 9.0 * s, mu + 9.0 * s));
    let (mut low, mut high) = ends.fold((f64::MAX, f64::MIN), |(a, b), (l, h)| (a.min(l), b.max(h)));
    for _ in 0..50 {
        let middle = low + (high - low) / 2.0;
        let mass: f64 = law.parts.iter().map(|[w, mu, s]| w * below((middle - mu) / s)).sum();
        if mass < target { low = middle } else { high = middle }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_a_mixture_invert_its_law() {
        let law = |parts: &[[f64; 3]]| LogMixture {
            parts: parts.to_vec(),
            phi: 0.0,
            day_share: 0.0,
            run_share: 0.0,
            cap: None,
        };
        assert!((quantile(&law(&[[1.0, 2.0, 0.5]]), 1.0) - 2.5).abs() < 1e-12);
        // Two equal halves are one normal.
        assert!((quantile(&law(&[[0.5, 2.0, 0.5], [0.5, 2.0, 0.5]]), -1.5) - 1.25).abs() < 1e-9);
        // A symmetric mixture has its median in the middle.
        assert!((quantile(&law(&[[0.5, 0.0, 1.0], [0.5, 6.0, 1.0]]), 0.0) - 3.0).abs() < 1e-6);
    }
}
