"""Both executors do the same with the same code, and survive what a student's code can do."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from cblab.lab.executor import Executor
from cblab.lab.exercise import Exercise, Part
from cblab.lab.local import LocalExecutor
from cblab.lab.protocol import (
    BlankError,
    StudentError,
    StudentProcessError,
    StudentTimeoutError,
)
from cblab.lab.remote import SubprocessExecutor
from cblab.lab.runner import ALL_LEVELS, run_exercise
from cblab.lab.trial import Trial
from tests.lab.conftest import Load

COUNTER = """
class Counter:
    def __init__(self, start):
        self.value = start
    def add(self, step):
        self.value += step
        return self.value
    def copy(self):
        return Counter(self.value)
"""


def test_functions_classes_and_variables(load: Load) -> None:
    executor = load(f"{COUNTER}\nlimit = 3.5\ndef halves(n): yield from (n / 2 for n in range(n))")
    assert executor.get("limit") == 3.5
    assert executor.call("halves", 3, result="list") == [0.0, 0.5, 1.0]
    counter = executor.new("Counter", 4)
    assert executor.method(counter, "add", 3) == 7
    other = executor.method(counter, "copy", result="handle")
    assert executor.method(other, "add", 1) == 8
    assert executor.attribute(counter, "value") == 7


def test_handles_and_arrays_go_in_as_arguments(load: Load) -> None:
    executor = load(
        f"{COUNTER}\ndef read(counters): return [c.value for c in counters]\ndef same(x): return x"
    )
    handles = [executor.new("Counter", 1), executor.new("Counter", 2)]
    assert executor.call("read", handles) == [1, 2]
    assert torch.equal(executor.call("same", torch.arange(3)), torch.arange(3))
    assert executor.call("same", (np.int32(4), b"x", {1: None})) == (np.int32(4), b"x", {1: None})


def test_parts_of_cblab_by_name_and_of_nothing_else(load: Load) -> None:
    executor = load("")
    assert executor.call("cblab.lab.notebook:cell_id", "ex", "1.3") == "ex-1-3"
    with pytest.raises(StudentError, match="within cblab"):
        executor.call("os:getpid")


def test_references_stand_in_for_earlier_answers_and_only_meanwhile() -> None:
    namespace: dict[str, object] = {"cell_id": "the student's own"}
    exec("def use(x): return cell_id('ex', x)", namespace)
    executor = LocalExecutor(namespace, {"cell_id": "cblab.lab.notebook:cell_id"})
    assert executor.call("use", "1.3") == "ex-1-3"
    assert namespace["cell_id"] == "the student's own"


def test_references_win_over_names_that_the_answer_cell_defines(load: Load) -> None:
    source = "def cell_id(a, b): return 'mine'\ndef use(x): return cell_id('ex', x)"
    assert load(source, {"cell_id": "cblab.lab.notebook:cell_id"}).call("use", "1.3") == "ex-1-3"


def test_errors_come_back_with_their_kind_and_line(load: Load) -> None:
    executor = load(
        "def f(x):\n    y = [1]\n    return y[x]\ndef g(): raise NotImplementedError('exercise 1.1')"
    )
    with pytest.raises(
        StudentError, match=r"IndexError: list index out of range \(line 3: `return y\[x\]`\)"
    ) as found:
        executor.call("f", 9)
    assert "LookupError" in found.value.type_names
    with pytest.raises(BlankError):
        executor.call("g")
    with pytest.raises(BlankError, match="`h` is not defined"):
        executor.call("h")
    with pytest.raises(StudentError, match="TypeError"):
        executor.call("f", 1, 2)


def test_a_syntax_error_has_its_line_once(worker: SubprocessExecutor) -> None:
    worker.load("x = 1\ndef f(: return 5", title="exercise 1.1")
    with pytest.raises(StudentError) as found:
        worker.call("f")
    assert str(found.value) == "SyntaxError: invalid syntax (line 2)"


@pytest.mark.parametrize("source", ["def f(): return elsewhere()", "f = elsewhere"])
def test_a_name_of_another_cell_is_explained_in_a_worker(worker: SubprocessExecutor, source: str) -> None:
    worker.load(source, title="exercise 1.1")
    with pytest.raises(
        StudentError, match="`elsewhere` is defined neither in this answer nor in the lab's set-up cell"
    ) as found:
        worker.call("f")
    assert found.value.type_name == "NameError"
    assert f"(line 1: `{source}`)" in str(found.value)


def test_what_is_printed_is_kept_apart_and_cut(load: Load, capfd: pytest.CaptureFixture[str]) -> None:
    source = """
