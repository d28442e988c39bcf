"""Threads: an engine keeps them while it has requests, and no longer, so that it can step in any thread."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os, threading, time
import torch
torch.set_num_threads(2)
from cblab import LLM, SamplingParams
from cblab.attention.openmp import release_threads

def count_threads():
    return len(os.listdir("/proc/self/task"))

def settled(expected):  # a thread that has been told to end may take a moment
    deadline = time.monotonic() + 10
    while count_threads() != expected and time.monotonic() < deadline:
        time.sleep(0.01)
    return count_threads() - expected

alone = count_threads()
torch.ones(1 << 20).add(1)
print("torch", count_threads() - alone)
release_threads()
print("released", settled(alone))
release_threads()
print("once more", settled(alone))

llm = LLM("story-4m")
print("loaded", settled(alone))
llm.engine.warmup()
print("warm", settled(alone))
while_running = []
def generate():
    engine = llm.engine
    note = lambda *_: while_running.append(count_threads())
    engine.add_request("Once", SamplingParams(max_tokens=3), on_token=note)
    while engine.has_unfinished:
        engine.step()
generate()
print("running", while_running[0] - alone, "idle", settled(alone))
other = threading.Thread(target=generate)
other.start()
other.join()
print("other", while_running[-1] - alone, "idle", settled(alone))
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads as Linux shows them")
def test_an_idle_engine_has_no_threads() -> None:
    environment = {**os.environ, "NUMBA_NUM_THREADS": "2", "NUMBA_THREADING_LAYER": "omp"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "torch 1",
        "released 0",
        "once more 0",
        "loaded 0",
        "warm 0",
        "running 1 idle 0",
        "other 2 idle 0",  # its own Python thread, and its team's
    ]
