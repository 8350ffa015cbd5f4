//! One integration binary.

mod oracle;
