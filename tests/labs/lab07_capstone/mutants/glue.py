"""Wrong answers to 7.1 to 7.3: prompts through block tables, a first chunk, the size of a pool."""

from tests.labs.edit import Mutant, code, edited

_ATTENTION = "out[rows] = attention(q[rows], k, v, mask)"
_READ = "k, v = gather(keys, table, length), gather(values, table, length)"
_MASK = "mask = causal_mask(rows.stop - rows.start, length)"
_TABLE = "table = block_tables[seq][: math.ceil(length / keys.shape[1])]"
_ROWS = "rows = slice(cu_seqlens_q[seq], cu_seqlens_q[seq + 1])"


def _prefill(name: str, old: str, new: str, says: str) -> Mutant:
    return name, edited("7.1", (old, new)), says


PREFILL: list[Mutant] = [
    _prefill(
        "keys twice",
        _READ,
        "k, v = gather(keys, table, length), gather(keys, table, length)",
        "The values are read from the pool of keys",
    ),
    _prefill(
        "swapped",
        _READ,
        "v, k = gather(keys, table, length), gather(values, table, length)",
        "Keys and values have changed places",
    ),
    _prefill(
        "a mask from position 0",
        _MASK,
        "mask = torch.ones(rows.stop - rows.start, length, dtype=torch.bool).tril()",
        "The mask begins at position 0 for every chunk",
    ),
    _prefill(
        "no mask",
        _MASK,
        "mask = torch.ones(rows.stop - rows.start, length, dtype=torch.bool)",
        "There is no mask",
    ),
    _prefill(
        "strictly before",
        _MASK,
        "mask = causal_mask(rows.stop - rows.start, length).roll(-1, 1)\n    mask[:, -1] = False",
        "A row does not see its own token",
    ),
    (
        "only its own tokens",
        code(
            """
            for seq, length in enumerate(context_lens):
                rows = slice(cu_seqlens_q[seq], cu_seqlens_q[seq + 1])
                new = rows.stop - rows.start
                k = gather(keys, block_tables[seq], length)[-new:]
                v = gather(values, block_tables[seq], length)[-new:]
                out[rows] = attention(q[rows], k, v, causal_mask(new, new))
            """
        ),
        "A chunk sees only its own tokens",
    ),
    _prefill(
        "one table",
        _TABLE,
        "table = block_tables[0]",
        "Every chunk reads through the block table of the first",
    ),
    _prefill(
        "no table",
        _READ,
        "k, v = keys.flatten(0, 1)[:length], values.flatten(0, 1)[:length]",
        "The pool is read from its beginning",
    ),
    _prefill(
        "sorted blocks",
        _TABLE,
        "table = sorted(block_tables[seq][: math.ceil(length / keys.shape[1])])",
        "in the order of the pool",
    ),
    _prefill(
        "return within the loop", _ATTENTION, f"{_ATTENTION}\n    return out", "Only the first chunk was"
    ),
    _prefill(
        "whole blocks",
        _TABLE,
        f"{_TABLE}\n    length = len(table) * keys.shape[1]",
        "Whole blocks are read",
    ),
    _prefill(
        "rows behind the contexts",
        _ROWS,
        "new = cu_seqlens_q[seq + 1] - cu_seqlens_q[seq]\n"
        "    rows = slice(sum(context_lens[:seq]), sum(context_lens[:seq]) + new)",
        "behind the *contexts* of those before it",
    ),
    _prefill(
        "the last row alone",
        _ATTENTION,
        "out[rows.stop - 1] = attention(q[rows], k, v, mask)[-1]",
        "Only the last row of each chunk is filled",
    ),
    _prefill(
        "blocks rounded down",
        "math.ceil(length / keys.shape[1])",
        "length // keys.shape[1]",
        "The number of blocks is rounded down",
    ),
    _prefill(
        "rows by the context",
        _ROWS,
        "rows = slice(cu_seqlens_q[seq], cu_seqlens_q[seq] + length)",
        "A chunk's rows are counted by `context_lens`",
    ),
    _prefill(
        "heads first",
        _ATTENTION,
        "turned = [one.transpose(0, 1) for one in (q[rows], k, v)]\n"
        "    out[rows] = attention(*turned, mask).transpose(0, 1)",
        "Heads and tokens have changed places",
    ),
    _prefill("mask None", _MASK, "mask = None", "The mask is None"),
    _prefill(
        "the first chunk's rows",
        _ATTENTION,
        "return attention(q[rows], k, v, mask)",
        "Only the rows of the first chunk came back",
    ),
]

