//! Which link a group of ranks spans, and that a deployment uses it.

use windtunnel::catalog::{Shelf, embedded_names};
use windtunnel::cost::{Chunk, DecodeShape, StepShape};
use windtunnel::hardware::{Accelerator, Host, Reach};
use windtunnel::scenario::StudyPlan;

use crate::model_table::resolve;

/// Accelerator, host, ranks, and the slowest link by all-reduce (none: alone).
#[test]
fn the_slowest_link_spanned_decides() {
    for (accelerator, host, ranks, want) in [
        ("h100-sxm", "hgx-h100", 1, None),
        ("h100-sxm", "hgx-h100", 8, Some((Reach::ScaleUp, "NVLink 4"))),
        ("h100-sxm", "hgx-h100", 16, Some((Reach::Network, "InfiniBand NDR"))),
        ("a100-80g-sxm", "a100-pairs", 2, Some((Reach::ScaleUp, "NVLink 3"))),
        ("a100-80g-sxm", "a100-pairs", 4, Some((Reach::Inside, "PCIe 4"))),
        ("a100-40g-sxm", "p4d", 16, Some((Reach::Network, "EFA 100"))),
        ("a10g", "pcie4-server", 2, Some((Reach::Inside, "PCIe 4"))),
        // PCIe inside the server is slower than the NICs between servers.
        ("rtx-pro-6000", "pcie5-server", 16, Some((Reach::Inside, "PCIe 5"))),
        ("gb200", "gb200-nvl72", 72, Some((Reach::ScaleUp, "NVLink 5"))),
        ("gb200", "gb200-nvl72", 144, Some((Reach::Network, "InfiniBand XDR"))),
        ("gh200", "grace", 2, Some((Reach::Network, "InfiniBand NDR"))),
        ("gh200", "gh200-nvl32", 2, Some((Reach::ScaleUp, "NVLink 4"))),
    ] {
        let a = Accelerator::load(accelerator, None).unwrap();
        let h = Host::load(host, None).unwrap();
        let got = h.node.link_of_group(&a.scale_up, ranks);
        let place = format!("{ranks} x {accelerator} on {host}: {got:?}");
        assert_eq!(got.map(|l| l.reach), want.map(|w| w.0), "{place}");
        assert!(want.is_none_or(|w| got.is_some_and(|l| l.link.title.starts_with(w.1))), "{place}");
    }
}

#[test]
fn levels_multiply_to_the_group() {
    for name in embedded_names(Shelf::Accelerators) {
        let a = Accelerator::load(name, None).unwrap();
        for power in 0..10 {
            let ranks = 1 << power;
            let levels = a.host.node.levels(&a.scale_up, ranks);
            let members: u32 = levels.iter().map(|l| l.members).product();
            assert!(members >= ranks && members < 2 * ranks, "{name}: {ranks} ranks over {levels:?}");
            assert!(levels.iter().all(|l| l.members > 1), "{name}: {levels:?}");
            let rates: Vec<f64> = levels.iter().map(|l| l.link.bandwidth.0).collect();
            let hop = a.host.node.slowest_hop(&a.scale_up, ranks).map(|l| l.link.bandwidth.0);
            assert_eq!(hop, rates.into_iter().min_by(f64::total_cmp), "{name}");
        }
    }
}

#[test]
fn a_bridge_of_pairs_is_left_at_four_ranks() {
    for (name, title) in
        [("a40", "PCIe 4"), ("a30", "PCIe 4"), ("h100-pcie", "PCIe 5"), ("rtx-3090", "Ethernet")]
    {
        let a = Accelerator::load(name, None).unwrap();
        let link = |ranks| a.host.node.link_of_group(&a.scale_up, ranks).map(|l| l.link.title.clone());
        assert!(link(2).is_some_and(|t| t.contains("bridge")), "{name}");
        assert!(link(4).is_some_and(|t| t.starts_with(title)), "{name}: {:?}", link(4));
    }
}

/// Origin and value of a setting.
fn setting(plan: &StudyPlan, path: &str) -> Option<(String, String)> {
    let found = plan.systems[0].settings.iter().find(|s| s.path == path)?;
    Some((found.value.clone(), found.origin.clone()))
}

