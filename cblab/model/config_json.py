"""Reading and writing `config.json`, by the table of families. Free of torch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cblab.model.config import RopeConfig
from cblab.model.families import FAMILIES, ONLY, Family

if TYPE_CHECKING:
    from cblab.model.config import ModelConfig

_ROPE_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "default": (),
    "linear": ("factor",),
    "dynamic": ("factor",),
    "yarn": (
        "factor",
        "original_max_position_embeddings",
        "attention_factor",
        "beta_fast",
        "beta_slow",
        "mscale",
        "mscale_all_dim",
        "truncate",
    ),
    "longrope": (
        "factor",
        "original_max_position_embeddings",
        "attention_factor",
        "short_factor",
        "long_factor",
    ),
    "llama3": ("factor", "original_max_position_embeddings", "low_freq_factor", "high_freq_factor"),
}
_ROPE_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "linear": ("factor",),
    "dynamic": ("factor",),
    "longrope": ("short_factor", "long_factor"),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor"),
}


def read_config(config_json: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `ModelConfig` that a `config.json` says.

    Raises:
        ValueError: an architecture or option that is unknown, not supported or missing, by name.
    """
    name, family = _family_of(config_json)
    _refuse_what_is_not_supported(name, family, config_json)
    values = dict(family.fixed, family=name)
    for ours, theirs in family.keys.items():
        value = config_json.get(theirs)
        if value is None and ours not in family.defaults:
            raise ValueError(f"config.json of a {name!r} model lacks {theirs!r}")
        values[ours] = family.defaults[ours] if value is None else value
    values["num_kv_heads"] = values.get("num_kv_heads") or values["num_heads"]
    values["head_dim"] = values.get("head_dim") or values["hidden_size"] // values["num_heads"]
    values["intermediate_size"] = values["intermediate_size"] or 4 * values["hidden_size"]
    values["sliding_windows"] = _read_windows(family, config_json, values["num_layers"])
    values["rope"] = None
    if family.rope_theta is not None:
        values["rope"] = read_rope(config_json, family.rope_theta, values["max_position_embeddings"])
    return values | _read_rest(config_json)


def _family_of(config_json: Mapping[str, Any]) -> tuple[str, Family]:
    name = config_json.get("model_type")
    if not isinstance(name, str) or name not in FAMILIES:
        raise ValueError(f"unknown model_type {name!r}; supported: {', '.join(FAMILIES)}")
    family = FAMILIES[name]
    other = [each for each in config_json.get("architectures") or [] if each != family.architecture]
    if other:
        raise ValueError(
            f"architecture {other[0]!r} is not supported; of {name!r} only {family.architecture!r} is"
        )
    return name, family


def _refuse_what_is_not_supported(name: str, family: Family, config_json: Mapping[str, Any]) -> None:
    for key, allowed in ONLY.items():
        if config_json.get(key) not in (None, allowed):
            raise ValueError(f"{key}={config_json[key]!r} is not supported (only {allowed!r} is)")
    unknown = sorted(config_json.keys() - family.known_keys())
    if unknown:
        raise ValueError(
            f"config.json of a {name!r} model holds unknown options: "
            + ", ".join(f"{key}={config_json[key]!r}" for key in unknown)
            + ". An option that changes nothing in the forward pass can be removed from the file."
        )


def _read_windows(family: Family, config_json: Mapping[str, Any], num_layers: int) -> tuple[int | None, ...]:
    """One window a layer; empty where no layer has any."""
    window = config_json.get("sliding_window", family.default_window)
    if family.windows == "by_layer":
        if not config_json.get("use_sliding_window", False):
            window = None
        types = config_json.get("layer_types")
        if types is None:
            first = config_json.get("max_window_layers", 28) if window is not None else num_layers
            types = [
                "full_attention" if layer < first else "sliding_attention" for layer in range(num_layers)
            ]
        return _windows_by_type(types, window, num_layers)
    if family.windows == "none" or window is None:
        return ()
    return (window,) * num_layers


def _windows_by_type(types: list[str], window: int | None, num_layers: int) -> tuple[int | None, ...]:
    strange = sorted(set(types) - {"full_attention", "sliding_attention"})
    if strange:
        raise ValueError(
            f"layer_types holds {strange[0]!r}; supported: 'full_attention', 'sliding_attention'"
        )
    if len(types) != num_layers:
        raise ValueError(f"layer_types has {len(types)} entries for {num_layers} layers")
    if "sliding_attention" not in types:
        return ()
    if window is None:
        raise ValueError("layer_types asks for sliding_attention, but no sliding_window is in use")
    return tuple(window if kind == "sliding_attention" else None for kind in types)


