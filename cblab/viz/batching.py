"""Pictures of continuous batching: who sits where, when tokens come, how long one waits."""

from collections.abc import Mapping, Sequence
from statistics import median

from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle

from cblab.core.trace import StepRecord
from cblab.viz.picture import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    SKY,
    VERMILION,
    Picture,
    label_axes,
    new_figure,
)

_WIDTH = 8.6
_SEAT_COLOURS = (BLUE, ORANGE, GREEN, SKY, "#cc79a7", "#f0e442")
_MARKS = (("o", BLUE), ("s", VERMILION), ("^", GREEN))


def seat_timeline(runs: Mapping[str, Sequence[StepRecord]], num_seats: int, *, caption: str) -> Picture:
    """A row a seat over the steps of each run: a bar a request, hatched where nobody sits.

    Args:
        runs: a panel each, its title to its records.
        num_seats: requests that may run at once.
        caption: one line that says what to see.
    """
    longest = max(len(records) for records in runs.values())
    figure, axes = new_figure(_WIDTH, (0.28 * num_seats + 0.75) * len(runs) + 0.5, rows=len(runs))
    words = []
    for axis, (title, records) in zip(axes, runs.items(), strict=True):
        in_use = sum(len(record.plan.scheduled) for record in records) / (num_seats * len(records))
        words.append(f"{title}: {len(records)} steps, {in_use:.0%} of the seats in use")
        empty = Rectangle((0, -0.5), len(records), num_seats, facecolor=PAPER, edgecolor="#c3cad1")
        empty.set_hatch("////")
        axis.add_patch(empty)
        num_sat = [0] * num_seats
        for seat, start, end in _sittings(records, num_seats):
            bar = Rectangle((start, seat - 0.4), end - start, 0.8, edgecolor=PAPER, linewidth=0.8)
            # By twos along a row and by ones from row to row: no bar has the colour of one that it touches.
            bar.set_facecolor(_SEAT_COLOURS[(seat + 2 * num_sat[seat]) % len(_SEAT_COLOURS)])
            num_sat[seat] += 1
            axis.add_patch(bar)
        label_axes(axis, x="", y="seat", title=words[-1])
        axis.grid(False)
        axis.set_xlim(0, longest)
        axis.set_ylim(num_seats - 0.5, -0.5)
        axis.set_yticks(range(num_seats))
    axes[-1].set_xlabel("step", color=INK, fontsize=10.5)
    handles = [
        Patch(facecolor=BLUE, label="a request (colours only tell neighbours apart)"),
        Patch(facecolor=PAPER, edgecolor=MUTED, hatch="////", label="nobody"),
    ]
    figure.legend(handles=handles, loc="outside lower left", ncols=2, fontsize=9.5, frameon=False)
    return Picture.from_figure(figure, alt="Seats over steps. " + "; ".join(words) + ".", caption=caption)


def _sittings(records: Sequence[StepRecord], num_seats: int) -> list[tuple[int, int, int]]:
    """(seat, first step, step after the last) of each stretch that a request sits somewhere, by its start."""
    seats: list[str | None] = [None] * num_seats
    begun: dict[str, tuple[int, int]] = {}
    found = []
    for step, record in enumerate(records):
        present = [one.request_id for one in record.plan.scheduled]
        for seat, name in enumerate(seats):
            if name is not None and name not in present:
                found.append((*begun.pop(name), step))
                seats[seat] = None
        for name in present:
            if name not in begun:
                seat = seats.index(None)
                seats[seat], begun[name] = name, (seat, step)
    found += [(*begun[name], len(records)) for name in seats if name is not None]
    return sorted(found, key=lambda one: (one[1], one[0]))