#[test]
fn a_deployment_uses_its_nodes_links() {
    let base = ["deployment.accelerator=\"a100-80g-sxm\"", "deployment.parallel={tp=4,pp=1}"];
    let default = resolve(&base).unwrap();
    let (value, origin) = setting(&default, "node").unwrap();
    assert!(value.contains("hgx-a100") && origin.starts_with("accelerator (a100-80g-sxm.toml:"), "{origin}");
    assert!(setting(&default, "parallel.tp-link").unwrap().0.starts_with("NVLink 3"));
    let pairs = resolve(&[base[0], base[1], "deployment.node=\"a100-pairs\""]).unwrap();
    assert!(setting(&pairs, "parallel.tp-link").unwrap().0.starts_with("PCIe 4"));
    assert!(setting(&pairs, "parallel.pp-link").is_none());
    let reduce = |plan: &StudyPlan| plan.systems[0].spec.tensor_link().all_reduce.bandwidth.0;
    assert!(reduce(&pairs) < reduce(&default) / 5.0);
    let staged = resolve(&[base[0], "deployment.parallel={tp=8,pp=2}", "deployment.node=\"p4d\""]).unwrap();
    assert!(setting(&staged, "parallel.tp-link").unwrap().0.starts_with("NVLink 3"));
    assert!(setting(&staged, "parallel.pp-link").unwrap().0.starts_with("EFA 100"));
    // One accelerator spans nothing: nothing is chosen.
    let alone = resolve(&[base[0]]).unwrap();
    assert!(setting(&alone, "parallel.tp-link").is_none());
}

#[test]
fn a_group_larger_than_its_server_reduces_inside_and_between() {
    let base = ["deployment.accelerator=\"a100-80g-sxm\"", "deployment.node=\"hgx-a100\""];
    let of =
        |parallel: &str| resolve(&[base[0], base[1], &format!("deployment.parallel={parallel}")]).unwrap();
    let nodes = |plan: &StudyPlan| plan.systems[0].spec.overrides.tensor_nodes.as_ref().map(|t| t.nodes);
    let inside = of("{tp=8}");
    assert!(nodes(&inside).is_none() && setting(&inside, "parallel.tp-network").is_none());
    let over = of("{tp=16}");
    assert_eq!(nodes(&over), Some(2));
    assert!(setting(&over, "parallel.tp-link").unwrap().0.starts_with("NVLink 3"));
    let (network, reason) = setting(&over, "parallel.tp-network").unwrap();
    assert!(network.starts_with("InfiniBand") && reason.contains("2 servers with 8 ranks each"), "{reason}");
    assert_eq!(nodes(&of("{tp=16,tp-nodes=4}")), Some(4), "the key decides");
    let flat = of("{tp=16,tp-nodes=1}");
    assert!(nodes(&flat).is_none());
    assert!(setting(&flat, "parallel.tp-link").unwrap().0.starts_with("InfiniBand"));
    // A long prompt: the network carries an eighth of the bytes, in a ring of two and not of sixteen.
    let chunks = [Chunk { tokens: 2048, past: 0 }];
    let shape = StepShape { chunks: &chunks, decode: DecodeShape::default() };
    let time = |plan: &StudyPlan| plan.systems[0].cost.step(0, &shape).total();
    assert!(time(&over) < time(&flat), "{:?} {:?}", time(&over), time(&flat));
}

#[test]
fn every_part_says_where_it_comes_from_and_whom_it_resembles() {
    for name in embedded_names(Shelf::Accelerators) {
        let a = Accelerator::load(name, None).unwrap();
        let derived = [
            (a.gemm.grade, &a.gemm.source),
            (a.elementwise.grade, &a.elementwise.source),
            (a.attention.grade, &a.attention.source),
        ];
        for (grade, source) in derived {
            let says = source.contains("relative") || source.contains("as A100");
            assert!(grade.name() != "derived" || says, "{name}: {source}");
        }
        let graded = a.datasheet.grade.name() == "published" || a.datasheet.source.contains("to be checked");
        assert!(graded, "{name}: {}", a.datasheet.source);
        let rates = [a.datasheet.fp8, a.datasheet.int8, a.datasheet.fp4, a.datasheet.int4];
        // Dense rates: 8 bits at most four times 16 bits (GeForce halves 16 bits), 4 bits at most eight times.
        for (rate, most) in rates.into_iter().zip([2.03, 4.01, 8.1, 4.1]) {
            let ratio = rate.map_or(1.0, |r| r.0 / a.datasheet.bf16.0);
            assert!(ratio <= most, "{name}: {ratio} times the 16-bit rate looks like a sparse figure");
        }
    }
}
