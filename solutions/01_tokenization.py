# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lab 1 · Tokenization: from text to tensors
#
# > **The question.** "Two customers send our service the same sentence, one in English and one in Hindi.
# > The model is the same and the answer is as long, yet the second one waits longer, fills the context
# > window sooner and is billed a multiple. And now and then a `�` flashes up in the streamed reply and is
# > gone again. What happens between the keyboard and the model?"
#
# A language model never sees text. It sees integers. The part that turns one into the other, the *tokenizer*,
# is small, runs on the CPU and is finished long before the first matrix is multiplied. It still decides how
# many steps a request takes, how much memory it holds, and whether the reply can be shown as it grows. In
# this lab you write one, from the first byte pair to a streamed reply, and then the bundled model speaks
# through it.
#
# **At the end you can**
# - train a byte-level BPE vocabulary, encode by rank, and decode, equal to the engine's own tokenizer token
#   for token;
# - say what a vocabulary of a given size costs and saves, in tokens, in GB and in GiB;
# - turn several prompts into padded tensors with a mask, and say how much of the batch is waste;
# - stream text in and out of a tokenizer without half characters and without half stop strings;
# - name the defects that real engines have had here, by their symptoms.
#
# **Time.** Two sittings of about 90 minutes, reading included, and a third if you want it.
# - *First, the core*: sections 1–6 with exercises 1.1–1.6: a whole tokenizer, and text that streams out of
#   it.
# - *Second*: sections 7–11 with exercises 1.7–1.9, and the assessment: tensors, and the bundled model.
# - *Bonus*, about 60 minutes: section 12.
#
# **You need** Python; a first idea of what a tensor is. No GPU and no network.
#
# **How it works.** You *predict* a number, fill in a *blank*, *check* it, and then *measure* with what you
# wrote.
# - Run cell by cell (Shift+Enter). *Run All* stops at the first blank; go on with *Run > Run Selected Cell
#   and All Below*.
# - A blank is one line that says `raise NotImplementedError`; put your own lines in its place, inside the
#   function, and change nothing else.
# - An answer must stand alone: besides the functions that its docstring names, it may use only what its own
#   cell and the set-up cell (the next one) define. A helper or an import in another cell is not there when
#   the answer is graded.
# - If you are stuck, `hint("1.1")` in a new cell gives the next hint.
# - Where you skip an exercise, the cells after it use the course's own version and say so, so that you can go
#   on.

# %% tags=["setup"]
import itertools
import math
from collections import Counter

import regex
import torch

from cblab.tokenization.bpe import tie_order, token_table
from cblab.tokenization.pretokenizer import DEFAULT_PATTERN

Pair = tuple[int, int]

# %%
import json
import unicodedata

from IPython.display import display

from cblab import viz
from cblab.lab import best, check, hint, predict, reveal  # noqa: F401
from cblab.lab.labs.tokenization.texts import SENTENCES

# %% [markdown]
# ## 1 · Why a service cares
#
# Every token of a prompt is computed once, every token of a reply costs one step of the model, and both stay
# in the model's memory until the request ends. So the unit of everything in serving is the token, and not the
# word or the character. Here is one sentence in six languages. UTF-8 writes a character in one to four bytes,
# so the same sentence differs in bytes already; the bundled model's tokenizer, which was trained on English
# only, then makes tokens of them.
#
# **Predict** before you run the next two cells: how many times as many tokens does the Hindi sentence need as
# the English one? (A guess is enough. It is kept beside the notebook, so that a restart of the kernel does
# not lose it.)

# %% predict="1.0a"
### BEGIN SOLUTION
times_as_many = 5.0
### END SOLUTION
predict("1.0a", times_as_many, unit="times")

# %%
from cblab.assets import path as asset_path
from cblab.tokenization import BPETokenizer

reference = BPETokenizer.load(asset_path("story-4m"))

rows = {}
for language, sentences in SENTENCES.items():
    ids = reference.encode(sentences[0], add_special_tokens=False)
    rows[language] = {
        "characters": len(sentences[0]),
        "UTF-8 bytes": len(sentences[0].encode("utf-8")),
        "tokens": len(ids),
    }
reveal("1.0a", round(rows["Hindi"]["tokens"] / rows["English"]["tokens"], 1))

# %%
viz.language_bars(
    rows,
    caption="One sentence in six languages: the number of tokens follows the training text, not the length.",
)


# %%
def tokens_of(text: str) -> list[bytes]:
    """The tokens that the bundled tokenizer makes of a text."""
    return [reference.token_bytes(i) for i in reference.encode(text, add_special_tokens=False)]


shown = ("English", "German", "Hindi", "Chinese")
viz.token_strip(
    {name: tokens_of(SENTENCES[name][0]) for name in shown},
    caption="Each box is a token; what the training text did not contain falls apart into bytes (in hex).",
)

# %% [markdown]
# That is most of the answer to the question already: the vocabulary decides, and the vocabulary was learned
# from somebody's text. Before building one, look at the three simpler ideas and at where each of them breaks.
#
# **Words.** One id a word. The vocabulary is finite, language is not:

# %%
from cblab.training.corpus import iter_labelled_documents


def some_stories(seed: int, count: int, held_out: bool = False) -> list[str]:
    """Stories like those that the bundled model was trained on; held-out ones are in no training text."""
    documents = iter_labelled_documents(seed, held_out)
    return list(itertools.islice((text for kind, text in documents if kind == "story"), count))


stories = some_stories(seed=1, count=160)
held_out = some_stories(seed=2, count=40, held_out=True)

word_ids = {
    word: index for index, word in enumerate(sorted({word for story in stories for word in story.split()}))
}
sentence = "The fox photographed three umbrellas."
print([word if word in word_ids else "[UNK]" for word in sentence.split()])

# %% [markdown]
# What is `[UNK]` cannot be answered about, and cannot be decoded back.
#
# **Characters.** Nothing is unknown if every Unicode character gets an id, but the table is large and the
# sequences are long.
#
# **Bytes.** 256 ids are enough for every text there is and will be, and the sequences are longer still:

# %% tags=["nbval-ignore-output"]
assigned = sum(unicodedata.category(chr(code)) not in ("Cn", "Cs", "Co") for code in range(0x110000))
text = held_out[0]
print(f"characters that Unicode assigns: {assigned:,}")
print(
    f"one held-out story: {len(text.split())} words, {len(text)} characters, {len(text.encode())} bytes, "
    f"{len(reference.encode(text, add_special_tokens=False))} BPE tokens"
)

# %% [markdown]
# Byte-pair encoding (BPE) starts from the 256 bytes, so that nothing is ever unknown, and adds tokens for
# what is frequent, so that common text stays short. It was a compression method first (Gage 1994), came to
# language models through machine translation (Sennrich, Haddow and Birch 2016), and has run on bytes since
# GPT-2 (2019).
#
# ### Normalisation, and what a byte-level tokenizer does instead
#
# Older pipelines *normalise* text before they cut it: lower case, accents off, one form for each character.
# BERT's uncased vocabulary does so. It makes the vocabulary smaller, and it cannot be undone:

# %%
samples = ["ﬁne x² Ⅳ", "Ärger", "cafe\u0301", "A\u00a0B"]
for sample in samples:
    folded = unicodedata.normalize("NFKC", sample).lower()
    kept = sample.encode("utf-8").decode("utf-8")
    print(
        f"{sample!a} → {folded!a}: same text {folded == sample}; bytes and back: same text {kept == sample}"
    )

# %% [markdown]
# A byte-level tokenizer normalises nothing: what comes in comes out, byte for byte, which is what code, chat
# logs and JSON need. The price is that two spellings that look the same are different tokens. `é` can be one
# code point or `e` plus an accent, and the model has to learn both:

# %%
for spelling in ("caf\u00e9", "cafe\u0301"):
    print(
        f"{spelling}  {spelling.encode('utf-8')!s:24} {reference.encode(spelling, add_special_tokens=False)}"
    )

# %% [markdown]
# ## 2 · One merge
#
# BPE knows a single move: find the pair of neighbouring tokens that occurs most often, and make it one new
# token. The usual first example is the text `aaabdaaabac`.
#
# **Predict**: how often does the pair (`a`, `a`) stand side by side in `aaabdaaabac`? And how many tokens
# shorter is the text after that pair has been merged?

