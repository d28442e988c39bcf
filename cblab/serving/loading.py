"""A model and its tokenizer from a name: a bundled model, a checkpoint folder, or a hub id."""

from pathlib import Path
from typing import TYPE_CHECKING

from cblab import assets
from cblab.tokenization import Tokenizer, load_tokenizer

if TYPE_CHECKING:
    from cblab.model import Decoder


def checkpoint_source(model: str | Path) -> Path | str:
    """Return the folder of a bundled model, or whatever else was given."""
    return assets.path(str(model)) if str(model) in (assets.BUNDLED_MODEL, assets.DRAFT_MODEL) else model


def load(
    model: str | Path,
    tokenizer: str | Path | Tokenizer | None,
    *,
    dtype: str,
    device: str,
    skip_tokenizer_init: bool,
) -> "tuple[Decoder, Tokenizer | None]":
    """Load a model and its tokenizer.

    dtype "auto" is float32 on a CPU, where it is several times faster than bfloat16, and the checkpoint's
    own elsewhere; device "auto" is CUDA where there is one. It raises what `load_model` and `load_tokenizer`
    raise.
    """
    import torch

    from cblab.model import load_model

    source = checkpoint_source(model)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if dtype == "auto" and device == "cpu":
        dtype = "float32"
    decoder = load_model(source, dtype=dtype, device=device)
    if isinstance(tokenizer, str | Path):
        tokenizer = load_tokenizer(checkpoint_source(tokenizer))
    elif tokenizer is None and not skip_tokenizer_init:
        tokenizer = load_tokenizer(source)
    if tokenizer is not None:
        # Text is made from the bytes of single tokens: refuse a tokenizer that cannot tell them.
        for token_id in tokenizer.encode("a", add_special_tokens=False):
            tokenizer.token_bytes(token_id)
    return decoder, tokenizer
