//! When the requests of one API client arrive (generator.md §3.4 and §5, `client`): a script that asks again after each
//! answer, or a pool of workers that runs into a limit of its rate and retries after a period.

use super::super::arrivals::picoseconds;
use super::spec::Clients;
use crate::rng::Draws;

/// Most requests of one client.
const MOST: u64 = 1_000_000;

/// Arrival times of one client that starts at `at` (picoseconds).
pub(super) fn times(law: &Clients, at: u128, draws: &mut Draws) -> Vec<u128> {
    if draws.chance(law.sequential) { sequential(law, at, draws) } else { pool(law, at, draws) }
}

fn sequential(law: &Clients, at: u128, draws: &mut Draws) -> Vec<u128> {
    let size = count(draws, law.sequential_size);
    let mean_gap_s = draws.lognormal(law.sequential_mean_gap[0], law.sequential_mean_gap[1]);
    let [mu, sigma] = law.sequential_gap;
    let mut now = at;
    (0..size)
        .map(|k| {
            if k > 0 {
                now += u128::from(picoseconds(mean_gap_s * draws.lognormal(mu, sigma) * 1e12));
            }
            now
        })
        .collect()
}

fn pool(law: &Clients, at: u128, draws: &mut Draws) -> Vec<u128> {
    let mut sum = 0.0;
    let weights: Vec<f64> = law
        .pool_of
        .iter()
        .map(|[_, weight]| {
            sum += weight;
            sum
        })
        .collect();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be 1 to 1e6")]
    let width = law.pool_of[draws.pick(&weights)][0].round() as u64;
    let size = count(draws, law.pool_size);
    let period_s = law.pool_period.as_secs_f64();
    let (mut now, mut times) = (at, Vec::new());
    while (times.len() as u64) < size {
        let batch = if draws.chance(law.pool_full) {
            width
        } else {
            1 + (1..width).filter(|_| draws.chance(law.pool_extra)).count() as u64
        };
        let left = size - times.len() as u64;
        times.extend((0..batch.min(left)).map(|_| now));
        let pause_s = if draws.chance(law.pool_on_time) { period_s } else { draws.between(1.0, period_s) };
        now += u128::from(picoseconds(pause_s * 1e12));
    }
    times
}

/// A lognormal count, at least 1.
fn count(draws: &mut Draws, [mu, sigma]: [f64; 2]) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative; saturates")]
    let count = draws.lognormal(mu, sigma).round() as u64;
    count.clamp(1, MOST)
}
