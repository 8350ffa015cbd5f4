//! Which ports KV goes through between replicas: from the hosts' topology to `engine::config::Network`.
//!
//! Replicas stand on consecutive accelerators of servers. Inside a server (or a rack that the scale-up link joins) a
//! replica has the scale-up rate of its accelerators, each direction, or where that link does not join all of them the
//! rate of the link inside. Between servers it has the NICs: its own where every accelerator has one, else the server's,
//! which all replicas on it share. The way from tensor-parallel rank to rank of another degree is as wide as the
//! narrower side.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::catalog::{self, Shelf};
use crate::diagnostic::{InputErrors, Node};
use crate::engine::config::{Attachment, Messages, Network, Sharing};
use crate::hardware::{Host, Link};
use crate::units::{Seconds, SimDuration};

use super::document::Document;
use super::plan::{Setting, SystemPlan};

/// How replicas stand on servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// One after the other, prefill replicas first.
    #[default]
    Packed,
    /// The decode replicas start on a server of their own.
    Apart,
    /// A prefill and a decode replica in turn, as long as there are both; a pair that does not fit on the rest of a
    /// server stands on the next one.
    Paired,
}

/// How many messages a transfer takes, each of which takes the link's latency in turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MessageRule {
    /// One: the blocks are gathered first, or one call posts them all.
    #[default]
    Whole,
    /// One per layer.
    Layers,
    /// One per block and layer.
    Blocks,
}

/// What a scenario says of the links between replicas.
#[derive(Clone, Debug)]
pub(super) struct Wiring {
    pub layout: Layout,
    /// Link between servers; else that of the node.
    pub network: Option<String>,
    /// NICs of a server; else those of the node.
    pub nics: Option<u32>,
    pub sharing: Sharing,
    pub messages: MessageRule,
}

/// A replica to be placed: its pool, and its number among all replicas.
#[derive(Clone, Copy)]
struct Piece {
    pool: usize,
    id: usize,
}

/// Builds the network of one pool or two; `table` is where the scenario says it, with its path.
pub(super) fn build(
    options: &Wiring,
    (table, path): (&Node, &str),
    pools: &[SystemPlan],
    doc: &Document,
) -> Result<Network, InputErrors> {
    let between = match &options.network {
        None => None,
        Some(name) => {
            let at = table.value_span("network");
            catalog::find(Shelf::Links, name, doc.beside())
                .map_err(|e| doc.sources.error(at, e.message, e.help))?;
            Some(Link::load(name, doc.beside())?)
        }
    };
    let same_host = pools.iter().all(|p| p.spec.accelerator.host.name == pools[0].spec.accelerator.host.name);
    if !same_host && options.layout != Layout::Apart && table.get("layout").is_some() {
        let message = format!("`{path}.layout`: the pools have servers of different kinds");
        let help = "write `layout = \"apart\"`, or remove it";
        return Err(doc.sources.error(table.value_span("layout"), message, help).into());
    }
    if options.nics == Some(0) {
        let message = format!("`{path}.nics`: a server without NICs reaches no other");
        return Err(doc.sources.error(table.value_span("nics"), message, "write at least 1").into());
    }
    let layout = if same_host { options.layout } else { Layout::Apart };
    let mut ground = Ground { options, between, network: Network::default(), server: 0, used: 0 };
    let count: usize = pools.iter().map(|p| usize::from(p.cluster.replicas)).sum();
    let unplaced = Attachment { server: 0, network_out: 0, network_in: 0, inside_out: 0, inside_in: 0 };
    ground.network.attached = vec![unplaced; count];
    ground.network.sharing = options.sharing;
    let (spec, block) = (&pools[0].spec, pools[0].cluster.replica.kv.block);
    let layers = u64::from(spec.model.layers);
    let block_bytes = spec.model.kv_bytes_per_token(spec.kv.bytes()).0 * f64::from(block);
    ground.network.block_bytes = whole(block_bytes);
    ground.network.messages = match options.messages {
        MessageRule::Whole => Messages { fixed: 1, per_block: 0 },
        MessageRule::Layers => Messages { fixed: layers, per_block: 0 },
        MessageRule::Blocks => Messages { fixed: 0, per_block: layers },
    };
    let mut last = 0;
    for piece in order(pools, layout) {
        if layout == Layout::Apart && piece.pool != last {
            ground.next_server();
        }
        if layout == Layout::Paired && piece.pool == 0 && is_paired(pools, piece) {
            ground.keep_together(pools);
        }
        last = piece.pool;
        ground.place(piece, &pools[piece.pool]);
    }
    Ok(ground.network)
}

/// Replicas in the order in which they stand.
fn order(pools: &[SystemPlan], layout: Layout) -> Vec<Piece> {
    let prefill = usize::from(pools[0].cluster.replicas);
    let count = |pool: usize| pools.get(pool).map_or(0, |pool| usize::from(pool.cluster.replicas));
    let (decode, mixed) = (count(1), count(2));
    let rest = (0..mixed).map(|i| Piece { pool: 2, id: prefill + decode + i });
    let (p, d) = (|i| Piece { pool: 0, id: i }, |i| Piece { pool: 1, id: prefill + i });
    if layout == Layout::Paired {
        let both = 0..prefill.max(decode);
        return both
            .flat_map(|i| [(i < prefill).then(|| p(i)), (i < decode).then(|| d(i))])
            .flatten()
            .chain(rest)
            .collect();
    }
    (0..prefill).map(p).chain((0..decode).map(d)).chain(rest).collect()
}

