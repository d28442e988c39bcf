"""What a vocabulary costs and saves, in numbers: embedding bytes, tokens per text, requests per budget."""

from collections.abc import Sequence

from cblab.tokenization.protocol import Tokenizer

GB = 10**9
GIB = 2**30


def embedding_bytes(vocab_size: int, hidden_size: int, bytes_per_value: int = 2, *, tied: bool = True) -> int:
    """Return the bytes of the embedding table, one row of `hidden_size` values for each token.

    With untied embeddings the output layer has a second table of the same size. 50,000 tokens of 12,288
    values in two bytes each are 1,228,800,000 bytes: 1.229 GB (10⁹) or 1.144 GiB (2³⁰).
    """
    _at_least(1, vocab_size=vocab_size, hidden_size=hidden_size, bytes_per_value=bytes_per_value)
    return vocab_size * hidden_size * bytes_per_value * (1 if tied else 2)


def requests_in_budget(token_budget: int, tokens_per_request: int) -> int:
    """Return how many whole requests of `tokens_per_request` fit into `token_budget` tokens."""
    _at_least(0, token_budget=token_budget)
    _at_least(1, tokens_per_request=tokens_per_request)
    return token_budget // tokens_per_request


def bytes_per_token(tokenizer: Tokenizer, texts: Sequence[str]) -> float:
    """Return how many bytes of UTF-8 one token stands for, on average over `texts`: the compression.

    Bytes are the measure that is fair to all scripts: a Latin letter has one, a Greek or Arabic one two, a
    Chinese character three.
    """
    return sum(len(text.encode()) for text in texts) / _num_tokens(tokenizer, texts)


def characters_per_token(tokenizer: Tokenizer, texts: Sequence[str]) -> float:
    """Return how many characters (code points) one token stands for, on average over `texts`."""
    return sum(map(len, texts)) / _num_tokens(tokenizer, texts)


def tokens_per_word(tokenizer: Tokenizer, texts: Sequence[str]) -> float:
    """Return the tokens for each word; words are what white space separates, so not for Chinese or Thai."""
    num_words = sum(len(text.split()) for text in texts)
    if num_words == 0:
        raise ValueError("the texts hold no word")
    return _num_tokens(tokenizer, texts) / num_words


def _num_tokens(tokenizer: Tokenizer, texts: Sequence[str]) -> int:
    if isinstance(texts, str):
        raise ValueError("texts must be a sequence of strings, got a single string: put it in a list")
    total = sum(len(tokenizer.encode(text, add_special_tokens=False)) for text in texts)
    if total == 0:
        raise ValueError("the texts hold no token")
    return total


def _at_least(smallest: int, **values: int) -> None:
    for name, value in values.items():
        if value < smallest:
            raise ValueError(f"{name} must be at least {smallest}, got {value}")
