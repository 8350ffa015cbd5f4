//! Plots of what goes on between replicas: do they show what the runs were, and do they come back from the files?

use std::fs;

use windtunnel::metrics::{MoveRow, ReplicaRow, ReplicaTimeline};
use windtunnel::report::{self, plot};
use windtunnel::results::{Comparison, RunFiles, Study, commit, read_study};
use windtunnel::scenario::execute::{Options, execute};
use windtunnel::scenario::{Flags, StudyPlan, Target, spread};

use crate::report_fixture::Shape;

fn plan(name: &str, sets: &[&str]) -> StudyPlan {
    let flags = Flags { sets: sets.iter().map(|&s| s.to_owned()).collect(), seeds: Some(1) };
    StudyPlan::resolve(&Target::Embedded(name.to_owned()), &flags).unwrap_or_else(|e| panic!("{e}"))
}

fn carried_out(plan: &StudyPlan) -> Study {
    let executed = execute(plan, Options::default(), &()).unwrap_or_else(|e| panic!("{e:?}"));
    executed.into_study(plan)
}

/// The text of a figure of a study.
fn svg(study: &Study, file: &str) -> Option<String> {
    let figures = plot::figures(study, &Comparison::of(study));
    figures.into_iter().map(|(_, f)| f).find(|f| f.file == file).map(|f| f.svg())
}

/// Sixteen small replicas that fill up.
fn migration() -> (StudyPlan, Study) {
    let plan = plan("migration-worth", &["workload.requests=1500", "workload.rate=\"9 req/s\""]);
    let mut study = carried_out(&plan);
    study.replicas = spread::headline(&plan, &study, &Comparison::of(&study)).expect("no violation");
    (plan, study)
}

#[test]
fn replicas_together_hold_what_the_deployment_holds() {
    let (plan, study) = migration();
    assert_eq!(study.replicas.len(), plan.systems.len());
    let mut rows = 0;
    for of in &study.replicas {
        let run = study.runs_of(of.point, of.system)[0];
        let name = &plan.systems[of.system].name;
        assert_eq!((of.replicas(), of.seed, run.seed), (16, 1, 1), "{name}");
        for row in &of.rows {
            let whole = run.timeline.iter().find(|t| t.at_s == row.at_s);
            let Some(whole) = whole.and_then(|t| t.kv_occupancy) else { continue };
            // Equal replicas, all up.
            let held: Vec<f64> = row.held.iter().map(|h| h.expect("up")).collect();
            let mean = held.iter().sum::<f64>() / held.len() as f64;
            assert!((mean - whole).abs() < 1e-9, "{name} at {} s: {mean} is not {whole}", row.at_s);
            let (low, high) = (row.band().expect("replicas").min, row.band().expect("replicas").max);
            assert!(held.iter().all(|h| (low..=high).contains(h)));
            rows += 1;
        }
        assert!(of.moved() as u64 <= run.summary.run.moves, "{name}");
        assert_eq!(of.moved() > 0, run.summary.run.moves > 0, "{name}");
        assert!(
            of.moves
                .iter()
                .all(|m| m.source != m.destination && m.begun_s <= m.end_s && m.end_s <= last(&plan))
        );
    }
    assert!(rows > 500, "{rows} rows were compared");
    let moved = |name: &str| {
        let of = study.replicas.iter().find(|of| study.systems[of.system].name == name).expect("watched");
        of.moved()
    };
    assert!(moved("llumnix") > 20 && moved("freeness, no moves") == 0 && moved("round-robin") == 0);
}

/// No move is shown that ends after the requests have come: 1,500 at 9 per second, with room for the draws.
fn last(_plan: &StudyPlan) -> f64 {
    1500.0 / 9.0 * 1.5
}