import warnings, logging
def f():
    print("noted"); print("aside", file=sys.stderr); warnings.warn("no"); logging.warning("no")
    return 1
def flood():
    for _ in range(2000): print("x" * 10_000)
    return 2
"""
    executor = load(source)
    assert executor.call("f") == 1
    assert executor.printed == "noted\naside\n"
    assert executor.call("flood") == 2
    assert len(executor.printed) <= 10_000
    assert capfd.readouterr() == ("", "")


def test_changed_arguments_are_noticed(load: Load) -> None:
    executor = load("def f(a, b, c):\n    b.append(1)\n    c.add(2)\n    return a")
    assert executor.request("call", name="f", args=([0], [0], {"u", "v"}), watch=True).changed == (1, 2)
    assert executor.request("call", name="f", args=([0], [0], set())).changed == ()


# What a student's code may do to get a verdict that it has not earned, or none at all.

LIARS = {
    "an object that equals everything": "class Y:\n    __eq__ = lambda s, o: True\ndef f(): return Y()",
    "a type inside of a list": "def f(): return [1, list]",
    "a generator": "def f(): yield 7",
    "a lambda": "def f(): return lambda: 7",
    "an exception without text": "class E(Exception):\n    def __str__(s): raise s\ndef f(): raise E()",
    "sys.exit": "def f(): sys.exit(0)",
    "a wrong SystemExit": "def f(): raise SystemExit([0])",
    "GeneratorExit": "def f(): raise GeneratorExit",
    "endless recursion": "def f(): return f()",
    "a list in itself": "def f():\n    a = []\n    a.append(a)\n    return a",
    "a huge list": "def f(): return [0] * 600_000",
    "huge bytes": "def f(): return b'x' * 100_000_000",
    "closed output": "def f():\n    sys.stdout.close(); sys.stderr.close(); return object()",
}


@pytest.mark.parametrize("source", LIARS.values(), ids=LIARS.keys())
def test_every_lie_is_a_student_error_and_the_executor_goes_on(load: Load, source: str) -> None:
    executor = load(source)
    with pytest.raises(StudentError) as found:
        executor.call("f")
    assert str(found.value)
    assert executor.call("cblab.lab.notebook:cell_id", "a", "b") == "a-b"


@pytest.mark.parametrize("patched", ["torch.allclose", "torch.equal", "torch.Tensor.__eq__"])
def test_patched_libraries_decide_nothing_in_a_worker(worker: SubprocessExecutor, patched: str) -> None:
    worker.load(f"import torch\n{patched} = lambda *a, **k: True\ndef f(): return torch.zeros(2)")
    got = worker.call("f")
    assert not torch.equal(got, torch.ones(2))
    assert not torch.allclose(got, torch.ones(2))


def test_an_endless_loop_costs_one_time_limit(load: Load) -> None:
    executor = load(
        "def f():\n    while True:\n        try: g()\n        except Exception: pass\ndef g(): 1 / 0"
    )
    executor.seconds = 0.4
    start = time.monotonic()
    with pytest.raises(StudentTimeoutError, match="endless loop"):
        executor.call("f")
    with pytest.raises(StudentTimeoutError, match="was not run"):
        executor.call("f")
    assert time.monotonic() - start < 3


def test_after_a_timeout_no_later_part_is_begun(load: Load) -> None:
    begun = []

    def script(trial: Trial) -> None:
        begun.append(trial.level)
        trial.call("f")

    parts = (Part("one", 1, script), Part("two", 1, script), Part("three", 1, script))
    exercise = Exercise("1.1", "Hang", parts, symbols={"f": "cblab.lab.notebook:cell_id"}, seconds=0.3)
    verdict = run_exercise(exercise, load("def f():\n    while True: pass"), ALL_LEVELS)
    assert begun == ["immediate"]
    assert [outcome.part.name for outcome in verdict.outcomes] == ["one", "two", "three"]
    assert {outcome.message for outcome in verdict.outcomes} == {
        "`f()` took more than 0.3 s: is there an endless loop?"
    }


def test_a_bare_except_does_not_hold_the_alarm_up() -> None:
    namespace: dict[str, object] = {}
    exec("def f():\n    try:\n        while True: pass\n    except: pass\n    while True: pass", namespace)
    with pytest.raises(StudentTimeoutError):
        LocalExecutor(namespace, seconds=0.2).call("f")


def test_the_alarm_leaves_the_timer_and_handler_that_it_found() -> None:
    before = signal.getsignal(signal.SIGALRM)
    executor = LocalExecutor({"f": lambda: 1})
    outer = signal.setitimer(signal.ITIMER_REAL, 50)
    try:
        assert executor.call("f") == 1
        assert 30 < signal.getitimer(signal.ITIMER_REAL)[0] <= 50
    finally:
        signal.setitimer(signal.ITIMER_REAL, *outer)
    assert signal.getsignal(signal.SIGALRM) is before


ENDINGS = {
    "os._exit": ("os._exit(0)", "ended its process"),
    "killed": ("os.kill(os.getpid(), 9)", "SIGKILL"),
    "crashed": ("import ctypes; ctypes.string_at(0)", "SIG(SEGV|BUS)"),
    "closes every descriptor": ("os.closerange(0, 200)", "process"),
    "forges a reply": ("[os.write(n, b'{}\\n') for n in range(3, 9) if writable(n)]", "not a reply"),
    "sends rubbish": ("[os.write(n, b'\\xff\\n') for n in range(3, 9) if writable(n)]", "not a reply"),
}
WRITABLE = """import fcntl
def writable(n):
    try: return fcntl.fcntl(n, fcntl.F_GETFL) & 3
    except OSError: return False
