"""Every number of a training run: four validated sections, the presets, and where overrides come from.

A value is looked up in this order, the later winning: preset, environment, command line. In the environment a
setting is `CBLAB_TRAIN__<SECTION>__<NAME>` (`CBLAB_TRAIN__OPTIMIZER__LR=1e-3`) or, since no name is in
two sections, `CBLAB_TRAIN__<NAME>` (`CBLAB_TRAIN__LR=1e-3`). A name that no section has is an error.

This is the only file of `cblab.training` that imports pydantic. The others take the settings as an argument
and read attributes, so a machine without pydantic can train from a `settings.json` (`cblab.training.plain`).
"""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

ENVIRONMENT_PREFIX = "CBLAB_TRAIN__"


class SettingsError(ValueError):
    """A setting that is unknown, malformed, or contradicts another; the message names it."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelSettings(_Section):
    """The shape of the model, in the names of `cblab.model.ModelConfig`; a Llama unless told otherwise.

    `vocab_size` must be that of the tokenizer. `attn_impl`, `mlp_impl` and `norm_impl` are looked up in the
    registries of `cblab.model`.
    """

    vocab_size: PositiveInt = 2048
    hidden_size: PositiveInt = 256
    intermediate_size: PositiveInt = 688
    num_layers: PositiveInt = 5
    num_heads: PositiveInt = 8
    num_kv_heads: PositiveInt = 4
    head_dim: PositiveInt = 32
    max_position_embeddings: PositiveInt = 2048
    rope_theta: float = Field(default=10_000.0, gt=0)
    norm_eps: float = Field(default=1e-5, gt=0)
    tie_word_embeddings: bool = True
    attn_impl: str = "gqa"
    mlp_impl: str = "swiglu"
    norm_impl: str = "rms_norm"
    norm_position: Literal["pre", "post"] = "pre"
    dropout: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.num_heads % self.num_kv_heads:
            raise ValueError(
                f"num_heads={self.num_heads} is not a multiple of num_kv_heads={self.num_kv_heads}"
            )
        if self.head_dim % 2:
            raise ValueError(f"head_dim={self.head_dim} is odd, but RoPE rotates pairs")
        return self


class DataSettings(_Section):
    """Which documents, and how the stream of their tokens is cut into windows (lengths in tokens)."""

    corpus_seed: int = 0
    num_documents: PositiveInt = 100_000
    held_out_documents: PositiveInt = 600
    tokenizer_documents: PositiveInt = 10_000
    window_length: PositiveInt = 256
    long_window_length: PositiveInt = 1024
    long_window_fraction: float = Field(default=0.0, ge=0, le=1)
    shuffle_seed: int = 0

    @model_validator(mode="after")
    def _windows_fit(self) -> Self:
        if self.long_window_length % self.window_length:
            raise ValueError(
                f"long_window_length={self.long_window_length} is not a multiple of "
                f"window_length={self.window_length}"
            )
        return self


class OptimizerSettings(_Section):
    """AdamW, its schedule, and the clipping of its gradients."""

    lr: float = Field(default=3e-3, gt=0)
    final_lr_ratio: float = Field(default=0.1, ge=0, le=1)
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_steps: int = Field(default=100, ge=0)
    weight_decay: float = Field(default=0.1, ge=0)
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.95, ge=0, lt=1)
    eps: float = Field(default=1e-8, gt=0)
    max_grad_norm: float | None = Field(default=1.0, gt=0)


class RunSettings(_Section):
    """How long, how much at a time, on what, and what is written down on the way."""

    task: str = "lm"
    seed: int = 0
    max_steps: PositiveInt = 3000
    tokens_per_step: PositiveInt = 4096
    accumulation_steps: PositiveInt = 2
    precision: Literal["float32", "bfloat16", "float16"] = "bfloat16"
    device: str = "cpu"
    num_threads: PositiveInt | None = None
    compile: bool = False
    stop_at_step: PositiveInt | None = None
    log_every: PositiveInt = 10
    validate_every: PositiveInt | None = 200
    validation_windows: PositiveInt = 128
    early_stop_patience: PositiveInt | None = None
    checkpoint_every: PositiveInt = 100
    keep_checkpoints: PositiveInt = 2

    @model_validator(mode="after")
    def _precision_fits_device(self) -> Self:
        if self.precision == "float16" and not self.device.startswith("cuda"):
            raise ValueError(
                f"precision='float16' needs a CUDA device (its gradients are scaled there), not "
                f"device={self.device!r}; take 'bfloat16' or 'float32'"
            )
        if self.early_stop_patience is not None and self.validate_every is None:
            raise ValueError(
                "early_stop_patience counts validations, but validate_every is None: there are none"
            )
        return self


class TrainingSettings(_Section):
    """A whole run: the four sections, and the rules between them."""

    model: ModelSettings = ModelSettings()
    data: DataSettings = DataSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    run: RunSettings = RunSettings()

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        data, run = self.data, self.run
        longest = data.long_window_length if data.long_window_fraction > 0 else data.window_length
        if longest > self.model.max_position_embeddings:
            raise ValueError(
                f"windows of {longest} tokens do not fit max_position_embeddings="
                f"{self.model.max_position_embeddings}"
            )
        if self.optimizer.warmup_steps >= run.max_steps:
            raise ValueError(
                f"warmup_steps={self.optimizer.warmup_steps} leaves nothing of max_steps={run.max_steps}"
            )
        if run.tokens_per_step % (data.long_window_length * run.accumulation_steps):
            raise ValueError(
                f"tokens_per_step={run.tokens_per_step} is not a multiple of long_window_length * "
                f"accumulation_steps = {data.long_window_length} * {run.accumulation_steps}"
            )
        return self


_SECTIONS: dict[str, type[_Section]] = {
    "model": ModelSettings,
    "data": DataSettings,
    "optimizer": OptimizerSettings,
    "run": RunSettings,
}

# What the bundled models were made with, where it differs from the defaults above.
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "story-4m": {"data": {"long_window_fraction": 0.1}},
    "story-draft": {
        "model": {
            "hidden_size": 96,
            "intermediate_size": 256,
            "num_layers": 2,
            "num_heads": 3,
            "num_kv_heads": 1,
        },
        "data": {"long_window_fraction": 0.1},
        "optimizer": {"lr": 6e-3},
    },
}


def _locate(name: str) -> tuple[str, str]:
    """Section and field of `optimizer.lr` or plain `lr`; `SettingsError` if there is none."""
    section, _, field = name.rpartition(".")
    if section and field in getattr(_SECTIONS.get(section), "model_fields", {}):
        return section, field
    if not section:
        for section, model in _SECTIONS.items():
            if field in model.model_fields:
                return section, field
    known = ", ".join(f"{s}.{f}" for s, model in _SECTIONS.items() for f in model.model_fields)
    raise SettingsError(f"no setting is called {name!r}; there are {known}")


def environment_overrides(environ: Mapping[str, str]) -> dict[str, str]:
    """The settings that `CBLAB_TRAIN__…` variables give, as `{"section.field": text}`.

    Raises `SettingsError` for a variable that names no setting, or for one setting given two values.
    """
    found: dict[str, str] = {}
    for variable, value in sorted(environ.items()):
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", ".")
        try:
            key = ".".join(_locate(name))
        except SettingsError as error:
            raise SettingsError(f"{variable}: {error}") from None
        if found.setdefault(key, value) != value:
            raise SettingsError(
                f"{variable}={value} contradicts another variable that sets {key} to {found[key]}"
            )
    return found


def make_settings(
    preset: str | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> TrainingSettings:
    """The settings of a run: the preset's (or the defaults), then the environment's, then `overrides`.

    `overrides` maps `"section.field"` or `"field"` to a value or to its text. The text `none` stands for
    `None` where a setting may be absent. Raises `SettingsError` with one line a problem.
    """
    if preset is not None and preset not in PRESETS:
        raise SettingsError(f"no preset is called {preset!r}; there are {', '.join(PRESETS)}")
    values = {section: dict(PRESETS.get(preset or "", {}).get(section, {})) for section in _SECTIONS}
    for source in (environment_overrides(environ or {}), overrides or {}):
        for name, value in source.items():
            section, field = _locate(name)
            is_none = isinstance(value, str) and value.lower() == "none"
            values[section][field] = None if is_none else value
    try:
        return TrainingSettings.model_validate(values)
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, e['loc'])) or 'settings'}: {e['msg'].removeprefix('Value error, ')}"
            for e in error.errors()
        ]
        raise SettingsError("\n".join(problems)) from None
