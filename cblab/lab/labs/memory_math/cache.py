"""Check of exercise 2.5: bytes of the KV cache from a config.json."""

import random
from collections.abc import Mapping
from typing import Any

from cblab.lab.labs.diagnose import Wrong, diagnose_function
from cblab.lab.labs.memory_math.counting import missing_key, without
from cblab.lab.trial import Trial
from cblab.memory.kv_cache import kv_cache_bytes


def _cache(
    *,
    heads: str = "kv",
    head_dim: str = "file",
    both: int = 2,
    latent: str = "both",
    latent_times: int = 1,
    window: str = "by type",
    layers: bool = True,
    bytes_: str = "given",
    per: str = "tokens",
) -> Any:
    """Counting the cache with a defect."""

    def count(config: Mapping[str, Any], num_tokens: int, bytes_per_number: int) -> int:
        query_heads = config["num_attention_heads"]
        kv_heads = config.get("num_key_value_heads") or query_heads
        dim = config.get("head_dim") or config["hidden_size"] // query_heads
        if head_dim == "computed":
            dim = config["hidden_size"] // query_heads
        if heads == "query":
            kv_heads = query_heads
        if heads == "group":
            kv_heads = query_heads // kv_heads
        if heads == "one":
            kv_heads = 1
        numbers = both * kv_heads * dim
        if heads == "hidden":
            numbers = both * config["hidden_size"]
        if config.get("kv_lora_rank") and latent != "ignored":
            rank, rope = config["kv_lora_rank"], config["qk_rope_head_dim"]
            numbers = {
                "both": rank + rope,
                "rank": rank,
                "rope": rope,
                "per head": rank + kv_heads * rope,
                "rank twice": 2 * rank + rope,
            }[latent]
            numbers *= latent_times
        limit = config.get("sliding_window")
        num_layers = config["num_hidden_layers"] if layers else 1
        types = config.get("layer_types") or ["sliding_attention"] * config["num_hidden_layers"]
        held = 0
        for kind in types[:num_layers]:
            named = kind == "sliding_attention"
            sliding = {
                "all": True,
                "none": False,
                "swapped": not named or not config.get("layer_types"),
                "typed only": named and bool(config.get("layer_types")),
            }.get(window, named)
            if limit and sliding:
                held += limit if window == "always full" else min(num_tokens, limit)
            else:
                held += 1 if per == "token" else num_tokens
        return held * numbers * (2 if bytes_ == "two" else 1 if bytes_ == "none" else bytes_per_number)

    return count


