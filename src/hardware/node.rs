//! Which accelerators a link joins, and the slowest link that a group of ranks spans.

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Grade, Link};
use crate::catalog::Check;
use crate::diagnostic::InputErrors;

/// The table `[node]` of a host file.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct File {
    source: String,
    grade: Grade,
    accelerators: u32,
    joined: u32,
    inside: String,
    network: String,
    nics: u32,
}

/// The accelerators of one server and the links between them.
///
/// Three levels: groups of `joined` accelerators have the accelerator's own scale-up link; the rest of the server is
/// reached over `inside`; other servers over `network`. A group may be larger than the server (a rack-wide NVLink
/// domain).
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where the figures come from.
    pub source: String,
    /// How far to trust them.
    pub grade: Grade,
    /// Accelerators of one server, at least 1.
    pub accelerators: u32,
    /// Accelerators that the scale-up link joins: 1 none, 2 pairs, `accelerators` the whole server, more a rack.
    pub joined: u32,
    /// Between accelerators of one server that the scale-up link does not join.
    pub inside: Link,
    /// Between servers, one NIC, one direction.
    pub network: Link,
    /// NICs of one server for traffic between accelerators.
    pub nics: u32,
}

/// A level of the topology that a group of ranks spans.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level<'a> {
    /// Which level.
    pub reach: Reach,
    /// Its link.
    pub link: &'a Link,
    /// Members that meet at this level: ranks of one group below, or groups.
    pub members: u32,
}

/// How far a link reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Accelerators joined by the scale-up link.
    ScaleUp,
    /// One server.
    Inside,
    /// Between servers.
    Network,
}

impl Reach {
    /// In messages.
    pub fn name(self) -> &'static str {
        match self {
            Reach::ScaleUp => "joined accelerators",
            Reach::Inside => "the server",
            Reach::Network => "servers",
        }
    }
}

impl File {
    /// Loads the links that the table names and checks its numbers.
    pub(super) fn load(&self, check: &mut Check<'_>, beside: Option<&Path>) -> Result<Node, InputErrors> {
        const TABLE: &str = "node";
        check.sourced(TABLE, &self.source);
        for (key, value) in
            [("accelerators", self.accelerators), ("joined", self.joined), ("nics", self.nics)]
        {
            check.count(TABLE, key, value);
        }
        let (n, joined) = (self.accelerators.max(1), self.joined.max(1));
        let message = format!("groups of {joined} do not divide a server of {n}, nor hold whole servers");
        let ok = n.is_multiple_of(joined) || joined.is_multiple_of(n);
        let help = "write 1 (none), 2 (pairs), the accelerators of the server, or those of a rack";
        check.that(ok, TABLE, "joined", message, help);
        let inside = check.placed(TABLE, "inside", Link::load(&self.inside, beside));
        let network = check.placed(TABLE, "network", Link::load(&self.network, beside));
        Ok(Node {
            source: self.source.clone(),
            grade: self.grade,
            accelerators: n,
            joined,
            inside: inside?,
            network: network?,
            nics: self.nics,
        })
    }
}

impl Node {
    /// Accelerators that need no network between them: those of a server, or of a rack that the scale-up link joins.
    pub fn holds(&self) -> u32 {
        self.accelerators.max(self.joined).max(1)
    }

    /// The levels that `ranks` consecutive accelerators span, from the inside out, where `scale_up` is the
    /// accelerators' own link. Groups start at a server's first accelerator. One rank spans nothing.
    pub fn levels<'a>(&'a self, scale_up: &'a Link, ranks: u32) -> Vec<Level<'a>> {
        let mut levels = Vec::new();
        let mut below = 1;
        for (reach, link, holds) in [
            (Reach::ScaleUp, scale_up, self.joined),
            (Reach::Inside, &self.inside, self.holds()),
            (Reach::Network, &self.network, u32::MAX),
        ] {
            let width = ranks.min(holds);
            if width > below {
                levels.push(Level { reach, link, members: width.div_ceil(below) });
                below = width;
            }
        }
        levels
    }

    /// The slowest link that a group of `ranks` spans: the one with the least all-reduce bandwidth, because its
    /// constants decide the collective (cost-model.md: "All-reduce constants belong to the slowest link the group
    /// spans"). None for a group of one.
    pub fn link_of_group<'a>(&'a self, scale_up: &'a Link, ranks: u32) -> Option<Level<'a>> {
        let slower = |a: &Level<'_>, b: &Level<'_>| {
            a.link.all_reduce.bandwidth.0.total_cmp(&b.link.all_reduce.bandwidth.0)
        };
        self.levels(scale_up, ranks).into_iter().min_by(slower)
    }

    /// The slowest point-to-point link between neighbours of `ranks` consecutive accelerators, as pipeline stages and
    /// KV transfers see it. None for one rank.
    pub fn slowest_hop<'a>(&'a self, scale_up: &'a Link, ranks: u32) -> Option<Level<'a>> {
        let slower = |a: &Level<'_>, b: &Level<'_>| a.link.bandwidth.0.total_cmp(&b.link.bandwidth.0);
        self.levels(scale_up, ranks).into_iter().min_by(slower)
    }
}