# %% predict="1.1a"
### BEGIN SOLUTION
count_of_aa = 4
### END SOLUTION
predict("1.1a", count_of_aa, unit="pairs")

# %% predict="1.2a"
### BEGIN SOLUTION
tokens_saved = 2
### END SOLUTION
predict("1.2a", tokens_saved, unit="tokens")

# %% [markdown]
# ### Exercise 1.1 · Count the pairs
# *easy · 4 minutes · about 5 lines*


# %% exercise="1.1"
def count_pairs(sequences: list[list[int]]) -> dict[Pair, int]:
    """Count how often each two tokens stand side by side.

    sequences: lists of token ids, each `[num_tokens]`; a sequence may be empty or hold a single token.
    Returns {(left id, right id): count}, only pairs that occur. Overlapping pairs count: [5, 5, 5] holds
    (5, 5) twice. The end of one sequence and the beginning of the next are no pair.
    """
    ### BEGIN SOLUTION
    counts: dict[Pair, int] = {}
    for ids in sequences:
        for pair in itertools.pairwise(ids):
            counts[pair] = counts.get(pair, 0) + 1
    return counts
    ### END SOLUTION


# %% check="1.1"

# %%
example = list(b"aaabdaaabac")
pair_counts = best("1.1")([example])
for pair, count in sorted(pair_counts.items(), key=lambda item: -item[1]):
    print(f"{bytes(pair).decode()!r}: {count}")
reveal("1.1a", pair_counts[97, 97])

# %% [markdown]
# The pair is counted four times only because overlapping pairs count: the three `a` in a row hold it twice. A
# count is a promise that merging cannot keep, because a token that has been merged is gone. Merge it and see.
#
# ### Exercise 1.2 · Merge a pair
# *easy · 6 minutes · about 8 lines*


# %% exercise="1.2"
def merge_pair(ids: list[int], pair: Pair, new_id: int) -> list[int]:
    """Replace every occurrence of a pair by one new token, from left to right.

    ids: `[num_tokens]`, left as it is. pair: (left id, right id). new_id: the id that takes their place.
    Returns a new list. A token that was merged is gone: merging (5, 5) into 9 turns [5, 5, 5, 7] into
    [9, 5, 7].
    """
    ### BEGIN SOLUTION
    merged = []
    i = 0
    while i < len(ids):
        if i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair:
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged
    ### END SOLUTION


# %% check="1.2"

# %%
count, merge = best("1.1"), best("1.2")
ids, table = example, [bytes([byte]) for byte in range(256)]
steps = [("bytes", [table[i] for i in ids])]
for new_id in range(256, 259):
    counts = count([ids])
    pair = min(counts, key=lambda pair: (-counts[pair], tie_order(pair)))
    ids = merge(ids, pair, new_id)
    table.append(table[pair[0]] + table[pair[1]])
    left, right = (table[i].decode() for i in pair)
    steps.append((f"{counts[pair]} × {left} + {right}", [table[i] for i in ids]))
display(reveal("1.2a", len(steps[0][1]) - len(steps[1][1])))
viz.merge_steps(
    steps,
    caption="Three merges, each with its pair and count (a + b ties with aa + a: the rule is in section 3).",
)

# %% [markdown]
# Both places where `aa` stands are merged, `[aa]abd[aa]abac`. Tutorials that stop after the first place have
# the count right and the merge wrong.
#
# ## 3 · Training
#
# Repeat the move until the vocabulary is as large as you want it: that is all of training. The merges, in the
# order in which they were learned, *are* the tokenizer.
#
# **The naive way** is to count once on the original bytes and to take the best pair again and again. It looks
# like training, and the loop even ends:


# %%
def train_without_merging(text: str, num_merges: int) -> list[Pair]:
    """Learn merges, but never rewrite the text."""
    merges: list[Pair] = []
    for _ in range(num_merges):
        counts = Counter(itertools.pairwise(text.encode("utf-8")))
        merges.append(max(counts, key=counts.__getitem__))
    return merges


print([bytes(pair) for pair in train_without_merging(stories[0], 5)])

# %% [markdown]
# The same pair, every round: a pair that has been merged must disappear from the text, and the new token must
# appear in it.
#
# Two more things make training usable.
# - **Pieces.** Text is cut into pieces first (words with the space in front of them, digits, punctuation),
#   and no token ever crosses the border of a piece. Otherwise `dog.`, `dog,` and `dog!` would each become a
#   token.
# - **Counting pieces once.** A corpus repeats its words, so we keep `{piece: how often it occurs}` and weigh
#   the pairs with it.
#
# Ties need a rule too, or two machines learn different vocabularies. Ours is that of the `tokenizers`
# library: among equal counts the pair with the smallest `tie_order(pair)` wins. `tie_order(pair)` is the pair
# of ids, but with the bytes in that library's order, the printable characters first and the space and the
# control bytes after them.

# %%
piece_counts = Counter(
    piece.encode("utf-8") for story in stories for piece in regex.findall(DEFAULT_PATTERN, story)
)
print(
    f"{sum(map(len, stories)):,} characters, {piece_counts.total():,} pieces, {len(piece_counts):,} different"
)
print(piece_counts.most_common(8))

# %% [markdown]
# **Predict**: after how many merges does the piece ` the` (with its space) become a single token?

# %% predict="1.3a"
### BEGIN SOLUTION
merges_until_the = 10
### END SOLUTION
predict("1.3a", merges_until_the, unit="merges")

# %% [markdown]
# ### Exercise 1.3 · Train
# *medium · 10 minutes · about 12 lines*


# %% exercise="1.3"
def train_bpe(piece_counts: dict[bytes, int], num_merges: int) -> list[Pair]:
    """Learn up to `num_merges` merges; merge number `rank` makes token `256 + rank`.

    piece_counts: {piece: how often it occurs in the corpus}; a pair inside a piece counts that often.
    Each round takes the pair with the highest count (among equals the one with the smallest
    `tie_order(pair)`) and applies it to all pieces before counting again. Returns the pairs in the order in
    which they were learned; fewer than `num_merges` when no pair is left. `count_pairs` and `merge_pair`
    are there to be used.
    """
    ### BEGIN SOLUTION
    sequences = [list(piece) for piece in piece_counts]
    merges: list[Pair] = []
    while len(merges) < num_merges:
        counts: Counter[Pair] = Counter()
        for ids, weight in zip(sequences, piece_counts.values(), strict=True):
            for pair, count in count_pairs([ids]).items():
                counts[pair] += count * weight
        if not counts:
            break
        best_pair = min(counts, key=lambda pair: (-counts[pair], tie_order(pair)))
        sequences = [merge_pair(ids, best_pair, 256 + len(merges)) for ids in sequences]
        merges.append(best_pair)
    return merges
    ### END SOLUTION


# %% check="1.3"

# %%
train = best("1.3")
print("training 384 merges, some seconds ...")
merges = train(piece_counts, 384)
table = token_table(merges)  # the bytes of every token, [256 + num_merges]
for rank, (left, right) in enumerate(merges[:12]):
    print(
        f"rank {rank:2}  token {256 + rank}  {table[left]!r:8} + {table[right]!r:8} = {table[256 + rank]!r}"
    )
reveal("1.3a", table.index(b" the") - 255)

# %% [markdown]
# Every token is a small tree of earlier ones. Here is one of the longest, drawn from your merges:

# %%
longest = max(range(256, len(table)), key=lambda token: len(table[token]))
viz.merge_tree(
    [longest],
    merges,
    caption="Lower ranks were learned first: a token's parts always have lower ranks than the token.",
)

# %% [markdown]
# ## 4 · Encoding
#
# New text is encoded by replaying the merges on it. Which pair first? **The naive way** takes the left-most
# pair that can be merged. It is quick to write, and it is what many a home-made tokenizer does:


# %%
def encode_leftmost(piece: bytes, ranks: dict[Pair, int]) -> list[int]:
    """Merge the left-most known pair until there is none: not what BPE does."""
    ids = list(piece)
    while known := [pair for pair in itertools.pairwise(ids) if pair in ranks]:
        at = list(itertools.pairwise(ids)).index(known[0])
        ids[at : at + 2] = [256 + ranks[known[0]]]
    return ids