"""


@pytest.mark.parametrize(("code", "says"), ENDINGS.values(), ids=ENDINGS.keys())
def test_the_end_of_the_process_fails_this_exercise_and_no_other(
    worker: SubprocessExecutor, code: str, says: str
) -> None:
    worker.load(f"{WRITABLE}def f():\n    {code}\n    return 1")
    with pytest.raises(StudentProcessError, match=says):
        worker.call("f")
    with pytest.raises(StudentProcessError, match="was not run"):
        worker.call("f")
    worker.load("def f(): return math.floor(2.5)")
    assert worker.call("f") == 2


def test_a_forged_extra_reply_is_not_taken_for_the_next_one(worker: SubprocessExecutor) -> None:
    forged = b'{"id": 99, "value": 7, "printed": "", "changed": []}\n'
    worker.load(
        f"{WRITABLE}def f():\n    [os.write(n, {forged!r}) for n in range(3, 9) if writable(n)]\n    return 1"
    )
    with pytest.raises(StudentProcessError, match="nobody asked for"):
        worker.call("f")


def test_an_answer_cell_that_hangs_or_exits_fails_alone(worker: SubprocessExecutor) -> None:
    worker.seconds = 0.5
    worker.load("while True: pass")
    with pytest.raises(StudentTimeoutError):
        worker.call("f")
    worker.load("sys.exit(3)")
    with pytest.raises(StudentError, match="SystemExit"):
        worker.call("f")
    worker.load("def f(): return 5\nprint(1 / 0)")
    assert worker.call("f") == 5
    worker.load("def f(: return 5")
    with pytest.raises(StudentError, match="SyntaxError"):
        worker.call("f")


def test_each_exercise_starts_from_the_set_up(worker: SubprocessExecutor) -> None:
    worker.load("leftover = 1\nmath = None")
    worker.load("def f(): return 'leftover' in globals(), math.floor(1.5)")
    assert worker.call("f") == (False, 1)


def test_set_up_functions_see_the_answer() -> None:
    executor = SubprocessExecutor("%matplotlib inline\ndef helper(): return answer() + 1")
    try:
        executor.load("def answer(): return 41")
        assert executor.call("helper") == 42
    finally:
        executor.close()


def test_a_name_that_the_set_up_lacks_is_the_set_ups_error() -> None:
    with pytest.raises(StudentError, match="name 'elsewhere' is not defined"):
        SubprocessExecutor("elsewhere").load("")


def test_a_set_up_that_fails_says_so() -> None:
    executor = SubprocessExecutor("import no_such_module")
    with pytest.raises(StudentError, match="no_such_module"):
        executor.load("")


def test_the_worker_sees_no_secret_and_no_module_beside_the_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CBLAB_HIDDEN_SEED", "secret")
    monkeypatch.setenv("CBLAB_COURSE", "secret")
    (tmp_path / "json.py").write_text("raise SystemExit")
    executor: Executor = SubprocessExecutor("import os", cwd=tmp_path)
    try:
        executor.load("found = [v for v in os.environ.values() if v == 'secret'], os.getcwd()")  # type: ignore[attr-defined]
        assert executor.get("found") == ([], os.path.realpath(tmp_path))
    finally:
        executor.close()
