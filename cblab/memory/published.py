"""Published models: what of their `config.json` decides their sizes, and what their publishers say.

Each source is the page of the checkpoint, whose `config.json` has the numbers and whose safetensors files
have so many parameters (without the masks that GPT-2's files hold beside them). The base models are meant:
tuned ones may state another context, as Qwen2-7B-Instruct does (32,768 where the base model has 131,072).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_HUB = "https://huggingface.co"


@dataclass(frozen=True)
class PublishedModel:
    """One published model.

    name: as its publisher writes it.
    config: the entries of its `config.json` that decide sizes, and those that a ModelConfig cannot do
        without; what is missing there is missing here.
    parameters: how many its files hold; None where this table needs only its cache.
    source: the page that says so.
    """

    name: str
    config: Mapping[str, Any]
    parameters: int | None
    source: str


def _config(
    vocab: int, hidden: int, inner: int, layers: int, heads: int, kv_heads: int, context: int, **more: Any
) -> dict[str, Any]:
    """The keys that every model of Llama's shape has."""
    return {
        "model_type": "llama",
        "vocab_size": vocab,
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "max_position_embeddings": context,
        "rms_norm_eps": 1e-5,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        **more,
    }


def _gpt2(hidden: int, layers: int, heads: int) -> dict[str, Any]:
    """The keys of a GPT-2."""
    return {
        "model_type": "gpt2",
        "vocab_size": 50257,
        "n_positions": 1024,
        "n_embd": hidden,
        "n_layer": layers,
        "n_head": heads,
    }


def _moe(experts: int, of_a_token: int) -> dict[str, Any]:
    return {"model_type": "mixtral", "num_local_experts": experts, "num_experts_per_tok": of_a_token}


_QWEN2 = {"model_type": "qwen2", "rms_norm_eps": 1e-6}
_QWEN3 = {"model_type": "qwen3", "rms_norm_eps": 1e-6, "head_dim": 128}
_TIED = {"tie_word_embeddings": True}
_MISTRAL = {"model_type": "mistral", "sliding_window": 4096}

PUBLISHED: tuple[PublishedModel, ...] = (
    PublishedModel("gpt2", _gpt2(768, 12, 12), 124_439_808, f"{_HUB}/openai-community/gpt2"),
    PublishedModel("gpt2-medium", _gpt2(1024, 24, 16), 354_823_168, f"{_HUB}/openai-community/gpt2-medium"),
    PublishedModel("gpt2-xl", _gpt2(1600, 48, 25), 1_557_611_200, f"{_HUB}/openai-community/gpt2-xl"),
    PublishedModel(
        "Llama-2-7b",
        _config(32000, 4096, 11008, 32, 32, 32, 4096),
        6_738_415_616,
        f"{_HUB}/meta-llama/Llama-2-7b-hf",
    ),
    PublishedModel(
        "Llama-2-13b",
        _config(32000, 5120, 13824, 40, 40, 40, 4096),
        13_015_864_320,
        f"{_HUB}/meta-llama/Llama-2-13b-hf",
    ),
    PublishedModel(
        "Llama-2-70b",
        _config(32000, 8192, 28672, 80, 64, 8, 4096),
        68_976_648_192,
        f"{_HUB}/meta-llama/Llama-2-70b-hf",
    ),
    PublishedModel(
        "Llama-3-8B",
        _config(128256, 4096, 14336, 32, 32, 8, 8192),
        8_030_261_248,
        f"{_HUB}/meta-llama/Meta-Llama-3-8B",
    ),
    PublishedModel(
        "Llama-3-70B",
        _config(128256, 8192, 28672, 80, 64, 8, 8192),
        70_553_706_496,
        f"{_HUB}/meta-llama/Meta-Llama-3-70B",
    ),
    PublishedModel(
        "Llama-3.2-1B",
        _config(128256, 2048, 8192, 16, 32, 8, 131072, head_dim=64, **_TIED),
        1_235_814_400,
        f"{_HUB}/meta-llama/Llama-3.2-1B",
    ),
    PublishedModel(
        "Mistral-7B-v0.1",
        _config(32000, 4096, 14336, 32, 32, 8, 32768, **_MISTRAL),
        7_241_732_096,
        f"{_HUB}/mistralai/Mistral-7B-v0.1",
    ),
    PublishedModel(
        "Mixtral-8x7B-v0.1",
        _config(32000, 4096, 14336, 32, 32, 8, 32768, **_moe(8, 2)),
        46_702_792_704,
        f"{_HUB}/mistralai/Mixtral-8x7B-v0.1",
    ),
    PublishedModel(
        "Qwen2-0.5B",
        _config(151936, 896, 4864, 24, 14, 2, 131072, **_QWEN2, **_TIED),
        494_032_768,
        f"{_HUB}/Qwen/Qwen2-0.5B",
    ),
    PublishedModel(
        "Qwen2-7B",
        _config(152064, 3584, 18944, 28, 28, 4, 131072, **_QWEN2),
        7_615_616_512,
        f"{_HUB}/Qwen/Qwen2-7B",
    ),
    PublishedModel(
        "Qwen3-0.6B",
        _config(151936, 1024, 3072, 28, 16, 8, 40960, **_QWEN3, **_TIED),
        596_049_920,
        f"{_HUB}/Qwen/Qwen3-0.6B",
    ),
    PublishedModel(
        "Qwen3-8B",
        _config(151936, 4096, 12288, 36, 32, 8, 40960, **_QWEN3),
        8_190_735_360,
        f"{_HUB}/Qwen/Qwen3-8B",
    ),
    PublishedModel(
        "gemma-2b",
        {
            "model_type": "gemma",
            "hidden_size": 2048,
            "num_hidden_layers": 18,
            "num_attention_heads": 8,
            "num_key_value_heads": 1,
            "head_dim": 256,
        },
        None,
        f"{_HUB}/google/gemma-2b",
    ),
    PublishedModel(
        "gpt-oss-20b",
        {
            "model_type": "gpt_oss",
            "hidden_size": 2880,
            "num_hidden_layers": 24,
            "num_attention_heads": 64,
            "num_key_value_heads": 8,
            "head_dim": 64,
            "sliding_window": 128,
            "layer_types": ["sliding_attention", "full_attention"] * 12,
        },
        None,
        f"{_HUB}/openai/gpt-oss-20b",
    ),
    PublishedModel(
        "DeepSeek-V3",
        {
            "model_type": "deepseek_v3",
            "hidden_size": 7168,
            "num_hidden_layers": 61,
            "num_attention_heads": 128,
            "num_key_value_heads": 128,
            "kv_lora_rank": 512,
            "qk_rope_head_dim": 64,
        },
        None,
        f"{_HUB}/deepseek-ai/DeepSeek-V3",
    ),
)


def published(name: str) -> PublishedModel:
    """The published model of that name; ValueError, with the known names, for another."""
    for model in PUBLISHED:
        if model.name == name:
            return model
    raise ValueError(
        f"no published model {name!r} is known; known are {', '.join(m.name for m in PUBLISHED)}"
    )
