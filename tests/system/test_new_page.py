"""A page that `make page` lays out passes what every page must pass."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from course_tools import new_page

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    "A copy of the project's files, with a page that was laid out in it."
    there = tmp_path_factory.mktemp("checkout") / "course"
    tracked = [
        "git",
        "-C",
        str(ROOT),
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]
    names = subprocess.run(tracked, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():  # one that was deleted is still listed
            (there / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, there / name)
    where = new_page.make("prompting/planning", there)
    return there, where


def run(there, *command):
    env = os.environ | {"PYTHONPATH": str(there), "LLM_COURSE_BUDGET": "quick"}
    done = subprocess.run(command, cwd=there, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_exports_runs_and_passes_its_tests(checkout):
    there, where = checkout
    path = str(where.notebook.relative_to(there))
    bin_ = Path(sys.executable).parent
    run(there, str(bin_ / "nbdev-export"), "--path", path)
    assert (there / "llm_course/prompting/planning.py").exists()
    tests = "tests/test_prompting_planning.py"
    out = run(there, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tests)
    assert "4 passed" in out
    run(there, str(bin_ / "nbdev-test"), path)
    rules = "tests/system/test_notebooks.py"
    run(there, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", rules)
    run(there, str(bin_ / "ruff"), "check", "llm_course/prompting/planning.py", path, tests)
    run(there, str(bin_ / "lint-imports"))


def test_it_has_its_layer_and_its_link(checkout):
    there, where = checkout
    contracts = (there / "pyproject.toml").read_text(encoding="utf-8")
    assert 'containers = ["llm_course.prompting"]\nlayers = [\n    "(planning)",\n' in contracts
    (row,) = [
        line
        for line in (there / "README.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("|") and "planning" in line
    ]
    assert row.endswith(f"· [planning](nbs/06_prompting/{where.notebook.name}) |")
    number = int(where.notebook.name[:2])
    others = [int(p.name[:2]) for p in where.notebook.parent.glob("[0-9]*") if p != where.notebook]
    assert number == max(others) + 1
    cells = json.loads(where.notebook.read_text(encoding="utf-8"))["cells"]
    assert len({cell["id"] for cell in cells}) == len(cells)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("planning", "a page is named chapter/name, with a chapter of transformers, training"),
        ("robots/planning", "got 'robots/planning'"),
        ("agents/Plan-B", "small letters and _"),
        ("agents/while", "no word of Python's"),
        ("agents/agent", "06_agent.ipynb is there already"),
    ],
)
def test_names_that_cannot_be_are_refused(given, problem):
    with pytest.raises(ValueError, match=problem):
        new_page.place(given)


def test_nothing_is_written_where_one_file_cannot_take_it(tmp_path):
    (tmp_path / "nbs/07_agents").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "README.md").write_text("")
    with pytest.raises(ValueError, match="no list of layers"):
        new_page.make("agents/planning", tmp_path)
    assert not list((tmp_path / "nbs/07_agents").iterdir())
