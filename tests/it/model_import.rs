//! `config.json` of Hugging Face: every family, nesting, quantisation, and the way back through a TOML file.

use std::fs;

use windtunnel::diagnostic::Source;
use windtunnel::model::{Experts, Imported, Latent, Mlp, Model, WeightFormat, Window, import};
use windtunnel::scenario::execute::{Options, execute};
use windtunnel::scenario::{Flags, StudyPlan, Target};

fn read(text: &str) -> Result<Imported, String> {
    import("here/config.json", &Source::new("config.json", text)).map_err(|e| e.to_string())
}

/// The keys of Llama, small, with `more` in front.
fn llama_like(more: &str) -> String {
    format!(
        "{{{more}, \"hidden_size\": 64, \"num_attention_heads\": 8, \"num_hidden_layers\": 4, \
         \"intermediate_size\": 192, \"vocab_size\": 1000, \"max_position_embeddings\": 4096}}"
    )
}

#[track_caller]
fn model(text: &str) -> Model {
    read(text).unwrap_or_else(|e| panic!("{text}\n{e}")).model
}

/// Shape of a model in one line, so that every family's row can be read.
fn shape(m: &Model) -> String {
    let mlp = if m.mlp == Mlp::Glu { "glu" } else { "mlp2" };
    let mut text = format!(
        "L{} d{} h{}/{}x{} ff{} V{} {mlp} ctx{}",
        m.layers, m.hidden, m.heads, m.kv_heads, m.head_size, m.ffn, m.vocabulary, m.max_model_len
    );
    for (flag, name) in
        [(m.tied_embeddings, " tied"), (m.parallel_attention, " parallel"), (m.qkv_bias, " bias")]
    {
        text.push_str(if flag { name } else { "" });
    }
    text
}

#[test]
fn dense_families() {
    let all = "L4 d64 h8/8x8 ff192 V1000 glu ctx4096";
    for (more, want) in [
        ("\"architectures\": [\"LlamaForCausalLM\"]", all.to_owned()),
        ("\"model_type\": \"llama\", \"num_key_value_heads\": 2", all.replace("h8/8", "h8/2")),
        ("\"architectures\": [\"YiForCausalLM\"], \"head_dim\": 16", all.replace("x8", "x16")),
        ("\"architectures\": [\"MistralForCausalLM\"], \"sliding_window\": null", all.to_owned()),
        ("\"architectures\": [\"Qwen2ForCausalLM\"], \"sliding_window\": 128", format!("{all} bias")),
        ("\"architectures\": [\"Qwen3ForCausalLM\"], \"tie_word_embeddings\": true", format!("{all} tied")),
        ("\"architectures\": [\"GemmaForCausalLM\"], \"hidden_act\": \"gelu\"", format!("{all} tied")),
        ("\"architectures\": [\"Phi3ForCausalLM\"], \"sliding_window\": null", all.to_owned()),
        ("\"architectures\": [\"PhiForCausalLM\"]", all.replace("glu", "mlp2") + " parallel bias"),
        ("\"architectures\": [\"GPTNeoXForCausalLM\"]", all.replace("glu", "mlp2") + " parallel bias"),
    ] {
        let m = model(&llama_like(more));
        assert_eq!(shape(&m), want, "{more}");
        assert!(m.window.is_none() && m.experts.is_none() && m.unmodelled().is_none(), "{more}");
    }
}

