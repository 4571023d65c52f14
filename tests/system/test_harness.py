"""The adapter for lm-evaluation-harness on two processes that torchrun starts, and killed.

What no cell can show: a real start of `torchrun`, and a process that ends at once.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_harness import examine, in_short, model, write_tasks
from test_distributed import start

from llm_course.evaluation.harness import Answers, harness_model

pytest.importorskip("lm_eval")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="gloo and SIGKILL")
ITEMS = 11  # an odd number: one process has an item less

TWO = """
import json, sys
from pathlib import Path
from llm_course.evaluation.harness import harness_model
from llm_course.training.trainer import process_group
from small_harness import examine, in_short, model

place = Path(sys.argv[1])
with process_group() as world:
    adapter = harness_model(model(), batch_size=4, answers=place / "answers.jsonl")
    results = examine(adapter, place)
    assert (results is None) == (world.rank > 0)
    (place / f"computed {world.rank}").write_text(str(adapter.computed))
    if results:
        (place / "two.json").write_text(json.dumps(in_short(results)))
"""


def flat(value) -> list:
    "Numbers, flags and texts in nested lists, one after another."
    if isinstance(value, (list, tuple)):
        return [inner for part in value for inner in flat(part)]
    return [value]


def assert_alike(one: dict, two: dict) -> None:
    assert one["items"].keys() == two["items"].keys()
    for key, responses in one["items"].items():
        for a, b in zip(flat(responses), flat(two["items"][key]), strict=True):
            close = isinstance(a, float) and abs(a - b) < 1e-4 * max(1, abs(a))
            assert close or a == b, (key, a, b)
    for task, scores in one["scores"].items():
        for name, value in scores.items():
            other = two["scores"][task][name]
            close = isinstance(value, float) and abs(value - other) < 1e-5 * max(1, abs(value))
            assert close or value == other, (task, name, value, other)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    "The tasks, and what one process found."
    place = tmp_path_factory.mktemp("harness")
    write_tasks(place, ITEMS)
    adapter = harness_model(model(), batch_size=4)
    whole = in_short(examine(adapter, place))
    whole["computed"] = adapter.computed
    (place / "one.json").write_text(json.dumps(whole))
    return place


@pytest.mark.slow
def test_two_processes_share_the_items_and_gather_the_same_scores(place):
    (place / "run.py").write_text(TWO)
    code, _, err = start(place, "run.py", str(place), seconds=150)
    assert code == 0, err[-4000:]
    one = json.loads((place / "one.json").read_text())
    assert_alike(one, json.loads((place / "two.json").read_text()))
    shares = [int((place / f"computed {rank}").read_text()) for rank in range(2)]
    assert sum(shares) == one["computed"], "nothing is computed twice, fill-ups included"
    assert 0 < shares[1] < shares[0]
    again = harness_model(model(), answers=place / "answers.jsonl")
    assert_alike(one, in_short(examine(again, place)))
    assert again.computed == 0, "both wrote to one file"


SLOWLY = """
import sys, time
from pathlib import Path
from llm_course.evaluation.harness import harness_model
from small_harness import examine, model

place = Path(sys.argv[1])
lm = model()
lm.model.layers[0].register_forward_pre_hook(lambda *given: time.sleep(0.1))
examine(harness_model(lm, batch_size=2, answers=place / "killed.jsonl"), place)
"""


@pytest.mark.slow
def test_a_killed_examination_goes_on_where_it_was(place):
    path = place / "killed.jsonl"
    (place / "slow.py").write_text(SLOWLY)
    search = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "slow.py", str(place)],
        cwd=place,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": search},
    )
    end = time.time() + 90
    while len(Answers(path).known) < 20:
        assert process.poll() is None and time.time() < end, "it ended before it was killed"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL
    kept = len(Answers(path).known)
    one = json.loads((place / "one.json").read_text())
    adapter = harness_model(model(), batch_size=4, answers=path)
    assert_alike(one, in_short(examine(adapter, place)))
    distinct = len(Answers(path).known)
    assert 20 <= kept < distinct and adapter.computed == distinct - kept


def test_the_harness_is_imported_when_it_is_asked_for():
    code = "import sys, llm_course.evaluation.harness\n"
    code += "print([m for m in ('lm_eval', 'transformers', 'datasets') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