/// Whether a prefill replica has a decode replica to stand beside.
fn is_paired(pools: &[SystemPlan], piece: Piece) -> bool {
    pools.get(1).is_some_and(|decode| piece.id < usize::from(decode.cluster.replicas))
}

/// Accelerators of one replica.
fn accelerators(pool: &SystemPlan) -> u32 {
    pool.options.parallel.tp * pool.options.parallel.pp
}

/// Where the next replica goes, and the ports so far.
struct Ground<'a> {
    options: &'a Wiring,
    /// The link between servers that the scenario names.
    between: Option<Link>,
    network: Network,
    server: u32,
    /// Accelerators of the current server that are taken.
    used: u32,
}

impl Ground<'_> {
    fn next_server(&mut self) {
        if self.used > 0 {
            self.server += 1;
            self.used = 0;
        }
    }

    /// The next pair does not start on the rest of a server if it fits on a whole one only.
    fn keep_together(&mut self, pools: &[SystemPlan]) {
        let (pair, holds) = (
            pools.iter().take(2).map(accelerators).sum::<u32>(),
            pools[0].spec.accelerator.host.node.holds(),
        );
        if pair <= holds && self.used + pair > holds {
            self.next_server();
        }
    }

    fn place(&mut self, piece: Piece, pool: &SystemPlan) {
        let host = &pool.spec.accelerator.host;
        let holds = host.node.holds();
        let gpus = accelerators(pool);
        if self.used + gpus > holds {
            self.next_server();
        }
        let servers = gpus.div_ceil(holds);
        let link = self.between.as_ref().unwrap_or(&host.node.network);
        let nics = self.options.nics.unwrap_or(host.node.nics);
        let (rate, latency) = (link.bandwidth.0, link.latency);
        let own = nics >= host.node.accelerators || servers > 1;
        let (name, wide) = if own {
            let share = f64::from(nics) / f64::from(host.node.accelerators);
            (format!("replica {}", piece.id), rate * share * f64::from(gpus))
        } else {
            (format!("server {}", self.server), rate * f64::from(nics))
        };
        let network = self.ports(&name, wide);
        let (inside, inside_latency) = inside(host, &pool.spec.accelerator.scale_up);
        let inside = self.ports(&format!("replica {} inside", piece.id), inside * f64::from(gpus));
        self.network.network_latency = self.network.network_latency.max(picoseconds(latency));
        self.network.inside_latency = self.network.inside_latency.max(picoseconds(inside_latency));
        self.network.attached[piece.id] = Attachment {
            server: self.server,
            network_out: network,
            network_in: network + 1,
            inside_out: inside,
            inside_in: inside + 1,
        };
        self.used += gpus;
        if self.used >= holds {
            self.server += servers;
            self.used = 0;
        }
    }

    /// The ports out and in of this name, which are made where there are none: returns the first.
    fn ports(&mut self, name: &str, rate: f64) -> u32 {
        let (out, back) = (format!("{name} out"), format!("{name} in"));
        let known = self.network.names.iter().position(|n| *n == out);
        let at = known.unwrap_or_else(|| {
            self.network.names.extend([out, back]);
            self.network.ports.extend([whole(rate).max(1); 2]);
            self.network.names.len() - 2
        });
        u32::try_from(at).expect("ports of 2^16 replicas")
    }
}

/// Rate of one accelerator to others of its server, and the latency of a message.
fn inside(host: &Host, scale_up: &Link) -> (f64, Seconds) {
    let joined = host.node.joined >= host.node.accelerators && host.node.joined > 1;
    let link = if joined { scale_up } else { &host.node.inside };
    (link.bandwidth.0, link.latency)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes, or bytes per second")]
fn whole(number: f64) -> u64 {
    number.round() as u64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a short time")]
fn picoseconds(time: Seconds) -> SimDuration {
    SimDuration::from_ps((time.0 * 1e12).round() as u64)
}

/// What the network came to, for `explain`.
pub(super) fn settings(network: &Network, path: &str) -> Vec<Setting> {
    let rate = |(name, rate): (&String, &u64)| format!("{name} {} GB/s", *rate as f64 / 1e9);
    let ports: Vec<String> = network.names.iter().zip(&network.ports).map(rate).step_by(2).collect();
    let setting = |key: &str, value: String| Setting {
        path: format!("{path}.{key}"),
        value,
        origin: "computed: servers, their links and NICs; each direction".to_owned(),
    };
    vec![
        setting("ports", ports.join(", ")),
        setting("network-latency", network.network_latency.to_string()),
        setting("inside-latency", network.inside_latency.to_string()),
    ]
}