_WRONGS = (
    Wrong(
        "The query heads are counted: K and V have `num_key_value_heads` heads.",
        _cache(heads="query"),
    ),
    Wrong(
        "`num_attention_heads / num_key_value_heads` is how many query heads share one KV head: multiply by "
        "`num_key_value_heads` itself.",
        _cache(heads="group"),
    ),
    Wrong("K and V have the whole hidden size: they have KV heads × head_dim.", _cache(heads="hidden")),
    Wrong("One KV head is counted: there are `num_key_value_heads`.", _cache(heads="one")),
    Wrong(
        "`head_dim` stands in the file and is not always hidden size / heads: compute it only where it is "
        "missing.",
        _cache(head_dim="computed"),
    ),
    Wrong("Half of what is expected: are V's numbers counted, or only K's?", _cache(both=1, latent_times=1)),
    Wrong(
        "Twice the latent vector: multi-head latent attention keeps one, from which K and V are both made.",
        _cache(latent_times=2),
    ),
    Wrong(
        "The latent vector is counted for K and again for V, the rotary key once: the one vector makes both.",
        _cache(latent="rank twice"),
    ),
    Wrong(
        "The rotary key is missing: beside the latent vector, `qk_rope_head_dim` numbers are kept.",
        _cache(latent="rank"),
    ),
    Wrong("The latent vector of `kv_lora_rank` numbers is missing.", _cache(latent="rope")),
    Wrong(
        "The rotary key is counted for each head: all heads share it.",
        _cache(latent="per head"),
    ),
    Wrong(
        "A model with `kv_lora_rank` keeps no K and V for its heads, but one latent vector and a rotary key.",
        _cache(latent="ignored"),
    ),
    Wrong(
        "The sliding window is ignored: such a layer keeps at most that many tokens.",
        _cache(window="none"),
    ),
    Wrong(
        'The window is applied to every layer: only those of type "sliding_attention" have it.',
        _cache(window="all"),
    ),
    Wrong(
        "The window is applied to the layers of full attention instead of the sliding ones.",
        _cache(window="swapped"),
    ),
    Wrong(
        "A `sliding_window` without `layer_types` holds for all layers: here it is ignored.",
        _cache(window="typed only"),
    ),
    Wrong(
        "A sequence shorter than the window needs no whole window: take the smaller of the two.",
        _cache(window="always full"),
    ),
    Wrong("One layer is counted: there are `num_hidden_layers`.", _cache(layers=False)),
    Wrong("The bytes of a number are taken as 2: they are given, `bytes_per_number`.", _cache(bytes_="two")),
    Wrong("These are numbers, not bytes: multiply by `bytes_per_number`.", _cache(bytes_="none")),
    Wrong("That is one token's share: multiply by `num_tokens`.", _cache(per="token")),
    Wrong(
        "`config[...]` fails where the file lacks the entry: `config.get` gives None, or a default.",
        matches=missing_key,
    ),
)

_SMALL = {
    "hidden_size": 60,
    "num_hidden_layers": 3,
    "num_attention_heads": 12,
    "num_key_value_heads": 4,
    "head_dim": 7,
}
_LATENT = {**_SMALL, "kv_lora_rank": 22, "qk_rope_head_dim": 9}
_TYPES = ["sliding_attention", "full_attention", "sliding_attention"]


def check_kv_cache_bytes(t: Trial) -> None:
    """Exercise 2.5."""

    def draw(rng: random.Random) -> tuple[Any, ...]:
        kv_heads = rng.choice((1, 2, 3))
        heads, layers = kv_heads * rng.choice((2, 5)), rng.randint(2, 6)
        config: dict[str, Any] = {
            "hidden_size": heads * rng.choice((6, 10)),
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": kv_heads,
            "head_dim": rng.choice((3, 7, 11)),
        }
        kind = rng.choice(("plain", "window", "types", "latent", "no window"))
        if kind == "latent":
            config |= {"kv_lora_rank": rng.randint(20, 60), "qk_rope_head_dim": rng.randint(3, 12)}
        if kind == "no window":
            config |= {"sliding_window": None}
        if kind in ("window", "types"):
            config |= {"sliding_window": rng.randint(5, 40)}
        if kind == "types":
            config |= {
                "layer_types": [rng.choice(("sliding_attention", "full_attention")) for _ in range(layers)]
            }
        dropped = [name for name in ("num_key_value_heads", "head_dim") if rng.random() < 0.2]
        return without(config, *dropped), rng.choice((1, 9, 30, 77)), rng.choice((1, 2, 4))

    immediate = [
        (_SMALL, 10, 2),
        (_SMALL, 1, 4),
        (without(_SMALL, "head_dim"), 10, 1),
        (without(_SMALL, "head_dim", "num_key_value_heads"), 10, 2),
        (_LATENT, 10, 2),
        ({**_SMALL, "sliding_window": 8}, 11, 2),
        ({**_SMALL, "sliding_window": 8}, 5, 2),
        ({**_SMALL, "sliding_window": None}, 11, 2),
        ({**_SMALL, "sliding_window": 8, "layer_types": _TYPES}, 11, 2),
    ]
    diagnose_function(
        t,
        "kv_cache_bytes",
        t.cases(immediate, draw, count=40),
        kv_cache_bytes,
        _WRONGS,
        spell=lambda args: f"kv_cache_bytes({args[0]}, {args[1]}, {args[2]})",
    )
