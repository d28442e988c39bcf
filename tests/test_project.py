"""The set-up files agree with each other."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent


def locked() -> dict[str, str]:
    pins = {}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        name, _, version = line.partition(";")[0].strip().partition("==")
        assert version, f"requirements.lock pins no exact version here: {line!r}"
        pins[normalised(name)] = version
    return pins


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_lock_pins_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    assert {normalised(name.partition(";")[0]) for name in wanted} <= locked().keys()


def test_lock_holds_torch_and_leaves_its_cuda_packages_to_it() -> None:
    pins = locked()
    assert pins["torch"] == "2.13.0"
    assert not [name for name in pins if name.startswith(("nvidia", "cuda"))]


def test_conda_environment_is_the_lock() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    conda, pip = environment["dependencies"][:-1], environment["dependencies"][-1]["pip"]
    assert pip == ["--requirement requirements.lock", "--editable ."]
    assert conda == ["python=3.11", "pip"]


def test_readme_names_every_make_target() -> None:
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    readme = (ROOT / "README.md").read_text()
    assert {"help", "lab", "test", "build", "check", "demo", "bench"} <= set(targets)
    assert not [target for target in targets if target != "help" and f"make {target}" not in readme]


def test_paths_named_in_the_readme_exist() -> None:
    readme = (ROOT / "README.md").read_text()
    paths = re.findall(r"`((?:cblab|labs|solutions|tests|\.ci)/[\w./-]*)`", readme)
    assert paths
    assert not [path for path in paths if "NN_" not in path and not (ROOT / path).exists()]
