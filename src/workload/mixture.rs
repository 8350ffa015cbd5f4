//! Mixtures of bivariate lognormals: the length law of the synthetic twin (generator.md §4.2).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lengths::tokens;
use crate::diagnostic::InputError;
use crate::rng::Draws;

/// Draws outside the ranges are repeated this often, then cut to them.
const REDRAWS: u32 = 200;

/// A mixture of bivariate lognormals in (prompt, output), cut to ranges by drawing again.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Mixture {
    /// Least and greatest prompt tokens.
    pub prompt: [u32; 2],
    /// Least and greatest output tokens.
    pub output: [u32; 2],
    /// Rows of [weight, mu prompt, sigma prompt, mu output, sigma output, correlation] of natural logarithms.
    pub rows: Vec<[f64; 6]>,
    #[serde(skip)]
    cumulative: Vec<f64>,
}

/// A campaign's own place inside a mixture: one row, shifted; what is left of the spread is drawn per request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Campaign {
    row: [f64; 6],
}

impl Mixture {
    /// A mixture that is not ready to draw from before it was checked.
    pub(super) fn check(&self, key: &str) -> Result<(), InputError> {
        let fail = |message: String, help: &str| Err(InputError::named(key, message, help));
        for (name, [low, high]) in [("prompt", self.prompt), ("output", self.output)] {
            if low == 0 || low > high {
                return fail(
                    format!("`{name} = [{low}, {high}]` is no range of lengths"),
                    "write [least, greatest]",
                );
            }
        }
        if self.rows.is_empty() {
            return fail(
                "the mixture has no row".to_owned(),
                "add [weight, mu, sigma, mu, sigma, correlation]",
            );
        }
        for (i, row) in self.rows.iter().enumerate() {
            let [weight, mu_in, sigma_in, mu_out, sigma_out, rho] = *row;
            let sane = row.iter().all(|x| x.is_finite())
                && weight > 0.0
                && sigma_in >= 0.0
                && sigma_out >= 0.0
                && rho.abs() <= 1.0
                && mu_in.abs() < 30.0
                && mu_out.abs() < 30.0;
            if !sane {
                let help = "weights are positive, sigmas not negative, correlations within ±1";
                return fail(format!("row {i} `{row:?}` is not a lognormal"), help);
            }
        }
        Ok(())
    }

    /// Ready to draw from.
    pub(super) fn ready(mut self) -> Self {
        let mut sum = 0.0;
        self.cumulative = self
            .rows
            .iter()
            .map(|row| {
                sum += row[0];
                sum
            })
            .collect();
        self
    }

    /// All outputs longer by the factor exp(`shift`), except constants.
    pub(super) fn shift_output(mut self, shift: f64) -> Self {
        for row in self.rows.iter_mut().filter(|row| row[4] > 0.0) {
            row[3] += shift;
        }
        self
    }

    /// One (prompt, output) of the whole mixture.
    pub(super) fn draw(&self, draws: &mut Draws) -> (u32, u32) {
        for _ in 0..REDRAWS {
            let row = &self.rows[draws.pick(&self.cumulative)];
            if let Some(pair) = self.inside(pair(row, draws)) {
                return pair;
            }
        }
        self.cut(pair(&self.rows[0], draws))
    }

    /// A campaign: one row for all its requests, its means shifted by the share `icc` of the variance.
    pub(super) fn campaign(&self, icc: f64, draws: &mut Draws) -> Campaign {
        let mut row = self.rows[draws.pick(&self.cumulative)];
        let (z1, z2) = correlated(row[5], draws);
        row[1] += icc.sqrt() * row[2] * z1;
        row[3] += icc.sqrt() * row[4] * z2;
        row[2] *= (1.0 - icc).sqrt();
        row[4] *= (1.0 - icc).sqrt();
        Campaign { row }
    }

    /// One (prompt, output) inside a campaign.
    pub(super) fn draw_in(&self, campaign: &Campaign, draws: &mut Draws) -> (u32, u32) {
        let mut last = (0.0, 0.0);
        for _ in 0..REDRAWS {
            last = pair(&campaign.row, draws);
            if let Some(pair) = self.inside(last) {
                return pair;
            }
        }
        self.cut(last)
    }

    fn inside(&self, (prompt, output): (f64, f64)) -> Option<(u32, u32)> {
        let within = |[low, high]: [u32; 2], x: f64| {
            let x = x.round();
            x >= f64::from(low) && x <= f64::from(high)
        };
        (within(self.prompt, prompt) && within(self.output, output)).then(|| (tokens(prompt), tokens(output)))
    }

    fn cut(&self, (prompt, output): (f64, f64)) -> (u32, u32) {
        let cut = |[low, high]: [u32; 2], x: f64| tokens(x).clamp(low, high);
        (cut(self.prompt, prompt), cut(self.output, output))
    }
}

/// Two standard normals with this correlation.
fn correlated(rho: f64, draws: &mut Draws) -> (f64, f64) {
    let (z1, z2) = draws.normal_pair();
    (z1, rho * z1 + (1.0 - rho * rho).sqrt() * z2)
}

fn pair(row: &[f64; 6], draws: &mut Draws) -> (f64, f64) {
    let (z1, z2) = correlated(row[5], draws);
    (libm::exp(row[1] + row[2] * z1), libm::exp(row[3] + row[4] * z2))
}
