"""The trainer on two processes that torchrun starts, held against one process.

What no cell can show: a real start of `torchrun` for each run, and a process that is killed.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from small_run import model, trainer

from llm_course import load
from llm_course.training.pretrain import main, read_samples
from llm_course.training.trainer import checkpoints, read_log

pytestmark = pytest.mark.skipif(os.name != "posix", reason="gloo and SIGKILL")

STEPS = 10
BEGIN = """
import os, signal, sys
import torch
from llm_course.training.trainer import TrainConfig, Trainer, process_group, whole_model
from small_run import model, rows, trainer
"""


def torchrun(place: Path, code: str, *arguments: str, processes: int = 2, seconds: float = 120):
    "Runs the code on several processes; fails if they don't end in time."
    (place / "run.py").write_text(BEGIN + code)
    return start(place, "run.py", *arguments, processes=processes, seconds=seconds)


def start(place: Path, *command: str, processes: int = 2, seconds: float = 120):
    whole = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone"]
    whole += ["--nproc-per-node", str(processes), *command]
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        whole,
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path},
    )
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.terminate()  # torchrun ends its processes
        pytest.fail(f"{command} didn't end within {seconds} s: {process.communicate()[1][-3000:]}")
    return process.returncode, out, err


def alike(folder: Path, other: Path) -> None:
    "Asserts that two runs are one within 1e-5, and that each has one line a step."
    one, two = read_log(folder), read_log(other)
    assert [r["step"] for r in one] == [r["step"] for r in two] == list(range(1, STEPS + 1))
    for a, b in zip(one, two):
        assert a.keys() == b.keys()
        assert a["tokens"] == b["tokens"] and a["lr"] == b["lr"]
        for name in ("loss", "gradient_norm", "validation"):
            if name in a:
                assert abs(a[name] - b[name]) < 1e-5, (a["step"], name, a[name], b[name])


TWO = """
place = sys.argv[1]
with process_group() as world:
    assert world.size == 2
    for optimizer in ("adamw", "muon"):
        one = trainer(f"{place}/straight {optimizer}", optimizer)
        one.fit()
        whole = whole_model(one.model)  # every process has it
        if world.rank == 0:
            torch.save(whole.state_dict(), f"{place}/{optimizer}.pt")
        trainer(f"{place}/one to two {optimizer}", optimizer).fit()
        trainer(f"{place}/two to one {optimizer}", optimizer).fit(5)
    parts = trainer(None, micro_batch=1).fit(4)
    trainer(None, precision="auto", recompute=True).fit(2)
    if world.rank == 0:
        print([record["loss"] for record in parts])
    try:
        Trainer(model(seed=world.rank), rows(), TrainConfig(3, batch_size=8))
    except ValueError as error:
        assert "1 of 2 processes have other weights" in str(error), error
    else:
        raise AssertionError("other weights in each process must be refused, in both")
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    "Runs of one process and of two, with both optimizers, and what two began and one goes on with."
    place = tmp_path_factory.mktemp("distributed")
    for optimizer in ("adamw", "muon"):
        trainer(place / f"one {optimizer}", optimizer).fit()
        trainer(place / f"one to two {optimizer}", optimizer).fit(5)
    code, out, err = torchrun(place, TWO, str(place))
    assert code == 0, err[-4000:]
    (place / "said").write_text(out)
    return place


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_two_processes_train_as_one_does(place, optimizer):
    alike(place / f"one {optimizer}", place / f"straight {optimizer}")
    saved = torch.load(place / f"{optimizer}.pt")
    single = trainer(place / f"one {optimizer}", optimizer).model
    begin = model().state_dict()
    for name, weight in single.state_dict().items():
        # where a gradient is nearly 0, AdamW's step is a sign: rounding turns some
        assert (weight - saved[name]).abs().max() < 1e-3, name
        moved = (weight - begin[name]).norm()
        assert (weight - saved[name]).norm() < 1e-3 * moved, name


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_checkpoint_of_one_process_goes_on_with_two_and_back(place, optimizer):
    alike(place / f"one {optimizer}", place / f"one to two {optimizer}")
    again = trainer(place / f"two to one {optimizer}", optimizer)
    assert again.step == 5, "it goes on from what two processes saved"
    again.fit()
    alike(place / f"one {optimizer}", place / f"two to one {optimizer}")
    files = [p.name for p in checkpoints(place / f"straight {optimizer}")[-1].glob("*.distcp")]
    assert len(files) == 2, "each process writes a file"


