//! The event kernel: a heap of instants, generic over what happens at them.

mod queue;

pub use queue::EventQueue;