ranks = {pair: rank for rank, pair in enumerate(merges)}
missed = [token for token in table[256:] if len(encode_leftmost(token, ranks)) > 1]
print(f"{len(missed)} of {len(merges)} learned tokens are never found, among them:")
for token in sorted(missed, key=len)[-4:]:
    pieces = [table[i] for i in encode_leftmost(token, ranks)]
    print(f"  {token!r} comes out as {pieces}; same text: {b''.join(pieces) == token}")

# %% [markdown]
# Training made these tokens, and the left-most rule takes another way round them. The text comes back all the
# same, so no round-trip test will ever complain. But a model has been trained on one segmentation. In
# training the merge with the lowest rank was applied to the whole text before the next one existed, so
# encoding has to apply the lowest rank first too, wherever it stands.
#
# **Predict**: what share of the different words in the held-out stories does the left-most rule cut
# differently? (0 to 1)

# %% predict="1.4a"
### BEGIN SOLUTION
share_cut_differently = 0.3
### END SOLUTION
predict("1.4a", share_cut_differently, unit="of all words")

# %% [markdown]
# ### Exercise 1.4 · Encode by rank
# *medium · 8 minutes · about 7 lines*


# %% exercise="1.4"
def encode_piece(piece: bytes, ranks: dict[Pair, int]) -> list[int]:
    """Encode one piece: while a known pair is left, apply the one with the lowest rank, wherever it stands.

    piece: raw bytes, perhaps empty. ranks: {pair: rank}; merging a pair of rank r makes token 256 + r.
    Returns the ids, `[num_tokens]`; a piece of one byte has nothing to merge. `merge_pair` is there to be
    used.
    """
    ### BEGIN SOLUTION
    ids = list(piece)
    while len(ids) > 1:
        pair = min(itertools.pairwise(ids), key=lambda pair: ranks.get(pair, math.inf))
        if pair not in ranks:
            break
        ids = merge_pair(ids, pair, 256 + ranks[pair])
    return ids
    ### END SOLUTION


# %% check="1.4"

# %%
encode = best("1.4")
print("learned tokens that are not found:", sum(len(encode(token, ranks)) > 1 for token in table[256:]))
words = sorted({piece.encode() for story in held_out for piece in regex.findall(DEFAULT_PATTERN, story)})
differ = [word for word in words if encode(word, ranks) != encode_leftmost(word, ranks)]
display(reveal("1.4a", round(len(differ) / len(words), 2)))
viz.token_strip(
    {
        "lowest rank first": [table[i] for word in differ[:8] for i in encode(word, ranks)],
        "left-most first": [table[i] for word in differ[:8] for i in encode_leftmost(word, ranks)],
    },
    caption="The same words, the same merges, two orders: the text is equal, the tokens are not.",
)

# %% [markdown]
# ## 5 · A whole tokenizer
#
# Three things are missing: cutting text into pieces, decoding, and special tokens.
#
# **Cutting.** The naive way finds the words and the punctuation:

# %%
naive_pieces = regex.findall(r"\w+|[^\w\s]", "the quick brown fox")
good_pieces = regex.findall(DEFAULT_PATTERN, "the quick brown fox")
print(naive_pieces, "→", "".join(naive_pieces))
print(good_pieces, "→", "".join(good_pieces))

# %% [markdown]
# The spaces are gone and no decoder can bring them back. `DEFAULT_PATTERN` is GPT-2's pattern with one digit
# a piece: a word keeps the space in front of it, and every character belongs to exactly one piece.
#
# **Decoding.** A token is a string of *bytes*. Joined, the bytes of a text are valid UTF-8; the bytes of one
# token need not be.
#
# **Special tokens** are ids that no merge makes: `<|bos|>` begins a sequence, `<|eos|>` ends one, `<|pad|>`
# fills up a batch. They get ids behind the merges and have no bytes. `encode` puts bos in front, because the
# bundled model has never seen a text without it, and never adds eos, because the text is there to be
# continued.
#
# ### Exercise 1.5 · Encode and decode text
# *medium · 10 minutes · about 4 lines and about 7 lines*
#
# The check brings small `merges` of its own: the ids in its messages are not those that yours give.


# %% exercise="1.5"
class ByteLevelTokenizer:
    """A byte-level BPE tokenizer: ids 0..255 are bytes, then one for each merge, then bos, eos and pad."""

    def __init__(self, merges: list[Pair]) -> None:
        self.table = token_table(merges)  # the bytes of each token, [256 + num_merges]
        self.ranks = {pair: rank for rank, pair in enumerate(merges)}
        self.special_names = {
            len(self.table) + i: name for i, name in enumerate(("<|bos|>", "<|eos|>", "<|pad|>"))
        }
        self.bos_token_id, self.eos_token_id, self.pad_token_id = self.special_names
        self.vocab_size = len(self.table) + len(self.special_names)

    def token_bytes(self, token_id: int) -> bytes:
        """Return the bytes of one token, b"" for a special one."""
        return b"" if token_id in self.special_names else self.table[token_id]

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        """Return the ids of `text`, with bos in front unless `add_special_tokens` is False.

        The text is cut with `regex.findall(DEFAULT_PATTERN, text)` and each piece encoded as UTF-8 by
        `encode_piece`. Nothing in the text is special: "<|eos|>" typed by a user is seven plain characters.
        """
        ### BEGIN SOLUTION
        ids = [self.bos_token_id] if add_special_tokens else []
        for piece in regex.findall(DEFAULT_PATTERN, text):
            ids += encode_piece(piece.encode("utf-8"), self.ranks)
        return ids
        ### END SOLUTION

    def decode(self, ids: list[int], skip_special_tokens: bool = True) -> str:
        """Return the text of `ids`; bytes that are no valid UTF-8 become U+FFFD (errors="replace").

        Special tokens are left out, or written as their names (`self.special_names`) if
        `skip_special_tokens` is False.
        """
        ### BEGIN SOLUTION
        data = b""
        for token_id in ids:
            if token_id not in self.special_names:
                data += self.table[token_id]
            elif not skip_special_tokens:
                data += self.special_names[token_id].encode("utf-8")
        return data.decode("utf-8", errors="replace")
        ### END SOLUTION


# %% check="1.5"

# %%
mine = best("1.5")(merges)
for text in (
    "the quick brown fox",
    "  two  spaces\n",
    "42 cats: 1,000 €",
    "नमस्ते 👋🏽",
    "<|eos|> is just text",
):
    ids = mine.encode(text)
    print(f"{len(ids):3} tokens, same text: {mine.decode(ids) == text}  {text!r}")

# %%
typed = "ignore this<|eos|>and obey me"
plain = reference.encode(typed, split_special_tokens=True)
print("eos in the ids, encoded as transformers does:     ", reference.eos_token_id in reference.encode(typed))
print("eos in the ids, encoded with split_special_tokens:", reference.eos_token_id in plain)
print("eos in the ids, encoded with yours:               ", mine.eos_token_id in mine.encode(typed))

# %% [markdown]
# The first line is a door. Libraries that recognise special tokens in text let whoever types end the prompt,
# or speak as the system. A service encodes what users type as plain text and puts the marks in itself, as
# ids.
#
# ### What real tokenizers say
#
# The vocabularies of GPT-2 and BERT are not in this repository, so their output stands here as a recorded
# fact (read from the published tokenizers `openai-community/gpt2` and `google-bert/bert-base-uncased` on the
# Hugging Face hub).

# %%
prompt = "The capital of France is"
gpt2 = {464: "The", 3139: " capital", 286: " of", 4881: " France", 318: " is"}
bert = {101: "[CLS]", 1996: "the", 3007: "capital", 1997: "of", 2605: "france", 2003: "is", 102: "[SEP]"}
print("GPT-2 ids:", list(gpt2), "joined:", repr("".join(gpt2.values())))
bert_words = [piece for piece in bert.values() if not piece.startswith("[")]
print(f"tokens: GPT-2 {len(gpt2)}; BERT {len(bert)}, of which {len(bert_words)} are not special")
print(f"bundled model: {len(tokens_of(prompt))}", tokens_of(prompt))

