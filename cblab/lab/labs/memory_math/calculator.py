"""The serving calculator: sliders where a page can talk to its kernel, a table of a few plans elsewhere."""

import math
import os
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from cblab.lab.card import Shown, card, table
from cblab.memory import HARDWARE, ServingPlan, format_bytes, hardware, plan_serving, published
from cblab.model.config import ModelConfig

if TYPE_CHECKING:
    from ipywidgets import Widget

MODELS = ("Llama-3.2-1B", "Llama-3-8B", "Llama-2-13b", "Llama-2-70b")
_TITLE = "Serving calculator"
_MODEL, _GPU = "Llama-2-13b", "A100 SXM 80GB"  # what the sliders begin with
_EXAMPLES = (
    ("Llama-3-8B", "L4 24GB", 16, 16, 2_048, 8),
    ("Llama-3-8B", "L4 24GB", 4, 16, 2_048, 8),
    ("Llama-3-8B", "A100 SXM 80GB", 16, 16, 2_048, 64),
    ("Llama-2-13b", "A100 SXM 80GB", 16, 16, 2_048, 24),
    ("Llama-2-13b", "A100 SXM 80GB", 16, 8, 2_048, 48),
    ("Llama-2-70b", "H100 SXM 80GB", 16, 16, 2_048, 64),
    ("Llama-2-70b", "H100 SXM 80GB", 4, 8, 2_048, 64),
)


def calculator(prices: Mapping[str, float], *, interactive: bool | None = None) -> "Shown | Widget":
    """Plans of a service: sliders that recompute one, or a table of a few examples.

    prices: USD an hour of each accelerator of `cblab.memory.HARDWARE`, by its name. interactive: None means
    sliders in Jupyter and a table elsewhere (in a rendered page, or where ipywidgets is missing). Jupyter's
    server names the notebook to each kernel that it starts for one, in an environment variable.

    Raises:
        ValueError: an accelerator without a price.
    """
    missing = [one.name for one in HARDWARE if one.name not in prices]
    if missing:
        raise ValueError(f"no price for {', '.join(missing)}: give USD an hour for each accelerator")
    if interactive is None:
        interactive = "JPY_SESSION_NAME" in os.environ and _has_widgets()
    return _sliders(prices) if interactive else _examples(prices)


def _has_widgets() -> bool:
    try:
        import ipywidgets  # noqa: F401
    except ImportError:
        return False
    return True


def _plan(
    usd_per_hour: float, model: str, gpu: str, weight_bits: int, kv_bits: int, context_len: int, batch: int
) -> ServingPlan:
    return plan_serving(
        ModelConfig.from_dict(published(model).config),
        hardware(gpu),
        context_len=context_len,
        batch=batch,
        usd_per_hour=usd_per_hour,
        weight_bits=weight_bits,
        kv_bits=kv_bits,
    )


def _examples(prices: Mapping[str, float]) -> Shown:
    header = (
        "model",
        "GPU",
        "USD an hour",
        "bits",
        "weights",
        "requests that fit",
        "batch",
        "step",
        "tokens/s",
        "USD per 10⁶",
    )
    rows = []
    for model, gpu, weight_bits, kv_bits, context_len, batch in _EXAMPLES:
        plan = _plan(prices[gpu], model, gpu, weight_bits, kv_bits, context_len, batch)
        speed = (
            f"{1e3 * plan.step_s:.1f} ms",
            f"{plan.tokens_per_s:,.0f}",
            f"{plan.usd_per_million_tokens:.2f}",
        )
        rows.append(
            (
                model,
                gpu,
                f"{prices[gpu]:.2f}",
                f"{weight_bits} / {kv_bits}",
                format_bytes(plan.weight_bytes),
                f"{plan.max_requests:,}",
                str(batch),
                *(speed if plan.fits else ("does not fit", "–", "–")),
            )
        )
    text = "\n".join(" | ".join(row) for row in (header, *rows))
    note = (
        "Bits: weights (the two tables always in 16) / keys and values. Requests of 2,048 tokens; assumed "
        "prices;\nat most 0.9 of the memory is used. In JupyterLab there are sliders here."
    )
    return Shown(f"{_TITLE}\n{text}\n{note}", card(_TITLE, table(header, rows), [escape(note)]))


def _sliders(prices: Mapping[str, float]) -> "Widget":
    import ipywidgets as widgets

    style = {"style": {"description_width": "9em"}, "layout": {"width": "34em"}}
    slider: dict[str, Any] = style | {"base": 2, "step": 1}
    controls: Mapping[str, Any] = {
        "usd_per_hour": widgets.FloatSlider(
            prices[_GPU], min=0.1, max=12, step=0.1, description="USD an hour", **style
        ),
        "model": widgets.Dropdown(options=MODELS, value=_MODEL, description="model", **style),
        "gpu": widgets.Dropdown(
            options=[one.name for one in HARDWARE], value=_GPU, description="GPU", **style
        ),
        "weight_bits": widgets.Dropdown(options=[16, 8, 4], value=16, description="bits a weight", **style),
        "kv_bits": widgets.Dropdown(options=[16, 8, 4], value=16, description="bits of K and V", **style),
        "context_len": widgets.FloatLogSlider(
            2_048, min=5, max=_most(_MODEL), description="tokens a request", readout_format=",.0f", **slider
        ),
        "batch": widgets.FloatLogSlider(
            16, min=0, max=12, description="batch", readout_format=",.0f", **slider
        ),
    }
    shown = widgets.HTML()

    def reprice(_: object) -> None:
        controls["usd_per_hour"].value = prices[controls["gpu"].value]

    def limit(_: object) -> None:
        controls["context_len"].max = _most(controls["model"].value)

    def update(_: object = None) -> None:
        values = {name: control.value for name, control in controls.items()}
        values["context_len"], values["batch"] = int(values["context_len"]), int(values["batch"])
        shown.value = _answer(_plan(**values), hardware(values["gpu"]).memory_bytes)

    controls["gpu"].observe(reprice, names="value")
    controls["model"].observe(limit, names="value")
    for control in controls.values():
        control.observe(update, names="value")
    update()
    return widgets.VBox([*controls.values(), shown])


def _most(model: str) -> float:
    """The power of 2 of the longest request: what the model was trained for, by its config.

    A file that does not say so sets no limit below 2^17.
    """
    return math.log2(published(model).config.get("max_position_embeddings", 2**17))


def _answer(plan: ServingPlan, memory_bytes: int) -> str:
    rows = [
        ("weights", f"{format_bytes(plan.weight_bytes)} of {format_bytes(memory_bytes)}"),
        ("keys and values", f"{plan.kv_bytes_per_token:,} B a token"),
        ("requests that fit", f"{plan.max_requests:,}"),
        ("step of the batch", f"{1e3 * plan.step_s:.2f} ms, bound by {plan.bound}" if plan.fits else "–"),
        ("tokens a second", f"{plan.tokens_per_s:,.0f}" if plan.fits else "–"),
        ("USD per 10⁶ tokens", f"{plan.usd_per_million_tokens:.3f}" if plan.fits else "–"),
    ]
    notes = [] if plan.fits else ["This batch does not fit, and so has no speed and no price."]
    return card(_TITLE, table((), rows), notes, good=plan.fits)
