//! `conductor`: to the replica whose first token is expected soonest, given what it has of the prompt, what it could
//! fetch from another one, and what is queued there; refuses early what would come too late.
//!
//! # Paper
//! "Mooncake: Trading More Storage for Less Computation", FAST'25, <https://arxiv.org/abs/2407.00079>, Algorithm 1 and
//! section 7 of the technical report (row A42).
//!
//! # Mechanism modelled
//! For every replica: the time to carry over the part of the longest prefix that it lacks, the time of the prompts that
//! are queued there, and the time of what is left of this prompt; the smallest sum wins. Where prefixes are fetched
//! (`prefix-fetch`), a replica fetches if the longest prefix known anywhere is more than `balance` times its own: that is
//! how prefixes that many ask for come to be on many replicas. Without `prefix-fetch` it is the paper's "cache-aware"
//! scheduling, with it "KVCache-centric". A prompt's time is that of one step of the replica's cost model, where the
//! paper fits a polynomial.
//!
//! *Early rejection*: a request is refused where its first token would come later than `reject-after`, or where the
//! replicas that decode have `answers` requests each: now (`forecast = "now"`), or when its prompt will be done, if every
//! answer takes `answer-time` from then (`"prompt-done"`).
//!
//! # Left out, and the effect
//! Caches are known exactly and at once. A step's other prompts and the loading of blocks from host memory are not in the
//! estimate, nor are other transfers on the way: estimates are too short under load. A prefix that is on its way to a
//! replica does not count there before it has come, so that two requests may fetch it twice. The paper's decode side is
//! chosen in the same decision; here the decode router chooses when the prompt is done. Chunked pipeline parallelism for
//! long prompts is not modelled (`parallel.pp` with `scheduler.chunked` comes close).
//!
//! # Parameters
//! | key | default | paper |
//! | --- | --- | --- |
//! | `balance` | 1 | `kvcache_balancing_threshold`; no value is given |
//! | `reject-after` | never | the TTFT limit, 30 s |
//! | `answers` | no limit | as many as meet the TBT limit |
//! | `forecast` | now | now; section 7.4: prompt-done |
//! | `answer-time` | 10 s | "a uniform decoding time"; no value is given |
//!
//! # Validation
//! Hand-made cases in `tests/it/conductor.rs`; figure 5 of the paper in `scenarios/papers/mooncake.toml`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::least::all;
use super::{BadParameter, Decision, Mechanism, Replicas, RouteRequest, Router, duration_text};
use crate::ids::{ReplicaId, RequestId};
use crate::units::{SimDuration, SimTime};

/// Which answers early rejection counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Forecast {
    /// Those that are being written when the request comes.
    Now,
    /// Those that will be when its prompt is done.
    PromptDone,
}

/// Parameters of `conductor`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Conductor {
    /// A replica fetches a prefix that is more than so many times as long as its own; at least 1.
    pub balance: f64,
    /// Refuse a request whose first token would come later than this after it is routed.
    #[serde(with = "duration_text::optional")]
    #[schemars(with = "Option<SimDuration>")]
    pub reject_after: Option<SimDuration>,
    /// Refuse a request where so many answers are written on each replica that decodes.
    pub answers: Option<u32>,
    /// Which answers these are.
    pub forecast: Forecast,
    /// How long an answer takes, for the forecast.
    #[serde(with = "duration_text")]
    #[schemars(with = "SimDuration")]
    pub answer_time: SimDuration,
}

impl Default for Conductor {
    fn default() -> Self {
        Conductor {
            balance: 1.0,
            reject_after: None,
            answers: None,
            forecast: Forecast::Now,
            answer_time: SimDuration::from_ms(10_000),
        }
    }
}

impl Mechanism for Conductor {
    fn build(&self) -> Box<dyn Router> {
        Box::new(Books { parameters: self.clone(), sent: Vec::new() })
    }

    fn validate(&self) -> Result<(), BadParameter> {
        if !(1.0..=1e6).contains(&self.balance) {
            let message = format!("`balance` is {}, but a replica only fetches what it lacks", self.balance);
            return Err(("balance", message, "write a number from 1 to 1000000".to_owned()));
        }
        if self.answers == Some(0) {
            let message = "`answers` is 0: every request would be refused".to_owned();
            return Err(("answers", message, "write at least 1".to_owned()));
        }
        Ok(())
    }
}

