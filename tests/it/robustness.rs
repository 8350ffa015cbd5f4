//! Headlines under changed ties, clock, block size and trial (invariant I16).

use std::fs;
use std::path::Path;

use windtunnel::report::{self, TableOptions, robustness as words, table};
use windtunnel::results::robustness::TOLERANCE;
use windtunnel::results::{
    Comparison, Perturbation, Robustness, RunFiles, Soundness, Study, commit, read_study,
};
use windtunnel::scenario::execute::{Options, execute};
use windtunnel::scenario::{Flags, StudyPlan, Target, robustness};

/// A study of two systems, with `workload` and `systems` as given.
fn study_of(workload: &str, systems: &str, sets: &[&str]) -> (StudyPlan, Study) {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("robust.toml");
    let text = format!(
        "title = \"t\"\nseeds = 3\nrobustness = true\n[workload]\n{workload}\n[slo]\nttft = \"1000 s\"\n\
         [deployment]\nmodel = \"llama-3.1-8b\"\naccelerator = \"h100-sxm\"\nengine = \"vllm-0.19\"\n\
         max-model-len = 8192\n[systems]\n{systems}"
    );
    fs::write(&path, text).unwrap();
    carried_out(&path, sets)
}

fn carried_out(path: &Path, sets: &[&str]) -> (StudyPlan, Study) {
    let flags = Flags { sets: sets.iter().map(|&s| s.to_owned()).collect(), seeds: None };
    let plan = StudyPlan::resolve(&Target::parse(path.to_str().unwrap()), &flags);
    let plan = plan.unwrap_or_else(|e| panic!("{e}"));
    let executed = execute(&plan, Options::default(), &()).unwrap_or_else(|e| panic!("{e:?}"));
    let mut study = executed.into_study(&plan);
    let comparison = Comparison::of(&study);
    let found = robustness::check(&plan, &study, &comparison, Options::default(), &());
    study.robustness = found.unwrap_or_else(|e| panic!("{e:?}"));
    (plan, study)
}

fn found(study: &Study) -> &Robustness {
    study.robustness.as_ref().expect("it was asked for")
}

fn perturbation<'a>(study: &'a Study, name: &str) -> &'a Perturbation {
    found(study).perturbations.iter().find(|p| p.name == name).expect("all four are named")
}

fn page(study: &Study) -> String {
    let files = report::folder(study, &Comparison::of(study), &RunFiles::default());
    String::from_utf8(files.bytes("index.html").expect("a page").to_vec()).unwrap()
}

fn printed(study: &Study) -> String {
    table::render(study, &Comparison::of(study), &TableOptions { width: 200, colour: false })
}

/// Requests that hardly meet, all of one length: nothing of what is changed matters.
const LONELY: &str = "lengths.fixed = { prompt = 500, output = 100 }\narrivals.poisson = { rate = \"0.002 req/s\" }\nrequests = 60";
/// One accelerator or two.
const TWO_SIZES: &str = "reference = \"one\"\ncompare = [\"one\", \"two\"]\n[systems.one]\nbase = \"vllm-v1\"\n\
                         [systems.two]\nbase = \"vllm-v1\"\nparallel = { tp = 2 }\n";

#[test]
fn a_difference_of_hardware_at_low_load_is_robust() {
    let (_, study) = study_of(LONELY, TWO_SIZES, &[]);
    let done: Vec<bool> = found(&study).perturbations.iter().map(|p| p.done).collect();
    assert_eq!(done, [false, true, true, true], "{:?}", found(&study).perturbations);
    assert!(perturbation(&study, "ties").what.contains("no two requests"));
    assert!(perturbation(&study, "clock").what.contains("twice the median gap of one"));
    assert_eq!(found(&study).pairs.len(), 4);
    for pair in &found(&study).pairs {
        for shift in pair.shifts.iter().flatten() {
            assert!(shift.soundness(&pair.before) != Soundness::Sensitive, "{pair:?}");
        }
        assert_eq!(found(&study).names(pair), "robust");
    }
    let text = printed(&study);
    assert!(text.contains("; robust") && text.contains("Robustness: none of 4 ratios moves"), "{text}");
    assert!(
        text.contains("Not checked: the order of ties – no two requests arrive at one instant."),
        "{text}"
    );
    assert!(!text.contains("sensitive to"), "{text}");
    assert!(page(&study).contains("Robustness: none of 4 ratios moves"));
}

