"""A training process is killed at random moments; started again, it ends in the same curve.

What no cell of a notebook can show, since it would kill its own kernel.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

RUN = """
import sys
import numpy as np
import torch
from llm_course.training.batches import Rows
from llm_course.training.trainer import TrainConfig, Trainer
from llm_course.transformers.model import Config, Transformer

folder, optimizer = sys.argv[1:3]
torch.set_num_threads(1)
rng = np.random.default_rng(0)
rows = Rows([rng.integers(0, 64, n) for n in rng.integers(4, 60, 80)], 32)
config = Config(64, 32, 2, 4, 64)
model = Transformer(config, generator=torch.Generator().manual_seed(0))
plan = TrainConfig(
    steps=60, batch_size=8, micro_batch=4, optimizer=optimizer, lr=0.01,
    precision="float32", save_every=3, validate_every=7, keep=2,
)
trainer = Trainer(model, rows, plan, validation=rows, folder=folder)
print("ready", trainer.step, flush=True)
trainer.fit()
print("done", flush=True)
"""


def start(folder: Path, optimizer: str) -> subprocess.Popen:
    command = [sys.executable, "-W", "ignore", "-c", RUN, str(folder), optimizer]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def curve(folder: Path) -> list[dict]:
    "What the log says, without the times."
    lines = (folder / "log.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    for record in records:
        del record["tokens_per_second"]
    return records


def killed_often(folder: Path, optimizer: str, kills: int, seed: int) -> int:
    "Runs to the end, killed `kills` times on the way. How many starts found a checkpoint."
    rng = random.Random(seed)
    resumed = 0
    for _ in range(kills):
        process = start(folder, optimizer)
        assert process.stdout is not None
        ready = process.stdout.readline().split()
        assert ready and ready[0] == "ready", "it must start from whatever a kill left behind"
        resumed += int(ready[1]) > 0
        time.sleep(rng.uniform(0, 0.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
    process = start(folder, optimizer)
    assert process.stdout is not None
    assert process.stdout.read().split()[-1] == "done"
    return resumed


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is a signal of POSIX")
@pytest.mark.parametrize(
    "kills",
    [
        pytest.param(4, id="a few times"),
        pytest.param(20, id="20 times", marks=pytest.mark.slow),
        pytest.param(200, id="200 times", marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_ends_in_the_curve_of_one_that_was_not(tmp_path, kills):
    optimizer = "muon"  # AdamW and Muon, side by side
    whole = start(tmp_path / "whole", optimizer)
    assert whole.wait(300) == 0
    expected = curve(tmp_path / "whole")
    assert [record["step"] for record in expected] == list(range(1, 61))
    done = 0
    rounds = 0
    while done < kills:
        rounds += 1
        part = min(20, kills - done)
        folder = tmp_path / f"killed {rounds}"
        killed_often(folder, optimizer, part, seed=rounds)
        assert curve(folder) == expected
        assert not list(folder.glob(".*.part")), "what a kill left half-written is cleared away"
        done += part


FULL_DISK = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
def fill_disk(trainer, record):
    if trainer.step == 8:  # from here on no file may be larger than this: as a disk that is full
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
"""


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
def test_a_full_disk_stops_the_run_and_leaves_the_checkpoints_before_it(tmp_path):
    text = RUN.replace("import sys\n", "import sys\n" + FULL_DISK, 1)
    text = text.replace("folder=folder)", "folder=folder, on_step=[fill_disk])")
    command = [sys.executable, "-W", "ignore", "-c", text, str(tmp_path), "adamw"]
    failed = subprocess.run(command, capture_output=True, text=True)
    assert failed.returncode != 0
    assert "TrainingStopped: step 9: the checkpoint" in failed.stderr, failed.stderr[-2000:]
    assert "make room" in failed.stderr
    names = sorted(path.name for path in tmp_path.glob("step_*"))
    assert names == ["step_00000003", "step_00000006"]
    again = start(tmp_path, "adamw")
    assert again.stdout is not None
    assert again.stdout.read().split() == ["ready", "6", "done"]
    assert [record["step"] for record in curve(tmp_path)] == list(range(1, 61))
