"""The exercises of lab 1, tokenization: what is asked for, the hints, and which check judges it."""

from cblab.lab.exercise import Exercise, Part
from cblab.lab.labs.tokenization import batches, encoding, merging, numbers, streaming, streaming_in

_BPE = "cblab.tokenization.bpe"
_REFERENCE = "cblab.lab.labs.tokenization.reference"
_TENSORS = "cblab.lab.labs.tokenization.tensors"

_MERGING = (
    Exercise(
        "1.1",
        "Count the pairs",
        symbols={"count_pairs": f"{_BPE}:count_pairs"},
        parts=(Part("counts", 2, merging.check_count_pairs),),
        minutes=4,
        difficulty="easy",
        lines=5,
        hints=(
            "Walk through each sequence and look at two neighbouring tokens at a time. A dict keeps a "
            "number for each pair.",
            "A sequence of n tokens has n - 1 pairs; one of 0 or 1 tokens has none. The keys are "
            "tuples (left, right).",
            "for each sequence:\n"
            "    for each pair of neighbours (itertools.pairwise gives them):\n"
            "        counts[pair] = counts.get(pair, 0) + 1",
        ),
    ),
    Exercise(
        "1.2",
        "Merge a pair",
        symbols={"merge_pair": f"{_BPE}:merge_pair"},
        parts=(Part("merges", 2, merging.check_merge_pair),),
        minutes=6,
        difficulty="easy",
        lines=8,
        hints=(
            "Build a new list from left to right. At each place there are two cases: the pair stands "
            "here, or it does not.",
            "With k merges the result is k tokens shorter. Keep an index i: a merge moves it by 2, "
            "anything else by 1.",
            "while i is inside ids:\n"
            "    if there is a next token and (ids[i], ids[i + 1]) is the pair:\n"
            "        append new_id, i += 2\n"
            "    else:\n"
            "        append ids[i], i += 1",
        ),
    ),
    Exercise(
        "1.3",
        "Train",
        symbols={"train_bpe": "cblab.tokenization.bpe_trainer:train_bpe"},
        needs=("count_pairs", "merge_pair"),
        parts=(Part("merges", 3, merging.check_train_bpe),),
        minutes=10,
        difficulty="medium",
        lines=12,
        hints=(
            "Keep every piece as a list of ids. A round counts the pairs of all pieces, takes the best "
            "one and rewrites all pieces.",
            "sequences: one list of ids a piece. counts: {pair: count over the corpus}, where a pair inside "
            "a piece counts piece_counts[piece] times. The new token of round number r is 256 + r.",
            "sequences = the bytes of each piece\n"
            "until there are num_merges merges:\n"
            "    counts = pairs of each piece times its weight\n"
            "    stop if counts is empty\n"
            "    pair = min over counts by (-count, tie_order(pair))\n"
            "    sequences = merge_pair of each sequence\n"
            "    remember the pair",
        ),
    ),
    Exercise(
        "1.4",
        "Encode by rank",
        symbols={"encode_piece": f"{_BPE}:encode_piece"},
        needs=("count_pairs", "merge_pair"),
        parts=(Part("ids", 3, merging.check_encode_piece),),
        minutes=8,
        difficulty="medium",
        lines=7,
        hints=(
            "Look at all the pairs, find the one that was learned first, merge it, and look again.",
            "ids starts as list(piece), one id a byte. A pair that is not in ranks must never win: "
            "give it the rank infinity.",
            "while there are at least two ids:\n"
            "    pair = the neighbours with the lowest rank\n"
            "    stop if it is not in ranks\n"
            "    ids = merge_pair(ids, pair, 256 + its rank)",
        ),
    ),
)

