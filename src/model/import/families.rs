//! Which keys each family of architectures uses. Defaults are those of the families' configuration classes in
//! `transformers`, from memory, to be checked; a key without a default there is asked for.

use serde_json::Value;

use super::{Reader, empty};
use crate::model::{Experts, Latent, Mlp, Model, Window};

/// One family: its names, and how its file is read.
pub(super) struct Family {
    /// `architectures` and `model_type`.
    names: &'static [&'static str],
    read: fn(&mut Reader<'_>) -> Model,
}

/// Every family. A name that stands nowhere is refused.
static FAMILIES: &[Family] = &[
    Family {
        names: &[
            "LlamaForCausalLM",
            "llama",
            "YiForCausalLM",
            "GraniteForCausalLM",
            "Olmo2ForCausalLM",
            "SmolLM3ForCausalLM",
            "InternLM3ForCausalLM",
        ],
        read: |r| llama(r, false),
    },
    Family { names: &["MistralForCausalLM", "mistral", "Phi3ForCausalLM", "phi3"], read: windowed },
    Family { names: &["MixtralForCausalLM", "mixtral"], read: mixtral },
    Family { names: &["Qwen2ForCausalLM", "qwen2"], read: |r| qwen(r, true) },
    Family { names: &["Qwen3ForCausalLM", "qwen3"], read: |r| qwen(r, false) },
    Family { names: &["Qwen2MoeForCausalLM", "qwen2_moe"], read: |r| qwen_moe(r, true) },
    Family { names: &["Qwen3MoeForCausalLM", "qwen3_moe"], read: |r| qwen_moe(r, false) },
    Family { names: &["GptOssForCausalLM", "gpt_oss"], read: gpt_oss },
    Family {
        names: &["DeepseekV2ForCausalLM", "deepseek_v2", "DeepseekV3ForCausalLM", "deepseek_v3"],
        read: deepseek,
    },
    Family { names: &["GemmaForCausalLM", "gemma"], read: |r| llama(r, true) },
    Family { names: &["Gemma2ForCausalLM", "gemma2"], read: |r| gemma(r, 2) },
    Family {
        names: &["Gemma3ForCausalLM", "gemma3_text", "Gemma3ForConditionalGeneration", "gemma3"],
        read: |r| gemma(r, 6),
    },
    Family { names: &["OPTForCausalLM", "opt"], read: opt },
    Family { names: &["BloomForCausalLM", "bloom"], read: bloom },
    Family { names: &["FalconForCausalLM", "RWForCausalLM", "falcon"], read: falcon },
    Family { names: &["GPT2LMHeadModel", "gpt2"], read: |r| gpt(r, true, false) },
    Family { names: &["GPTJForCausalLM", "gptj"], read: |r| gpt(r, false, true) },
    Family { names: &["GPTNeoXForCausalLM", "gpt_neox"], read: neox },
    Family { names: &["PhiForCausalLM", "phi"], read: phi },
];

/// All names, for messages.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().flat_map(|f| f.names.iter().copied()).filter(|n| n.starts_with(char::is_uppercase))
}

/// The family of an architecture.
pub(super) fn find(name: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|f| f.names.contains(&name))
}

/// Reads the fields of a family.
pub(super) fn read(family: &Family, reader: &mut Reader<'_>) -> Model {
    (family.read)(reader)
}

/// Head size where no key says it. An uneven one is recorded.
fn head_size(r: &mut Reader<'_>, hidden: u32, heads: u32) -> u32 {
    if !hidden.is_multiple_of(heads) {
        let message = format!("{hidden} is no multiple of {heads} heads, and no `head_dim` is given");
        r.refuse("hidden_size", message, "add `head_dim`, or correct the number of heads");
    }
    (hidden / heads).max(1)
}

/// Gated blocks, one size for all layers: the keys of Llama, which most families took over.
fn llama(r: &mut Reader<'_>, tied: bool) -> Model {
    let (hidden, heads) = (r.count("hidden_size"), r.count("num_attention_heads"));
    let head_size = match r.optional("head_dim") {
        Some(size) => size,
        None => head_size(r, hidden, heads),
    };
    if let Some(act) = r.get("hidden_act").and_then(Value::as_str)
        && !["silu", "swish", "gelu", "gelu_pytorch_tanh", "gelu_new"].contains(&act)
    {
        r.refuse("hidden_act", format!("{act:?} is not a gate that is known"), "known: silu, gelu");
    }
    Model {
        layers: r.count("num_hidden_layers"),
        hidden,
        heads,
        kv_heads: r.optional("num_key_value_heads").unwrap_or(heads),
        head_size,
        ffn: r.count("intermediate_size"),
        vocabulary: r.count("vocab_size"),
        tied_embeddings: r.flag("tie_word_embeddings", tied),
        qkv_bias: r.flag("attention_bias", false),
        max_model_len: r.count("max_position_embeddings"),
        ..empty()
    }
}