/// Requests of 48 tokens fill three blocks of 16, and leave a quarter of two blocks of 32 empty, in a memory for 20 of them.
const WASTEFUL: &str = "lengths.fixed = { prompt = 33, output = 15 }\narrivals.poisson = { rate = \"100 req/s\" }\nrequests = 600\nmax-tokens = { fixed = 15 }";
/// The reference has slots of one token, which stay; the other has blocks.
const SLOTS_OR_BLOCKS: &str = "reference = \"slots\"\ncompare = [\"slots\", \"blocks\"]\n\
     [systems.slots]\nbase = \"vllm-v1\"\nprefix-cache = \"none\"\nkv.reserve = { rule = \"max-tokens\" }\nkv-blocks = 960\n\
     [systems.blocks]\nbase = \"vllm-v1\"\nkv.paged = { block = 16 }\nkv-blocks = 60\n";

#[test]
fn what_larger_blocks_decide_is_called_sensitive_everywhere() {
    let (_, study) = study_of(WASTEFUL, SLOTS_OR_BLOCKS, &[]);
    assert!(perturbation(&study, "blocks").what.contains("`slots` has slots of one token"), "{study:?}");
    let blocks = found(&study).perturbations.iter().position(|p| p.name == "blocks").unwrap();
    let pair = found(&study).pairs.iter().find(|p| p.key == "ttft_p99_s").expect("a ratio");
    let shift = pair.shifts[blocks].expect("it was done");
    assert!(shift.moved(&pair.before).abs() > TOLERANCE, "{pair:?}");
    assert!(pair.sensitive_to().contains(&blocks), "{pair:?}");
    // The ratio after is that of a study whose file says so.
    let doubled = ["systems.blocks.kv.paged.block=32", "systems.blocks.kv-blocks=30", "robustness=false"];
    let (_, by_hand) = study_of(WASTEFUL, SLOTS_OR_BLOCKS, &doubled);
    let row = Comparison::of(&by_hand);
    let row = row.headline().and_then(|p| p.row(pair.system)).expect("a row");
    assert_eq!(row.ratio("ttft_p99_s"), Some(shift.after));
    assert!(by_hand.robustness.is_none(), "only where it is asked for");
    // Headline, table, page, CSV and JSON say it.
    let text = printed(&study);
    assert!(text.contains("; sensitive to ") && text.contains("the block size (then "), "{text}");
    assert!(text.contains("Sensitive to the block size: P99 TTFT of blocks "), "{text}");
    assert!(page(&study).contains("Sensitive to the block size: P99 TTFT of blocks "));
    let comparison = Comparison::of(&study);
    let csv = String::from_utf8(table::csv(&study, &comparison)).unwrap();
    let line = csv.lines().find(|l| l.contains(",blocks,") && l.contains(",ttft_p99_s,")).expect("a line");
    assert!(line.split(',').next_back().unwrap().split(' ').any(|name| name == "blocks"), "{line}");
    let json: serde_json::Value = serde_json::from_slice(&table::json(&study, &comparison)).unwrap();
    assert_eq!(json["robustness"]["perturbations"][blocks]["name"], "blocks");
    // And so does the folder, also when it is read back.
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("s");
    commit(&path, &report::folder(&study, &comparison, &RunFiles::default())).unwrap();
    let file = fs::read_to_string(path.join("robustness.csv")).unwrap();
    assert!(file.lines().any(|l| l.contains("ttft_p99_s") && l.ends_with(",sensitive")), "{file}");
    let read = read_study(&path).unwrap();
    assert_eq!(read.robustness, study.robustness);
    assert_eq!(words::lines(&read), words::lines(&study));
    assert_eq!(page(&read), page(&study));
}

