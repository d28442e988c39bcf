import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cblab import cli
from cblab.core.sampling_params import SamplingParams
from cblab.model import load_model
from cblab.serving import LLM
from cblab.tokenization import BPETokenizer

PROMPT = "Once upon"


def expected_text(checkpoint: Path, params: SamplingParams) -> str:
    llm = LLM(load_model(checkpoint), BPETokenizer.load(checkpoint), num_blocks=32)
    return llm.generate(PROMPT, params)[0].outputs[0].text


def run(capsys: pytest.CaptureFixture[str], *args: str | Path) -> tuple[int, str, str]:
    code = cli.run([str(arg) for arg in args])
    out, err = capsys.readouterr()
    return code, out, err


def refused(result: tuple[int, str, str]) -> str:
    """The one line with which a bad argument was refused."""
    code, out, err = result
    assert (code, out) == (2, "")
    assert err.startswith("cblab: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    return err


def test_generate_prints_what_the_model_says(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "generate", PROMPT, "--model", checkpoint, "--max-tokens", "20")
    expected = expected_text(checkpoint, SamplingParams(temperature=0, max_tokens=20))
    assert (code, out, err) == (0, expected + "\n", "")


def test_generate_passes_every_option_on(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--max-tokens", "9", "--temperature", "1.7", "--top-k", "90", "--top-p", "0.9", "--seed", "5"]
    code, out, _ = run(capsys, "generate", PROMPT, "--model", checkpoint, *options)
    params = SamplingParams(temperature=1.7, top_k=90, top_p=0.9, seed=5, max_tokens=9)
    assert (code, out) == (0, expected_text(checkpoint, params) + "\n")


def test_a_sampling_option_alone_means_temperature_1(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = run(capsys, "generate", PROMPT, "--model", checkpoint, "--max-tokens", "20", "--seed", "3")
    assert out == expected_text(checkpoint, SamplingParams(temperature=1, seed=3, max_tokens=20)) + "\n"


def test_a_dash_reads_the_prompt_from_standard_input(
    checkpoint: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(PROMPT + "\n"))
    _, out, _ = run(capsys, "generate", "-", "--model", checkpoint, "--max-tokens", "5")
    assert out == expected_text(checkpoint, SamplingParams(temperature=0, max_tokens=5)) + "\n"
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert "prompt is empty" in refused(run(capsys, "generate", "-", "--model", checkpoint))


def test_the_text_is_written_as_it_grows(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    class Recorder(io.StringIO):
        def flush(self) -> None:
            written.append(self.getvalue())

    monkeypatch.setattr("sys.stdout", Recorder())
    assert cli.run(["generate", PROMPT, "--model", str(checkpoint), "--max-tokens", "12"]) == 0
    assert len(set(written)) > 6


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--temperature", "-1"], "temperature must be"),
        (["--temperature", "nan"], "temperature must be"),
        (["--max-tokens", "0"], "'--max-tokens'"),
        (["--max-tokens", "many"], "'--max-tokens'"),
        (["--top-k", "-2"], "top_k must be"),
        (["--top-p", "0"], "top_p must be"),
        (["--top-p", "1.5"], "top_p must be"),
        (["--seed", "x"], "'--seed'"),
        (["--tempreature", "1"], "--tempreature"),
        (["a second prompt"], "a second prompt"),
    ],
)
def test_generate_refuses_bad_options_before_it_loads_anything(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert named in refused(run(capsys, "generate", PROMPT, "--model", "./nowhere", *arguments))


def test_generate_refuses_prompts_that_cannot_be_continued(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "prompt is empty" in refused(run(capsys, "generate", "", "--model", checkpoint))
    assert "context limit is 512" in refused(run(capsys, "generate", "x" * 600, "--model", checkpoint))
    assert "prompt" in refused(run(capsys, "generate"))


@pytest.mark.parametrize("command", [["generate", PROMPT, "--model"], ["info"]])
def test_what_is_no_checkpoint_is_named(
    command: list[str], tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "missing"
    assert str(missing) in refused(run(capsys, *command, missing))
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "config.json" in refused(run(capsys, *command, empty))
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "config.json").write_text(json.dumps({"model_type": "mamba"}))
    assert "'mamba'" in refused(run(capsys, *command, strange))
    (strange / "config.json").write_text("{")
    assert "config.json" in refused(run(capsys, *command, strange))
    unweighted = tmp_path / "unweighted"
    unweighted.mkdir()
    (unweighted / "config.json").write_text((checkpoint / "config.json").read_text())
    assert "model.safetensors" in refused(run(capsys, *command, unweighted))
    (unweighted / "model.safetensors").write_bytes(b"nothing of the kind")
    assert "model.safetensors" in refused(run(capsys, *command, unweighted))


def test_a_checkpoint_without_a_tokenizer_is_refused(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((checkpoint / name).read_bytes())
    assert f"{tmp_path} holds no tokenizer" in refused(run(capsys, "generate", PROMPT, "--model", tmp_path))


def test_info_shows_computed_sizes_beside_those_of_the_files(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "info", checkpoint)
    assert (code, err) == (0, "")
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.strip().endswith("match")}
    assert list(rows) == ["embedding", "attention", "mlp", "norms", "total"]
    assert rows["embedding"] == ["4,144", "4,144", "16,576", "16,576", "match"]
    assert int(rows["total"][0].replace(",", "")) == sum(
        p.numel() for p in load_model(checkpoint).parameters()
    )
    assert "192 B a token" in out  # 2 layers x K and V x 2 KV heads x 6 x 4 bytes
    assert "on disk" in out


def test_info_shows_a_mismatch_and_says_so_by_its_exit_code(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((checkpoint / name).read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"intermediate_size": 25}))
    code, out, _ = run(capsys, "info", tmp_path)
    assert code == 1
    wrong = [line.split()[0] for line in out.splitlines() if "MISMATCH" in line]
    assert wrong == ["mlp", "total"]


def test_help_and_unknown_commands(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--help"]):
        code, out, err = run(capsys, *arguments)
        assert (code, err) == (0, "")
        assert [name for name in ("generate", "info", "check", "reset") if name not in out] == []
    assert "'frobnicate'" in refused(run(capsys, "frobnicate"))


def test_a_closed_pipe_ends_it_quietly(checkpoint: Path) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [sys.executable, "-m", "cblab", "generate", PROMPT, "--model", str(checkpoint)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command,
        stdout=write_end,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        timeout=120,
        check=False,
    )
    os.close(write_end)
    assert (done.returncode, done.stderr) == (1, "")


def test_ctrl_c_ends_it_quietly(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    class Keyboard(io.StringIO):
        def read(self, *_: object) -> str:
            raise KeyboardInterrupt

    monkeypatch.setattr("sys.stdin", Keyboard())
    assert run(capsys, "generate", "-") == (130, "", "")


def test_check_and_reset_refuse_what_is_no_lab(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "missing.ipynb"
    assert str(missing) in refused(run(capsys, "check", missing))
    assert str(missing) in refused(run(capsys, "reset", missing, "1.3"))
    assert "ID" in refused(run(capsys, "reset", missing))


@pytest.mark.parametrize(("full_marks", "code"), [(True, 0), (False, 1)])
def test_check_says_by_its_exit_code_whether_points_are_lost(
    full_marks: bool, code: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Path, str | None]] = []

    def judge(file: Path, exercise: str | None) -> bool:
        asked.append((file, exercise))
        return full_marks

    monkeypatch.setattr("cblab.lab.commands.check", judge)
    assert run(capsys, "check", "a.ipynb")[0] == code
    assert run(capsys, "check", "a.ipynb", "--exercise", "1.3")[0] == code
    assert asked == [(Path("a.ipynb"), None), (Path("a.ipynb"), "1.3")]


def test_the_bundled_models_go_by_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    cow = ("generate", "The cow says", "--max-tokens", "2")
    code, out, _ = run(capsys, *cow)
    assert (code, out[:4]) == (0, " moo")
    assert run(capsys, *cow, "--model", "story-4m") == (0, out, "")
    code, out, _ = run(capsys, "info", "story-draft")
    assert (code, out[:12]) == (0, "story-draft:")
