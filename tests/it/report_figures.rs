//! Do the figures show what the records say, and does `report` draw what `run` drew?

use std::fs;

use windtunnel::metrics::record::{Fate, RequestRecord};
use windtunnel::metrics::{LedgerGroup, extract, measure, pareto};
use windtunnel::report::{self, plot};
use windtunnel::results::{
    Comparison, Content, FileSet, ResultsError, RunFiles, Study, commit, read_study, redraw,
};
use windtunnel::scenario::execute::{Options, execute};
use windtunnel::scenario::{Flags, StudyPlan, Target};

use crate::report_fixture::{Shape, context, outcome, study, trace};

const LOADS: [f64; 3] = [0.5, 0.9, 1.2];
const SYSTEMS: usize = 6;

#[test]
fn percentile_ledgers_sum_to_the_end_to_end_time_of_their_band() {
    for system in 0..SYSTEMS {
        let outcome = outcome(system, 0.9, 3, 397);
        let summary = measure(&outcome, &trace(false), &context(1.0));
        let mut finished: Vec<RequestRecord> =
            outcome.records.iter().filter(|r| r.fate == Fate::Finished).collect();
        finished.sort_by_key(|r| (r.e2e(), r.id));
        let n = finished.len();
        // The tenth around the percentile, both ends included; the slowest hundredth.
        let bands = [
            (LedgerGroup::E2eP50, n * 45 / 100, n * 55 / 100),
            (LedgerGroup::E2eP90, n * 85 / 100, n * 95 / 100),
            (LedgerGroup::E2eP99, n * 99 / 100, n - 1),
        ];
        for (group, first, last) in bands {
            let band = &finished[first..=last];
            let mean = band.iter().map(|r| r.e2e().as_secs_f64()).sum::<f64>() / band.len() as f64;
            let row = summary.ledger.iter().find(|l| l.group == group).expect("every group");
            assert_eq!(row.requests, band.len() as u64, "{group:?}");
            assert!((row.total_s() / mean - 1.0).abs() < 1e-9, "{group:?}: {} is not {mean}", row.total_s());
        }
    }
}

#[test]
fn quadrant_shares_sum_to_one_and_their_first_is_the_attainment() {
    for load in LOADS {
        for system in 0..SYSTEMS {
            let outcome = outcome(system, load, 5, 300);
            let context = context(1.0);
            let q = extract(&outcome, &trace(false), &context.slo).quadrants;
            assert_eq!(q.met + q.ttft + q.tpot + q.both + q.lost, 300);
            // The limits of the fixture on single requests are these two.
            let attainment =
                measure(&outcome, &trace(false), &context).requests.attainment.expect("arrivals");
            assert!((q.met as f64 / 300.0 - attainment).abs() < 1e-12, "{attainment}");
        }
    }
}

#[test]
fn bins_by_length_hold_every_finished_request_once() {
    let outcome = outcome(2, 0.9, 1, 500);
    let extract = extract(&outcome, &trace(false), &context(1.0).slo);
    for (bins, length) in [
        (&extract.ttft_by_prompt, (|r| r.prompt) as fn(&RequestRecord) -> u32),
        (&extract.e2e_by_output, |r| r.output),
    ] {
        assert!(bins.windows(2).all(|w| w[0].to <= w[1].from));
        for bin in bins {
            let inside = outcome.records.iter().filter(|r| (bin.from..bin.to).contains(&length(r).max(1)));
            assert_eq!(inside.count() as u64, bin.requests, "{bin:?}");
            assert!(bin.p50_s <= bin.p99_s, "{bin:?}");
        }
        assert_eq!(bins.iter().map(|b| b.requests).sum::<u64>(), 500);
    }
}

#[test]
fn no_point_of_the_front_is_dominated_and_all_others_are() {
    let mut state = 11_u64;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        ((state >> 40) % 23) as f64
    };
    for n in 0..60 {
        let points: Vec<(f64, f64)> = (0..n).map(|_| (draw(), draw())).collect();
        let front = pareto::front(&points);
        let beats = |a: (f64, f64), b: (f64, f64)| a.0 >= b.0 && a.1 >= b.1 && a != b;
        for (i, p) in points.iter().enumerate() {
            let dominated = points.iter().any(|q| beats(*q, *p));
            let first = points.iter().position(|q| q == p) == Some(i);
            assert_eq!(front.contains(&i), !dominated && first, "{points:?}");
        }
    }
}

