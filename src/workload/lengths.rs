//! Length laws: (prompt, output) of one request.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::components::{Components, LengthsComponent};
use super::formats::{ColumnMap, ReadOptions, read_trace};
use super::law::{TokenLaw, Tokens};
use super::mixture::Mixture;
use super::prepare::Beside;
use crate::diagnostic::{InputError, InputErrors};
use crate::rng::Draws;

/// Greatest limit of a Zipf law: its table has one entry a length.
const ZIPF_BELOW_MAX: u32 = 1 << 24;

/// A law of (prompt, output) lengths in tokens.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LengthsSpec {
    /// All requests alike.
    Fixed(FixedLengths),
    /// Prompt and output independent, each uniform over a range.
    Uniform(UniformLengths),
    /// Prompt and output independent, each lognormal.
    Lognormal(LognormalLengths),
    /// Prompt and output independent, each by a law of its own.
    Independent(IndependentLengths),
    /// Pairs drawn with replacement from the rows of a file (a trace or a lengths file).
    Empirical(EmpiricalLengths),
    /// Prompt and output independent, Zipf below a limit (BurstGPT's own generator: 1.1, 1024).
    Zipf(ZipfLengths),
    /// A mixture of bivariate lognormals.
    Mixture(Mixture),
    /// Several laws, each a class of its own.
    Components(Vec<LengthsComponent>),
}

/// Parameters of `fixed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FixedLengths {
    /// Prompt tokens.
    pub prompt: u32,
    /// Output tokens.
    pub output: u32,
}

/// Parameters of `uniform`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UniformLengths {
    /// Least and greatest prompt tokens, both included.
    pub prompt: [u32; 2],
    /// Least and greatest output tokens, both included.
    pub output: [u32; 2],
}

/// Parameters of `independent`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IndependentLengths {
    /// Prompt tokens.
    pub prompt: TokenLaw,
    /// Output tokens.
    pub output: TokenLaw,
}

/// Parameters of `lognormal`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LognormalLengths {
    /// Prompt tokens.
    pub prompt: Lognormal,
    /// Output tokens.
    pub output: Lognormal,
}

/// A lognormal by mean and coefficient of variation, or by median and 90th percentile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lognormal {
    /// Mean in tokens.
    pub mean: Option<f64>,
    /// Standard deviation divided by the mean.
    pub cv: Option<f64>,
    /// Median in tokens.
    pub median: Option<f64>,
    /// 90th percentile in tokens.
    pub p90: Option<f64>,
    /// Longer draws are cut to this; default 131072 tokens.
    pub max: Option<u32>,
}

/// Parameters of `empirical`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmpiricalLengths {
    /// The file; relative to the scenario.
    pub file: PathBuf,
    /// Its format, where it shall not be detected.
    pub format: Option<String>,
    /// Its columns, for a generic table.
    pub columns: Option<ColumnMap>,
}

/// Parameters of `zipf`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ZipfLengths {
    /// Exponent.
    pub theta: f64,
    /// Lengths stay below this.
    pub below: u32,
}

/// A length law ready to draw from.
#[derive(Clone, Debug)]
pub(super) enum Lengths {
    Fixed(u32, u32),
    Uniform(UniformLengths),
    Lognormal { prompt: (f64, f64, u32), output: (f64, f64, u32) },
    Independent(Tokens, Tokens),
    Pairs(EmpiricalPairs),
    Zipf(Vec<f64>),
    Mixture(Mixture),
    Components(Box<Components>),
}

/// The rows of a lengths file, and what the manifest says about it.
#[derive(Clone, Debug)]
pub(super) struct EmpiricalPairs {
    pairs: Vec<(u32, u32)>,
    pub source: String,
    pub content_hash: Option<String>,
}

impl Lengths {
    /// One (prompt, output); both at least 1.
    pub fn draw(&self, draws: &mut Draws) -> (u32, u32) {
        match self {
            Lengths::Fixed(prompt, output) => (*prompt, *output),
            Lengths::Uniform(u) => (within(u.prompt, draws), within(u.output, draws)),
            Lengths::Lognormal { prompt, output } => {
                let (a, b) = draws.normal_pair();
                let cut =
                    |(mu, sigma, max): (f64, f64, u32), z: f64| tokens(libm::exp(mu + sigma * z)).min(max);
                (cut(*prompt, a), cut(*output, b))
            }
            Lengths::Independent(prompt, output) => (prompt.draw(draws), output.draw(draws)),
            Lengths::Pairs(EmpiricalPairs { pairs, .. }) => {
                let row = usize::try_from(draws.below(pairs.len() as u64)).unwrap_or(0);
                pairs[row]
            }
            Lengths::Zipf(cumulative) => {
                let mut one = || u32::try_from(draws.pick(cumulative) + 1).unwrap_or(u32::MAX);
                (one(), one())
            }
            Lengths::Mixture(mixture) => mixture.draw(draws),
            Lengths::Components(components) => components.draw(draws).1,
        }
    }

    /// The number of its class, and (prompt, output).
    pub fn draw_of_class(&self, draws: &mut Draws) -> (u16, (u32, u32)) {
        match self {
            Lengths::Components(components) => components.draw(draws),
            law => (0, law.draw(draws)),
        }
    }

    /// Names of the classes, by their numbers.
    pub fn classes(&self) -> Vec<String> {
        match self {
            Lengths::Components(components) => components.classes(),
            _ => vec!["all".to_owned()],
        }
    }
}