_TEXT = (
    Exercise(
        "1.5",
        "Encode and decode text",
        symbols={"ByteLevelTokenizer": f"{_REFERENCE}:ByteLevelTokenizer"},
        needs=("encode_piece",),
        parts=(
            Part("encode", 2, encoding.check_encode_text),
            Part("decode", 2, encoding.check_decode_text),
        ),
        minutes=10,
        difficulty="medium",
        lines=11,
        hints=(
            "encode: cut, then encode each piece, one list of ids for all. decode: collect bytes "
            "first, make text of them once, at the end.",
            "piece.encode('utf-8') gives the bytes of a piece. self.table[id] holds the bytes of an "
            "ordinary token; special ids are keys of self.special_names.",
            "encode:\n"
            "    ids = [bos] or []\n"
            "    for each piece of regex.findall: ids += encode_piece(its bytes, self.ranks)\n"
            "decode:\n"
            "    for each id: add its bytes; for a special one nothing, or its name\n"
            "    decode the bytes as UTF-8 with errors='replace'",
        ),
    ),
    Exercise(
        "1.6",
        "The unfinished tail",
        symbols={"unfinished_tail": f"{_REFERENCE}:unfinished_tail"},
        parts=(Part("bytes held back", 3, streaming.check_unfinished_tail),),
        minutes=10,
        difficulty="hard",
        lines=8,
        hints=(
            "Walk back from the end. Continuation bytes (0x80 to 0xBF) say nothing; the first byte "
            "that is none of them decides.",
            "A character has at most 4 bytes, so looking at the last 3 is enough. If the first byte "
            "stands `length` from the end and "
            "announces `needed` bytes, the character is unfinished when length < needed.",
            "for length 1, 2, 3 (not more than there are bytes):\n"
            "    byte = data[-length]\n"
            "    below 0x80: 0\n"
            "    from 0xC0 on: needed is 2, 3 or 4; answer length if length < needed else 0\n"
            "nothing found: 0",
        ),
    ),
)

_TENSOR = (
    Exercise(
        "1.7",
        "Pad a batch",
        symbols={"pad_batch": f"{_TENSORS}:pad_batch"},
        parts=(Part("ids and mask", 2, batches.check_pad_batch),),
        minutes=6,
        difficulty="easy",
        lines=6,
        hints=(
            "Find the longest sequence. Each other row needs as many pads as it is shorter, and its "
            "mask as many zeros.",
            "Both results are [num_seqs, longest], int64. Build lists of lists and make a tensor of "
            "each at the end.",
            "for each sequence:\n"
            "    missing = longest - len(ids)\n"
            "    left: row = [pad_id] * missing + ids, mask = [0] * missing + [1] * len(ids)\n"
            "    right: the other way round",
        ),
    ),
    Exercise(
        "1.8",
        "Embed",
        symbols={"embed": f"{_TENSORS}:embed"},
        parts=(Part("rows", 1, batches.check_embed),),
        minutes=3,
        difficulty="easy",
        lines=1,
        hints=(
            "It is a look-up: each id takes a row of the table.",
            "[batch, length] ids index the first dimension of a [vocab_size, hidden_size] table; the "
            "result has the ids' shape with hidden_size behind it.",
            "Index the table with the tensor of ids.",
        ),
    ),
    Exercise(
        "1.9",
        "Mend the stop string",
        symbols={"stream_until_stop": f"{_REFERENCE}:stream_until_stop"},
        parts=(Part("text shown", 3, streaming.check_stream_until_stop),),
        minutes=12,
        difficulty="hard",
        lines=11,
        hints=(
            "Keep text that is not shown yet. After each delta ask two things: is the stop string in it, "
            "and if not, how much of its end could become the stop string?",
            "What is held back has between 0 and len(stop) - 1 characters: the largest n for which the "
            "text ends with stop[:n].",
            "for each delta:\n"
            "    held += delta\n"
            "    if stop is in held: show what stands before it, return\n"
            "    keep = the largest n below len(stop) with held ending in stop[:n]\n"
            "    show all but the last keep characters, hold those\n"
            "after the loop: show what is held",
        ),
    ),
)