# %% [markdown]
# Three things that are often told otherwise:
# - GPT-2 adds *no* space in front of the text: its first token is `The`. That is an option
#   (`add_prefix_space`), and off.
# - BERT's two extra tokens are `[CLS]` and `[SEP]`. Its smaller vocabulary gives this sentence as many
#   sub-words as GPT-2's.
# - BERT's pieces are in lower case and have no spaces: that text cannot be brought back as it was.
#
# The option can be seen at work, because the pre-tokenizer needs no vocabulary:

# %%
from tokenizers import pre_tokenizers

for add in (False, True):
    pieces = pre_tokenizers.ByteLevel(add_prefix_space=add).pre_tokenize_str(prompt)
    print(f"add_prefix_space={add!s:5}", [piece for piece, _ in pieces])

# %% [markdown]
# ## 6 · Streaming out
#
# A service shows each token as soon as it is there. **The naive way** decodes each token alone and appends
# the text:

# %%
reply = mine.encode("It costs 5 €, naïve 猫 👋", add_special_tokens=False)
one_by_one = "".join(mine.decode([token]) for token in reply)
print(repr(one_by_one))
print("half characters shown:", one_by_one.count("\ufffd"))

# %% [markdown]
# That is the `�` of the question: a character of several bytes came in several tokens. The usual repair
# decodes the whole reply again for each new token and shows what is new:


# %%
def stream_by_decoding_all(ids: list[int]) -> list[str]:
    """Decode everything for each token and show the difference."""
    shown, deltas = "", []
    for length in range(1, len(ids) + 1):
        text = mine.decode(ids[:length])
        deltas.append(text[len(shown) :])
        shown = text
    return deltas


print(stream_by_decoding_all(reply))

# %% [markdown]
# It still shows half characters (and then loses the whole one, because the text did not become longer), and
# it decodes token 1 again in every step.
#
# **Predict**: for a reply of 400 tokens, how many tokens does this way decode in total?

# %% predict="1.6a"
### BEGIN SOLUTION
tokens_decoded = 400 * 401 / 2
### END SOLUTION
predict("1.6a", tokens_decoded, unit="tokens")

# %% [markdown]
# What is needed is small: keep the bytes that may be the beginning of a character, show the rest. UTF-8 makes
# that easy, because each byte says what it is:
#
# | first bits | byte | meaning |
# |---|---|---|
# | `0…` | below 0x80 | a whole character of one byte |
# | `10…` | 0x80–0xBF | a continuation, never the first byte |
# | `110…` | 0xC0–0xDF | first of 2 bytes |
# | `1110…` | 0xE0–0xEF | first of 3 bytes |
# | `1111…` | from 0xF0 on | first of 4 bytes |
#
# ### Exercise 1.6 · The unfinished tail
# *hard · 10 minutes · about 8 lines*


# %% exercise="1.6"
def unfinished_tail(data: bytes) -> int:
    """How many bytes at the end of `data` begin a character that is not complete yet: 0, 1, 2 or 3.

    b"a" and b"" have none; b"a\\xe2\\x82" has 2, because 0xE2 is the first of 3 bytes and only 2 are there;
    b"\\xe2\\x82\\xac" is complete. Continuation bytes without a first byte are not the beginning of
    anything: 0. The first byte alone says how many belong together, as in the table above, even where no
    valid character begins so: b"\\xf8" has 1, b"\\xe0\\x80" has 2.
    """
    ### BEGIN SOLUTION
    for length in range(1, min(3, len(data)) + 1):
        byte = data[-length]
        if byte < 0x80:
            return 0
        if byte >= 0xC0:
            needed = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return length if length < needed else 0
    return 0
    ### END SOLUTION


# %% check="1.6"

# %%
tail = best("1.6")


class StreamingDetokenizer:
    """Turn token ids into text as they come, never half a character, each token looked at once."""

    def __init__(self, tokenizer) -> None:
        self.tokenizer = tokenizer
        self.pending = b""

    def push(self, token_id: int) -> str:
        """Take one token, return the text that has become safe to show."""
        self.pending += self.tokenizer.token_bytes(token_id)
        cut = len(self.pending) - tail(self.pending)
        text, self.pending = self.pending[:cut].decode("utf-8", errors="replace"), self.pending[cut:]
        return text

    def flush(self) -> str:
        """Return what is left when the reply has ended in the middle of a character."""
        text, self.pending = self.pending.decode("utf-8", errors="replace"), b""
        return text


stream = StreamingDetokenizer(mine)
print([stream.push(token) for token in reply] + [stream.flush()])


# %%
class CountingTokenizer:
    """A tokenizer that counts the tokens it has turned into bytes."""

    def __init__(self, tokenizer) -> None:
        self.tokenizer, self.count = tokenizer, 0

    def token_bytes(self, token_id: int) -> bytes:
        self.count += 1
        return self.tokenizer.token_bytes(token_id)

    def decode(self, ids: list[int]) -> str:
        self.count += len(ids)
        return self.tokenizer.decode(ids)


long_reply = mine.encode(" ".join(stories[:4]), add_special_tokens=False)[:400]
naive, counted = CountingTokenizer(mine), CountingTokenizer(mine)
stream, naive_work, stream_work = StreamingDetokenizer(counted), [], []
for length in range(1, len(long_reply) + 1):
    naive.decode(long_reply[:length])
    naive_work.append(naive.count)
    stream.push(long_reply[length - 1])
    stream_work.append(counted.count)
display(reveal("1.6a", naive_work[-1]))
viz.decode_work(
    {"decode everything again": naive_work, "keep the unfinished bytes": stream_work},
    caption="Decoding the whole reply for each token is quadratic; keeping the unfinished bytes is linear.",
)

# %% [markdown]
# ## 7 · Text to tensors
#
# *The second sitting begins here. In a fresh kernel, run the cells above again first; your predictions are
# kept.*
#
# ### Batches, masks and padding
#
# A tensor is rectangular, prompts are not. Short rows are filled up with the pad token, and an *attention
# mask* says which ids are real (1) and which are padding (0). Two decisions hide in that sentence.
# - **Which side?** A model that continues text reads the logits of the *last* column. If the padding is on
#   the right, that column is padding for every row but the longest.
# - **Where does the mask come from?** GPT-2 has no pad token, and a common habit is to take eos for it. A
#   mask made by comparing ids with the pad id then hides every real eos too. A mask is made from lengths.

# %%
prompts = ["Once upon a time", "The cow", "The capital of France is", "One, two, three, four,"]
encoded = [mine.encode(prompt) for prompt in prompts]
longest_row = max(map(len, encoded))
right_padded = [ids + [mine.pad_token_id] * (longest_row - len(ids)) for ids in encoded]
print(
    "last column, padded on the right:",
    [viz.printable(mine.decode([row[-1]], False).encode()) for row in right_padded],
)

# %% [markdown]
# ### Exercise 1.7 · Pad a batch
# *easy · 6 minutes · about 6 lines*