fn folder(study: &Study) -> FileSet<'_> {
    report::folder(study, &Comparison::of(study), &RunFiles::default())
}

#[test]
fn a_study_that_is_read_back_draws_the_same_page_and_plots() {
    for hostile in [false, true] {
        let study = study(&Shape { requests: 150, seeds: 2, loads: vec![0.5, 0.9], hostile });
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("s");
        let written = folder(&study);
        commit(&path, &written).unwrap();
        let read = read_study(&path).unwrap();
        let again = report::pictures(&read, &Comparison::of(&read));
        assert!(again.iter().count() > 15);
        for (name, content) in again.iter() {
            let Content::Bytes(bytes) = content else { panic!("{name}") };
            assert!(written.bytes(name) == Some(bytes.as_slice()), "{name} differs");
        }
        // Drawing again replaces pictures, also those that are no more, and touches nothing else.
        fs::write(path.join("plots/old.svg"), "of an earlier version").unwrap();
        fs::write(path.join("index.html"), "damaged").unwrap();
        let summary = fs::metadata(path.join("summary.json")).unwrap().modified().unwrap();
        redraw(&path, &again).unwrap();
        assert!(!path.join("plots/old.svg").exists());
        assert_eq!(fs::read(path.join("index.html")).unwrap(), written.bytes("index.html").unwrap());
        assert_eq!(fs::metadata(path.join("summary.json")).unwrap().modified().unwrap(), summary);
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1, "no temporary folder is left");
    }
}

#[test]
fn a_folder_of_another_version_or_with_other_runs_is_refused() {
    let study = study(&Shape { requests: 60, seeds: 1, loads: vec![0.5], hostile: false });
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("s");
    let change = |file: &str, from: &str, to: &str| {
        commit(&path, &folder(&study)).unwrap();
        let text = fs::read_to_string(path.join(file)).unwrap();
        assert!(text.contains(from), "{file}");
        fs::write(path.join(file), text.replacen(from, to, 1)).unwrap();
        read_study(&path).unwrap_err()
    };
    let older = change("manifest.json", "\"schema\": 2", "\"schema\": 1");
    assert!(matches!(older, ResultsError::Older { found: 1, needed: 2, .. }), "{older}");
    let newer = change("summary.json", "\"schema\": 2", "\"schema\": 9");
    assert!(matches!(newer, ResultsError::Newer { found: 9, .. }), "{newer}");
    let other = change("distributions.json", "\"seed\":1", "\"seed\":7");
    assert!(other.to_string().contains("its runs are not those of summary.json"), "{other}");
}

#[test]
fn a_constant_that_does_not_matter_moves_no_capacity_and_one_that_does_moves_it_the_right_way() {
    let sets = [
        "workload.requests=500",
        "workload.load=0.8",
        "systems.compare=[\"vllm-v1\"]",
        "timeline-samples=0",
        // One accelerator and no swapping: neither the link between accelerators nor that to the host is used.
        "sensitivity.constants=[\"link\", \"host\", \"eb\", \"mixed-attention\"]",
        "sensitivity.delta=0.2",
    ];
    let flags = Flags { sets: sets.map(str::to_owned).into(), seeds: Some(1) };
    let plan = StudyPlan::resolve(&Target::Embedded("quickstart".to_owned()), &flags);
    let plan = plan.unwrap_or_else(|errors| panic!("{errors}"));
    let executed = execute(&plan, Options::default(), &()).unwrap_or_else(|e| panic!("{e:?}"));
    let study = executed.into_study(&plan);
    let found = study.sensitivity.clone().expect("it was asked for");
    let row = |name: &str| found.rows.iter().find(|r| r.constant == name).expect("a row");
    for name in ["link", "host"] {
        assert!(row(name).swing(found.capacity_per_s) == 0.0, "{name}: {found:?}");
    }
    let (eb, mixed) = (row("eb"), row("mixed-attention"));
    assert!(eb.below.expect("both ways").1 < found.capacity_per_s && eb.above.1 > found.capacity_per_s);
    assert!(mixed.below.is_none() && mixed.above.0 == 1.25 && mixed.above.1 < found.capacity_per_s);
    let swings: Vec<f64> = found.rows.iter().map(|r| r.swing(found.capacity_per_s)).collect();
    assert!(swings.windows(2).all(|w| w[0] >= w[1]), "{swings:?}");
    let figures = plot::figures(&study, &Comparison::of(&study));
    let tornado = figures.iter().find(|(_, f)| f.file == "tornado.svg").expect("a tornado");
    let title = tornado.1.title();
    let last = title.rsplit("; not on ").next().unwrap_or_default();
    assert!(last.contains("link") && last.contains("host"), "{title}");
}