/// Llama with one sliding window for all layers, if `sliding_window` is a number.
fn windowed(r: &mut Reader<'_>) -> Model {
    let model = llama(r, false);
    let window = r.optional("sliding_window").map(|tokens| Window { tokens, layers: model.layers });
    Model { window, ..model }
}

/// Layers that `layer_types` calls sliding; `otherwise` where there is no such list.
fn sliding_layers(r: &mut Reader<'_>, layers: u32, otherwise: u32) -> u32 {
    let Some(list) = r.get("layer_types").and_then(Value::as_array) else { return otherwise };
    let sliding = list.iter().filter(|t| t.as_str() == Some("sliding_attention")).count();
    if list.len() != layers as usize {
        let message = format!("{} entries for {layers} layers", list.len());
        r.refuse("layer_types", message, "one entry for each layer");
    }
    u32::try_from(sliding).unwrap_or(layers)
}

/// A window of `sliding_window` tokens in `layers` layers, if there are any.
fn window(r: &mut Reader<'_>, layers: u32) -> Option<Window> {
    r.optional("sliding_window").filter(|_| layers > 0).map(|tokens| Window { tokens, layers })
}

/// Qwen: a window only where `use_sliding_window` says so, from layer `max_window_layers` up.
fn qwen(r: &mut Reader<'_>, qkv_bias: bool) -> Model {
    let model = llama(r, false);
    let window = if r.flag("use_sliding_window", false) {
        let full = r.count_or_zero("max_window_layers");
        let layers = sliding_layers(r, model.layers, model.layers.saturating_sub(full));
        window(r, layers)
    } else {
        None
    };
    Model { qkv_bias: qkv_bias || model.qkv_bias, window, ..model }
}

fn mixtral(r: &mut Reader<'_>) -> Model {
    let model = windowed(r);
    let experts = Experts {
        count: r.count("num_local_experts"),
        active: r.count("num_experts_per_tok"),
        width: model.ffn,
        shared: 0,
        shared_width: None,
        dense_layers: 0,
    };
    Model { experts: Some(experts), ..model }
}

/// Every layer has experts unless `decoder_sparse_step` or `mlp_only_layers` say otherwise, which is refused.
fn qwen_moe(r: &mut Reader<'_>, qkv_bias: bool) -> Model {
    let model = qwen(r, qkv_bias);
    if r.optional("decoder_sparse_step").unwrap_or(1) != 1 {
        let help = "write a model file by hand, with the leading dense layers in `dense-layers`";
        r.refuse("decoder_sparse_step", "dense layers between those with experts are not known".into(), help);
    }
    if r.get("mlp_only_layers").and_then(Value::as_array).is_some_and(|l| !l.is_empty()) {
        let help = "write a model file by hand, with the leading dense layers in `dense-layers`";
        r.refuse("mlp_only_layers", "chosen dense layers are not known".into(), help);
    }
    let shared_width = r.optional("shared_expert_intermediate_size");
    let experts = Experts {
        count: r.count("num_experts"),
        active: r.count("num_experts_per_tok"),
        width: r.count("moe_intermediate_size"),
        shared: u32::from(shared_width.is_some()),
        shared_width,
        dense_layers: 0,
    };
    Model { experts: Some(experts), ..model }
}

/// Every second layer slides where no list says otherwise.
fn gpt_oss(r: &mut Reader<'_>) -> Model {
    let model = llama(r, false);
    let layers = sliding_layers(r, model.layers, model.layers / 2);
    let window = window(r, layers);
    let experts = Experts {
        count: r.either(&["num_local_experts", "num_experts"]),
        active: r.either(&["num_experts_per_tok", "experts_per_token"]),
        width: model.ffn,
        shared: 0,
        shared_width: None,
        dense_layers: 0,
    };
    Model { qkv_bias: r.flag("attention_bias", true), window, experts: Some(experts), ..model }
}

fn deepseek(r: &mut Reader<'_>) -> Model {
    if r.optional("moe_layer_freq").unwrap_or(1) != 1 {
        let help = "write a model file by hand";
        r.refuse("moe_layer_freq", "dense layers between those with experts are not known".into(), help);
    }
    let heads = r.count("num_attention_heads");
    let latent = Latent {
        q_rank: r.optional("q_lora_rank"),
        kv_rank: r.count("kv_lora_rank"),
        nope: r.count("qk_nope_head_dim"),
        rope: r.count("qk_rope_head_dim"),
        value: r.count("v_head_dim"),
    };
    let experts = Experts {
        count: r.count("n_routed_experts"),
        active: r.count("num_experts_per_tok"),
        width: r.count("moe_intermediate_size"),
        shared: r.count_or_zero("n_shared_experts"),
        shared_width: None,
        dense_layers: r.count_or_zero("first_k_dense_replace"),
    };
    Model {
        layers: r.count("num_hidden_layers"),
        hidden: r.count("hidden_size"),
        heads,
        kv_heads: heads,
        head_size: latent.value,
        ffn: r.count("intermediate_size"),
        vocabulary: r.count("vocab_size"),
        tied_embeddings: r.flag("tie_word_embeddings", false),
        max_model_len: r.count("max_position_embeddings"),
        latent: Some(latent),
        experts: Some(experts),
        ..empty()
    }
}

