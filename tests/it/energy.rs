//! Energy against bounds, the shapes that measurements have, and measured watts (docs/energy.md).

use windtunnel::metrics::Summary;
use windtunnel::scenario::execute::{Options, execute};
use windtunnel::scenario::{Flags, StudyPlan, Target};

use crate::shared_data::shared;

/// The runs of a scenario, in the order of its systems.
fn runs(text: &str) -> Vec<Summary> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s.toml");
    std::fs::write(&path, text).expect("written");
    let plan = StudyPlan::resolve(&Target::File(path), &Flags::default()).unwrap_or_else(|e| panic!("{e}"));
    let executed = execute(&plan, Options::default(), &()).unwrap_or_else(|e| panic!("{e:?}"));
    executed.runs.into_iter().map(|r| r.summary).collect()
}

/// What `clients` draw who ask for answers of a mean length, one after the other.
struct Served<'a> {
    accelerator: &'a str,
    model: &'a str,
    precision: &'a str,
    tp: u32,
    clients: u32,
    prompt: f64,
    output: f64,
}

impl Served<'_> {
    fn run(&self) -> Summary {
        let Served { accelerator, model, precision, tp, clients, prompt, output } = self;
        let requests = (8 * clients).max(100);
        let text = format!(
            "seeds = 1\n[workload]\nclosed.clients = {clients}\nrequests = {requests}\n\
             lengths.lognormal = {{ prompt = {{ mean = {prompt}, cv = 0.5 }}, output = {{ mean = {output}, cv = 0.5 }} }}\n\
             [deployment]\nmodel = '{model}'\naccelerator = '{accelerator}'\nengine = 'vllm-0.19'\nparallel.tp = {tp}\n\
             precision.weights = '{precision}'\nmax-model-len = 16384\n\
             [systems]\nreference = 'v'\ncompare = ['v']\n[systems.v]\nbase = 'vllm-v1'\nscheduler.unified.max-sequences = {clients}\n"
        );
        runs(&text).remove(0)
    }
}

fn of(summary: &Summary, key: &str) -> f64 {
    summary.get(key).unwrap_or_else(|| panic!("no {key}"))
}

/// I10: nothing draws less than a loaded board or more than its limit, shares sum to one, and energy is power times time.
#[test]
fn power_stays_between_the_loaded_board_and_its_limit() {
    let text = "seeds = 1\n[workload]\nrecipe = 'burstgpt-conv'\nrequests = 400\nrate = ['0.2 req/s', '6 req/s']\nmax-tokens.fixed = 2048\n[deployment]\n\
                model = 'llama-3.1-8b'\naccelerator = 'h100-sxm'\nmax-model-len = 8192\n[systems]\nreference = 'vllm-v1'\n\
                compare = ['fastertransformer', 'orca', 'vllm-0.2', 'vllm-v1', 'four', 'pipeline', 'ideal']\n\
                [systems.four]\nbase = 'vllm-v1'\nreplicas = 2\nparallel.tp = 2\n[systems.pipeline]\nbase = 'vllm-v1'\nparallel.pp = 2\n";
    let runs = runs(text);
    let known: Vec<&Summary> = runs.iter().filter(|s| s.get("energy_j").is_some()).collect();
    assert_eq!((runs.len(), known.len()), (14, 12), "`ideal` has none");
    for s in known {
        let (power, energy) = (of(s, "power_mean_w"), of(s, "energy_j"));
        assert!((110.0..=700.0).contains(&power), "{power} W");
        assert!((energy / (power * of(s, "provided_gpu_s")) - 1.0).abs() < 1e-9);
        let shares =
            ["energy_prefill_ratio", "energy_decode_ratio", "energy_idle_ratio"].map(|key| of(s, key));
        assert!(
            (shares.iter().sum::<f64>() - 1.0).abs() < 1e-9 && shares.iter().all(|&s| s >= 0.0),
            "{shares:?}"
        );
        assert!(of(s, "active_j_per_token") <= of(s, "provisioned_j_per_token"));
    }
}

