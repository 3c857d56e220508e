"""Tiny models of the reference library, one of each kind that a family's config.json can ask for."""

import transformers as hf

SMALL = {
    "vocab_size": 61,
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}
GPT2 = {"vocab_size": 61, "n_embd": 24, "n_layer": 3, "n_head": 4, "n_positions": 64}
T5 = {
    "vocab_size": 61,
    "d_model": 24,
    "d_kv": 7,
    "d_ff": 40,
    "num_layers": 2,
    "num_heads": 3,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 11,
}
MAMBA = {"vocab_size": 61, "hidden_size": 20, "num_hidden_layers": 3, "state_size": 5}


def rope(theta=1e4, **others):
    return {"rope_parameters": {"rope_type": "default", "rope_theta": theta} | others}


CASES = {
    "gpt2": ("GPT2", "LMHeadModel", GPT2),
    "gpt2 untied, relu, narrow": (
        "GPT2",
        "LMHeadModel",
        GPT2 | {"tie_word_embeddings": False, "activation_function": "relu", "n_inner": 17},
    ),
    "gpt2 scaled by layer": ("GPT2", "LMHeadModel", GPT2 | {"scale_attn_by_inverse_layer_idx": True}),
    "gpt2 unscaled": ("GPT2", "LMHeadModel", GPT2 | {"scale_attn_weights": False}),
    "llama": ("Llama", "ForCausalLM", SMALL),
    "llama with fewer keys, tied": (
        "Llama",
        "ForCausalLM",
        SMALL | {"num_key_value_heads": 2, "tie_word_embeddings": True} | rope(5e5),
    ),
    "llama with one key, odd sizes, biases": (
        "Llama",
        "ForCausalLM",
        SMALL | {"num_key_value_heads": 1, "head_dim": 10, "attention_bias": True, "mlp_bias": True},
    ),
    "llama 3": (
        "Llama",
        "ForCausalLM",
        SMALL
        | {"num_key_value_heads": 2}
        | rope(
            50.0,
            rope_type="llama3",
            factor=8.0,
            low_freq_factor=1.0,
            high_freq_factor=4.0,
            original_max_position_embeddings=32,
        ),
    ),
    "llama with linear scaling": ("Llama", "ForCausalLM", SMALL | rope(rope_type="linear", factor=3.0)),
    "llama with yarn": (
        "Llama",
        "ForCausalLM",
        SMALL
        | {"head_dim": 16}
        | rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=16, beta_fast=4, beta_slow=0.5),
    ),
    "llama with yarn and coefficients": (
        "Llama",
        "ForCausalLM",
        SMALL
        | rope(
            rope_type="yarn",
            factor=4.0,
            original_max_position_embeddings=16,
            mscale=0.7,
            mscale_all_dim=1.1,
            truncate=False,
        ),
    ),
    "llama gated by gelu": ("Llama", "ForCausalLM", SMALL | {"hidden_act": "gelu"}),
    "mistral": ("Mistral", "ForCausalLM", SMALL | {"num_key_value_heads": 2, "sliding_window": 4}),
    "mistral without a window": ("Mistral", "ForCausalLM", SMALL | {"num_key_value_heads": 4, "sliding_window": None}),
    "qwen2": ("Qwen2", "ForCausalLM", SMALL | {"num_key_value_heads": 2, "tie_word_embeddings": True}),
    "qwen2 with windows": (
        "Qwen2",
        "ForCausalLM",
        SMALL | {"num_key_value_heads": 4, "use_sliding_window": True, "sliding_window": 3, "max_window_layers": 1},
    ),
    "qwen3": ("Qwen3", "ForCausalLM", SMALL | {"num_key_value_heads": 2, "head_dim": 10}),
    "qwen3 with windows and biases": (
        "Qwen3",
        "ForCausalLM",
        SMALL
        | {
            "num_key_value_heads": 1,
            "head_dim": 8,
            "attention_bias": True,
            "use_sliding_window": True,
            "sliding_window": 5,
            "layer_types": ["full_attention", "sliding_attention", "full_attention"],
        },
    ),
    "gpt_neox": ("GPTNeoX", "ForCausalLM", SMALL | {"hidden_size": 32} | rope(partial_rotary_factor=0.25)),
    "gpt_neox in sequence, tied, without biases": (
        "GPTNeoX",
        "ForCausalLM",
        SMALL
        | {"use_parallel_residual": False, "tie_word_embeddings": True, "attention_bias": False}
        | rope(300.0, partial_rotary_factor=0.67),
    ),
    "mamba": ("Mamba", "ForCausalLM", MAMBA),
    "mamba with biases": (
        "Mamba",
        "ForCausalLM",
        MAMBA | {"use_bias": True, "expand": 3, "time_step_rank": 3, "conv_kernel": 3, "tie_word_embeddings": False},
    ),
    "bert": ("Bert", "ForMaskedLM", SMALL),
    "bert of three parts, relu": ("Bert", "ForMaskedLM", SMALL | {"type_vocab_size": 3, "hidden_act": "relu"}),
    "t5": ("T5", "ForConditionalGeneration", T5),
    "t5 1.1": (
        "T5",
        "ForConditionalGeneration",
        T5 | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False, "num_decoder_layers": 1},
    ),
    "t5 gated by relu": ("T5", "ForConditionalGeneration", T5 | {"feed_forward_proj": "gated-relu"}),
    "t5 with a deeper decoder": ("T5", "ForConditionalGeneration", T5 | {"num_decoder_layers": 3}),
}
DECODERS = [name for name in CASES if not name.startswith(("bert", "t5"))]


def reference(name):
    """The reference's model of that name, with attention as its equations say."""
    family, kind, values = CASES[name]
    config = getattr(hf, f"{family}Config")(**values, attn_implementation="eager")
    config.bos_token_id = config.eos_token_id = config.pad_token_id = None
    return getattr(hf, f"{family}{kind}")(config)
