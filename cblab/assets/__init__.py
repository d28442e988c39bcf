"""The models that come with cblab, as folders in the usual Hugging Face layout."""

from pathlib import Path

BUNDLED_MODEL = "story-4m"
DRAFT_MODEL = "story-draft"
_NAMES = (BUNDLED_MODEL, DRAFT_MODEL)


def path(name: str = BUNDLED_MODEL) -> Path:
    """The folder of a bundled model, with `config.json`, `model.safetensors` and `tokenizer.json` in it.

    Raises `ValueError` for a name that is not bundled and `FileNotFoundError` for one that is, but whose
    files are missing from this installation.
    """
    if name not in _NAMES:
        raise ValueError(f"no bundled model is called {name!r}; the bundled ones are {', '.join(_NAMES)}")
    folder = Path(__file__).parent / name
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(
            f"the bundled model {name!r} is not in {folder.parent}: "
            "`python -m cblab.training make-all` makes it from nothing"
        )
    return folder
