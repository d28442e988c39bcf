"""Weights from and to checkpoints in the Hugging Face format: `config.json` and (sharded) safetensors."""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from cblab.model.config import ModelConfig
from cblab.model.decoder import Decoder
from cblab.model.families import FAMILIES
from cblab.model.hub import checkpoint_folder
from cblab.model.weights import LAYOUTS, Layout, checkpoint_views

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_STORED_DTYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}
_NAMES_SHOWN = 8


class CheckpointError(ValueError):
    """A checkpoint's files do not hold the weights that its `config.json` promises."""


def load_model(
    path_or_hub_id: str | Path, *, dtype: str = "auto", device: torch.device | str = "cpu"
) -> Decoder:
    """Read a model from a local folder or a Hugging Face hub id, in evaluation mode.

    Args:
        path_or_hub_id: a folder with `config.json` and safetensors, or "owner/name".
        dtype: "float32", "bfloat16" or "float16"; "auto" keeps what the embedding is stored in.
        device: where the weights go.

    Raises:
        FileNotFoundError: neither a checkpoint folder nor a hub id that can be reached.
        CheckpointError: weights missing, left over or of the wrong shape or type; all of them named.
        ValueError: an unknown architecture, option or `dtype`, named.
    """
    if dtype != "auto" and dtype not in DTYPES:
        raise ValueError(f"dtype must be 'auto' or one of {', '.join(DTYPES)}, got {dtype!r}")
    folder = checkpoint_folder(path_or_hub_id)
    config = ModelConfig.from_pretrained(folder)
    with open_tensors(folder) as stored, torch.no_grad():
        with torch.device("meta"), _NothingDrawn():
            model = Decoder(config)
        layout = _layout_of(config, stored)
        names = _stored_names(stored, layout)
        _compare(checkpoint_views(model, layout), names, stored, layout, config)
        if dtype == "auto":
            embedding = names[layout.names["embed_tokens"][0].format(kind="weight")]
            dtype = _STORED_DTYPES[stored[embedding].dtype]
        model.config = dataclasses.replace(config, dtype=dtype)
        _give_memory(model, DTYPES[dtype], device)
        for name, view in checkpoint_views(model, layout).items():
            view.copy_(stored[names[name]].read())
        if config.tie_word_embeddings and "lm_head.weight" in names:
            _check_tied(model, stored["lm_head.weight"].read())
    return model.eval()


def _give_memory(model: Decoder, dtype: torch.dtype, device: torch.device | str) -> None:
    """Like `Module.to_empty`, which takes a second on its first call."""
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            memory = torch.empty(parameter.shape, dtype=dtype, device=device)
            setattr(module, name, nn.Parameter(memory))


