"""The `tokenizers` library set up like ours, texts to try both on, and the characters that both know."""

import json
from functools import cache

import regex
from hypothesis import strategies as st
from tokenizers import Regex, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as RustTokenizer

from cblab.tokenization.byte_alphabet import text_to_bytes
from cblab.tokenization.pretokenizer import DEFAULT_PATTERN, GPT2_PATTERN, LLAMA3_PATTERN

PATTERNS = {"default": DEFAULT_PATTERN, "gpt2": GPT2_PATTERN, "llama3": LLAMA3_PATTERN}

STORY = (
    "Once upon a time there was a little fox. It lived in the wood behind the hill, and every morning it "
    'counted the birds: 1, 2, 3 … 12! "Where\'s the 13th?" it asked. '
    "They'd gone; the fox couldn't tell why.\n\n"
    "One day the fox met a bear.  The bear said:\tI've seen them all, they're by the lake.\r\n"
)

CORPORA = {
    "english": [STORY] * 3 + ["The capital of France is Paris. The capital of Italy is Rome."],
    "many scripts": [
        "Ὀδυσσεύς ἔπλευσεν εἰς Ἰθάκην. Ένα, δύο, τρία. Москва — столица России; река течёт.",
        "東京は日本の首都です。北京是中国的首都。서울은 대한민국의 수도이다. กรุงเทพมหานคร",
        "القاهرة عاصمة مصر ١٢٣ हिन्दी में नमस्ते 😀👩‍👩‍👧😀 e\u0301é ǅ ½ Ⅻ",
    ],
    "ties everywhere": [
        "abcdefghijklmnopqrstuvwxyz",
        "zyxwvutsrqponmlkjihgfedcba",
        "AZ az 09 ~! ¡ÿ \x00\x7f\xa0\xad",
    ],
    "runs": [
        "aaaaaaaaaaaaa aaaa aaaaa",
        "abababababab bababa",
        "          \n\n\n\n\n   \t\t\t x",
        "aaabdaaabac",
    ],
    "one letter": ["a"],
    "nothing": [],
}


def rust_pre_tokenizer(pattern: str) -> pre_tokenizers.PreTokenizer:
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def rust_merges(
    texts: list[str], num_merges: int, pattern: str, min_count: int = 0
) -> list[tuple[bytes, bytes]]:
    """Train with the library; return its merges as bytes."""
    tokenizer = RustTokenizer(models.BPE())
    tokenizer.pre_tokenizer = rust_pre_tokenizer(pattern)
    trainer = trainers.BpeTrainer(
        vocab_size=256 + num_merges,
        min_frequency=min_count,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [(text_to_bytes(left), text_to_bytes(right)) for left, right in merges]


@cache
def classified_differently() -> frozenset[str]:
    """Measure the characters that only one of `regex` and the library calls a letter, number or white space.

    Their tables are of different Unicode versions, and a pattern cannot agree on a letter that one of them
    has never heard of. `test_pretokenizer` holds that these are new characters only, none that Python itself
    knows. Planes 4 and up hold no letters in any version and are not measured.
    """
    every = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x40000)]))
    different: set[str] = set()
    for kind in (r"\p{L}", r"\p{N}", r"\s"):
        pieces = pre_tokenizers.Split(Regex(kind), "removed").pre_tokenize_str(every)
        not_in_rust = set("".join(piece for piece, _ in pieces))
        different |= not_in_rust ^ set(regex.sub(kind, "", every))
    return frozenset(different)


def texts(max_size: int = 60) -> st.SearchStrategy[str]:
    """Any Unicode text, rich in what the patterns look at; without surrogates, which no UTF-8 can hold.

    The only characters left out are those of `classified_differently`, about which two tables disagree.
    """
    unclear = classified_differently()
    anything = st.characters(exclude_categories=["Cs"]).filter(lambda char: char not in unclear)
    telling = st.sampled_from(
        [*" \n\r\t'’.,!?-_s\u00a0\u2028\u3000١½Ⅻ中é\u0301😀ſK\x00\x1c\x85", *"tdmlvreS0123xyzab", "  "]
    )
    words = st.sampled_from(
        ["'ll", "'S", "don't", "'re ", " the", "123", "\n\n", "<|eos|>", "<|bos", "|>", "<|"]
    )
    return st.lists(st.one_of(anything, telling, words), max_size=max_size).map("".join)