/// A request that was sent to a replica and is not done.
struct Sent {
    id: RequestId,
    to: ReplicaId,
    /// What its prompt was expected to take.
    own: SimDuration,
    /// When its prompt was expected to be done.
    done: SimTime,
}

/// The router: its parameters and what it sent.
struct Books {
    parameters: Conductor,
    sent: Vec<Sent>,
}

/// What a replica would do with the request at hand.
struct Offer {
    to: ReplicaId,
    /// Whether it fetches what it lacks.
    fetches: bool,
    own: SimDuration,
    /// Until the first token.
    total: SimDuration,
}

impl Books {
    /// Prompts that are queued at each replica, and how many requests are past that.
    fn look(&mut self, id: RequestId, replicas: &mut dyn Replicas) -> (Vec<SimDuration>, u64) {
        let mut queued = vec![SimDuration::ZERO; usize::from(replicas.count())];
        let mut answers = 0;
        self.sent.retain(|sent| sent.id != id && !replicas.expectations().is_done(sent.id));
        for sent in &self.sent {
            if replicas.expectations().has_prompt(sent.to, sent.id) {
                queued[sent.to.index()] += sent.own;
            } else {
                answers += 1;
            }
        }
        (queued, answers)
    }

    fn offers(
        &self,
        request: &RouteRequest<'_>,
        queued: &[SimDuration],
        replicas: &mut dyn Replicas,
    ) -> (Vec<Offer>, ReplicaId) {
        let up: Vec<ReplicaId> = all(replicas).filter(|&r| replicas.is_up(r)).collect();
        let kept: Vec<u32> = up.iter().map(|&r| replicas.expectations().kept(r)).collect();
        let most = kept.iter().copied().max().unwrap_or(0);
        let source = up[kept.iter().position(|&k| k == most).unwrap_or(0)];
        let offer = |(&to, &kept): (&ReplicaId, &u32)| {
            let apart = 1000 * u64::from(most) > thousandths(self.parameters.balance) * u64::from(kept);
            let carry =
                (most > kept && apart).then(|| replicas.expectations().carry_time(source, to, most - kept));
            let carry = carry.flatten();
            let blocks = if carry.is_some() { most } else { kept };
            let cached = blocks * replicas.memory(to).block;
            let own = replicas.expectations().prompt_time(to, cached, request.prompt - cached);
            let total = carry.unwrap_or(SimDuration::ZERO) + queued[to.index()] + own;
            Offer { to, fetches: carry.is_some(), own, total }
        };
        (up.iter().zip(&kept).map(offer).collect(), source)
    }

    /// Whether the request would come too late, or meet too many answers. `answers`: those of now.
    fn refuses(&self, done: SimTime, total: SimDuration, answers: u64, replicas: &mut dyn Replicas) -> bool {
        if self.parameters.reject_after.is_some_and(|limit| total > limit) {
            return true;
        }
        let Some(limit) = self.parameters.answers else { return false };
        let then = match self.parameters.forecast {
            Forecast::Now => answers,
            Forecast::PromptDone => {
                let writes = |s: &&Sent| s.done <= done && done < s.done + self.parameters.answer_time;
                self.sent.iter().filter(writes).count() as u64
            }
        };
        then >= u64::from(limit) * u64::from(replicas.expectations().writers())
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in [1, 1e6]")]
fn thousandths(balance: f64) -> u64 {
    (balance * 1000.0).round() as u64
}

impl Router for Books {
    fn route(&mut self, request: &RouteRequest<'_>, replicas: &mut dyn Replicas) -> ReplicaId {
        self.decide(request, replicas).to
    }

    fn decide(&mut self, request: &RouteRequest<'_>, replicas: &mut dyn Replicas) -> Decision {
        let first = self.sent.iter().all(|sent| sent.id != request.id);
        let (queued, answers) = self.look(request.id, replicas);
        let (offers, source) = self.offers(request, &queued, replicas);
        let best = offers.into_iter().min_by_key(|o| (o.total, o.to)).expect("one replica is up");
        let done = replicas.expectations().now() + best.total;
        if first && self.refuses(done, best.total, answers, replicas) {
            return Decision { refused: true, ..Decision::to(best.to) };
        }
        self.sent.push(Sent { id: request.id, to: best.to, own: best.own, done });
        Decision { fetch_from: best.fetches.then_some(source), ..Decision::to(best.to) }
    }
}