#[test]
fn systems_on_derived_hardware_are_marked_in_tables_legends_and_bars() {
    let shape = Shape { requests: 120, seeds: 2, loads: vec![0.5, 0.8], hostile: false };
    let mut study = study(&shape);
    let draw = |study: &Study| {
        let comparison = Comparison::of(study);
        let figures = plot::figures(study, &comparison);
        let svg = |file: &str| figures.iter().find(|(_, f)| f.file == file).expect("a figure").1.svg();
        let page = report::folder(study, &comparison, &RunFiles::default());
        let page = String::from_utf8(page.bytes("index.html").expect("a page").to_vec()).unwrap();
        ([svg("load-ttft-p99.svg"), svg("pareto-gpu.svg"), svg("ledger.svg")], page)
    };
    let lines = |svg: &str| svg.matches("<polyline").count();
    let (plain, page) = draw(&study);
    assert!(
        !plain.concat().contains("[derived]") && !page.contains("[derived]") && !page.contains("Hatched")
    );
    study.systems[3].hardware_grade = "derived".to_owned();
    let (marked, page) = draw(&study);
    for svg in &marked[..2] {
        assert!(svg.contains("vllm-v1 [derived]"), "marked in the legend");
    }
    assert!(lines(&marked[2]) > lines(&plain[2]) + 10, "stripes over the bars of one system");
    assert!(page.contains(&format!("{}<small>", study.systems[3].name)));
    assert!(page.contains("<small>[derived]</small>") && page.contains("Hatched: the profile"));
}

#[test]
fn a_study_of_ratios_has_its_map_and_one_without_pools_has_none() {
    let sets =
        ["workload.requests=200", "workload.rate=[\"8 req/s\", \"20 req/s\"]"].map(str::to_owned).to_vec();
    let flags = Flags { sets, seeds: Some(1) };
    let plan = StudyPlan::resolve(&Target::Embedded("pd-ratio".to_owned()), &flags)
        .unwrap_or_else(|e| panic!("{e}"));
    let study = execute(&plan, Options::default(), &()).unwrap_or_else(|e| panic!("{e:?}")).into_study(&plan);
    let roles = |name: &str| {
        let system = study.systems.iter().find(|s| s.name == name).expect("a system of the study");
        system.pools.iter().map(|p| (p.role.clone(), p.replicas)).collect::<Vec<_>>()
    };
    assert_eq!(roles("3P 5D"), [("prefill".to_owned(), 3), ("decode".to_owned(), 5)]);
    assert!(roles("colocated").is_empty());
    let map = |study: &Study| {
        let comparison = Comparison::of(study);
        let figures = plot::figures(study, &comparison);
        figures.into_iter().map(|(_, f)| f).find(|f| f.file == "ratio-goodput.svg").map(|f| f.svg())
    };
    let svg = map(&study).expect("seven ratios");
    // The best cell's goodput is the largest of those that meet the limits, as the title says.
    let comparison = Comparison::of(&study);
    let value =
        |r: &windtunnel::results::ComparisonRow| r.value("goodput_per_gpu_per_s").expect("goodput").mean;
    let met = || comparison.points.iter().flat_map(|p| &p.rows).filter(|r| r.slo_met);
    let best = met().map(value).fold(0.0, f64::max);
    assert!(best > 0.0, "some ratio meets the limits");
    let said = |name: &str| svg.contains(&format!("<title>{name} carries most within the limits"));
    assert!(met().filter(|r| value(r) == best).any(|r| said(&r.name)), "{best}: {}", &svg[..300]);
    for row in ["1P 7D", "7P 1D", "colocated", "8 req/s", "20 req/s"] {
        assert!(svg.contains(row), "{row} is not in the map");
    }
    assert!(map(&crate::report_fixture::study(&Shape::default())).is_none());
}