def test_parts_of_a_batch_change_nothing(place):
    losses = json.loads((place / "said").read_text().splitlines()[-1])
    expected = [r["loss"] for r in read_log(place / "one adamw")][:4]
    assert np.allclose(losses, expected, rtol=0, atol=1e-5)


KILLED = """
place, moment = sys.argv[1:]


def die(trainer, record):
    if trainer.step == 10 and trainer.world.rank == 1 and moment == "before the checkpoint":
        os.kill(os.getpid(), signal.SIGKILL)


with process_group() as world:
    one = trainer(place)
    one.on_step = (die,)
    if moment == "while it is written" and world.rank == 1:
        import torch.distributed.checkpoint.filesystem as files
        write = files._write_item
        def stop(*arguments, **options):
            if one.step == 10:
                os.kill(os.getpid(), signal.SIGKILL)
            return write(*arguments, **options)
        files._write_item = stop
    one.fit()
"""


@pytest.mark.parametrize(
    "moment",
    [
        "while it is written",
        pytest.param("before the checkpoint", marks=pytest.mark.slow),
    ],
)
def test_a_killed_process_ends_the_others_and_leaves_the_last_checkpoint(place, tmp_path, moment):
    begin = time.time()
    code, _, err = torchrun(tmp_path, KILLED, str(tmp_path / "run"), moment, seconds=90)
    assert code != 0
    assert "SIGKILL" in err or "-9" in err, err[-2000:]
    assert time.time() - begin < 90
    assert [path.name for path in checkpoints(tmp_path / "run")] == ["step_00000005"]
    again = trainer(tmp_path / "run")
    assert again.step == 5
    again.fit()
    assert not list((tmp_path / "run").glob(".*.part")), "what was half-written is cleared away"
    alike(place / "one adamw", tmp_path / "run")


RECIPE = """
out = "{out}"
prompts = ["The "]
[data]
source = "texts"
deduplicate = false
vocab_size = 300
width = 32
validation = 0.3
[model]
dim = 32
n_layers = 2
n_heads = 2
hidden_dim = 64
[train]
steps = 4
batch_size = 4
save_every = 2
precision = "float32"
"""


def test_the_command_runs_under_torchrun(tmp_path):
    words = "some words to learn, of which none says much but all say a little more each time. "
    (tmp_path / "texts").mkdir()
    for i in range(8):
        (tmp_path / "texts" / f"{i}.txt").write_text(words * 3 + str(i))
    (tmp_path / "two.toml").write_text(RECIPE.format(out="two"))
    (tmp_path / "one.toml").write_text(RECIPE.format(out="one"))
    command = ("-m", "llm_course.training.pretrain", "two.toml")
    code, out, err = start(tmp_path, *command)
    assert code == 0, err[-3000:]
    assert out.count("The model is in") == 1
    assert main([str(tmp_path / "one.toml")]) == 0
    one, two = read_log(tmp_path / "one"), read_log(tmp_path / "two")
    assert [r["step"] for r in two] == [1, 2, 3, 4]
    assert np.allclose([r["loss"] for r in one], [r["loss"] for r in two], rtol=0, atol=1e-5)
    assert read_samples(tmp_path / "two" / "samples.jsonl").keys() == {2, 4}
    assert len((tmp_path / "two" / "samples.jsonl").read_text().splitlines()) == 2
    ids = torch.tensor([[1, 2, 3]])
    models = [load(tmp_path / name / "model").model for name in ("one", "two")]
    torch.testing.assert_close(models[0](ids), models[1](ids), rtol=0, atol=1e-3)
