"""Pictures of speed: the roofline of a machine with work placed under it, and what a larger batch brings."""

import itertools
from collections.abc import Mapping, Sequence

from cblab.memory import BatchPoint
from cblab.viz.picture import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    PINK,
    VERMILION,
    Picture,
    label_axes,
    new_figure,
)

_MARKS = (("o", BLUE), ("s", VERMILION), ("^", GREEN), ("D", ORANGE), ("v", PINK))
_GIGA = 1e9


def roofline_picture(
    bytes_per_s: float, flop_per_s: float, points: Mapping[str, tuple[float, float]], *, caption: str
) -> Picture:
    """A machine's roofline on logarithmic axes; `points[name]` is (FLOP per byte, FLOP/s achieved)."""
    ridge = flop_per_s / bytes_per_s
    reach = [intensity for intensity, _ in points.values()] + [ridge]
    low, high = min(reach) / 3, max(reach) * 3
    figure, (axis,) = new_figure(8.6, 4.2)
    roof = [min(flop_per_s, each * bytes_per_s) / _GIGA for each in (low, ridge, high)]
    axis.plot([low, ridge, high], roof, color=INK, linewidth=2.2)
    axis.axvline(ridge, color=MUTED, linewidth=1, linestyle=(0, (2, 2)))
    for (marker, colour), (name, (intensity, rate)) in zip(
        itertools.cycle(_MARKS), points.items(), strict=False
    ):
        share = rate / min(flop_per_s, intensity * bytes_per_s)
        label = f"{name}: {intensity:,.3g} FLOP/B, {share:.0%} of the roof"
        axis.plot(
            intensity, rate / _GIGA, marker, color=colour, markersize=9, markeredgecolor="white", label=label
        )
    axis.set_xscale("log")
    axis.set_yscale("log")
    floor = min([roof[0], *(rate / _GIGA for _, rate in points.values())])
    axis.set_ylim(floor / 2, roof[-1] * 3.2)
    for each, text, side in (
        (ridge / 1.15, "memory-bound", "right"),
        (ridge * 1.15, "compute-bound", "left"),
    ):
        axis.annotate(text, (each, roof[-1] * 1.9), ha=side, color=INK, fontsize=10)
    formatter = lambda value, _: f"{value:g}"  # noqa: E731
    axis.xaxis.set_major_formatter(formatter)
    axis.yaxis.set_major_formatter(formatter)
    label_axes(
        axis,
        x="arithmetic intensity (FLOP per byte of memory traffic)",
        y="GFLOP/s",
        title=f"{bytes_per_s / _GIGA:,.3g} GB/s, {flop_per_s / _GIGA:,.3g} GFLOP/s, ridge {ridge:,.3g}",
    )
    # On white, so that the ridge's line does not run through the words.
    axis.legend(fontsize=9.5, framealpha=1, edgecolor="none", facecolor=PAPER, loc="lower right")
    alt = "; ".join(
        f"{name}: {intensity:,.3g} FLOP per byte at {rate / _GIGA:.3g} GFLOP/s"
        for name, (intensity, rate) in points.items()
    )
    return Picture.from_figure(
        figure, alt=f"Roofline with its ridge at {ridge:.3g} FLOP per byte. {alt}.", caption=caption
    )


def batch_picture(curves: Mapping[str, Sequence[BatchPoint]], *, caption: str) -> Picture:
    """Tokens a second and a step's time over the batch size; batches that do not fit are drawn hollow."""
    figure, (left, right) = new_figure(9.2, 3.9, columns=2)
    for (marker, colour), (name, points) in zip(itertools.cycle(_MARKS), curves.items(), strict=False):
        batches = [point.batch for point in points]
        for axis, values in (
            (left, [point.tokens_per_s for point in points]),
            (right, [1e3 * point.step_s for point in points]),
        ):
            axis.plot(batches, values, color=colour, linewidth=1.3)
            for point, value in zip(points, values, strict=True):
                fill = colour if point.fits else "white"
                axis.plot(point.batch, value, marker, color=colour, markerfacecolor=fill, markersize=6)
        left.plot([], [], marker=marker, color=colour, label=name)
    for axis in (left, right):
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        ticks = [point.batch for point in next(iter(curves.values()))][::2]
        axis.set_xticks(ticks, [str(batch) for batch in ticks])
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
        axis.minorticks_off()
    label_axes(left, x="requests in the batch", y="tokens/s, all together", title="Throughput")
    label_axes(right, x="requests in the batch", y="ms between two tokens", title="Time of a step")
    left.plot([], [], "o", color=MUTED, markerfacecolor="white", label="hollow: does not fit")
    left.legend(fontsize=9, frameon=False, loc="upper left")
    alt = "; ".join(
        f"{name}: "
        + ", ".join(
            f"batch {p.batch}: {p.tokens_per_s:,.0f} tokens/s, {1e3 * p.step_s:.3g} ms" for p in points
        )
        for name, points in curves.items()
    )
    return Picture.from_figure(figure, alt=f"{alt}.", caption=caption)