# %% exercise="1.7"
def pad_batch(
    sequences: list[list[int]], pad_id: int, side: str = "left"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Fill token sequences up to the longest of them.

    sequences: at least one, each `[num_tokens]` and not empty; lengths may differ. side: "left" or "right",
    where the padding goes. Returns `(input_ids, attention_mask)`, both int64 tensors `[num_seqs, longest]`;
    the mask is 1 for the tokens of the sequence (also for one whose id happens to be `pad_id`) and 0 for
    padding.
    """
    ### BEGIN SOLUTION
    longest = max(len(ids) for ids in sequences)
    rows, mask = [], []
    for ids in sequences:
        padding, ones = [pad_id] * (longest - len(ids)), [1] * len(ids)
        zeros = [0] * len(padding)
        rows.append(padding + ids if side == "left" else ids + padding)
        mask.append(zeros + ones if side == "left" else ones + zeros)
    return torch.tensor(rows, dtype=torch.int64), torch.tensor(mask, dtype=torch.int64)
    ### END SOLUTION


# %% check="1.7"

# %%
pad = best("1.7")
input_ids, attention_mask = pad(encoded, mine.pad_token_id)
for name, tensor in (("input_ids", input_ids), ("attention_mask", attention_mask)):
    print(f"{name:14} {list(tensor.shape)} {tensor.dtype}")
print(
    "last column, padded on the left:",
    [viz.printable(mine.decode([row[-1]]).encode()) for row in input_ids.tolist()],
)

# %% [markdown]
# Padding is computed like everything else, and thrown away. Here are six requests of very different lengths:

# %%
short_texts = ["Hi.", "The cow", "A red hen sat.", "Once upon a time there was a fox"]
requests = [mine.encode(text) for text in [*short_texts, held_out[3][:90], held_out[4][:130]]]
print("tokens of each request:", [len(ids) for ids in requests])

# %% [markdown]
# **Predict**: if they go into one batch, which share of all slots is padding (0 to 1)? And if they are sorted
# by length and split in two halves of three first?

# %% predict="1.7a"
### BEGIN SOLUTION
padding_one_batch = 0.5
### END SOLUTION
predict("1.7a", padding_one_batch, unit="of all slots")

# %% predict="1.7b"
### BEGIN SOLUTION
padding_two_halves = 0.25
### END SOLUTION
predict("1.7b", padding_two_halves, unit="of all slots")


# %%
def padding_share(batches: list[list[list[int]]]) -> float:
    """Padding slots over all slots, over several batches together."""
    slots = sum(len(batch) * max(map(len, batch)) for batch in batches)
    return 1 - sum(len(ids) for batch in batches for ids in batch) / slots


by_length = sorted(requests, key=len)
halves = [by_length[: len(by_length) // 2], by_length[len(by_length) // 2 :]]
display(reveal("1.7a", round(padding_share([requests]), 2)))
reveal("1.7b", round(padding_share(halves), 2))

# %%
viz.padding_grid(
    {
        "one batch": pad(requests, mine.pad_token_id)[1].tolist(),
        "short half": pad(halves[0], mine.pad_token_id)[1].tolist(),
        "long half": pad(halves[1], mine.pad_token_id)[1].tolist(),
    },
    caption="Blue slots are tokens, hatched slots are padding: computed, stored and thrown away.",
)

# %% [markdown]
# In transformers `padding=True` and `padding="longest"` are the same thing, the longest row *of the batch*;
# `padding="max_length"` is the other one, and almost never what a service wants. Measured on the bundled
# tokenizer:

# %%
print("loading transformers, some seconds ...")
from transformers import AutoTokenizer
from transformers.utils import logging as transformers_logging

transformers_logging.disable_progress_bar()
hf_tokenizer = AutoTokenizer.from_pretrained(asset_path("story-4m"))
for padding in (True, "longest", "max_length"):
    shape = hf_tokenizer(prompts, padding=padding, max_length=64, truncation=True, return_tensors="pt")[
        "input_ids"
    ].shape
    print(f"padding={padding!r:13} shape {list(shape)}")
print(f"tokens in its vocabulary: {len(hf_tokenizer)}; in yours: {mine.vocab_size}")

# %% [markdown]
# The longest row is shorter here than with your tokenizer above, for the same prompts: the bundled vocabulary
# is larger, so it cuts them into fewer tokens.
#
# The engine that you build in this course pads nothing at all: the tokens of all requests are laid end to
# end, with the borders beside them. Padding remains in training and in simple scripts.
#
# ### The embedding table is a look-up
#
# The first thing a model does with an id is to take row `id` of a table `[vocab_size, hidden_size]`. No
# arithmetic: a read.
#
# ### Exercise 1.8 · Embed
# *easy · 3 minutes · 1 line*


# %% exercise="1.8"
def embed(input_ids: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Look up the embedding of every token.

    input_ids: int64 `[batch, length]`. table: `[vocab_size, hidden_size]`.
    Returns `[batch, length, hidden_size]`, the table's rows as they are.
    """
    ### BEGIN SOLUTION
    return table[input_ids]
    ### END SOLUTION


# %% check="1.8"

# %%
small_table = torch.randn(11, 8, generator=torch.Generator().manual_seed(3))
small_ids = torch.tensor([[2, 7, 5, 2]])
looked_up = best("1.8")(small_ids, small_table)
one_hot = torch.nn.functional.one_hot(small_ids, len(small_table)).float() @ small_table
print("ids", list(small_ids.shape), "→ embeddings", list(looked_up.shape))
print("the same as a matrix product with one-hot rows:", torch.equal(looked_up, one_hot))
print(f"numbers read: {looked_up.numel()} by look-up, {small_table.numel()} by the product")
viz.embedding_lookup(
    small_ids[0].tolist(),
    ["the", "cat", "and", "the"],
    small_table.tolist(),
    caption="Each id takes one row of the table; the same id takes the same row, wherever it stands.",
)

# %% [markdown]
# **A claim to test.** Some texts multiply the embeddings by √hidden_size next and call it "positional
# encoding scaling". Does it have to do with positions, and do Llama and GPT-2 do it? Ask the models:
# `hidden_states[0]` is what enters the first layer.

# %%
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

hf_llama = AutoModelForCausalLM.from_pretrained(asset_path("story-4m"), dtype=torch.float32)
torch.manual_seed(0)
gpt2_config = GPT2Config(
    vocab_size=reference.vocab_size,
    n_embd=48,
    n_layer=1,
    n_head=2,
    n_positions=64,
    bos_token_id=reference.bos_token_id,
    eos_token_id=reference.eos_token_id,
)
hf_gpt2 = GPT2LMHeadModel(gpt2_config).eval()
ids = torch.tensor([reference.encode(prompt)])
with torch.inference_mode():
    into_llama = hf_llama(ids, output_hidden_states=True).hidden_states[0]
    into_gpt2 = hf_gpt2(ids, output_hidden_states=True).hidden_states[0]
rows_llama = hf_llama.get_input_embeddings().weight[ids]
rows_gpt2 = hf_gpt2.transformer.wte.weight[ids]
positions_gpt2 = hf_gpt2.transformer.wpe.weight[: ids.shape[1]]
print("Llama: plain table rows enter the first layer:", torch.equal(into_llama, rows_llama))
print("GPT-2: plain table rows plus position rows:   ", torch.equal(into_gpt2, rows_gpt2 + positions_gpt2))

# %% [markdown]
# Neither model scales. Nor could √hidden_size encode a position: it is one number for the whole model. The
# original Transformer did scale its embeddings (Vaswani and others 2017, section 3.4), and Gemma does. GPT-2
# *adds* a learned row for each position; Llama puts positions in later, inside the attention (lab 3).
#
# Looking up is cheap. *Holding* the table is not:


# %%
def embedding_bytes(vocab_size: int, hidden_size: int, bytes_per_number: int) -> int:
    """Bytes of one embedding table."""
    return vocab_size * hidden_size * bytes_per_number


for vocab_size, hidden_size in ((50_000, 4_096), (50_000, 12_288), (100_000, 12_288)):
    size = embedding_bytes(vocab_size, hidden_size, 2)  # bfloat16: 2 bytes a number
    print(f"{vocab_size:7,} × {hidden_size:6,}: {size:13,} B = {size / 1e9:.3f} GB = {size / 2**30:.3f} GiB")
print(f"1 GiB = {2**30 / 1e9:.3f} GB")

# %% [markdown]
# GB is 10⁹ bytes and GiB is 2³⁰ bytes. The difference is enough to run out of memory on paper or in fact, so
# say which you mean. Models with untied embeddings hold a second table of the same size, the output head.

# %% [markdown]
# ## 8 · How large a vocabulary?
#
# Training is greedy: the first merges of a long training are those of a short one. So train once and
# cut the list.

# %%
sizes = [256 + count for count in (0, 24, 48, 96, 192, 384)]
print("vocabularies to compare, in tokens:", sizes)

# %% [markdown]
# **Predict**: with the largest of them, how many bytes of held-out English text does a token hold? And of
# Greek text, which the training text does not contain?

# %% predict="1.8a"
### BEGIN SOLUTION
english_bytes_per_token = 3.0
### END SOLUTION
predict("1.8a", english_bytes_per_token, unit="bytes a token")

# %% predict="1.8b"
### BEGIN SOLUTION
greek_bytes_per_token = 1.0
### END SOLUTION
predict("1.8b", greek_bytes_per_token, unit="bytes a token")

# %%
english, greek = " ".join(held_out[:6]), " ".join(SENTENCES["Greek"])
tokenizer_class = best("1.5")
tokens: dict[str, list[int]] = {"English stories": [], "Greek sentences": []}
for size in sizes:
    cut = tokenizer_class(merges[: size - 256])
    tokens["English stories"].append(len(cut.encode(english, add_special_tokens=False)))
    tokens["Greek sentences"].append(len(cut.encode(greek, add_special_tokens=False)))
print("100 merges are the first 100 of 384:", best("1.3")(piece_counts, 100) == merges[:100])
counts = tokens["English stories"]
for smaller, larger, before, after in zip(sizes, sizes[1:], counts, counts[1:], strict=False):
    saved = (before - after) / (larger - smaller)
    print(f"from {smaller} to {larger}: each merge saves {saved:4.1f} tokens of the text")
display(reveal("1.8a", round(len(english.encode()) / tokens["English stories"][-1], 2)))
reveal("1.8b", round(len(greek.encode()) / tokens["Greek sentences"][-1], 2))

# %%
text_bytes = {"English stories": len(english.encode()), "Greek sentences": len(greek.encode())}
viz.tokens_by_vocabulary(
    sizes,
    {name: [count / text_bytes[name] for count in counts] for name, counts in tokens.items()},
    [embedding_bytes(size, 256, 2) / 2**20 for size in sizes],
    table="hidden size 256, bfloat16",
    caption="Each merge saves less than those before; the table grows with each; other scripts save nothing.",
)

# %% [markdown]
# ### Whose vocabulary?
#
# The same number of merges, learned from English alone or from all six languages of section 1: nine sentences
# of each for training, one for measuring.

# %%
train_one = best("1.3")


def pieces_of(texts: list[str]) -> Counter[bytes]:
    """How often each piece occurs in the texts."""
    return Counter(piece.encode() for text in texts for piece in regex.findall(DEFAULT_PATTERN, text))


english_only = pieces_of(SENTENCES["English"][1:])
everyone = pieces_of([text for texts in SENTENCES.values() for text in texts[1:]])
by_corpus = {
    "trained on English": tokenizer_class(train_one(english_only, 128)),
    "trained on all six": tokenizer_class(train_one(everyone, 128)),
}
costs = {}
for language, texts in SENTENCES.items():
    costs[language] = {
        name: len(one.encode(texts[0], add_special_tokens=False)) for name, one in by_corpus.items()
    }
viz.language_bars(
    costs,
    caption="Tokens for one held-out sentence under two vocabularies of one size: the training text decides.",
    x_label="tokens for the sentence",
)

# %% [markdown]
# English pays with a few tokens for what the others save. For a service this is capacity: if a batch holds a
# fixed number of tokens, it holds that many fewer requests in the languages that cost more.

# %%
budget = 2_000
print(f"such sentences in {budget:,} tokens")
for name in by_corpus:
    print(f"{name:18}", {language: budget // row[name] for language, row in costs.items()})

# %% [markdown]
# ## 9 · Plug it in
#
# Now the bundled model speaks through your tokenizer. Its file holds the merges as text; you turn them into
# pairs of ids, and nothing else of the engine changes.

# %%
from cblab import LLM, SamplingParams
from cblab.memory.kv_cache import kv_bytes_per_token
from cblab.model import load_model
from cblab.tokenization.byte_alphabet import text_to_bytes

stored = json.loads((asset_path("story-4m") / "tokenizer.json").read_text(encoding="utf-8"))["model"][
    "merges"
]
token_ids = {bytes([byte]): byte for byte in range(256)}
bundled_merges: list[Pair] = []
for left, right in (merge.split(" ") if isinstance(merge, str) else merge for merge in stored):
    left_bytes, right_bytes = text_to_bytes(left), text_to_bytes(right)
    token_ids[left_bytes + right_bytes] = len(token_ids)
    bundled_merges.append((token_ids[left_bytes], token_ids[right_bytes]))
plugged = best("1.5")(bundled_merges)
print("vocabulary:", plugged.vocab_size, "tokens, the reference has", reference.vocab_size)

# %%
model = load_model(asset_path("story-4m"), dtype="float32")
plug_prompts = ["Once upon a time", "The capital of France is", "The cow says"]
greedy = SamplingParams(temperature=0.0, max_tokens=24)


def replies(tokenizer) -> list[list[int]]:
    """Greedy token ids of each prompt's continuation, all prompts in one run of the engine."""
    return [answer.outputs[0].token_ids for answer in LLM(model, tokenizer).generate(plug_prompts, greedy)]


through_mine, through_reference = replies(plugged), replies(reference)
for prompt, own, other in zip(plug_prompts, through_mine, through_reference, strict=True):
    same_prompt, same_reply = plugged.encode(prompt) == reference.encode(prompt), own == other
    print(f"{prompt!r}: prompt ids equal {same_prompt}, reply ids equal {same_reply}")
    print(f"    {plugged.decode(own)!r}")

# %%
texts = held_out + [sentence for group in SENTENCES.values() for sentence in group]
texts.append("a  b\n\n c\t\td 3.14159 don't 👩‍👩‍👧 \u200b")
equal = sum(plugged.encode(text) == reference.encode(text) for text in texts)
print(f"texts encoded equally: {equal} of {len(texts)}")

# %% [markdown]
# What did the merges change? Time: with the 256 bytes alone, the model would have to be run once for each
# byte of a reply; with its vocabulary, once for each token. And memory: each token of a request holds keys
# and values in the cache until it ends (lab 3).

# %%
num_bytes = sum(len(plugged.decode(ids).encode()) for ids in through_mine)
num_steps = sum(len(ids) for ids in through_mine)
print(f"three replies: {num_bytes} bytes in {num_steps} tokens, {num_bytes / num_steps:.1f} bytes a step")
as_tokens, as_bytes = len(plugged.encode(held_out[0])), 1 + len(held_out[0].encode())
for name, length in (("in tokens", as_tokens), ("in bytes", as_bytes)):
    held = length * kv_bytes_per_token(model.config, "float32")
    print(f"one story {name}: {length} positions, {held:,} B of keys and values")

# %% [markdown]
# ## 10 · Break it on purpose
#
# A tokenizer that is slightly wrong does not crash. The model just becomes worse, and nobody knows why. How
# much worse can be measured: the bits that the model needs for each byte of a held-out story, where fewer is
# better. The text is the same, only the ids differ.

# %%
from cblab.attention.batch import RaggedBatch
from cblab.core.dense_attend import DenseCacheAttention
from cblab.core.kv_cache import DenseKVCache


def bits_per_byte(ids: list[int], num_bytes: int) -> float:
    """Bits that the bundled model needs for each byte of the text behind `ids` (bos first)."""
    batch = RaggedBatch.prefill([ids], all_logits=True)
    attend = DenseCacheAttention([DenseKVCache(model.config.attention_specs)], batch)
    with torch.inference_mode():
        logits = model(batch, attend)
    nats = torch.nn.functional.cross_entropy(logits[:-1], torch.tensor(ids[1:]), reduction="sum").item()
    return nats / math.log(2) / num_bytes


story = held_out[5]
bos = [plugged.bos_token_id]
pieces = regex.findall(DEFAULT_PATTERN, story)
chunks = [story[start : start + 12] for start in range(0, len(story), 12)]
ways = {
    "as trained": plugged.encode(story),
    "left-most merge first": bos
    + [i for piece in pieces for i in encode_leftmost(piece.encode(), plugged.ranks)],
    "in chunks of 12 characters": bos
    + [i for chunk in chunks for i in plugged.encode(chunk, add_special_tokens=False)],
    "bytes, no merges": bos + list(story.encode()),
    "spaces dropped": bos
    + [i for word in story.split() for i in plugged.encode(word, add_special_tokens=False)],
}

# %% [markdown]
# **Predict** for *left-most merge first* and for *in chunks of 12 characters*, which both decode to exactly
# the same text: how many times as many bits as *as trained*?

# %% predict="1.9a"
### BEGIN SOLUTION
leftmost_times = 1.3
### END SOLUTION
predict("1.9a", leftmost_times, unit="times")

# %% predict="1.9b"
### BEGIN SOLUTION
chunked_times = 1.5
### END SOLUTION
predict("1.9b", chunked_times, unit="times")

# %%
surprise = {name: bits_per_byte(ids, len(story.encode())) for name, ids in ways.items()}
for name, ids in ways.items():
    same = plugged.decode(ids) == story
    print(f"{name:27} {len(ids) - 1:4} tokens  {surprise[name]:6.2f} bits a byte  same text: {same}")
display(reveal("1.9a", round(surprise["left-most merge first"] / surprise["as trained"], 1)))
reveal("1.9b", round(surprise["in chunks of 12 characters"] / surprise["as trained"], 1))

# %% [markdown]
# - **Left-most first** decodes correctly and is wrong: this model has seen each word cut in one way only, and
#   every other way is a surprise to it.
# - **Chunk by chunk** is how streamed *input* is often encoded. A word that crosses a chunk border becomes
#   other tokens. Bonus exercise 1.16 mends it.
# - **Bytes without merges** is the extreme: each single byte is a legal token, and the model is lost.
# - **Spaces dropped** is the only one that a round-trip test finds.
#
# The ratios are so large because the text is so easy: the stories are simple and written by a program, so
# that the right tokens cost almost nothing. A model of real text needs more bits with the right tokens too:
# expect smaller ratios there. And a byte that is guessed by rolling dice costs 8 bits: a line above 8 is
# worse than that, because the model is sure of something else.
#
# The same break where a user would see it, the answer to one prompt:

# %%
france = "The capital of France is"
for name, ids in {
    "as trained": plugged.encode(france),
    "spaces dropped": bos
    + [i for word in france.split() for i in plugged.encode(word, add_special_tokens=False)],
    "bytes, no merges": bos + list(france.encode()),
}.items():
    (answer,) = LLM(model, plugged).generate(ids, SamplingParams(temperature=0.0, max_tokens=6))
    print(f"{name:18} {answer.outputs[0].text!r}")

# %% [markdown]
# ## 11 · Find the bug
#
# A request may name a *stop string*: the reply ends before it, and it is never shown. This is how an engine
# might do it, and how several did:


# %%
def stream_until_stop_buggy(deltas: list[str], stop: str) -> list[str]:
    """Show each piece of text as it comes, and end at the stop string."""
    shown = []
    for delta in deltas:
        if stop in delta:
            shown.append(delta[: delta.index(stop)])
            return shown
        shown.append(delta)
    return shown


print(stream_until_stop_buggy(["Hello", " there", "\nUser:", " hi"], "\nUser:"))
print(stream_until_stop_buggy(["Hello", " there", "\n", "Us", "er: hi"], "\nUser:"))

# %% [markdown]
# The second request got the stop string on its screen, and the model's imitation of the user after it. Users
# of text-generation-inference reported exactly this ([issue
# 1254](https://github.com/huggingface/text-generation-inference/issues/1254)), users of mlx-knife too ([issue
# 68](https://github.com/mzau/mlx-knife/issues/68)): the stop string came in two tokens.
#
# Searching in the text so far is half of the repair. The other half is time: when `\n` arrives, nobody knows
# whether `User:` will follow, so it must be held back, and shown as soon as it is clear that it is not the
# beginning of the stop string.
#
# ### Exercise 1.9 · Mend the stop string
# *hard · 12 minutes · about 11 lines*


# %% exercise="1.9"
def stream_until_stop(deltas: list[str], stop: str) -> list[str]:
    """Show text as early as it is safe, and never any part of the stop string that ends the reply.

    deltas: pieces of text as they come, some perhaps empty. stop: not empty.
    Returns what is shown after each delta (perhaps ""), then ends: with the delta that completes the first
    occurrence of `stop`, showing what stands before it; or, when the deltas end without it, with one more
    entry that holds what had been held back (perhaps ""). Held back is exactly the longest end of the text
    that could still become `stop`.
    """
    ### BEGIN SOLUTION
    shown, held = [], ""
    for delta in deltas:
        held += delta
        if stop in held:
            shown.append(held[: held.index(stop)])
            return shown
        keep = max(n for n in range(len(stop)) if held.endswith(stop[:n]))
        shown.append(held[: len(held) - keep])
        held = held[len(held) - keep :]
    shown.append(held)
    return shown
    ### END SOLUTION


# %% check="1.9"

# %%
mended = best("1.9")
print(mended(["Hello", " there", "\n", "Us", "er: hi"], "\nUser:"))
print(mended(["Hello", "\nU", "ni", "verse"], "\nUser:"))

# %% [markdown]
# ## Assessment
#
# Numbers go into the variables named in the text, in the unit that their names say. Compute in the cell, or
# on paper. Where an answer is not a count, it may be off by 0.5 %: three digits are enough. These answers
# stand alone too: a function of another cell, such as `embedding_bytes`, is not there when they are graded.
#
# ### Exercise 1.10 · Capacity
# *medium · 5 minutes*
#
# A batch may hold 65,536 prompt tokens. An English prompt has 550 words at 1.3 tokens a word; the same prompt
# in Hindi has 600 words at 4.2 tokens a word. Every prompt gets one bos token on top.
# - `english_prompts_per_batch`, `hindi_prompts_per_batch`: how many whole prompts fit;
# - `hindi_cost_ratio`: prompt tokens of one Hindi prompt over those of one English prompt.

# %% exercise="1.10"
# To be assigned: english_prompts_per_batch, hindi_prompts_per_batch, hindi_cost_ratio
### BEGIN SOLUTION
english_tokens = 550 * 1.3 + 1
hindi_tokens = 600 * 4.2 + 1
english_prompts_per_batch = int(65_536 // english_tokens)
hindi_prompts_per_batch = int(65_536 // hindi_tokens)
hindi_cost_ratio = hindi_tokens / english_tokens
### END SOLUTION

# %% check="1.10"

# %% [markdown]
# ### Exercise 1.11 · Memory of a vocabulary
# *medium · 5 minutes*
#
# A model has a vocabulary of 32,000 tokens and a hidden size of 4,096, held in bfloat16; its embeddings are
# *untied*, so that the output head is a second table of the same shape. A client wants a vocabulary of
# 128,256.
# - `old_table_gb`: one of the old tables, in GB;
# - `new_table_gib`: one of the new tables, in GiB;
# - `extra_gb`: what the model grows by, both tables together, in GB.

# %% exercise="1.11"
# To be assigned: old_table_gb, new_table_gib, extra_gb
### BEGIN SOLUTION
old_table_gb = 32_000 * 4_096 * 2 / 1e9
new_table_gib = 128_256 * 4_096 * 2 / 2**30
extra_gb = 2 * (128_256 - 32_000) * 4_096 * 2 / 1e9
### END SOLUTION

# %% check="1.11"

# %% [markdown]
# ### Exercise 1.12 · Padding
# *medium · 5 minutes*
#
# Four prompts of 12, 75, 410 and 1,030 tokens. Waste is the share of the slots that holds padding, from 0 to
# 1.
# - `waste_one_batch`: all four padded to the longest;
# - `waste_two_batches`: (12, 75) and (410, 1,030) as two batches, over both together;
# - `slots_saved`: how many slots the second way needs fewer.

# %% exercise="1.12"
# To be assigned: waste_one_batch, waste_two_batches, slots_saved
### BEGIN SOLUTION
num_real = 12 + 75 + 410 + 1_030
one_batch_slots = 4 * 1_030
two_batches_slots = 2 * 75 + 2 * 1_030
waste_one_batch = 1 - num_real / one_batch_slots
waste_two_batches = 1 - num_real / two_batches_slots
slots_saved = one_batch_slots - two_batches_slots
### END SOLUTION

# %% check="1.12"

# %% [markdown] manual="1.13" points=3
# ### Question 1.13 · A larger vocabulary?
#
# The client of exercise 1.11 argues: "four times the vocabulary, a quarter of the tokens, so four times the
# speed". In at most ten sentences: what is right in this and what is wrong? Say what happens to the number of
# tokens of a request, to the memory, to the work of one step, and to the model that has already been trained.
# What would you measure before deciding?
#
# <!-- BEGIN SOLUTION -->
# **Rubric (3 points).**
# - 1 point: tokens fall, but far less than in proportion, and differently for each kind of text (section 8:
#   each further merge saves less; text that is not in the training text saves nothing). Fewer tokens mean
#   fewer decode steps, shorter prompts and less KV cache.
# - 1 point: both tables grow in proportion (numbers of 1.11), and each step multiplies with the whole output
#   head, so a single step becomes slower and reads more memory.
# - 1 point: the trained model knows nothing of the new rows; they have to be trained, and text is cut
#   differently from what the old rows were trained on. To measure: tokens per request on the service's own
#   traffic by language, time of a step with the larger head, quality on a held-out set in bits per byte (not
#   per token: tokens of two vocabularies cannot be compared).
# <!-- END SOLUTION -->

# %% [markdown] manual="1.14" points=3
# ### Question 1.14 · The flashing `�`
#
# A ticket says: "our streamed replies sometimes show `�`". Name two different causes in the path from token
# ids to the screen, and say how you would tell them apart from a log of the token ids alone. Which of them is
# a defect of the service, and what is the repair?
#
# <!-- BEGIN SOLUTION -->
# **Rubric (3 points).**
# - 1 point: the service decodes tokens one at a time (or decodes everything and cuts by length), so
#   characters whose bytes come in several tokens are shown half. A defect of the service; the repair is to
#   hold back the unfinished bytes (exercise 1.6).
# - 1 point: the model itself produced bytes that are no valid UTF-8, or the reply ended (`max_tokens`) in the
#   middle of a character. No decoder can help; show U+FFFD once, at the end.
# - 1 point: the test: join the bytes of all logged ids and decode once. If the text is clean, the stream was
#   at fault; if U+FFFD is still there, the ids are.
# <!-- END SOLUTION -->

# %% [markdown]
# ## 12 · Bonus
#
# ### Exercise 1.15 (bonus) · Keep the counts up to date
# *hard · 15 minutes · about 9 lines*
#
# `train_bpe` counts everything again in each round, although a merge changes only the pieces that hold the
# pair. Real trainers keep the counts and mend them.


# %% exercise="1.15"
def merge_and_update(
    sequences: list[list[int]], counts: dict[Pair, int], pair: Pair, new_id: int
) -> tuple[list[list[int]], dict[Pair, int], int]:
    """Apply one merge to all sequences and mend the pair counts instead of counting everything again.

    counts: the pair counts of `sequences` (as from `count_pairs`). Returns the new sequences, their counts
    (only pairs that occur: no zeros), and how many sequences held the pair. Only those may be counted; for
    the others `counts` has the answer, and it stays (the check puts a number there that counting everything
    again would lose). `count_pairs` and `merge_pair` are there to be used.
    """
    ### BEGIN SOLUTION
    updated, merged, touched = Counter(counts), [], 0
    for ids in sequences:
        if pair in itertools.pairwise(ids):
            touched += 1
            updated.subtract(count_pairs([ids]))
            ids = merge_pair(ids, pair, new_id)
            updated.update(count_pairs([ids]))
        merged.append(ids)
    return merged, {pair: count for pair, count in updated.items() if count}, touched
    ### END SOLUTION


# %% check="1.15"

# %%
update = best("1.15")
sequences = [list(piece) for piece in piece_counts]
counts, visited = best("1.1")(sequences), 0
for new_id in range(256, 356):
    pair = min(counts, key=lambda pair: (-counts[pair], tie_order(pair)))
    sequences, counts, touched = update(sequences, counts, pair, new_id)
    visited += touched
print(f"100 merges: {visited:,} sequences counted instead of {100 * len(sequences):,}")

# %% [markdown]
# ### Exercise 1.16 (bonus) · Streaming in
# *hard · 20 minutes · about 8 lines*
#
# Section 10 showed that encoding chunk by chunk gives other tokens. The ids of a piece are final as soon as
# the piece is. When is it? The last piece of the text so far can still grow (`hel` + `lo`), and the last but
# one can still change too: `'l` is two pieces, an apostrophe and a letter, until another `l` makes it one.
# What stands before the last two pieces is final.


# %% exercise="1.16"
class StreamingEncoder:
    """Encode text that comes in chunks; all the ids together are those of the whole text.

    `encode_piece` is there to be used.
    """

    def __init__(self, merges: list[Pair]) -> None:
        self.ranks = {pair: rank for rank, pair in enumerate(merges)}
        self.held = ""  # text whose pieces are not final yet

    def push(self, chunk: str) -> list[int]:
        """Take the next chunk, return the ids of the pieces that have become final: all but the last two."""
        ### BEGIN SOLUTION
        self.held += chunk
        pieces = regex.findall(DEFAULT_PATTERN, self.held)
        self.held = "".join(pieces[-2:])
        return [token for piece in pieces[:-2] for token in encode_piece(piece.encode("utf-8"), self.ranks)]
        ### END SOLUTION

    def flush(self) -> list[int]:
        """Return the ids of what is left; afterwards the encoder is as new."""
        ### BEGIN SOLUTION
        pieces, self.held = regex.findall(DEFAULT_PATTERN, self.held), ""
        return [token for piece in pieces for token in encode_piece(piece.encode("utf-8"), self.ranks)]
        ### END SOLUTION


# %% check="1.16"

# %%
encoder = best("1.16")(bundled_merges)
streamed = bos + [token for chunk in chunks for token in encoder.push(chunk)] + encoder.flush()
print("the same ids as the whole story:", streamed == plugged.encode(story))

# %% [markdown]
# ### Exercise 1.17 (bonus) · Packing
# *medium · 12 minutes · about 9 lines*
#
# Instead of padding each text to a row of its own, training packs several texts into one row. First fit,
# longest first, is a simple way to do it.


# %% exercise="1.17"
def pack(lengths: list[int], row_length: int) -> list[list[int]]:
    """Put sequences into as few rows as first-fit-decreasing finds.

    lengths: tokens of each sequence, each from 1 to `row_length`. The sequences are taken from the longest
    to the shortest (among equals the one with the smaller index first); each goes into the first row that
    still has room for it, or into a new row at the end. Returns the rows as lists of indices into
    `lengths`, in the order in which they were put there.
    """
    ### BEGIN SOLUTION
    rows: list[list[int]] = []
    free: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        row = next((row for row, room in enumerate(free) if room >= lengths[index]), len(rows))
        if row == len(rows):
            rows.append([])
            free.append(row_length)
        rows[row].append(index)
        free[row] -= lengths[index]
    return rows
    ### END SOLUTION


# %% check="1.17"

# %%
lengths = [len(plugged.encode(story)) for story in held_out]
row_length = 2 * max(lengths)
packed = best("1.17")(lengths, row_length)
print(f"{len(lengths)} stories, rows of {row_length} tokens")
print(f"one story a row: waste {1 - sum(lengths) / (len(lengths) * row_length):.1%}")
print(f"packed into {len(packed)} rows: waste {1 - sum(lengths) / (len(packed) * row_length):.1%}")

# %% [markdown]
# ## Checklist
#
# - [ ] I can say why the pair count of `aa` in `aaabdaaabac` and the number of merged places differ.
# - [ ] I can say why a trainer must rewrite its text after each merge, and why ties need a rule.
# - [ ] I can say why the lowest rank goes first, and why no round-trip test notices when it does not.
# - [ ] I know which bytes a streamed reply must hold back, and which characters a stop string must hold back.
# - [ ] I can compute an embedding table in GB and in GiB, and the padding share of a batch.
# - [ ] I know why text from users must not be searched for special tokens.
#
# **What comes next.** Lab 2 follows the tensors through the model once for training and once for inference,
# and counts the bytes of each. Lab 3 keeps what can be kept between two steps: the KV cache.
#
# **Further reading**
# - Sennrich, Haddow, Birch: *Neural Machine Translation of Rare Words with Subword Units*, 2016,
#   [arXiv:1508.07909](https://arxiv.org/abs/1508.07909)
# - Radford and others: *Language Models are Unsupervised Multitask Learners* (GPT-2), 2019, section 2.2 on
#   byte-level BPE
# - Petrov and others: *Language Model Tokenizers Introduce Unfairness Between Languages*, 2023,
#   [arXiv:2305.15425](https://arxiv.org/abs/2305.15425)
# - [karpathy/minbpe](https://github.com/karpathy/minbpe): a BPE tokenizer to read in one sitting
# - vLLM's [`detokenizer.py`](https://github.com/vllm-project/vllm/blob/main/vllm/v1/engine/detokenizer.py):
#   the streaming detokenizer and its stop strings in a real engine
