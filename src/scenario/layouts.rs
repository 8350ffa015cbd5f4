//! The layouts of `[plan]`: pools of equal replicas that fit a number of accelerators, together or with prefill and decode
//! apart.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::engine::config::Role;

/// Lists for one pool of `plan.disaggregated`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct PoolLists {
    /// Tensor parallel ranks of a replica; default `plan.tp`.
    pub tp: Option<Vec<u32>>,
    /// Pipeline stages of a replica; default `plan.pp`.
    pub pp: Option<Vec<u32>>,
    /// Numbers of replicas; default: all that fit.
    pub replicas: Option<Vec<u32>>,
}

/// Equal replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Which phases of a request they compute.
    pub role: Role,
    /// Tensor parallel ranks of each.
    pub tp: u32,
    /// Pipeline stages of each.
    pub pp: u32,
    /// How many.
    pub replicas: u32,
}

impl Pool {
    /// Accelerators of all of them.
    pub fn gpus(&self) -> u32 {
        self.tp * self.pp * self.replicas
    }

    /// Its ranks and replicas, such as `tp4 pp1 x2`.
    pub fn name(&self) -> String {
        format!("tp{} pp{} x{}", self.tp, self.pp, self.replicas)
    }
}

/// The pools as a name says them: `tp4 pp1 x2`, or `P tp2 pp1 x1 + D tp4 pp1 x2`.
pub fn name(pools: &[Pool]) -> String {
    let letter = |role: Role| match role {
        Role::Whole => "",
        Role::Prefill => "P ",
        Role::Decode => "D ",
    };
    let words: Vec<String> = pools.iter().map(|p| format!("{}{}", letter(p.role), p.name())).collect();
    words.join(" + ")
}

/// What a pool may be made of.
#[derive(Clone, Debug)]
pub struct Space {
    /// Which phases its replicas compute.
    pub role: Role,
    /// Tensor parallel ranks.
    pub tp: Vec<u32>,
    /// Pipeline stages.
    pub pp: Vec<u32>,
    /// Numbers of replicas; none: all that fit.
    pub replicas: Option<Vec<u32>>,
}

impl Space {
    /// One replica of each kind, tensor-parallel ranks first.
    pub fn shapes(&self) -> impl Iterator<Item = Pool> + '_ {
        let pool = |tp: u32, pp: u32| Pool { role: self.role, tp, pp, replicas: 1 };
        self.tp.iter().flat_map(move |&tp| self.pp.iter().map(move |&pp| pool(tp, pp)))
    }

    /// A kind of replica as often as it fits `gpus` accelerators.
    fn filled(&self, shape: Pool, gpus: u32) -> impl Iterator<Item = Pool> + '_ {
        let most = shape.tp.checked_mul(shape.pp).map_or(0, |one| gpus / one);
        let listed = self.replicas.iter().flatten().copied().filter(move |&n| n <= most);
        let all = (1..=most).take_while(|_| self.replicas.is_none());
        listed.chain(all).map(move |replicas| Pool { replicas, ..shape })
    }

    /// Every pool of whole replicas that fits.
    fn fits(&self, gpus: u32) -> impl Iterator<Item = Pool> + '_ {
        self.shapes().flat_map(move |shape| self.filled(shape, gpus))
    }
}

/// Every pool of replicas that compute whole requests, as far as it fits.
pub fn together(space: &Space, gpus: u32) -> impl Iterator<Item = Vec<Pool>> + '_ {
    space.fits(gpus).map(|pool| vec![pool])
}

/// Every prefill pool with every decode pool that fits beside it.
pub fn apart<'a>(prefill: &'a Space, decode: &'a Space, gpus: u32) -> impl Iterator<Item = Vec<Pool>> + 'a {
    let beside = move |p: Pool| decode.fits(gpus - p.gpus()).map(move |d| vec![p, d]);
    prefill.fits(gpus).flat_map(beside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(role: Role, tp: &[u32], replicas: Option<Vec<u32>>) -> Space {
        Space { role, tp: tp.to_vec(), pp: vec![1], replicas }
    }

    #[test]
    fn every_ratio_that_fits_is_there_once() {
        let (p, d) = (space(Role::Prefill, &[1], None), space(Role::Decode, &[1], None));
        // (1,1) (1,2) (1,3) (2,1) (2,2) (3,1)
        assert_eq!(apart(&p, &d, 4).count(), 6);
        let d = space(Role::Decode, &[2], Some(vec![1]));
        let names: Vec<String> = apart(&p, &d, 4).map(|pools| name(&pools)).collect();
        assert_eq!(names, ["P tp1 pp1 x1 + D tp2 pp1 x1", "P tp1 pp1 x2 + D tp2 pp1 x1"]);
        assert!(apart(&p, &d, 4).all(|pools| pools.iter().map(Pool::gpus).sum::<u32>() <= 4));
        assert_eq!(apart(&p, &d, 2).count(), 0);
    }

    #[test]
    fn layouts_together_are_named_without_a_role() {
        let whole = space(Role::Whole, &[2], None);
        let names: Vec<String> = together(&whole, 4).map(|pools| name(&pools)).collect();
        assert_eq!(names, ["tp2 pp1 x1", "tp2 pp1 x2"]);
    }
}
