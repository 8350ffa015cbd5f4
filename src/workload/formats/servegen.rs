//! ServeGen's data files (Xiang et al., arXiv 2505.09999) describe clients, not requests: a generator draws from them.
//! They are recognised here so that the message can say so.

use super::{Elsewhere, Format, Layout};

pub(super) static FORMAT: Format = Format {
    about: "not a trace: ServeGen's client windows and lengths are recognised, and belong to `servegen = { … }`",
    layout: Layout::Elsewhere(Elsewhere {
        columns: &["client", "window_start_s", "rate_per_s", "cv"],
        keys: &["client", "windows"],
        message: "this is a client file of ServeGen: it says how clients behave, and holds no requests",
        help: "write `servegen = { windows = \"FILE\", lengths = \"FILE\" }` in the place of `trace`",
    }),
    write: None,
};
