//! What the registry asks of a parameter struct, and checks that several share.

use super::Scheduler;

/// A parameter that no run can work with: its key below `scheduler.KEY`, what is wrong, and what to do about it.
pub type BadParameter = (&'static str, String, String);

/// The parameters of one mechanism.
pub(super) trait Mechanism {
    /// The scheduler; `None` where the mechanism needs no replica (`ideal`).
    fn build(&self) -> Option<Box<dyn Scheduler>>;

    /// Refuses what can never work.
    fn validate(&self) -> Result<(), BadParameter>;
}

/// Refuses 0 for a parameter with which nothing could ever be scheduled.
pub(super) fn at_least_one(key: &'static str, value: u32, what: &str) -> Result<(), BadParameter> {
    if value > 0 {
        return Ok(());
    }
    Err((
        key,
        format!("`{key}` is 0, so that no step could hold any {what}"),
        format!("set `{key}` to at least 1"),
    ))
}