_ASSESSMENT = (
    Exercise(
        "1.10",
        "Capacity",
        variables=("english_prompts_per_batch", "hindi_prompts_per_batch", "hindi_cost_ratio"),
        parts=(
            Part("English prompts", 1, numbers.ENGLISH),
            Part("Hindi prompts", 1, numbers.HINDI),
            Part("cost ratio", 1, numbers.RATIO),
        ),
        minutes=5,
        difficulty="medium",
        hints=(
            "First the tokens of one prompt, then how often that fits.",
            "Words times tokens a word, plus one.",
            "prompts = budget // tokens of one prompt; ratio = Hindi tokens / English tokens",
        ),
    ),
    Exercise(
        "1.11",
        "Memory of a vocabulary",
        variables=("old_table_gb", "new_table_gib", "extra_gb"),
        parts=(
            Part("old table", 1, numbers.OLD_GB),
            Part("new table", 1, numbers.NEW_GIB),
            Part("extra memory", 1, numbers.EXTRA_GB),
        ),
        minutes=5,
        difficulty="medium",
        hints=(
            "A table holds vocabulary × hidden size numbers.",
            "A bfloat16 number has 2 bytes. 1 GB = 10⁹ bytes, 1 GiB = 2³⁰ bytes. Untied means two tables.",
            "bytes = vocabulary * hidden * 2; divide by 1e9 or by 2**30",
        ),
    ),
    Exercise(
        "1.12",
        "Padding",
        variables=("waste_one_batch", "waste_two_batches", "slots_saved"),
        parts=(
            Part("one batch", 1, numbers.WASTE_ONE),
            Part("two batches", 1, numbers.WASTE_TWO),
            Part("slots saved", 1, numbers.SLOTS_SAVED),
        ),
        minutes=5,
        difficulty="medium",
        hints=(
            "Slots of a batch are its rows times its longest row.",
            "Waste is (slots - real tokens) / slots, over all the batches together.",
            "slots_saved = slots of the one batch - slots of the two",
        ),
    ),
)

_BONUS = (
    Exercise(
        "1.15",
        "Keep the counts up to date",
        symbols={"merge_and_update": f"{_REFERENCE}:merge_and_update"},
        needs=("count_pairs", "merge_pair"),
        parts=(Part("sequences and counts", 2, merging.check_merge_and_update),),
        minutes=15,
        difficulty="hard",
        lines=9,
        bonus=True,
        hints=(
            "A sequence without the pair changes nothing. For one with it, all its old pairs go and "
            "all its new pairs come.",
            "count_pairs([ids]) counts one sequence. A Counter has subtract and update.",
            "copy counts\n"
            "for each sequence that holds the pair:\n"
            "    take off its pairs, merge it, add its new pairs\n"
            "drop the zeros",
        ),
    ),
    Exercise(
        "1.16",
        "Streaming in",
        symbols={"StreamingEncoder": f"{_REFERENCE}:StreamingEncoder"},
        needs=("encode_piece",),
        parts=(Part("ids", 3, streaming_in.check_streaming_encoder),),
        minutes=20,
        difficulty="hard",
        lines=8,
        bonus=True,
        hints=(
            "Put the held text and the chunk together, cut that into pieces, give out the ids of all "
            "but the last two, hold the rest.",
            "pieces[:-2] are final, ''.join(pieces[-2:]) is the new self.held. With fewer than three "
            "pieces everything is held.",
            "push: pieces of held + chunk; hold the last two; encode the others\n"
            "flush: encode all pieces of held, hold nothing",
        ),
    ),
    Exercise(
        "1.17",
        "Packing",
        symbols={"pack": f"{_REFERENCE}:pack"},
        parts=(Part("rows", 2, batches.check_pack),),
        minutes=12,
        difficulty="medium",
        lines=9,
        bonus=True,
        hints=(
            "Sort the indices, not the lengths. For each one look through the rows from the first on.",
            "rows: lists of indices. free: the room that each row has left. Python's sort keeps the "
            "order of equals.",
            "for index from the longest to the shortest:\n"
            "    row = the first with free[row] >= lengths[index], else a new row\n"
            "    put it there, take its length off free[row]",
        ),
    ),
)

EXERCISES: tuple[Exercise, ...] = (*_MERGING, *_TEXT, *_TENSOR, *_ASSESSMENT, *_BONUS)