#[test]
fn the_plot_of_replicas_has_an_arrow_per_move_and_comes_back_from_the_files() {
    let (_, study) = migration();
    let text = svg(&study, "replicas.svg").expect("a plot");
    for of in &study.replicas {
        let name = &study.systems[of.system].name;
        if let Some(down) = of.downhill() {
            let said = format!("{} moves, {:.0} % to an emptier replica", of.moved(), down * 100.0);
            assert!(text.contains(&said), "{name}: {said}");
        }
    }
    // One head per drawn move, a polygon in the ink of limits, and one in the legend.
    let drawn = |n: usize| n.div_ceil(n.div_ceil(60).max(1));
    let arrows: usize = study.replicas.iter().map(|of| drawn(of.moved())).sum();
    let level = study
        .replicas
        .iter()
        .flat_map(|of| &of.moves)
        .filter(|m| (m.source_held - m.destination_held).abs() < 0.004);
    let heads = text.matches("<polygon class=\"f5\"").count();
    assert!(heads <= arrows + 1 && heads + level.count() > arrows, "{heads} heads for {arrows} moves");
    assert!(heads > 20);
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("s");
    let written = report::folder(&study, &Comparison::of(&study), &RunFiles::default());
    commit(&path, &written).unwrap();
    let read = read_study(&path).unwrap();
    assert_eq!(read.replicas, study.replicas);
    assert_eq!(svg(&read, "replicas.svg"), Some(text));
    // Without these files, as in older folders, the plot is left out.
    for entry in fs::read_dir(path.join("timeline")).unwrap() {
        let file = entry.unwrap().path();
        if file.to_string_lossy().ends_with("-replicas.csv") {
            fs::remove_file(file).unwrap();
        }
    }
    let without = read_study(&path).unwrap();
    assert!(without.replicas.is_empty() && svg(&without, "replicas.svg").is_none());
}

#[test]
fn pools_and_single_replicas_have_no_plot_of_replicas() {
    let plan = plan("pd-ratio", &["workload.requests=100", "workload.rate=\"8 req/s\""]);
    let mut study = carried_out(&plan);
    study.replicas = spread::headline(&plan, &study, &Comparison::of(&study)).expect("no violation");
    let names: Vec<&str> = study.replicas.iter().map(|of| study.systems[of.system].name.as_str()).collect();
    assert_eq!(names, ["colocated"], "the only one whose replicas compute whole requests");
    assert!(svg(&crate::report_fixture::study(&Shape::default()), "replicas.svg").is_none());
}

#[test]
fn shares_of_transfers_are_where_the_first_token_puts_them() {
    let sets = ["workload.requests=300", "workload.rate=[\"0.5 req/s\", \"1 req/s\"]"];
    for (first, before) in [("prefill", false), ("decode", true)] {
        let first = format!("systems.apart.placement.disaggregated.first-token=\"{first}\"");
        let plan = plan("link-budget", &[sets[0], sets[1], &first]);
        let study = carried_out(&plan);
        for run in &study.runs {
            let (name, of) =
                (&study.systems[run.system].name, |key: &str| run.summary.get(key).expect("a share"));
            if name == "one server, NVLink" {
                continue;
            }
            let (ttft, tpot) = (of("transfer_ttft_ratio"), of("transfer_tpot_ratio"));
            assert_eq!((ttft > 0.0, tpot > 0.0), (before, !before), "{name}: {ttft}, {tpot}");
            assert!(ttft < 1.0 && tpot < 1.0);
            // Mean hand-over of the ledger, over the mean of what it is a part of.
            let hand_over = ledger(run, "hand-over");
            let whole = if before { of("ttft_mean_s") } else { of("e2e_mean_s") - of("ttft_mean_s") };
            let share = if before { ttft } else { tpot };
            assert!((hand_over / whole / share - 1.0).abs() < 1e-6, "{name}: {hand_over} of {whole}");
            let (mean, peak, busy) =
                (of("port_used_mean_ratio"), of("port_used_peak_ratio"), of("port_busy_peak_ratio"));
            assert!(
                0.0 < mean && mean <= peak && peak <= busy + 1e-9 && busy <= 1.0,
                "{name}: {mean} {peak} {busy}"
            );
            let waits = of("transfer_wait_mean_s") / of("transfer_mean_s");
            assert!((waits - of("transfer_wait_ratio")).abs() < 1e-9, "{name}");
        }
        // A slower link is used more, and is more of what users feel after the first token.
        let of = |system: &str, key: &str| {
            let system = study.systems.iter().position(|s| s.name == system).expect("a system");
            study.runs_of(0, system)[0].summary.get(key).expect("a share")
        };
        assert!(of("10 Gb/s", "port_used_peak_ratio") > 2.0 * of("100 Gb/s", "port_used_peak_ratio"));
        if !before {
            assert!(of("10 Gb/s", "transfer_tpot_ratio") > 2.0 * of("100 Gb/s", "transfer_tpot_ratio"));
        }
        let text = svg(&study, "links.svg").expect("a plot");
        let headings = ["share of TTFT", "share of TPOT"].map(|h| text.contains(h));
        assert!(headings[usize::from(!before)], "{headings:?}");
    }
    assert!(svg(&crate::report_fixture::study(&Shape::default()), "links.svg").is_none());
}