def read_rope(
    config_json: Mapping[str, Any], default_theta: float, max_position_embeddings: int
) -> RopeConfig:
    """Rotary positions from `rope_parameters` (transformers 5) or `rope_scaling` and `rope_theta` (before).

    Raises:
        ValueError: an unknown rope type, or options that it does not have or lacks.
    """
    told = {**(config_json.get("rope_scaling") or config_json.get("rope_parameters") or {})}
    theta = told.pop("rope_theta", None) or config_json.get("rope_theta") or default_theta
    # The oldest files say "type"; a few say both.
    old_type = told.pop("type", None)
    rope_type = told.pop("rope_type", None) or old_type or "default"
    if rope_type not in _ROPE_OPTIONS:
        raise ValueError(f"unknown rope_type {rope_type!r}; supported: {', '.join(_ROPE_OPTIONS)}")
    if told.pop("partial_rotary_factor", None) not in (None, 1.0):
        raise ValueError("partial_rotary_factor other than 1.0 is not supported")
    options = {key: value for key, value in told.items() if value is not None}
    unknown = sorted(options.keys() - set(_ROPE_OPTIONS[rope_type]))
    if unknown:
        raise ValueError(f"unknown options of rope_type {rope_type!r}: {', '.join(unknown)}")
    missing = [key for key in _ROPE_REQUIRED.get(rope_type, ()) if key not in options]
    if missing:
        raise ValueError(f"rope_type {rope_type!r} lacks {', '.join(missing)}")

    if rope_type in ("yarn", "longrope", "llama3"):
        options.setdefault("original_max_position_embeddings", max_position_embeddings)
        # Where it also stands outside, that one counts, as in transformers.
        outside = config_json.get("original_max_position_embeddings")
        options["original_max_position_embeddings"] = outside or options["original_max_position_embeddings"]
    if rope_type == "dynamic":
        options["original_max_position_embeddings"] = max_position_embeddings
    if rope_type in ("yarn", "longrope"):
        options.setdefault("factor", max_position_embeddings / options["original_max_position_embeddings"])
    for key in ("short_factor", "long_factor"):
        if key in options:
            options[key] = tuple(options[key])
    return RopeConfig(rope_type=rope_type, theta=float(theta), **options)


def _read_rest(config_json: Mapping[str, Any]) -> dict[str, Any]:
    """Token ids, dtype and the spread of fresh weights: nothing that the forward pass depends on."""
    eos = config_json.get("eos_token_id")
    return {
        "bos_token_id": config_json.get("bos_token_id"),
        "eos_token_ids": tuple(eos) if isinstance(eos, list) else () if eos is None else (eos,),
        "pad_token_id": config_json.get("pad_token_id"),
        "initializer_range": config_json.get("initializer_range", 0.02),
        "dtype": config_json.get("dtype") or config_json.get("torch_dtype") or "float32",
    }


def write_config(config: "ModelConfig") -> dict[str, Any]:
    """The `config.json` of the config's family, in the layout that transformers 4 and 5 both read.

    Raises:
        ValueError: an unknown family.
    """
    if config.family not in FAMILIES:
        raise ValueError(f"unknown family {config.family!r}; known: {', '.join(FAMILIES)}")
    family = FAMILIES[config.family]
    eos = config.eos_token_ids
    told: dict[str, Any] = {
        "architectures": [family.architecture],
        "model_type": config.family,
        "bos_token_id": config.bos_token_id,
        "eos_token_id": list(eos) if len(eos) > 1 else eos[0] if eos else None,
        "pad_token_id": config.pad_token_id,
        "initializer_range": config.initializer_range,
        "dtype": config.dtype,
    }
    told |= {theirs: getattr(config, ours) for ours, theirs in family.keys.items()}
    if family.rope_theta is not None and config.rope is not None:
        told |= _write_rope(config.rope)
    return told | _write_windows(family, config)


def _write_rope(rope: RopeConfig) -> dict[str, Any]:
    scaling: dict[str, Any] = {"rope_type": rope.rope_type}
    for key in _ROPE_OPTIONS[rope.rope_type]:
        value = getattr(rope, key)
        scaling[key] = list(value) if isinstance(value, tuple) else value
    scaling = {key: value for key, value in scaling.items() if value is not None}
    return {"rope_theta": rope.theta, "rope_scaling": scaling if rope.rope_type != "default" else None}


def _write_windows(family: Family, config: "ModelConfig") -> dict[str, Any]:
    windows = config.sliding_windows
    window = max((each for each in windows if each is not None), default=None)
    if family.windows == "every_layer":
        return {"sliding_window": window}
    if family.windows == "by_layer" and window is not None:
        types = ["full_attention" if each is None else "sliding_attention" for each in windows]
        return {"use_sliding_window": True, "sliding_window": window, "layer_types": types}
    return {}
