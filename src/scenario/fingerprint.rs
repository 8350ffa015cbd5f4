//! What a result depends on, as one text: what was found before is taken over where the text is the same.

use crate::metrics::slo::Slo;
use crate::rng::ContentHash;

use super::plan::SystemPlan;

/// Names the sources of this program; another program may find something else.
pub const PROGRAM: &str = env!("WINDTUNNEL_SOURCE");

/// A deployment with all its constants.
pub fn of_system(system: &SystemPlan) -> String {
    let mut hash = ContentHash::default();
    hash.update(format!("{:?}\n{:?}\n", system.spec, system.cluster).as_bytes());
    for group in &system.groups {
        let (role, replica, spec) = (group.role, &group.replica, &group.spec);
        hash.update(format!("{} {role:?} {replica:?} {spec:?}\n", group.replicas).as_bytes());
    }
    hash.update(system.joint.as_ref().map_or_else(String::new, |joint| format!("{joint:?}\n")).as_bytes());
    hash.update(format!("{:?} {:?} {:?}\n", system.scaling, system.failures, system.headroom).as_bytes());
    for setting in &system.settings {
        hash.update(format!("{}={}\n", setting.path, setting.value).as_bytes());
    }
    hash.text()
}

/// What a run is of.
pub struct RunParts<'a> {
    /// The fingerprint of its system.
    pub system: &'a str,
    /// The hash of its requests.
    pub requests: &'a str,
    /// Seed of the router's draws.
    pub seed: u64,
    /// Offered rate in requests per second.
    pub rate: Option<f64>,
    /// What it is judged by.
    pub slo: &'a Slo,
    /// Share of requests that must meet the limits.
    pub attainment: f64,
    /// Samples of its state.
    pub samples: u32,
}

/// A run with all that its numbers depend on.
pub fn of_run(parts: &RunParts<'_>) -> String {
    let RunParts { system, requests, seed, rate, slo, attainment, samples } = parts;
    let text = format!("{PROGRAM} {system} {requests} {seed} {rate:?} {slo:?} {attainment} {samples}");
    ContentHash::of(text.as_bytes())
}