#[test]
fn older_families_with_their_own_keys() {
    for (text, want) in [
        (
            r#"{"architectures": ["OPTForCausalLM"], "hidden_size": 64, "ffn_dim": 256, "num_attention_heads": 4,
               "num_hidden_layers": 3, "vocab_size": 900, "max_position_embeddings": 2048}"#,
            "L3 d64 h4/4x16 ff256 V900 mlp2 ctx2048 tied bias",
        ),
        (
            r#"{"architectures": ["GPT2LMHeadModel"], "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 1024,
               "n_inner": null, "vocab_size": 500}"#,
            "L2 d64 h4/4x16 ff256 V500 mlp2 ctx1024 tied bias",
        ),
        (
            r#"{"architectures": ["GPTJForCausalLM"], "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 2048,
               "vocab_size": 500}"#,
            "L2 d64 h4/4x16 ff256 V500 mlp2 ctx2048 parallel",
        ),
        (
            r#"{"model_type": "bloom", "n_embed": 64, "n_layer": 2, "n_head": 8, "vocab_size": 700}"#,
            "L2 d64 h8/8x8 ff256 V700 mlp2 ctx2048 tied bias",
        ),
        (
            r#"{"architectures": ["FalconForCausalLM"], "hidden_size": 64, "num_attention_heads": 8,
               "num_hidden_layers": 2, "vocab_size": 700, "multi_query": true}"#,
            "L2 d64 h8/1x8 ff256 V700 mlp2 ctx2048 tied parallel",
        ),
        (
            r#"{"model_type": "falcon", "hidden_size": 64, "num_attention_heads": 8, "num_kv_heads": 2,
               "num_hidden_layers": 2, "vocab_size": 700, "new_decoder_architecture": true, "parallel_attn": true}"#,
            "L2 d64 h8/2x8 ff256 V700 mlp2 ctx2048 tied parallel",
        ),
    ] {
        assert_eq!(shape(&model(text)), want);
    }
}

#[test]
fn windows() {
    let of = |more: &str| model(&llama_like(more)).window;
    let all = |tokens| Some(Window { tokens, layers: 4 });
    assert_eq!(of("\"architectures\": [\"MistralForCausalLM\"], \"sliding_window\": 128"), all(128));
    let qwen = "\"model_type\": \"qwen2\", \"sliding_window\": 128, \"use_sliding_window\": true";
    assert_eq!(of(&format!("{qwen}, \"max_window_layers\": 3")), Some(Window { tokens: 128, layers: 1 }));
    assert_eq!(
        of("\"model_type\": \"gemma2\", \"sliding_window\": 32"),
        Some(Window { tokens: 32, layers: 2 })
    );
    let types = "[\"sliding_attention\", \"sliding_attention\", \"sliding_attention\", \"full_attention\"]";
    let gemma = format!("\"model_type\": \"gemma3_text\", \"sliding_window\": 32, \"layer_types\": {types}");
    assert_eq!(of(&gemma), Some(Window { tokens: 32, layers: 3 }));
    let nested = llama_like("\"model_type\": \"gemma3_text\", \"sliding_window\": 32");
    let nested =
        format!("{{\"architectures\": [\"Gemma3ForConditionalGeneration\"], \"text_config\": {nested}}}");
    assert_eq!(model(&nested).window, all(32), "four layers are less than one period of six");
    let part = llama_like("\"model_type\": \"mistral\", \"sliding_window\": 64");
    let llava =
        format!("{{\"architectures\": [\"LlavaForConditionalGeneration\"], \"text_config\": {part}}}");
    assert_eq!(model(&llava).window, all(64), "the language part decides");
    let message = read(&llava.replace("\"vocab_size\": 1000, ", "")).expect_err("no vocabulary");
    assert!(message.contains("`vocab_size`: is missing (looked for in `text_config` too)"), "{message}");
}