#[test]
fn what_cannot_be_changed_is_said_in_words() {
    let closed = "lengths.fixed = { prompt = 300, output = 20 }\nclosed = { clients = 8 }\nrequests = 80";
    let (_, study) = study_of(closed, TWO_SIZES, &[]);
    for name in ["ties", "clock"] {
        let of = perturbation(&study, name);
        assert!(!of.done && of.what.contains("closed loop"), "{of:?}");
    }
    assert!(perturbation(&study, "trial").done && perturbation(&study, "blocks").done);
    assert!(printed(&study).contains("Not checked: the clock of the arrivals – "));
}

#[test]
fn a_trace_is_changed_as_its_clock_and_its_rows_allow() {
    let temp = tempfile::tempdir().unwrap();
    let mut rows = String::from("at,in,out\n");
    for i in 0..120_u32 {
        // Three at a time, on a clock of half a second.
        rows.push_str(&format!("{},{},{}\n", f64::from(i / 3) * 0.5, 200 + 37 * (i % 11), 5 + i % 7));
    }
    fs::write(temp.path().join("trace.csv"), rows).unwrap();
    let write = |workload: &str| {
        let path = temp.path().join("robust.toml");
        let text = format!(
            "title = \"t\"\nseeds = 1\nrobustness = true\n[workload]\ntrace = \"trace.csv\"\ndequantise = \"none\"\n\
             columns = {{ arrival = \"at\", prompt = \"in\", output = \"out\" }}\n{workload}\n[slo]\nttft = \"1000 s\"\n\
             [deployment]\nmodel = \"llama-3.1-8b\"\naccelerator = \"h100-sxm\"\nengine = \"vllm-0.19\"\n\
             max-model-len = 8192\n[systems]\n{TWO_SIZES}"
        );
        fs::write(&path, text).unwrap();
        path
    };
    let (_, whole) = carried_out(&write(""), &[]);
    assert!(perturbation(&whole, "ties").done, "three arrive at once");
    assert!(
        perturbation(&whole, "clock").what.contains("rounded down to 1.000 s"),
        "{:?}",
        perturbation(&whole, "clock")
    );
    let trial = perturbation(&whole, "trial");
    assert!(!trial.done && trial.what.contains("no more requests"), "{trial:?}");
    let (_, half) = carried_out(&write("requests = 60"), &[]);
    assert!(perturbation(&half, "trial").done);
    // Arrivals that were spread inside the grain of their clock are drawn again inside one twice as wide.
    let (_, spread) = carried_out(&write(""), &["workload.dequantise={ grain = \"500 ms\" }", "seeds=2"]);
    assert_eq!(spread.seed_count(), 2);
    let clock = perturbation(&spread, "clock");
    assert!(clock.done && clock.what.contains("drawn again inside 1.000 s"), "{clock:?}");
    let at = found(&spread).perturbations.iter().position(|p| p.name == "clock").unwrap();
    let shifts: Vec<_> = found(&spread).pairs.iter().filter_map(|p| p.shifts[at]).collect();
    assert!(shifts.len() == 4 && shifts.iter().any(|s| s.change.mean != 1.0), "{shifts:?}");
    assert!(!perturbation(&spread, "ties").done, "none are left");
    let (_, most) = carried_out(&write("requests = 100"), &[]);
    let trial = perturbation(&most, "trial");
    assert!(!trial.done && trial.what.contains("200 requests are wanted"), "{trial:?}");
    // One seed: 3 % alone decide.
    let found = found(&half);
    for (pair, shift) in found.pairs.iter().flat_map(|p| p.shifts.iter().flatten().map(move |s| (p, s))) {
        let sensitive = shift.moved(&pair.before).abs() >= TOLERANCE;
        assert_eq!(shift.soundness(&pair.before) == Soundness::Sensitive, sensitive);
    }
}
