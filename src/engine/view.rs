//! What a scheduler may see of its replica.

/// Read access to one replica at the moment of planning.
pub struct EngineView<'a> {
    _marker: std::marker::PhantomData<&'a ()>,
}