def token_times(
    runs: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    arrivals: Mapping[str, float],
    caption: str,
    unit: str = "ticks",
) -> Picture:
    """A mark for each token of each request, at the moment when it came; the longest pause is drawn thick.

    Args:
        runs: a panel each, its title to {request: moments of its tokens}.
        arrivals: {request: when it came}.
        caption: one line that says what to see.
        unit: of the moments.
    """
    names = list(arrivals)
    last = max(times[-1] for run in runs.values() for times in run.values() if times)
    figure, axes = new_figure(_WIDTH, (0.24 * len(names) + 0.8) * len(runs) + 0.3, rows=len(runs))
    words = []
    for axis, (title, run) in zip(axes, runs.items(), strict=True):
        pauses = [
            (after - before, before, row)
            for row, name in enumerate(names)
            for before, after in zip(run[name][:-1], run[name][1:], strict=True)
        ]
        pause, start, row = max(pauses)
        words.append(f"{title}: longest pause {pause:.1f} {unit}")
        for place, name in enumerate(names):
            axis.plot(run[name], [place] * len(run[name]), "|", color=BLUE, markersize=7, markeredgewidth=1.3)
            axis.plot([arrivals[name]], [place], ">", color=MUTED, markersize=5)
        axis.plot([start, start + pause], [row, row], color=VERMILION, linewidth=3)
        label_axes(axis, x="", y="", title=words[-1])
        axis.set_xlim(-0.5, last + 1)
        axis.set_ylim(len(names) - 0.5, -0.5)
        axis.set_yticks(range(len(names)), names)
    axes[-1].set_xlabel(f"{unit}   (▸ arrives, | a token comes)", color=INK, fontsize=10.5)
    return Picture.from_figure(figure, alt="When tokens come. " + "; ".join(words) + ".", caption=caption)


def waits_by_length(
    runs: Mapping[str, Sequence[tuple[int, float]]], *, caption: str, unit: str = "ticks"
) -> Picture:
    """How long each request waited for its first token, over the length of its prompt: a panel a run.

    runs: the panel's title to (prompt tokens, wait) pairs.
    """
    figure, axes = new_figure(_WIDTH, 3.4, columns=len(runs))
    highest = max(wait for pairs in runs.values() for _, wait in pairs)
    words = []
    for axis, (marker, colour), (label, pairs) in zip(axes, _MARKS, runs.items(), strict=False):
        waits = [one for _, one in pairs]
        summary = f"median {median(waits):.0f}, at worst {max(waits):.0f} {unit}"
        longest, wait = max(pairs)
        words.append(f"{label}: {summary}; the longest prompt, {longest} tokens, waits {wait:.0f} {unit}")
        axis.plot([length for length, _ in pairs], waits, marker, color=colour, markersize=5, alpha=0.75)
        label_axes(axis, x="prompt (tokens, log scale)", y="", title=f"{label}:\n{summary}")
        _draw_powers(axis, [length for length, _ in pairs])
        axis.set_ylim(0, 1.05 * highest)
    axes[0].set_ylabel(f"until the first token ({unit})", color=INK, fontsize=10.5)
    return Picture.from_figure(figure, alt=f"Waits. {'. '.join(words)}.", caption=caption)


def _draw_powers(axis: Axes, lengths: Sequence[int]) -> None:
    """A log scale with a tick at each power of two around `lengths`."""
    first, last = min(lengths).bit_length() - 1, max(lengths).bit_length()
    powers = [2**power for power in range(first, last + 1)]
    axis.set_xscale("log", base=2)
    axis.set_xticks(powers, [str(power) for power in powers])
    axis.minorticks_off()


def latency_curves(
    panels: Mapping[str, tuple[Sequence[float], Mapping[str, Sequence[float]]]],
    *,
    y: str,
    caption: str,
) -> Picture:
    """Latencies over a setting, one panel a setting, all on one logarithmic scale.

    panels: the setting's name to its values and {what was measured: one number a value}.
    """
    figure, axes = new_figure(_WIDTH, 3.6, columns=len(panels))
    every = [number for _, lines in panels.values() for numbers in lines.values() for number in numbers]
    words = []
    for axis, (name, (values, lines)) in zip(axes, panels.items(), strict=True):
        for (marker, colour), (label, numbers) in zip(_MARKS, lines.items(), strict=False):
            axis.plot(values, numbers, marker=marker, color=colour, linewidth=1.8, label=label)
            words.append(f"{label} {numbers[0]:.0f} at {name} {values[0]}, {numbers[-1]:.0f} at {values[-1]}")
        label_axes(axis, x=name, y="")
        axis.set_xscale("log", base=2)
        axis.set_xticks(list(values), [f"{value:g}" for value in values], fontsize=8.5)
        axis.set_yscale("log")
        axis.set_ylim(min(every) / 1.4, max(every) * 1.4)
        axis.yaxis.set_major_formatter("{x:g}")
        axis.minorticks_off()
    axes[0].set_ylabel(y, color=INK, fontsize=10.5)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=len(labels), fontsize=9.5, frameon=False)
    return Picture.from_figure(figure, alt="Latencies. " + "; ".join(words) + ".", caption=caption)