/// Tied embeddings; one layer in `pattern` sees everything, the others slide.
fn gemma(r: &mut Reader<'_>, pattern: u32) -> Model {
    let model = llama(r, true);
    let pattern = r.optional("sliding_window_pattern").unwrap_or(pattern);
    let layers = sliding_layers(r, model.layers, model.layers - model.layers / pattern);
    let window = window(r, layers);
    Model { window, ..model }
}

/// What the older families with two matrices share: multi-head attention, `ffn` four times the hidden size.
fn plain(r: &mut Reader<'_>, hidden: u32, heads: u32) -> Model {
    Model {
        hidden,
        heads,
        kv_heads: heads,
        head_size: head_size(r, hidden, heads),
        ffn: hidden.saturating_mul(4),
        vocabulary: r.count("vocab_size"),
        mlp: Mlp::Mlp2,
        ..empty()
    }
}

fn opt(r: &mut Reader<'_>) -> Model {
    let (hidden, heads) = (r.count("hidden_size"), r.count("num_attention_heads"));
    if r.optional("word_embed_proj_dim").is_some_and(|d| d != hidden) {
        let help = "choose another size: only OPT-350M has one";
        r.refuse("word_embed_proj_dim", "a projection of the embedding is not known".into(), help);
    }
    Model {
        layers: r.count("num_hidden_layers"),
        ffn: r.count("ffn_dim"),
        tied_embeddings: r.flag("tie_word_embeddings", true),
        qkv_bias: r.flag("enable_bias", true),
        max_model_len: r.count("max_position_embeddings"),
        ..plain(r, hidden, heads)
    }
}

/// Positions are biases on the scores (ALiBi): the length is that of training.
fn bloom(r: &mut Reader<'_>) -> Model {
    let (hidden, heads) =
        (r.either(&["hidden_size", "n_embed"]), r.either(&["n_head", "num_attention_heads"]));
    Model {
        layers: r.either(&["n_layer", "num_hidden_layers"]),
        tied_embeddings: r.flag("tie_word_embeddings", true),
        qkv_bias: true,
        max_model_len: r.optional("seq_length").unwrap_or(2048),
        ..plain(r, hidden, heads)
    }
}

fn falcon(r: &mut Reader<'_>) -> Model {
    let hidden = r.count("hidden_size");
    let heads = r.either(&["num_attention_heads", "n_head"]);
    let kv_heads = match (r.flag("new_decoder_architecture", false), r.flag("multi_query", true)) {
        (true, _) => r.either(&["num_kv_heads", "n_head_kv"]),
        (false, true) => 1,
        (false, false) => heads,
    };
    let model = plain(r, hidden, heads);
    Model {
        layers: r.either(&["num_hidden_layers", "n_layer"]),
        kv_heads,
        ffn: r.optional("ffn_hidden_size").unwrap_or(model.ffn),
        tied_embeddings: r.flag("tie_word_embeddings", true),
        parallel_attention: r.flag("parallel_attn", true),
        qkv_bias: r.flag("bias", false),
        max_model_len: r.optional("max_position_embeddings").unwrap_or(2048),
        ..model
    }
}

/// GPT-2 and GPT-J.
fn gpt(r: &mut Reader<'_>, tied: bool, parallel_attention: bool) -> Model {
    let (hidden, heads) = (r.count("n_embd"), r.count("n_head"));
    let model = plain(r, hidden, heads);
    Model {
        layers: r.count("n_layer"),
        ffn: r.optional("n_inner").unwrap_or(model.ffn),
        tied_embeddings: r.flag("tie_word_embeddings", tied),
        parallel_attention,
        qkv_bias: !parallel_attention,
        max_model_len: r.count("n_positions"),
        ..model
    }
}

fn neox(r: &mut Reader<'_>) -> Model {
    let (hidden, heads) = (r.count("hidden_size"), r.count("num_attention_heads"));
    Model {
        layers: r.count("num_hidden_layers"),
        ffn: r.count("intermediate_size"),
        tied_embeddings: r.flag("tie_word_embeddings", false),
        parallel_attention: r.flag("use_parallel_residual", true),
        qkv_bias: r.flag("attention_bias", true),
        max_model_len: r.count("max_position_embeddings"),
        ..plain(r, hidden, heads)
    }
}

/// Phi-1 and Phi-2: attention and MLP side by side.
fn phi(r: &mut Reader<'_>) -> Model {
    let (hidden, heads) = (r.count("hidden_size"), r.count("num_attention_heads"));
    Model {
        layers: r.count("num_hidden_layers"),
        kv_heads: r.optional("num_key_value_heads").unwrap_or(heads),
        ffn: r.count("intermediate_size"),
        tied_embeddings: r.flag("tie_word_embeddings", false),
        parallel_attention: true,
        qkv_bias: true,
        max_model_len: r.count("max_position_embeddings"),
        ..plain(r, hidden, heads)
    }
}
