//! The registry line of each mechanism is complete and true.

use std::collections::BTreeSet;

use windtunnel::policy::scheduler::{
    Chunked, Clairvoyant, Iteration, PrefillFirst, SchedulerConfig, Static, Unified,
};

#[test]
fn every_line_is_complete_and_true() {
    let all = SchedulerConfig::all();
    let keys: BTreeSet<&str> = all.iter().map(SchedulerConfig::key).collect();
    assert_eq!(keys.len(), all.len(), "keys are unique");
    for config in &all {
        let key = config.key();
        assert!(!config.summary().is_empty() && !config.summary().ends_with('.'), "{key}");
        assert_eq!(config.validate(), Ok(()), "defaults of {key}");
        assert_eq!(config.build().is_none(), key == "ideal");
        assert_eq!(config.paper().is_none(), matches!(key, "ideal" | "clairvoyant"));
        if let Some(scheduler) = config.build() {
            assert_eq!(scheduler.knows_lengths(), config.knows_lengths(), "{key}");
        }
        if let Some(paper) = config.paper() {
            assert!(paper.url.starts_with("https://") && paper.row.starts_with('A'), "{key}");
        }
    }
}

#[test]
fn a_config_is_written_under_its_key_and_read_back() {
    for config in SchedulerConfig::all() {
        let text = serde_json::to_string(&config).expect("serialises");
        assert!(text.starts_with(&format!("{{\"{}\":", config.key())), "{text}");
        assert_eq!(serde_json::from_str::<SchedulerConfig>(&text).expect("reads back"), config);
    }
    let unknown = serde_json::from_str::<SchedulerConfig>(r#"{"chunked":{"token-budgets":1}}"#);
    assert!(unknown.expect_err("refused").to_string().contains("token-budget"));
}

#[test]
fn parameters_that_no_run_can_work_with_are_refused() {
    let bad = [
        (SchedulerConfig::Unified(Unified { token_budget: 0, ..Unified::default() }), "token-budget"),
        (SchedulerConfig::Unified(Unified { max_sequences: 0, ..Unified::default() }), "max-sequences"),
        (SchedulerConfig::Chunked(Chunked { token_budget: 0, ..Chunked::default() }), "token-budget"),
        (SchedulerConfig::Chunked(Chunked { max_sequences: 0, ..Chunked::default() }), "max-sequences"),
        (
            SchedulerConfig::PrefillFirst(PrefillFirst { token_budget: 0, ..PrefillFirst::default() }),
            "token-budget",
        ),
        (SchedulerConfig::Iteration(Iteration { max_batch: 0 }), "max-batch"),
        (SchedulerConfig::Static(Static { max_batch: 0, ..Static::default() }), "max-batch"),
        (
            SchedulerConfig::Static(Static { max_batch: 2, micro_batch: 3, ..Static::default() }),
            "micro-batch",
        ),
        (
            SchedulerConfig::Clairvoyant(Clairvoyant { max_sequences: 0, ..Clairvoyant::default() }),
            "max-sequences",
        ),
    ];
    for (config, key) in bad {
        let (found, problem, help) = config.validate().expect_err("refused");
        assert_eq!(found, key);
        assert!(problem.contains(key) && !problem.ends_with('.'), "{problem}");
        assert!(!help.is_empty());
    }
}
