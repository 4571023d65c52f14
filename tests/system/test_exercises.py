"""`check` in a real IPython shell: each kind of answer that a reader may give."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TESTS = '''"""Tests of `toy.numbers`."""
import math

# nbs/01_numbers.ipynb #aaaa0001
tens = [10, 20]

# nbs/01_numbers.ipynb #aaaa0002
def triple(x):
    return 3 * x

# nbs/01_numbers.ipynb #aaaa0003
class Counter:
    def __init__(self):
        self.n = 0

    def up(self):
        self.n += 1
        return self.n


# nbs/01_numbers.ipynb #aaaa0004
def test_solution_triple():
    assert triple(2) == 6
    assert [triple(t) for t in tens] == [30, 60] and math.isclose(triple(0.5), 1.5)


# nbs/01_numbers.ipynb #aaaa0005
def test_solution_Counter():
    c = Counter()
    c.up()
    assert c.up() == 2
'''
IMPORT = "from course_tools.exercises import check"
DRIVER = """
import contextlib, io, json, sys
from pathlib import Path
from IPython.core.interactiveshell import InteractiveShell
import course_tools.exercises
course_tools.exercises.ROOT = Path(sys.argv[1])
shell, said = InteractiveShell.instance(), []
for cell in json.loads(sys.stdin.read()):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        result = shell.run_cell(cell, store_history=True)
    error = result.error_in_exec or result.error_before_exec
    said.append(f"{type(error).__name__}: {error}" if error else out.getvalue().strip())
print(json.dumps(said))
"""


@pytest.fixture
def session(tmp_path):
    "A function that runs cells in a new shell and gives what the last one printed, or its error."
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_numbers.py").write_text(TESTS, encoding="utf-8")

    def run(*cells, **environment):
        done = subprocess.run(
            [sys.executable, "-c", DRIVER, str(tmp_path)],
            input=json.dumps([IMPORT, *cells]),
            env=os.environ | {"PYTHONPATH": str(ROOT), "IPYTHONDIR": str(tmp_path)} | environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])[-1]

    return run


def exercise(body, last="check(triple)"):
    return f"#| exercise\ndef triple(x):\n    {body}\n{last}"


SOLUTION = "#| solution\ndef triple(x):\n    return 3 * x"


@pytest.mark.parametrize("body", ["...", "pass", "'a docstring'", "raise NotImplementedError"])
def test_a_stub_is_not_yet_right_and_hears_the_first_claim(session, body):
    said = session(exercise(body))
    assert said == "triple: not yet. First it must hold that `triple(2) == 6`"


def test_a_wrong_answer_hears_the_first_claim_that_fails_with_its_values(session):
    said = session(exercise("return x + 4"))
    assert said == (
        "triple: not yet. This fails: `[triple(t) for t in tens] == [30, 60]`, "
        "with [14, 24] == [30, 60]"
    )


def test_a_right_answer_hears_how_many_claims_hold(session):
    assert session(exercise("return x + x + x")) == "triple: right. 3 claims hold."


def test_an_answer_like_ours_is_the_readers_also_after_the_solution(session):
    theirs = exercise("return 3 * x")
    assert session(theirs).startswith("triple: right")
    assert session(SOLUTION, theirs).startswith("triple: right")


def test_the_courses_solution_is_never_taken_for_the_readers(session):
    said = session(exercise("..."), SOLUTION, "check(triple)")
    assert said.startswith("triple: this is the course's solution")
    decorated = "#| solution\nfrom functools import cache\n@cache\ndef triple(x):\n    return 3 * x"
    assert "the course's solution" in session(decorated, "check(triple)")


def test_the_readers_wrong_answer_fails_also_after_the_solution_cell(session):
    said = session(SOLUTION, exercise("return 2 * x"))
    assert said == "triple: not yet. This fails: `triple(2) == 6`, with 4 == 6"


def test_an_answer_that_raises_hears_its_own_line(session):
    said = session(exercise("y = [x]\n    return y[3]"))
    assert said == (
        "triple: not yet. Line 4 of your cell, `return y[3]`, "
        "raised IndexError: list index out of range"
    )


def test_an_answer_with_other_parameters_hears_the_call(session):
    said = session("def triple():\n    return 6\ncheck(triple)")
    assert "`assert triple(2) == 6` raised TypeError" in said


def test_an_answer_without_return_is_not_yet_right(session):
    assert "returned None" in session(exercise("y = 3 * x"))


def test_classes_are_checked_like_functions(session):
    head = "#| exercise\nclass Counter:\n    "
    tail = "\ncheck(Counter)"
    assert session(head + "..." + tail).startswith("Counter: not yet. First")
    wrong = head + "n = 0\n    def up(self):\n        return 1" + tail
    assert session(wrong).endswith("`c.up() == 2`, with 1 == 2")
    right = wrong.replace("return 1", "self.n += 1; return self.n")
    assert session(right) == "Counter: right. 1 claim holds."
    ours = right.removesuffix(tail).replace("exercise", "solution")
    assert "the course's solution" in session(ours, "check(Counter)")
    assert "the course's solution" in session("#| solution\nclass Counter: n = 0", "check(Counter)")


@pytest.mark.parametrize(
    "cell, error",
    [
        ("check(3)", "TypeError: check takes the function or the class that you wrote"),
        ("check('triple')", "TypeError: check takes"),
        ("check(lambda x: x)", "TypeError: check takes"),
        (
            "def tripel(x): return x\ncheck(tripel)",
            "ValueError: no exercise is called tripel. There are: Counter, triple",
        ),
        (
            "def triple(x): return 3 * x\ncheck(triple, page='words')",
            "ValueError: no exercise is called triple on the page words",
        ),
    ],
)
def test_wrong_use_is_a_clear_error(session, cell, error):
    assert session(cell).startswith(error)


def test_of_two_pages_the_running_one_is_meant(session, tmp_path):
    other = TESTS.replace("01_numbers", "02_words").replace("== 6", "== 'aaaaaa'")
    (tmp_path / "tests/test_words.py").write_text(other, encoding="utf-8")
    cell = exercise("return 3 * x")
    assert session(cell, JPY_SESSION_NAME="x/01_numbers.ipynb").startswith("triple: right")
    assert "with 6 == 'aaaaaa'" in session(cell, JPY_SESSION_NAME="x/02_words.ipynb")
    assert 'Say which one: check(triple, page="01_numbers")' in session(cell)
    named = exercise("return 3 * x", "check(triple, page='numbers')")
    assert session(named).startswith("triple: right")


def test_a_check_leaves_the_random_numbers_as_they_were(session, tmp_path):
    seeded = TESTS.replace("    assert triple(2)", "    torch.manual_seed(0)\n    assert triple(2)")
    path = tmp_path / "tests/test_numbers.py"
    path.write_text(seeded.replace("import math", "import math\nimport torch"), encoding="utf-8")
    draw = "import torch; torch.manual_seed(7); print(end=f'{torch.rand(1)} ')"
    assert session(draw + "; print(torch.rand(1))").split(") ")[1] == session(
        draw, exercise("return 3 * x"), "print(torch.rand(1))"
    )


def test_every_solution_of_the_course_can_be_checked():
    from course_tools.exercises import all_exercises, claims_of

    found = all_exercises(ROOT / "tests")
    assert len(found) >= 20
    for e in found:
        assert e.solution() is not None, f"{e.notebook}: no solution cell binds {e.name}"
        assert claims_of(e), f"{e.notebook}: the tests of {e.name} claim nothing"
