//! BurstGPT's token columns alone: an empirical length distribution.

use super::super::rows::Clock;
use super::{Format, Layout, Table};

pub(super) static FORMAT: Format = Format {
    about: "lengths only: Request tokens,Response tokens",
    layout: Layout::Table(Table {
        arrival: None,
        prompt: "Request tokens",
        output: "Response tokens",
        class: &[],
        zero_output_is_failure: true,
        clock: Clock::Detect,
    }),
    write: None,
};