class _NothingDrawn(TorchFunctionMode):
    """Leaves out the random numbers that weights begin with, where they are about to be overwritten.

    To draw them on "meta" would do nothing but import torch's compiler, which takes longer than all the rest.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        if func.__name__ in ("normal_", "uniform_", "kaiming_uniform_"):
            return given["tensor"] if "tensor" in given else args[0]
        return func(*args, **given)


def save_model(model: Decoder, folder: str | Path) -> None:
    """Write `config.json`, `generation_config.json` and `model.safetensors`, in the parameters' own dtype.

    transformers' `AutoModelForCausalLM.from_pretrained` and `load_model` read them.

    Raises:
        ValueError: the family's format cannot say what this model is (a reader's own MLP, for example).
    """
    stored_dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
    config = dataclasses.replace(model.config, dtype=stored_dtype)
    config_json = config.to_dict()
    views = checkpoint_views(model, LAYOUTS[FAMILIES[config.family].tensors])
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: view.cpu().contiguous() for name, view in views.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    generation = {
        key: value for key, value in config_json.items() if key.endswith("token_id") and value is not None
    }
    for name, content in (("config.json", config_json), ("generation_config.json", generation)):
        (folder / name).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


class StoredTensor:
    """One tensor in a safetensors file: its name, dtype and shape at once, its content when it is read."""

    def __init__(self, file: Any, name: str) -> None:
        self._file = file
        self.name = name
        header = file.get_slice(name)
        self.shape = tuple(header.get_shape())
        self.dtype: str = header.get_dtype()

    def read(self) -> Tensor:
        """The tensor, on the CPU."""
        return self._file.get_tensor(self.name)


@contextmanager
def open_tensors(folder: Path) -> Iterator[dict[str, StoredTensor]]:
    """All tensors of a checkpoint by name, over however many files; nothing is read before it is asked for.

    Raises:
        FileNotFoundError: no safetensors, or a shard that the index names is missing.
        CheckpointError: a file is damaged, or lacks a tensor that the index says it holds.
    """
    tensors: dict[str, StoredTensor] = {}
    for path, promised in _weight_files(folder).items():
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing; the index of this checkpoint names it")
        try:
            # Opened for as long as tensors may be read from it; dropping the last reference closes it.
            file = safe_open(path, framework="pt")
        except SafetensorError as error:
            raise CheckpointError(f"{path} cannot be read: {error}") from error
        held = set(file.keys())
        if promised - held:
            raise CheckpointError(f"{path} lacks what the index promises: {_some(promised - held)}")
        tensors |= {name: StoredTensor(file, name) for name in held}
    try:
        yield tensors
    finally:
        tensors.clear()


def _weight_files(folder: Path) -> dict[Path, set[str]]:
    """The safetensors files, each with the tensors that an index promises to be in it."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        files: dict[Path, set[str]] = {}
        for name, file in json.loads(index.read_text(encoding="utf-8"))["weight_map"].items():
            files.setdefault(folder / file, set()).add(name)
        return files
    if (folder / "model.safetensors").is_file():
        return {folder / "model.safetensors": set()}
    pickled = sorted(path.name for path in folder.glob("*.bin"))
    hint = f" ({pickled[0]} is a pickle, which is not read: save it as safetensors first)" if pickled else ""
    raise FileNotFoundError(
        f"{folder} holds neither model.safetensors nor model.safetensors.index.json{hint}"
    )


def _layout_of(config: ModelConfig, stored: Mapping[str, StoredTensor]) -> Layout:
    name = FAMILIES[config.family].tensors
    if name == "mixtral" and any(".mlp.experts." in each for each in stored):
        name = "mixtral_fused"
    return LAYOUTS[name]


def _stored_names(stored: Mapping[str, StoredTensor], layout: Layout) -> dict[str, str]:
    """The layout's name of each stored tensor -> the name it is stored under."""
    whole = not layout.prefix or any(name.startswith(layout.prefix) for name in stored)
    return {name if whole or name.startswith("lm_head.") else layout.prefix + name: name for name in stored}


def _compare(
    views: Mapping[str, Tensor],
    names: Mapping[str, str],
    stored: Mapping[str, StoredTensor],
    layout: Layout,
    config: ModelConfig,
) -> None:
    """Refuse a checkpoint that does not fit, before a single weight is copied."""
    # A tied model may store its output layer all the same; `_check_tied` looks into it.
    unused = names.keys() - views.keys() - {"lm_head.weight"}
    shared = views.keys() & names.keys()
    faults = {
        "missing": views.keys() - names.keys(),
        "left over": {name for name in unused if not layout.harmless.fullmatch(name)},
        "of the wrong shape": {
            f"{name} (is {list(stored[names[name]].shape)}, should be {list(views[name].shape)})"
            for name in shared
            if stored[names[name]].shape != tuple(views[name].shape)
        },
        "of a type that is not supported": {
            f"{name} ({stored[names[name]].dtype})"
            for name in shared
            if stored[names[name]].dtype not in _STORED_DTYPES
        },
    }
    told = "; ".join(f"{len(which)} {fault}: {_some(which)}" for fault, which in faults.items() if which)
    if told:
        raise CheckpointError(
            f"the weights do not fit the config.json of this {config.family!r} model: {told}"
        )


def _check_tied(model: Decoder, lm_head: Tensor) -> None:
    embedding = model.embed_tokens.weight
    if embedding.shape != lm_head.shape or not torch.equal(embedding, lm_head.to(embedding)):
        raise CheckpointError(
            "config.json says tie_word_embeddings, but lm_head.weight differs from the embedding; "
            "set it to false to use both"
        )


def _some(names: set[str]) -> str:
    shown = sorted(names)[:_NAMES_SHOWN]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
