"""From a folder or a Hugging Face hub id to a folder. Free of torch."""

import re
from pathlib import Path

CONFIG_FILES = ("config.json", "generation_config.json")
WEIGHT_FILES = ("model*.safetensors", "model.safetensors.index.json")


def checkpoint_folder(path_or_hub_id: str | Path, *, config_only: bool = False) -> Path:
    """The local folder of a checkpoint, downloaded first where it is a hub id ("owner/name").

    Args:
        path_or_hub_id: a folder that holds a `config.json`, or a hub id.
        config_only: download the config alone, not the weights.

    Raises:
        FileNotFoundError: no such folder, no `config.json` in it, or a hub id that cannot be fetched.
    """
    folder = Path(path_or_hub_id).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise FileNotFoundError(
                f"{folder} has no config.json; a checkpoint folder holds one beside its weights"
            )
        return folder
    hub_id = str(path_or_hub_id)
    if not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", hub_id):
        raise FileNotFoundError(f"{hub_id!r} is neither an existing folder nor a hub id such as 'owner/name'")
    return _download(hub_id, (*CONFIG_FILES,) if config_only else (*CONFIG_FILES, *WEIGHT_FILES))


def _download(hub_id: str, patterns: tuple[str, ...]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(hub_id, allow_patterns=list(patterns)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise FileNotFoundError(
            f"{hub_id!r} is not a local folder and could not be fetched from the Hugging Face hub "
            f"({type(error).__name__}). Without network, give the path of a folder with config.json and "
            "model.safetensors; a gated model needs `hf auth login` first."
        ) from error
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"the hub repository {hub_id!r} holds no config.json")
    return folder
