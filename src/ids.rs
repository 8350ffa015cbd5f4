//! Dense identifiers: an index into the vectors of one run, never a count.

use std::fmt;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident($raw:ty), $letter:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $raw);
        impl $name {
            /// Position in a vector that is indexed by this id.
            pub fn index(self) -> usize { self.0 as usize }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, concat!($letter, "{}"), self.0) }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, concat!($letter, "{}"), self.0) }
        }
    )+};
}

ids! {
    /// A request: its row in the trace of the run, in arrival order.
    RequestId(u32), "q";
    /// One engine replica of a deployment.
    ReplicaId(u16), "r";
    /// A class of requests that the tables report apart (log type, model, tenant): an index into `Trace::classes`.
    ClassId(u16), "c";
}