#[test]
fn experts_and_latent_attention() {
    let experts = |more: &str| model(&llama_like(more)).experts;
    let routed = Experts { count: 8, active: 2, width: 192, shared: 0, shared_width: None, dense_layers: 0 };
    let text =
        "\"architectures\": [\"MixtralForCausalLM\"], \"num_local_experts\": 8, \"num_experts_per_tok\": 2";
    assert_eq!(experts(text), Some(routed));
    let qwen = "\"num_experts\": 16, \"num_experts_per_tok\": 4, \"moe_intermediate_size\": 32";
    let small = Experts { count: 16, active: 4, width: 32, ..routed };
    assert_eq!(experts(&format!("\"model_type\": \"qwen3_moe\", {qwen}")), Some(small));
    let shared = format!("\"model_type\": \"qwen2_moe\", {qwen}, \"shared_expert_intermediate_size\": 96");
    assert_eq!(experts(&shared), Some(Experts { shared: 1, shared_width: Some(96), ..small }));
    let oss = "\"architectures\": [\"GptOssForCausalLM\"], \"num_local_experts\": 8, \"experts_per_token\": 2, \
               \"sliding_window\": 64, \"quantization_config\": {\"quant_method\": \"mxfp4\"}";
    let oss = model(&llama_like(oss));
    assert_eq!((oss.experts, oss.window), (Some(routed), Some(Window { tokens: 64, layers: 2 })));
    assert_eq!(oss.weight_format, Some(WeightFormat::Mxfp4));
    let deepseek = "\"architectures\": [\"DeepseekV3ForCausalLM\"], \"q_lora_rank\": null, \"kv_lora_rank\": 16, \
                    \"qk_nope_head_dim\": 8, \"qk_rope_head_dim\": 4, \"v_head_dim\": 8, \"n_routed_experts\": 8, \
                    \"num_experts_per_tok\": 2, \"moe_intermediate_size\": 32, \"n_shared_experts\": 1, \
                    \"first_k_dense_replace\": 1, \"moe_layer_freq\": 1";
    let deepseek = model(&llama_like(deepseek));
    assert_eq!(deepseek.latent, Some(Latent { q_rank: None, kv_rank: 16, nope: 8, rope: 4, value: 8 }));
    assert_eq!(deepseek.kv_bytes_per_token(2.0).0, 4.0 * 20.0 * 2.0);
    // By hand: attention, one dense block, three layers with router, eight routed and one shared expert, embeddings.
    let attention = 64 * 8 * 12 + 64 * 20 + 16 * 8 * 16 + 8 * 8 * 64;
    let sparse = 64 * 8 + 3 * 64 * 32 * 9;
    let total = 4 * attention + 3 * 64 * 192 + 3 * sparse + 2 * 1000 * 64;
    assert_eq!(deepseek.parameters(), total);
    assert_eq!(deepseek.active_parameters(), total - 3 * 3 * 64 * 32 * 6 - 1000 * 64);
    for m in [oss, deepseek] {
        assert!(m.unmodelled().is_some());
    }
}

#[test]
fn quantisation_is_read_and_told() {
    for (config, want) in [
        ("{\"quant_method\": \"fp8\"}", Some(WeightFormat::Fp8)),
        ("{\"quant_method\": \"gptq\", \"bits\": 4}", Some(WeightFormat::Int4)),
        ("{\"quant_method\": \"awq\", \"bits\": 8}", Some(WeightFormat::Int8)),
        ("{\"quant_method\": \"bitsandbytes\", \"load_in_4bit\": true}", Some(WeightFormat::Int4)),
        (
            "{\"quant_method\": \"compressed-tensors\", \"config_groups\": {\"group_0\": {\"weights\": \
             {\"num_bits\": 8, \"type\": \"float\"}}}}",
            Some(WeightFormat::Fp8),
        ),
        ("null", None),
    ] {
        let text = llama_like(&format!("\"model_type\": \"llama\", \"quantization_config\": {config}"));
        let imported = read(&text).unwrap_or_else(|e| panic!("{config}: {e}"));
        assert_eq!(imported.model.weight_format, want, "{config}");
        assert_eq!(imported.notes.len(), usize::from(want.is_some()), "{config}");
    }
    let odd = llama_like(
        "\"model_type\": \"llama\", \"quantization_config\": {\"quant_method\": \"gptq\", \"bits\": 3}",
    );
    assert!(read(&odd).expect_err("3 bits").contains("`quantization_config`: the format of"));
}

