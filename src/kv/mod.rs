//! KV memory of one replica: block counts, host memory for swapping, the prefix cache.

mod free_queue;
mod host_tier;
mod pool;
mod prefix;

pub use pool::{Pool, Released, UNKEYED};
pub use prefix::{BlockKey, PrefixIndex};