/// The words of a picture, a line each.
fn words(svg: &str) -> String {
    let texts = svg.split("<text").skip(1).filter_map(|rest| rest.split_once('>')?.1.split_once('<'));
    texts.map(|(text, _)| text.trim()).collect::<Vec<&str>>().join("\n")
}

#[test]
fn pictures_say_what_a_made_up_study_holds() {
    let mut study = crate::report_fixture::study(&Shape {
        requests: 60,
        seeds: 1,
        loads: vec![0.5, 0.8],
        hostile: false,
    });
    let row = |i: u32| ReplicaRow {
        at_s: f64::from(i),
        // The third comes later; the first two are a quarter apart.
        held: vec![Some(0.5), Some(0.25), (i >= 50).then_some(0.5)],
    };
    let moved = |request: u32, down: bool, arrived: bool| MoveRow {
        request,
        source: u16::from(!down),
        destination: u16::from(down),
        begun_s: 10.0 + f64::from(request) / 4.0,
        end_s: 11.0 + f64::from(request) / 4.0,
        arrived,
        source_held: if down { 0.5 } else { 0.25 },
        destination_held: if down { 0.25 } else { 0.5 },
    };
    let moves: Vec<MoveRow> = (0..80).map(|i| moved(i, i % 4 > 0, i != 79)).collect();
    let of = |system: usize, moves: Vec<MoveRow>| ReplicaTimeline {
        system,
        point: 1,
        seed: 1,
        rows: (0..100).map(row).collect(),
        moves,
    };
    study.replicas = vec![of(2, Vec::new()), of(3, moves)];
    let text = svg(&study, "replicas.svg").expect("a plot");
    // 79 moves arrived: every other one is drawn, 40, and one arrow stands in the legend.
    assert_eq!(text.matches("<polygon class=\"f5\"").count(), 41);
    insta::assert_snapshot!("words_of_replicas", words(&text));
    for run in &mut study.runs {
        if run.system < 2 {
            let (load, r) = (study.points[run.point].load.unwrap_or(1.0), &mut run.summary.run);
            (r.transfers, r.transfer_mean_s, r.transfer_wait_mean_s) =
                (9, Some(0.01 * load), Some(0.002 * load));
            (r.port_used_mean_ratio, r.port_used_peak_ratio) = (Some(0.25 * load), Some(0.5 * load));
            (r.transfer_ttft_ratio, r.transfer_tpot_ratio) = (Some(0.0), Some(0.125));
        }
    }
    insta::assert_snapshot!("words_of_links", words(&svg(&study, "links.svg").expect("a plot")));
}

/// Mean of a cause over all finished requests.
fn ledger(run: &windtunnel::results::RunResult, cause: &str) -> f64 {
    let all = &run.summary.ledger[0];
    let at = windtunnel::metrics::record::Cause::ALL.iter().position(|c| c.name() == cause).expect("a cause");
    all.seconds[at]
}
