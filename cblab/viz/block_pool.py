"""The picture of a block pool: who owns which block, and how full it is."""

from collections.abc import Collection, Mapping, Sequence
from itertools import count

from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle

from cblab.viz.picture import GREEN, INK, MUTED, ORANGE, PAPER, PINK, SKY, Picture, new_figure

_YELLOW = "#f0e442"  # of the same palette
OWNERS = (SKY, ORANGE, GREEN, PINK, _YELLOW)  # dark ink is legible on each
CACHED = "#dfe3e8"
_WIDTH, _HEIGHT = 0.9, 0.84  # of a block; the rest is the gap to the next


def block_pool_picture(
    block_tables: Mapping[str, Sequence[int]],
    num_tokens: Mapping[str, int],
    *,
    num_blocks: int,
    block_size: int,
    caption: str,
    cached: Collection[int] = (),
    columns: int = 12,
) -> Picture:
    """All blocks of a pool as a grid, coloured by owner; a block is filled as far as its slots hold tokens.

    Args:
        block_tables: the blocks of each request, in the order of its tokens.
        num_tokens: how many tokens of each request its blocks hold.
        num_blocks: of the pool.
        block_size: tokens in a block.
        caption: one line that says what to see.
        cached: blocks that the prefix cache keeps though no request holds them.
        columns: blocks in a row of the picture.

    Raises:
        ValueError: a block that is not in the pool.
    """
    strange = [b for table in (*block_tables.values(), cached) for b in table if not 0 <= b < num_blocks]
    if strange:
        raise ValueError(f"block {strange[0]} is not in a pool of {num_blocks}")
    owners, filled = block_contents(block_tables, num_tokens, block_size)
    names = _short_names(block_tables)
    colours = {name: OWNERS[index % len(OWNERS)] for index, name in enumerate(names)}
    columns = min(columns, num_blocks)
    rows = -(-num_blocks // columns)
    num_legend_rows = -(-(len(names) + 3) // 4)
    figure, (axis,) = new_figure(8.6, 5.1 * rows / columns + 0.3 * num_legend_rows + 0.6)
    for block in range(num_blocks):
        corner = (block % columns, block // columns)
        who = owners.get(block, [])
        is_cached = block in cached and not who
        share = filled.get(block, 0) / block_size
        draw_block(axis, corner, [colours[one] for one in who], share, is_cached=is_cached)
        is_hatched = is_cached or len(who) > 1
        _write_block(axis, corner, block, [names[one] for one in who], is_hatched=is_hatched)
    axis.set_xlim(-0.05, columns)
    axis.set_ylim(rows, -0.05)
    axis.axis("off")
    num_cached = len(set(cached) - owners.keys())
    words = (
        f"{num_blocks} blocks of {block_size} tokens: {len(owners)} used "
        f"({sum(len(who) > 1 for who in owners.values())} shared), {num_cached} cached, "
        f"{num_blocks - len(owners) - num_cached} free; "
        f"{sum(block_size - held for held in filled.values())} empty slots in used blocks"
    )
    axis.set_title(words, loc="left", fontsize=11, color=INK)
    handles = _legend(block_tables, num_tokens, names, colours)
    figure.legend(handles=handles, loc="outside lower left", ncols=4, fontsize=9.5, frameon=False)
    holders = "; ".join(f"{one} holds {list(table)}" for one, table in block_tables.items())
    return Picture.from_figure(figure, alt=f"{words}. {holders}.", caption=caption)


def block_contents(
    block_tables: Mapping[str, Sequence[int]], num_tokens: Mapping[str, int], block_size: int
) -> tuple[dict[int, list[str]], dict[int, int]]:
    """Who holds each used block, and how many of its slots hold tokens."""
    owners: dict[int, list[str]] = {}
    filled: dict[int, int] = {}
    for request_id, table in block_tables.items():
        for index, block in enumerate(table):
            owners.setdefault(block, []).append(request_id)
            held = min(block_size, max(0, num_tokens[request_id] - index * block_size))
            filled[block] = max(filled.get(block, 0), held)
    return owners, filled


def _short_names(request_ids: Collection[str]) -> dict[str, str]:
    """What fits into a block: the ids where they are short, else letters."""
    if all(len(request_id) <= 3 for request_id in request_ids):
        return {request_id: request_id for request_id in request_ids}
    letters = (chr(ord("A") + i % 26) + (str(i // 26) if i >= 26 else "") for i in count())
    return dict(zip(request_ids, letters, strict=False))


def draw_block(
    axis: Axes, corner: tuple[float, float], colours: Sequence[str], share: float, *, is_cached: bool
) -> None:
    """Fill a block from the left, with a band for each owner; `corner` is its upper left one."""
    x, y = corner
    background = CACHED if is_cached else PAPER
    axis.add_patch(Rectangle(corner, _WIDTH, _HEIGHT, facecolor=background, linewidth=0))
    band = _HEIGHT / max(1, len(colours))
    for index, colour in enumerate(colours):
        place = (x, y + index * band)
        axis.add_patch(Rectangle(place, _WIDTH * share, band, facecolor=colour, linewidth=0))
    hatch = "////" if len(colours) > 1 else "...." if is_cached else ""
    over = Rectangle(corner, _WIDTH * (share if colours else 1), _HEIGHT, fill=False, hatch=hatch)
    over.set(edgecolor=INK if colours else MUTED, linewidth=0)
    axis.add_patch(over)
    frame = Rectangle(corner, _WIDTH, _HEIGHT, fill=False, edgecolor=INK if colours else MUTED)
    frame.set(linewidth=1.0 if colours else 0.7, linestyle="-" if colours or is_cached else ":")
    axis.add_patch(frame)


def _write_block(
    axis: Axes, corner: tuple[int, int], block: int, names: Sequence[str], *, is_hatched: bool
) -> None:
    x, y = corner
    paper = {"facecolor": PAPER, "edgecolor": "none", "boxstyle": "round,pad=0.12", "alpha": 0.92}
    number = axis.text(x + 0.05, y + 0.07, str(block), ha="left", va="top", fontsize=7.5, color=INK)
    if is_hatched:
        number.set_bbox(paper)
    if names:
        text = "+".join(names) if len("+".join(names)) <= 5 else f"×{len(names)}"
        axis.text(
            x + _WIDTH / 2,
            y + 0.62 * _HEIGHT,
            text,
            ha="center",
            va="center",
            fontsize=10,
            weight="bold",
            color=INK,
            bbox=paper if len(names) > 1 else None,
        )


def _legend(
    block_tables: Mapping[str, Sequence[int]],
    num_tokens: Mapping[str, int],
    names: Mapping[str, str],
    colours: Mapping[str, str],
) -> list[Patch]:
    def owner(request_id: str) -> str:
        name = names[request_id]
        title = name if name == request_id else f"{name} = {request_id}"
        return f"{title}: {num_tokens[request_id]} tokens"

    return [
        *(Patch(facecolor=colours[one], edgecolor=INK, label=owner(one)) for one in block_tables),
        Patch(facecolor=PAPER, edgecolor=INK, hatch="////", label="shared"),
        Patch(facecolor=CACHED, edgecolor=MUTED, hatch="....", label="cached"),
        Patch(facecolor=PAPER, edgecolor=MUTED, linestyle=":", label="free"),
    ]