#[test]
fn what_is_wrong_is_named() {
    for (text, want) in [
        ("[1]", "not an object"),
        ("{}", "neither `architectures` nor `model_type`"),
        ("{\"architectures\": [\"MambaForCausalLM\"]}", "unknown architecture `MambaForCausalLM`"),
        ("{\"model_type\": \"llama\"}", "`num_hidden_layers`: is missing"),
        (&llama_like("\"model_type\": \"llama\", \"num_key_value_heads\": 3"), "3 KV heads do not divide 8"),
        (&llama_like("\"model_type\": \"llama\", \"head_dim\": -2"), "`head_dim`: -2 is not a count"),
        (&llama_like("\"model_type\": \"llama\", \"hidden_act\": \"relu\""), "is not a gate that is known"),
        (&llama_like("\"model_type\": \"llama\", \"tie_word_embeddings\": 1"), "neither true nor false"),
        (
            &llama_like("\"model_type\": \"mixtral\", \"num_local_experts\": 2, \"num_experts_per_tok\": 3"),
            "3 active experts of 2",
        ),
        (
            &llama_like(
                "\"model_type\": \"qwen3_moe\", \"num_experts\": 2, \"num_experts_per_tok\": 1, \
                 \"moe_intermediate_size\": 8, \"mlp_only_layers\": [0]",
            ),
            "`mlp_only_layers`",
        ),
    ] {
        let got = read(text).expect_err(text);
        assert!(got.contains(want), "{text}: expected `{want}` in\n{got}");
    }
}

#[test]
fn an_import_survives_its_own_file() {
    let folder = tempfile::tempdir().unwrap();
    let text = llama_like(
        "\"model_type\": \"qwen2_moe\", \"num_experts\": 16, \"num_experts_per_tok\": 4, \
         \"moe_intermediate_size\": 32, \"shared_expert_intermediate_size\": 96, \
         \"use_sliding_window\": true, \"sliding_window\": 100",
    );
    for text in
        [text, llama_like("\"model_type\": \"phi\", \"quantization_config\": {\"quant_method\": \"fp8\"}")]
    {
        let imported = model(&text);
        fs::write(folder.path().join("mine.toml"), imported.to_toml()).unwrap();
        let read = Model::load("mine", Some(folder.path())).unwrap();
        assert_eq!(read, Model { name: "mine".to_owned(), ..imported });
    }
    // The dimensions of a shipped model give the shipped model.
    let llama = r#"{"architectures": ["LlamaForCausalLM"], "hidden_size": 4096, "num_attention_heads": 32,
        "num_key_value_heads": 8, "num_hidden_layers": 32, "intermediate_size": 14336, "vocab_size": 128256,
        "max_position_embeddings": 131072, "rope_scaling": {"factor": 8.0}}"#;
    let (mine, shipped) = (read(llama).unwrap(), Model::load("llama-3.1-8b", None).unwrap());
    assert_eq!(shape(&mine.model), shape(&shipped));
    assert!(mine.notes[0].contains("rope_scaling"), "{:?}", mine.notes);
}

#[test]
fn a_scenario_serves_a_config_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("tiny")).unwrap();
    let config =
        llama_like("\"model_type\": \"llama\", \"quantization_config\": {\"quant_method\": \"fp8\"}");
    fs::write(folder.path().join("tiny/config.json"), config).unwrap();
    let path = folder.path().join("study.toml");
    fs::write(
        &path,
        "title = \"t\"\n[workload]\nrecipe = \"burstgpt-conv\"\nrequests = 10\nrate = \"1 req/s\"\n[deployment]\n\
         model = \"tiny/config.json\"\naccelerator = \"l4\"\n[systems]\nreference = \"orca\"\ncompare = [\"orca\"]\n",
    )
    .unwrap();
    let plan = StudyPlan::resolve(&Target::File(path), &Flags::default()).unwrap();
    let model = &plan.systems[0].spec.model;
    assert_eq!(
        (model.name.as_str(), model.title.as_str()),
        ("tiny/config.json", "llama of tiny/config.json")
    );
    // Said where the numbers are shown, not only while they are made.
    let study = execute(&plan, Options::default(), &()).map_err(|_| "a study").unwrap().into_study(&plan);
    let said = format!("{:?}", study.warnings);
    assert!(said.contains("published with fp8 weights, but its weights are costed with 2 bytes"), "{said}");
}