/// Prompts draw the limit; decodes draw alike while memory bounds them; so a token costs about one over the batch.
#[test]
fn phases_draw_what_measurements_show() {
    let served = |clients, prompt, output| {
        let (accelerator, model, precision) = ("h100-sxm", "llama-3.1-8b", "bf16");
        Served { accelerator, model, precision, tp: 1, clients, prompt, output }.run()
    };
    let prompts = of(&served(16, 8000.0, 2.0), "power_mean_w");
    assert!((650.0..=700.0).contains(&prompts), "prompts draw {prompts} W");
    let batches: Vec<Summary> = [1, 4, 16].into_iter().map(|n| served(n, 32.0, 400.0)).collect();
    let watts: Vec<f64> = batches.iter().map(|s| of(s, "power_mean_w")).collect();
    assert!(watts.iter().all(|w| (400.0..560.0).contains(w)), "{watts:?}");
    assert!(watts[2] / watts[0] < 1.15, "{watts:?}");
    let joules: Vec<f64> = batches.iter().map(|s| of(s, "active_j_per_token")).collect();
    assert!((3.3..4.4).contains(&(joules[0] / joules[1])), "{joules:?}");
    assert!((3.0..4.4).contains(&(joules[1] / joules[2])), "{joules:?}");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Watts and joules per token of dense Llama models, measured by NVML in steady state (ML.ENERGY v3). Prompts are not published:
/// 150 tokens are assumed. H100 and B200 constants were fitted to such rows, so this is a check of the whole and no prediction.
#[test]
fn served_llamas_draw_what_was_measured() {
    let Some(path) = shared("groundtruth/energy_mlenergy_v3_h100_b200.csv") else { return };
    let (mut watts, mut joules, mut measured) = (Vec::new(), Vec::new(), (Vec::new(), Vec::new()));
    for row in csv::Reader::from_path(path).expect("a readable table").records() {
        let row = row.expect("a row");
        let number = |i: usize| row[i].parse::<f64>().expect("a number");
        let models = [("-8B", "llama-3.1-8b"), ("-70B", "llama-3.1-70b"), ("-405B", "llama-3.1-405b")];
        let Some((_, model)) =
            models.iter().find(|(size, _)| row[2].contains("Llama") && row[2].contains(size))
        else {
            continue;
        };
        let clients = number(11) as u32;
        // Every third row is enough; more than 512 clients are mostly waiting.
        if number(10) > 1.0 || ![8, 32, 128, 512].contains(&clients) {
            continue;
        }
        let accelerator = if &row[0] == "H100" { "h100-sxm" } else { "b200-sxm" };
        let precision = if &row[7] == "fp8" { "fp8" } else { "bf16" };
        let (tp, gpus) = (number(8) as u32, number(1));
        let s =
            Served { accelerator, model, precision, tp, clients, prompt: 150.0, output: number(13) }.run();
        let (w, j) = (number(19) / gpus, number(20));
        watts.push((of(&s, "power_mean_w") / w - 1.0).abs());
        joules.push((of(&s, "provisioned_j_per_token") / j - 1.0).abs());
        measured.0.push(w);
        measured.1.push(j);
    }
    // The best constant: what one number for all rows would miss at least.
    let constant = |values: &[f64]| {
        let miss = |c: &f64| median(values.iter().map(|v| (c / v - 1.0).abs()).collect());
        values.iter().map(miss).fold(f64::INFINITY, f64::min)
    };
    let (rows, w, j) = (watts.len(), median(watts), median(joules));
    let (constant_w, constant_j) = (constant(&measured.0), constant(&measured.1));
    println!(
        "{rows} rows: median |error| {w:.3} in W (one constant {constant_w:.3}), {j:.3} in J/token ({constant_j:.3})"
    );
    assert!(rows > 30 && w < 0.08 && j < 0.12, "{rows} rows: {w} W, {j} J/token");
    assert!(
        w < 0.7 * constant_w && j < 0.6 * constant_j,
        "one number is as near: {constant_w} W, {constant_j} J/token"
    );
}