CHUNK: list[Mutant] = [
    (
        "one given up",
        code(
            """
            if num_found * block_size >= num_new:
                num_found -= 1
            return num_found, num_new - num_found * block_size
            """
        ),
        "More blocks are taken than lie within the chunk, and one",
    ),
    (
        "held at one token",
        code("return num_found, max(1, num_new - num_found * block_size)"),
        "holding the tokens at 1",
    ),
    (
        "a token twice",
        code(
            """
            num_blocks = min(num_found, num_new // block_size)
            return num_blocks, max(1, num_new - num_blocks * block_size)
            """
        ),
        "A token is left to compute that the blocks hold",
    ),
    (
        "all that was found",
        code("return num_found, num_new - num_found * block_size"),
        "All that was found is taken",
    ),
    (
        "nothing left",
        edited("7.2", ("(num_new - 1) // block_size", "num_new // block_size")),
        "taken whole: nothing is left to compute",
    ),
    (
        "rounded up",
        edited("7.2", ("(num_new - 1) // block_size", "math.ceil(num_new / block_size)")),
        "Rounded up",
    ),
    (
        "all or nothing",
        code(
            """
            num_blocks = num_found if num_found * block_size < num_new else 0
            return num_blocks, num_new - num_blocks * block_size
            """
        ),
        "nothing is taken: take as many blocks as the chunk has",
    ),
    (
        "by the chunk alone",
        edited("7.2", ("min(num_found, (num_new - 1) // block_size)", "(num_new - 1) // block_size")),
        "no more can be taken than were found",
    ),
    (
        "one block less",
        edited("7.2", ("(num_new - 1) // block_size", "max(0, num_new // block_size - 1)")),
        "One block less is taken than can be",
    ),
    (
        "the last block given up",
        edited(
            "7.2",
            (
                "min(num_found, (num_new - 1) // block_size)",
                "max(0, min(num_found - 1, (num_new - 1) // block_size))",
            ),
        ),
        "The last block that was found is always given up",
    ),
    (
        "all is left",
        edited("7.2", ("num_new - num_blocks * block_size", "num_new")),
        "The whole chunk is left to compute",
    ),
    (
        "blocks off tokens",
        edited("7.2", ("num_new - num_blocks * block_size", "num_new - num_blocks")),
        "Blocks were taken off tokens",
    ),
    (
        "in tokens",
        edited("7.2", ("return num_blocks,", "return num_blocks * block_size,")),
        "it came back in tokens",
    ),
    (
        "changed places",
        edited(
            "7.2",
            (
                "return num_blocks, num_new - num_blocks * block_size",
                "return num_new - num_blocks * block_size, num_blocks",
            ),
        ),
        "changed places: blocks first",
    ),
    (
        "blocks alone",
        edited("7.2", ("return num_blocks, num_new - num_blocks * block_size", "return num_blocks")),
        "Only the number of blocks came back",
    ),
    (
        "what is saved",
        edited("7.2", ("num_new - num_blocks * block_size", "num_blocks * block_size")),
        "The tokens that are saved came back",
    ),
]


def _pool(name: str, old: str, new: str, says: str) -> Mutant:
    return name, edited("7.3", (old, new)), says


_RETURN = "return blocks[0], sum(blocks[:max_num_seqs])"
POOL: list[Mutant] = [
    _pool("rounded down", "math.ceil(length / block_size)", "length // block_size", "Rounded down"),
    _pool("least rounded down", "return blocks[0]", "return max(lengths) // block_size", "round `least` up"),
    _pool(
        "enough rounded down",
        "sum(blocks[:max_num_seqs])",
        "sum(sorted((one // block_size for one in lengths), reverse=True)[:max_num_seqs])",
        "In `enough` the last blocks",
    ),
    _pool(
        "the others",
        "sum(blocks[:max_num_seqs])",
        "sum(math.ceil(one / block_size) for one in sorted(lengths)[max_num_seqs:])",
        "`enough` leaves out the `max_num_seqs` shortest",
    ),
    _pool(
        "rounded once",
        _RETURN,
        "tokens = sum(sorted(lengths)[-max_num_seqs:])\nreturn blocks[0], math.ceil(tokens / block_size)",
        "the tokens were added up and rounded once",
    ),
    (
        "the first ones",
        code(
            """
            blocks = [math.ceil(length / block_size) for length in lengths]
            return max(blocks), sum(blocks[:max_num_seqs])
            """
        ),
        "`enough` is for the first requests of the list",
    ),
    _pool(
        "all as the longest",
        "sum(blocks[:max_num_seqs])",
        "blocks[0] * max_num_seqs",
        "takes all requests to be as long as the longest",
    ),
    _pool(
        "everybody", "sum(blocks[:max_num_seqs])", "sum(blocks)", "`enough` has room for all requests at once"
    ),
    _pool("least by the shortest", "return blocks[0]", "return blocks[-1]", "`least` is for the shortest"),
    _pool("the shortest", "blocks[:max_num_seqs]", "blocks[-max_num_seqs:]", "adds up the *shortest*"),
    (
        "in tokens",
        code("return max(lengths), sum(sorted(lengths)[-max_num_seqs:])"),
        "Both came back in tokens",
    ),
    _pool(
        "always one more",
        "math.ceil(length / block_size)",
        "length // block_size + 1",
        "A block too many where a request fills",
    ),
    _pool("changed places", _RETURN, "return sum(blocks[:max_num_seqs]), blocks[0]", "`least` comes first"),
    (
        "a set",
        code(
            """
            blocks = sorted({math.ceil(length / block_size) for length in lengths}, reverse=True)
            return blocks[0], sum(blocks[:max_num_seqs])
            """
        ),
        "Equal lengths were counted once",
    ),
    _pool(
        "the average",
        "sum(blocks[:max_num_seqs])",
        "math.ceil(sum(blocks) * min(max_num_seqs, len(lengths)) / len(lengths))",
        "The average stands in",
    ),
]
