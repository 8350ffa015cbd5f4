//! Draws keyed by identity: the same (seed, component, entity, index) gives the same bits for ever, on every
//! platform, whatever else was drawn before. So two systems of a comparison see the same requests, and changing
//! one layer of a generator leaves the draws of the others alone.
//!
//! The generator is named (PCG XSL RR 128/64, O'Neill 2014) and the samplers are written here over `libm`, because
//! the value streams of `rand_distr` may differ between platforms and versions.

mod sampler;

use std::convert::Infallible;

use rand::TryRng;
use rand_pcg::Pcg64;

/// Who draws: a name such as `burstgpt/conversation/lengths`, hashed once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Component(u64);

impl Component {
    /// The component called `name` (FNV-1a, 64 bit; usable in constants).
    pub const fn named(name: &str) -> Component {
        Component(OFFSET).then(name)
    }

    /// A component below this one: `Component::named("a").then("b")` equals `Component::named("ab")`.
    pub const fn then(self, name: &str) -> Component {
        Component(fnv1a(self.0, name.as_bytes()))
    }
}

impl From<&str> for Component {
    fn from(name: &str) -> Component {
        Component::named(name)
    }
}

/// The generator of one identity. Samplers are its methods; `rand`'s traits work on it too.
#[derive(Clone, Debug)]
pub struct Draws {
    rng: Pcg64,
}

/// The draws of one identity: `component` says which law, `entity` whose draw, `index` which of its draws.
pub fn stream(seed: u64, component: impl Into<Component>, entity: u64, index: u64) -> Draws {
    let who = mix(seed ^ mix(component.into().0));
    let high = mix(who ^ mix(entity.wrapping_add(GOLDEN)));
    let low = mix(high ^ mix(index.wrapping_add(GOLDEN.wrapping_mul(2))));
    let state = (u128::from(high) << 64) | u128::from(low);
    Draws { rng: Pcg64::new(state, u128::from(who)) }
}

impl TryRng for Draws {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.rng.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.rng.try_next_u64()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.rng.try_fill_bytes(bytes)
    }
}

/// Start value of FNV-1a, 64 bit.
const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
/// 2^64 divided by the golden ratio: the increment of SplitMix64.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// FNV-1a of `bytes`, continued from `state`.
const fn fnv1a(state: u64, bytes: &[u8]) -> u64 {
    let mut hash = state;
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        i += 1;
    }
    hash
}

/// The hash that names the content of an input file, taken while it is read: XXH64 with seed 0, which `xxhsum -H64` prints.
#[derive(Clone, Debug, Default)]
pub struct ContentHash(twox_hash::XxHash64);

impl ContentHash {
    /// Goes on with `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        std::hash::Hasher::write(&mut self.0, bytes);
    }

    /// Of what came so far, as `xxh64:` and 16 hexadecimal digits.
    pub fn text(&self) -> String {
        format!("xxh64:{:016x}", std::hash::Hasher::finish(&self.0))
    }

    /// The text for some bytes.
    pub fn of(bytes: &[u8]) -> String {
        let mut hash = ContentHash::default();
        hash.update(bytes);
        hash.text()
    }
}

/// The 64-bit FNV-1a hash of a chain that went on from `hash` with `bytes`; none starts one.
pub fn chain_hash(hash: Option<u64>, bytes: &[u8]) -> u64 {
    fnv1a(hash.unwrap_or(OFFSET), bytes)
}

/// The finaliser of SplitMix64 (Steele et al. 2014): a bijection that spreads every bit.
const fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(GOLDEN);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// One number that stands for three: equal parts give equal numbers, others differ but for a chance of 2^-64.
pub fn mixed(parts: [u64; 3]) -> u64 {
    parts.into_iter().fold(OFFSET, |state, part| mix(state ^ mix(part.wrapping_add(GOLDEN))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn the_same_identity_gives_the_same_bits_and_another_gives_others() {
        let first = |seed, component: &str, entity, index| stream(seed, component, entity, index).next_u64();
        assert_eq!(first(1, "a", 2, 3), first(1, "a", 2, 3));
        let all = [first(1, "a", 2, 3), first(2, "a", 2, 3), first(1, "b", 2, 3), first(1, "a", 3, 3)];
        for (i, x) in all.iter().enumerate() {
            assert!(!all[..i].contains(x), "identity {i} repeats an earlier one");
        }
        assert_ne!(first(1, "a", 2, 3), first(1, "a", 3, 2), "entity and index are not interchangeable");
    }

    #[test]
    fn names_join() {
        assert_eq!(Component::named("twin/").then("lengths"), Component::named("twin/lengths"));
    }

    #[test]
    fn contents_are_hashed_by_xxh64() {
        // What `printf abc | xxhsum -H64` prints.
        assert_eq!(ContentHash::of(b"abc"), "xxh64:44bc2cf5ad770999");
        let mut parts = ContentHash::default();
        parts.update(b"a");
        parts.update(b"bc");
        assert_eq!(parts.text(), ContentHash::of(b"abc"));
    }

    #[test]
    fn chains_are_hashed_by_fnv1a() {
        // Published test vectors of FNV-1a (64 bit).
        assert_eq!(chain_hash(None, b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(chain_hash(Some(chain_hash(None, b"foo")), b"bar"), 0x8594_4171_f739_67e8);
    }
}