fn within([low, high]: [u32; 2], draws: &mut Draws) -> u32 {
    let offset = draws.below(u64::from(high - low) + 1);
    low + u32::try_from(offset).unwrap_or(0)
}

/// A positive real rounded to a token count of at least 1 (saturating).
pub(super) fn tokens(x: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates at both ends")]
    let count = x.round() as u32;
    count.max(1)
}

impl LengthsSpec {
    /// The law, ready to draw from; reads the file of `empirical`.
    pub(super) fn build(&self, beside: Beside<'_>) -> Result<Lengths, InputErrors> {
        let wrong = |key: &str, message: String, help: &str| {
            Err(InputError::named(format!("workload.lengths.{key}"), message, help).into())
        };
        match self {
            LengthsSpec::Fixed(f) if f.prompt == 0 || f.output == 0 => {
                wrong("fixed", "lengths must be at least 1".to_owned(), "write `prompt = 1` or more")
            }
            LengthsSpec::Fixed(f) => Ok(Lengths::Fixed(f.prompt, f.output)),
            LengthsSpec::Uniform(u) => {
                match [u.prompt, u.output].iter().find(|[low, high]| *low == 0 || low > high) {
                    Some([low, high]) => wrong(
                        "uniform",
                        format!("`[{low}, {high}]` is no range of lengths"),
                        "write [least, greatest]",
                    ),
                    None => Ok(Lengths::Uniform(*u)),
                }
            }
            LengthsSpec::Lognormal(l) => Ok(Lengths::Lognormal {
                prompt: l.prompt.parameters("workload.lengths.lognormal.prompt")?,
                output: l.output.parameters("workload.lengths.lognormal.output")?,
            }),
            LengthsSpec::Independent(i) => Ok(Lengths::Independent(
                i.prompt.build("workload.lengths.independent.prompt")?,
                i.output.build("workload.lengths.independent.output")?,
            )),
            LengthsSpec::Empirical(e) => Ok(Lengths::Pairs(e.read(beside)?)),
            LengthsSpec::Zipf(z) => Ok(Lengths::Zipf(zipf(z, "workload.lengths.zipf")?)),
            LengthsSpec::Mixture(m) => {
                m.check("workload.lengths.mixture")?;
                Ok(Lengths::Mixture(m.clone().ready()))
            }
            LengthsSpec::Components(c) => Ok(Lengths::Components(Box::new(Components::build(c, beside)?))),
        }
    }
}

/// Cumulative weights k^-theta for k = 1 .. below.
pub(super) fn zipf(z: &ZipfLengths, key: &str) -> Result<Vec<f64>, InputError> {
    if z.below < 2 || z.below > ZIPF_BELOW_MAX || !z.theta.is_finite() || z.theta.abs() > 100.0 {
        let message = format!("`theta = {}, below = {}` is no law of lengths", z.theta, z.below);
        return Err(InputError::named(key, message, "write `zipf = { theta = 1.1, below = 1024 }`"));
    }
    let mut sum = 0.0;
    let weights = (1..z.below).map(|k| {
        sum += libm::pow(f64::from(k), -z.theta);
        sum
    });
    Ok(weights.collect())
}

impl Lognormal {
    /// (mu, sigma, max) of the natural logarithm.
    pub(super) fn parameters(&self, key: &str) -> Result<(f64, f64, u32), InputError> {
        /// 90th percentile of the standard normal.
        const Z90: f64 = 1.281_551_565_544_600_4;
        let max = self.max.unwrap_or(131_072).max(1);
        let fail = |message: &str| {
            let help = "write `{ mean = 500, cv = 1.2 }` or `{ median = 300, p90 = 1200 }`";
            Err(InputError::named(key, message, help))
        };
        match (self.mean, self.cv, self.median, self.p90) {
            (Some(mean), Some(cv), None, None) => {
                if !(mean > 0.0 && cv >= 0.0 && mean.is_finite() && cv.is_finite()) {
                    return fail("needs `mean` above zero and `cv` of zero or more");
                }
                let variance = libm::log1p(cv * cv);
                Ok((libm::log(mean) - variance / 2.0, variance.sqrt(), max))
            }
            (None, None, Some(median), Some(p90)) => {
                if !(median > 0.0 && p90 >= median && p90.is_finite()) {
                    return fail("needs `median` above zero and `p90` of at least the median");
                }
                Ok((libm::log(median), libm::log(p90 / median) / Z90, max))
            }
            _ => fail("needs either `mean` and `cv`, or `median` and `p90`"),
        }
    }
}

impl EmpiricalLengths {
    fn read(&self, beside: Beside<'_>) -> Result<EmpiricalPairs, InputErrors> {
        let options = ReadOptions {
            format: self.format.clone(),
            columns: self.columns.clone(),
            sort: true,
            ..ReadOptions::default()
        };
        let rows = read_trace(&beside.locate(&self.file), &options)?;
        let pairs: Vec<(u32, u32)> = rows.lengths().collect();
        if pairs.is_empty() {
            let help = "only failed requests were found: use another file";
            return Err(InputError::named(&*rows.report.source, "the file has no lengths", help).into());
        }
        Ok(EmpiricalPairs {
            pairs,
            source: format!("lengths {}", rows.report.source),
            content_hash: rows.report.content_hash,
        })
    }
}
