"""Pictures of memory that is handed out: over time, step by step, through block tables, and by block size."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyArrowPatch, Patch, Rectangle
from matplotlib.ticker import NullLocator

from cblab.memory.fragmentation import Simulation
from cblab.viz.block_pool import CACHED, OWNERS, block_contents, draw_block
from cblab.viz.picture import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    PAPER,
    SKY,
    VERMILION,
    Picture,
    label_axes,
    new_figure,
)

_RESERVED = "#c9ced4"
_WIDTH = 8.6


def memory_over_time(simulations: Mapping[str, Simulation], *, num_steps: int, caption: str) -> Picture:
    """One panel a simulation: slots upwards, steps to the right, each request's tokens in a colour.

    Args:
        simulations: by the panel's title.
        num_steps: how many steps to show, from the first one on.
        caption: one line that says what to see.
    """
    figure, axes = new_figure(_WIDTH, 2.2 * len(simulations) + 0.8, rows=len(simulations))
    words = []
    for axis, (name, simulation) in zip(axes, simulations.items(), strict=True):
        words.append(f"{name}: {simulation.mean_use:.0%} of the slots hold a token while somebody waits")
        axis.imshow(
            _colours(simulation, num_steps),
            aspect="auto",
            interpolation="nearest",
            origin="lower",
            extent=(0, num_steps, 0, simulation.num_slots),
        )
        label_axes(axis, x="", y="slot", title=words[-1])
        axis.grid(False)
    axes[-1].set_xlabel("step", color=INK, fontsize=10.5)
    figure.legend(
        handles=[
            Patch(facecolor=SKY, edgecolor=INK, label="tokens, in five colours by request"),
            Patch(facecolor=_RESERVED, edgecolor=MUTED, label="reserved, empty"),
            Patch(facecolor=PAPER, edgecolor=MUTED, label="free"),
        ],
        loc="outside lower left",
        ncols=3,
        fontsize=9.5,
        frameon=False,
    )
    return Picture.from_figure(figure, alt=f"Memory over time. {'; '.join(words)}.", caption=caption)


def _colours(simulation: Simulation, num_steps: int) -> np.ndarray:
    image = np.ones((simulation.num_slots, num_steps, 3))
    owners = [to_rgb(colour) for colour in OWNERS]
    for column, step in enumerate(simulation.steps[:num_steps]):
        for run in step.runs:
            image[run.start : run.end, column] = to_rgb(_RESERVED)
            image[run.start : run.start + run.num_used, column] = owners[run.request % len(owners)]
    return image


@dataclass(frozen=True)
class PoolStep:
    """A pool at one moment: what happened, the table and the number of tokens of each request."""

    label: str
    block_tables: Mapping[str, Sequence[int]]
    num_tokens: Mapping[str, int]
    cached: Collection[int] = field(default=())


def pool_steps(steps: Sequence[PoolStep], *, num_blocks: int, block_size: int, caption: str) -> Picture:
    """The blocks of a pool, a row for each moment, coloured by owner and filled as far as they hold tokens.

    A block of several owners has a band for each and is hatched; one that only the cache holds is dotted.
    """
    names = list(dict.fromkeys(name for step in steps for name in step.block_tables))
    colours = {name: OWNERS[index % len(OWNERS)] for index, name in enumerate(names)}
    figure, (axis,) = new_figure(_WIDTH, 0.46 * len(steps) + 1.0)
    for row, step in enumerate(steps):
        owners, filled = block_contents(step.block_tables, step.num_tokens, block_size)
        for block in range(num_blocks):
            who = [colours[name] for name in owners.get(block, [])]
            share = filled.get(block, 0) / block_size
            draw_block(axis, (block, row), who, share, is_cached=block in step.cached and not who)
    axis.set_xlim(-0.05, num_blocks)
    axis.set_ylim(len(steps), -0.05)
    axis.set_xticks([block + 0.46 for block in range(num_blocks)], [str(one) for one in range(num_blocks)])
    axis.set_yticks([row + 0.42 for row in range(len(steps))], [step.label for step in steps])
    axis.tick_params(length=0)
    axis.xaxis.tick_top()
    axis.set_title(f"block of the pool ({block_size} slots each)", fontsize=10.5, color=INK, loc="left")
    for side in ("left", "bottom"):
        axis.spines[side].set_visible(False)
    handles = [Patch(facecolor=colours[name], edgecolor=INK, label=name) for name in names]
    handles.append(Patch(facecolor=PAPER, edgecolor=MUTED, linestyle=":", label="free"))
    if any(len(_holders(step, block)) > 1 for step in steps for block in range(num_blocks)):
        handles.append(Patch(facecolor=PAPER, edgecolor=INK, hatch="////", label="shared"))
    if any(step.cached for step in steps):
        handles.append(Patch(facecolor=CACHED, edgecolor=MUTED, hatch="....", label="cached"))
    figure.legend(handles=handles, loc="outside lower left", ncols=7, fontsize=9.5, frameon=False)
    return Picture.from_figure(figure, alt="; ".join(map(_step_in_words, steps)) + ".", caption=caption)


def _holders(step: PoolStep, block: int) -> list[str]:
    return [name for name, table in step.block_tables.items() if block in table]


def _step_in_words(step: PoolStep) -> str:
    tables = ", ".join(f"{name} {list(table)}" for name, table in step.block_tables.items()) or "no request"
    return f"{step.label}: {tables}" + (f", cached {sorted(step.cached)}" if step.cached else "")


def table_arrows(
    block_tables: Mapping[str, Sequence[int]],
    num_tokens: Mapping[str, int],
    *,
    num_blocks: int,
    block_size: int,
    caption: str,
    names: Sequence[str] = (),
) -> Picture:
    """Sequences above, the pool below, and an arrow from each piece of a sequence to the block that holds it.

    names: whose colours come first, to agree with another picture; the tables' own order without.

    Raises:
        ValueError: no table, or a block that is not in the pool.
    """
    strange = [block for table in block_tables.values() for block in table if not 0 <= block < num_blocks]
    if strange:
        raise ValueError(f"block {strange[0]} is not in a pool of {num_blocks}")
    if not any(block_tables.values()):
        raise ValueError("there is no block in any table: nothing to draw")
    order = dict.fromkeys((*names, *block_tables))
    colours = {name: OWNERS[index % len(OWNERS)] for index, name in enumerate(order)}
    num_pieces = sum(map(len, block_tables.values())) + 0.6 * (len(block_tables) - 1)
    scale = num_blocks / max(num_blocks, num_pieces)
    figure, (axis,) = new_figure(_WIDTH, 3.3)
    left = (num_blocks - scale * num_pieces) / 2
    for name, table in block_tables.items():
        axis.text(left, -0.32, f"{name}: {num_tokens[name]} tokens", fontsize=10, color=INK, va="bottom")
        for index, block in enumerate(table):
            held = min(block_size, max(0, num_tokens[name] - index * block_size))
            _draw_piece(axis, left, scale, index, held, block_size, colours[name])
            ends = (left + 0.46 * scale, 0.72), (block + 0.46, 2.28)
            axis.add_patch(
                FancyArrowPatch(
                    *ends, arrowstyle="-|>", color=INK, mutation_scale=11, linewidth=1.1, shrinkA=0, shrinkB=0
                )
            )
            left += scale
        left += 0.6 * scale
    owners, filled = block_contents(block_tables, num_tokens, block_size)
    for block in range(num_blocks):
        who = [colours[name] for name in owners.get(block, [])]
        draw_block(axis, (block, 2.3), who, filled.get(block, 0) / block_size, is_cached=False)
        axis.text(block + 0.46, 3.22, str(block), ha="center", va="top", fontsize=9, color=INK)
    axis.text(0, 3.52, "block of the pool", fontsize=9.5, color=MUTED, va="top")
    axis.set_xlim(-0.1, num_blocks + 0.1)
    axis.set_ylim(3.75, -0.75)
    axis.axis("off")
    words = "; ".join(f"{name} has the table {list(table)}" for name, table in block_tables.items())
    return Picture.from_figure(figure, alt=f"Block tables as arrows. {words}.", caption=caption)


def _draw_piece(
    axis: Axes, left: float, scale: float, index: int, held: int, block_size: int, colour: str
) -> None:
    """A piece of a sequence, one block long, with the positions that it covers."""
    width = 0.94 * scale
    axis.add_patch(Rectangle((left, 0), width, 0.7, facecolor=PAPER, edgecolor=INK, linewidth=0.9))
    axis.add_patch(
        Rectangle((left, 0), width * held / block_size, 0.7, facecolor=colour, edgecolor=INK, linewidth=0.9)
    )
    first = index * block_size
    words = f"{first}–{first + held - 1}" if held > 1 else str(first)
    axis.text(left + width / 2, 0.36, words, ha="center", va="center", fontsize=8.5, color=INK)


def block_size_tradeoff(
    block_sizes: Sequence[int],
    wasted_shares: Sequence[float],
    table_entries: Sequence[float],
    hit_shares: Sequence[float],
    *,
    caption: str,
) -> Picture:
    """Three panels over the block size: wasted slots, entries of a table, prompt tokens found in the cache.

    wasted_shares: of all slots held, 0 to 1. table_entries: of the mean request. hit_shares: 0 to 1.
    """
    figure, axes = new_figure(_WIDTH, 2.9, columns=3)
    for axis, values, colour, title, unit in (
        (axes[0], [100 * one for one in wasted_shares], VERMILION, "wasted slots", "% of the slots held"),
        (axes[1], table_entries, BLUE, "block table", "entries of a request, mean"),
        (axes[2], [100 * one for one in hit_shares], GREEN, "prefix cache", "% of the prompt found"),
    ):
        axis.plot(block_sizes, values, marker="o", color=colour, linewidth=2)
        label_axes(axis, x="block size (tokens)", y=unit, title=title)
        axis.set_xscale("log", base=2)
        axis.set_xticks(block_sizes, [str(one) for one in block_sizes])
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set_ylim(0)
    words = "; ".join(
        f"{size} tokens: {waste:.1%} wasted, {entries:.0f} entries, {hits:.0%} found"
        for size, waste, entries, hits in zip(
            block_sizes, wasted_shares, table_entries, hit_shares, strict=True
        )
    )
    return Picture.from_figure(figure, alt=f"By block size. {words}.", caption=caption)
