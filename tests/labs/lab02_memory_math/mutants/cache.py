"""Wrong answers to 2.5: the bytes of the KV cache."""

from tests.labs.edit import edited

_NUMBERS = 'numbers = 2 * config.get("num_key_value_heads", heads) * head_dim'
_LATENT_A_HEAD = (
    'numbers = config["kv_lora_rank"] + config["num_key_value_heads"] * config["qk_rope_head_dim"]'
)
_LATENT = 'numbers = config["kv_lora_rank"] + config["qk_rope_head_dim"]'
_WINDOW = 'window = config.get("sliding_window") or num_tokens'
_KIND = "min(num_tokens, window) if slide else num_tokens"
_RETURN = "return held * numbers * bytes_per_number"
KV_CACHE_BYTES = [
    (
        "query heads",
        edited("2.5", (_NUMBERS, "numbers = 2 * heads * head_dim")),
        "The query heads are counted",
    ),
    (
        "heads of a group",
        edited(
            "2.5", (_NUMBERS, 'numbers = 2 * heads // config.get("num_key_value_heads", heads) * head_dim')
        ),
        "how many query heads share one KV head",
    ),
    (
        "hidden size",
        edited("2.5", (_NUMBERS, 'numbers = 2 * config["hidden_size"]')),
        "the whole hidden size",
    ),
    ("one head", edited("2.5", (_NUMBERS, "numbers = 2 * head_dim")), "One KV head is counted"),
    (
        "head_dim computed",
        edited(
            "2.5",
            ('config.get("head_dim", config["hidden_size"] // heads)', 'config["hidden_size"] // heads'),
        ),
        "is not always hidden size / heads",
    ),
    (
        "keys only",
        edited("2.5", (_NUMBERS, 'numbers = config.get("num_key_value_heads", heads) * head_dim')),
        "are V's numbers counted",
    ),
    (
        "latent twice",
        edited("2.5", (_LATENT, 'numbers = 2 * (config["kv_lora_rank"] + config["qk_rope_head_dim"])')),
        "Twice the latent vector",
    ),
    (
        "latent vector twice, rotary key once",
        edited("2.5", (_LATENT, 'numbers = 2 * config["kv_lora_rank"] + config["qk_rope_head_dim"]')),
        "counted for K and again for V",
    ),
    (
        "no rotary key",
        edited("2.5", (_LATENT, 'numbers = config["kv_lora_rank"]')),
        "The rotary key is missing",
    ),
    ("no latent", edited("2.5", (_LATENT, 'numbers = config["qk_rope_head_dim"]')), "numbers is missing"),
    (
        "rotary key a head",
        edited("2.5", (_LATENT, _LATENT_A_HEAD)),
        "The rotary key is counted for each head",
    ),
    (
        "no MLA",
        edited("2.5", ('if config.get("kv_lora_rank"):', "if False:")),
        "keeps no K and V for its heads",
    ),
    ("no window", edited("2.5", (_WINDOW, "window = num_tokens")), "The sliding window is ignored"),
    ("window everywhere", edited("2.5", (_KIND, "min(num_tokens, window)")), "applied to every layer"),
    (
        "window on the others",
        edited(
            "2.5",
            (_KIND, "min(num_tokens, window) if not slide else num_tokens"),
            ('["sliding_attention"] *', '["full_attention"] *'),
        ),
        "applied to the layers of full attention",
    ),
    (
        "window with types only",
        edited("2.5", ('["sliding_attention"] *', '["full_attention"] *')),
        "holds for all layers: here it is ignored",
    ),
    (
        "always a full window",
        edited("2.5", ("min(num_tokens, window) if", "window if")),
        "needs no whole window",
    ),
    (
        "one layer",
        edited("2.5", ("for slide in slides)", "for slide in slides[:1])")),
        "One layer is counted",
    ),
    ("two bytes", edited("2.5", (_RETURN, "return held * numbers * 2")), "are taken as 2"),
    ("numbers", edited("2.5", (_RETURN, "return held * numbers")), "These are numbers, not bytes"),
    (
        "KeyError",
        edited("2.5", ('config.get("num_key_value_heads", heads)', 'config["num_key_value_heads"]')),
        "fails where the file lacks the entry",
    ),
]
