//! Containers whose iteration order can never reach a result.

#[expect(clippy::disallowed_types, reason = "the one place: `LookupMap` hides iteration")]
use rustc_hash::FxHashMap;
use std::hash::Hash;

/// A hash map that can be asked and changed, but not iterated, so that hash order stays invisible.
#[derive(Clone, Debug)]
pub struct LookupMap<K, V>(#[expect(clippy::disallowed_types, reason = "hidden")] FxHashMap<K, V>);

impl<K, V> Default for LookupMap<K, V> {
    fn default() -> Self {
        LookupMap(Default::default())
    }
}

impl<K: Eq + Hash, V> LookupMap<K, V> {
    /// The value of `key`.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.0.get(key)
    }

    /// Sets the value of `key` and returns the one it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.0.insert(key, value)
    }

    /// Forgets `key` and returns its value.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.0.remove(key)
    }

    /// The value of `key`, made by `default` where there is none.
    pub fn or_insert_with(&mut self, key: K, default: impl FnOnce() -> V) -> &mut V {
        self.0.entry(key).or_insert_with(default)
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
