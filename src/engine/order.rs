//! The lists of a replica stand in queue order: by rank, then by who joined first (docs/semantics.md §4).

use crate::ids::RequestId;

use super::replica::ReplicaState;
use super::world::World;

impl ReplicaState {
    /// Puts a request into the waiting queue, at its place.
    pub fn wait(&mut self, id: RequestId, world: &World<'_>) {
        let at = match self.waiting.back() {
            Some(&last) if world.request(last).place() > world.request(id).place() => {
                self.place_in_queue(id, world)
            }
            _ => self.waiting.len(),
        };
        self.waiting.insert(at, id);
    }

    /// Where `id` stands in the waiting queue, or would stand. O(log waiting).
    pub fn place_in_queue(&self, id: RequestId, world: &World<'_>) -> usize {
        let place = world.request(id).place();
        self.waiting.partition_point(|&w| world.request(w).place() < place)
    }
}

/// Inserts `id` at its place in queue order.
pub(crate) fn insert_ordered(list: &mut Vec<RequestId>, id: RequestId, world: &World<'_>) {
    let place = world.request(id).place();
    if list.last().is_none_or(|&l| world.request(l).place() < place) {
        return list.push(id);
    }
    let at = list.partition_point(|&r| world.request(r).place() < place);
    list.insert(at, id);
}

/// Removes `id` from a list in queue order.
pub(crate) fn remove_ordered(list: &mut Vec<RequestId>, id: RequestId, world: &World<'_>) {
    let place = world.request(id).place();
    let at = list.partition_point(|&r| world.request(r).place() < place);
    assert_eq!(list.get(at), Some(&id), "a request is where its place says");
    list.remove(at);
}
