//! KV memory of one replica: block counts, host memory for swapping, the prefix cache.

mod free_queue;
mod host_tier;
mod outlook;
mod pool;
mod prefix;

pub use outlook::Outlook;
pub use pool::{Pool, Released, UNKEYED};
pub use prefix::{BlockKey, PrefixIndex};
