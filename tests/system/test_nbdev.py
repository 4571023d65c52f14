"""The processors of `course_tools/export.py`, run by the real `nbdev-export` on a small project."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fastcore.nbio import mk_cell, new_nb, read_nb, write_nb

from course_tools.export import needed_by, tidy, where
from course_tools.words import folded_cells

ROOT = Path(__file__).resolve().parents[2]
CONFTEST = (ROOT / "tests" / "conftest.py").read_text(encoding="utf-8")
# What points a failure to its cell, and what runs a test that awaits.
HOOKS = "@pytest.hookimpl" + CONFTEST.split("@pytest.hookimpl", 1)[1]
SETUP = [
    "#| default_exp chap.mod",
    "#| export\nimport math\nfrom pathlib import Path\n"
    "def double(x): return 2 * x\ndef _hidden(x): return x",
]


class Project:
    def __init__(self, folder: Path):
        self.folder = folder
        (folder / "nbs").mkdir()
        (folder / "tests").mkdir()
        (folder / "toy").mkdir()
        (folder / "toy" / "__init__.py").write_text('__version__ = "0.0.1"\n')
        (folder / "tests" / "conftest.py").write_text(
            "import asyncio, inspect, re\nimport pytest\n" + HOOKS
        )
        (folder / "pyproject.toml").write_text("""[project]
name = "toy"
[tool.nbdev]
lib_path = "toy"
nbs_path = "nbs"
export_procs = ["course_tools.export:TestProc"]
update_pyproject = false
[tool.pytest.ini_options]
addopts = "--strict-markers"
markers = ["gpu", "slow", "net", "site"]
""")

    def notebook(self, name, *cells):
        md = mk_cell("# Title\n\n> Sub.", "markdown")
        write_nb(
            new_nb([md, *(mk_cell(c, id=f"cell{i:04d}") for i, c in enumerate(cells))]),
            self.folder / "nbs" / name,
        )

    def _python(self, *args):
        env = os.environ | {"PYTHONPATH": f"{self.folder}{os.pathsep}{ROOT}"}
        env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # some import torch, in each process
        return subprocess.run(
            [sys.executable, *args], cwd=self.folder, env=env, capture_output=True, text=True
        )

    def pytest(self, *args):
        return self._python("-m", "pytest", "-q", *args)

    def export(self):
        return self._python("-c", "from nbdev.doclinks import nbdev_export; nbdev_export()")

    def exported(self):
        done = self.export()
        assert done.returncode == 0, done.stderr
        return self.test_file.read_text()

    @property
    def test_file(self):
        return self.folder / "tests" / "test_chap_mod.py"


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def test_a_cell_becomes_a_plain_function_that_names_its_cell(project):
    project.notebook(
        "mod.ipynb",
        *SETUP,
        "#| given\nnumbers = [1, 2]",
        "#| test doubles\nassert [double(n) for n in numbers] == [2, 4]\nassert math.pi > 3",
    )
    text = project.exported()
    assert (
        "# nbs/mod.ipynb #cell0003\ndef test_doubles():\n"
        "    assert [double(n) for n in numbers] == [2, 4]\n    assert math.pi > 3\n" in text
    )
    assert (
        "import math\n" in text
        and "from toy.chap.mod import double\n" in text
        and "Path" not in text
        and "*" not in text.split("def")[0]
    )
    assert project.pytest("tests").returncode == 0


def test_tests_run_alone_and_in_any_order(project):
    project.notebook(
        "mod.ipynb", *SETUP, "#| test a\nassert double(1) == 2", "#| test b\nassert double(2) == 4"
    )
    project.exported()
    for order in (
        ["tests/test_chap_mod.py::test_b"],
        ["tests/test_chap_mod.py::test_b", "tests/test_chap_mod.py::test_a"],
        ["-k", "test_a"],
        ["-p", "xdist", "-n", "2"],
    ):
        assert project.pytest(*order).returncode == 0


def test_export_is_idempotent(project):
    project.notebook("mod.ipynb", *SETUP, "#| test a\nassert double(1) == 2")
    project.exported()
    before = {p: (p.read_text(), p.stat().st_mtime_ns) for p in project.folder.rglob("test_*.py")}
    project.exported()
    assert before == {
        p: (p.read_text(), p.stat().st_mtime_ns) for p in project.folder.rglob("test_*.py")
    }


def test_a_missing_name_is_an_error_that_says_where(project):
    project.notebook("mod.ipynb", *SETUP, "local = 3", "#| test a\nassert double(local) == 6")
    error = project.export().stderr
    assert (
        "nbs/mod.ipynb cell #cell0003" in error
        and "'local'" in error
        and "cell #cell0002 binds it" in error
    )
    project.notebook("mod.ipynb", *SETUP, "#| test a\nassert nowhere")
    assert "'nowhere'" in (error := project.export().stderr) and "no cell binds it" in error
    project.notebook("mod.ipynb", *SETUP, "#| test a\nassert _hidden(1)")
    assert "it is private" in project.export().stderr


@pytest.mark.parametrize(
    "cells, message",
    [
        (
            ["#| test a\nassert 1", "#| test a\nassert 2"],
            "cell #cell0003: a second test named 'a'; the first is cell #cell0002",
        ),
        (["#| test a\nassert 1", "#| test test_a\nassert 2"], "a second test named 'a'"),
        (["#| test\nassert 1"], "takes one name"),
        (["#| test a b\nassert 1"], "takes one name"),
        (["#| test a\n#| mark: fast\nassert 1"], "unknown mark 'fast'; use gpu, slow, net"),
        (["#| mark: gpu\nassert 1"], "goes with `#| test NAME`"),
        (["#| test a\n#| given\nx = 1"], "given and test"),
        (["#| test a\n!ls"], "not plain Python"),
        (["#| given\nfrom math import *"], "name what you import"),
        (["#| test a\n"], "is empty"),
        (["#| draw\n#| hide\nx = 1"], "it can't be hide too"),
        (["#| export\n#| hide\ndef seen(): pass"], "the API leads to the cell of seen"),
        (["#| fold:\nx = 1"], "`#| fold:` needs the text that stands for the cell"),
        (["#| claim: It holds.\nx = 1"], "goes with `#| test NAME`"),
        (["#| given\n#| oracle: x\nx = 1"], "goes with `#| test NAME`"),
        (["#| test a\n#| claim:\nassert 1"], "`#| claim:` needs a text"),
    ],
)
def test_mistakes_are_errors(project, cells, message):
    project.notebook("mod.ipynb", *SETUP, *cells)
    done = project.export()
    assert done.returncode != 0 and message in done.stderr and "nbs/mod.ipynb cell #" in done.stderr
    assert not project.test_file.exists()


def test_orphans_are_deleted_and_nothing_else(project):
    project.notebook("mod.ipynb", *SETUP, "#| test a\nassert double(1) == 2")
    project.exported()
    by_hand = project.folder / "tests" / "test_by_hand.py"
    by_hand.write_text("def test_x(): pass\n")
    (project.folder / "nbs" / "mod.ipynb").rename(project.folder / "nbs" / "other.ipynb")
    project.notebook(
        "other.ipynb", "#| default_exp chap.other", *SETUP[1:], "#| test a\nassert double(1) == 2"
    )
    assert project.export().returncode == 0
    assert sorted(p.name for p in (project.folder / "tests").glob("test_*.py")) == [
        "test_by_hand.py",
        "test_chap_other.py",
    ]
    assert sorted(p.name for p in (project.folder / "toy" / "chap").glob("*.py")) == [
        "__init__.py",
        "other.py",
    ]
    project.notebook("other.ipynb", "#| default_exp chap.other", *SETUP[1:])  # the last test goes
    assert (
        project.export().returncode == 0
        and not (project.folder / "tests" / "test_chap_other.py").exists()
    )


def test_a_page_without_a_module_has_its_tests(project):
    folder = project.folder / "nbs" / "01_chap"
    folder.mkdir()
    tested = "#| test a\nassert 1 + 1 == 2"
    project.notebook("01_chap/02_page.ipynb", tested)
    project.notebook("mod.ipynb", *SETUP)  # another export leaves them alone
    assert project.export().returncode == 0
    tests = project.folder / "tests" / "test_chap_page.py"
    assert "Tests of the page nbs/01_chap/02_page.ipynb." in tests.read_text()
    assert not (project.folder / "toy" / "chap" / "page.py").exists()
    assert "1 passed" in project.pytest().stdout
    project.notebook("01_chap/02_page.ipynb", "1 + 1")  # the last test goes
    assert project.export().returncode == 0
    assert not tests.exists()


def test_a_claim_becomes_the_tests_docstring_and_no_code(project):
    claim = "#| claim: Twice: once, and once more,\n#| claim: is two.\n#| oracle: `x + x`\n"
    project.notebook("mod.ipynb", *SETUP, f"#| test a\n{claim}assert double(1) == 2")
    text = project.exported()
    assert "Twice: once, and once more, is two.\n\n    Oracle: `x + x`\n" in text
    assert "#|" not in text
    done = project._python("-c", "import tests.test_chap_mod as t; print(t.test_a.__doc__)")
    assert done.stdout.startswith("Twice: once")


def test_marks_become_pytest_marks(project):
    project.notebook(
        "mod.ipynb", *SETUP, "#| test a\n#| mark: gpu slow\nassert False", "#| test b\nassert True"
    )
    text = project.exported()
    assert "@pytest.mark.gpu\n@pytest.mark.slow\ndef test_a():" in text
    done = project.pytest("-m", "not slow")
    assert "1 passed, 1 deselected" in done.stdout


def test_a_cell_that_awaits_becomes_a_coroutine(project):
    project.notebook(
        "mod.ipynb",
        *SETUP,
        "#| test waits\nimport asyncio\nawait asyncio.sleep(0)\nassert double(1) == 2",
        "#| test fails\nimport asyncio\nawait asyncio.sleep(0)\nassert double(1) == 3",
        "#| test only_inside\nasync def later(): await asyncio.sleep(0)\n"
        "import asyncio\nassert double(2) == 4",
    )
    text = project.exported()
    assert "async def test_waits():" in text and "async def test_fails():" in text
    assert "\ndef test_only_inside():" in text
    assert "1 failed, 2 passed" in project.pytest("tests").stdout


def test_exercises_are_left_out_and_solutions_shared(project):
    project.notebook(
        "mod.ipynb",
        *SETUP,
        "#| exercise\ndef triple(x): ...",
        "#| solution\ndef triple(x): return x + double(x)",
        "#| test solution_triple\nassert triple(2) == 6",
    )
    text = project.exported()
    assert "..." not in text and "def triple(x): return x + double(x)" in text
    assert project.pytest().returncode == 0


def test_strings_that_span_lines_keep_their_text(project):
    project.notebook(
        "mod.ipynb",
        *SETUP,
        '#| test a\ns = """one\ntwo"""\nassert s == "one" + chr(10) + "two"\n'
        'if s:\n    t = f"""a\nb{s}"""\n    assert t[1] == chr(10)',
    )
    project.exported()
    assert project.pytest().returncode == 0


def test_a_failure_points_to_the_cell(project):
    project.notebook("mod.ipynb", *SETUP, "#| test wrong\nassert double(1) == 3")
    project.exported()
    assert "nbs/mod.ipynb, cell #cell0002" in project.pytest().stdout


def test_two_notebooks_cant_make_one_module(project):
    for name in ("a.ipynb", "b.ipynb"):
        project.notebook(name, *SETUP)
    assert "both export to 'chap.mod'" in project.export().stderr


RUNS = [  # a cell, and whether JupyterLab shows its source folded
    ("#| test a\nassert 1", False),
    ("#| test b\nassert 1", True),
    ("#| hide\nx = 1", True),  # no reader sees it between the tests
    ("#| test c\n#| mark: slow\nassert 1", True),
    ("x = 1", False),
    ("#| test d\nassert 1", False),
    ("# Text", False),
    ("#| test e\nassert 1", False),
    ("#| test f\nassert 1", True),
    ("#| draw\n#| alt: a line\nplot()", True),
    ("#| export\n#| fold: What is refused\ndef check(x): return x", True),
    ("#| test g\nassert 1", False),
    ("#| exercise\ndef h(): ...", False),
    ("#| solution\ndef h(): return 1", True),
    ("#| test solution_h\nassert h() == 1", True),
    ("#| test i\nassert 1", False),
]


def is_folded(cell) -> bool:
    return bool(cell.metadata.get("jupyter", {}).get("source_hidden"))


def test_a_run_of_tests_shows_its_first_and_answers_plumbing_and_drawing_are_folded(project):
    kinds = ["markdown" if source.startswith("# ") else "code" for source, _ in RUNS]
    cells = [mk_cell(source, kind) for (source, _), kind in zip(RUNS, kinds)]
    path = project.folder / "nbs" / "mod.ipynb"
    write_nb(new_nb(cells), path)
    tidy([path])
    assert [is_folded(cell) for cell in read_nb(path).cells] == [folded for _, folded in RUNS]


def test_folds_survive_nbdev_clean_and_go_with_their_reason(project):
    project.notebook("mod.ipynb", *SETUP, "#| solution\nx = 1", "x")
    path = project.folder / "nbs" / "mod.ipynb"
    tidy([path])
    setting = next(
        line
        for line in (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
        if line.startswith("allowed_cell_metadata_keys")
    )
    config = project.folder / "pyproject.toml"
    config.write_text(config.read_text().replace("[tool.nbdev]", f"[tool.nbdev]\n{setting}"))
    done = project._python("-c", "from nbdev.clean import nbdev_clean; nbdev_clean()")
    assert done.returncode == 0, done.stderr
    assert [is_folded(cell) for cell in read_nb(path).cells] == [False] * 3 + [True, False]
    notebook = read_nb(path)
    notebook.cells[3].source = "x = 1"
    write_nb(notebook, path)
    tidy([path])
    assert not any(is_folded(cell) for cell in read_nb(path).cells)


def test_cells_of_the_course_are_folded_as_tidy_folds_them():
    for path in sorted((ROOT / "nbs").rglob("*.ipynb")):
        cells = read_nb(path).cells
        folded = {cell.id for cell in folded_cells(cells)}
        for cell in cells:
            assert is_folded(cell) == (cell.id in folded), f"{path.name} #{cell.id}: run make save"


def test_the_tour_runs_in_a_terminal_and_says_what_a_figure_shows(project):
    project.notebook(
        "index.ipynb",
        "print(6 * 7)",
        "#| draw\n#| alt: A line that rises,\n#| alt: and falls.\n1 / 0",
        "#| exercise\n1 / 0",
        "print('the end')",
    )
    done = project._python("-m", "course_tools.export", "tour", "nbs/index.ipynb")
    assert done.returncode == 0, done.stdout + done.stderr
    said = " ".join(done.stdout.split())
    assert "Title" in said and "42 A figure" in said
    assert said.endswith("A line that rises, and falls. the end")


def test_needed_names_follow_pythons_scopes():
    assert needed_by("def f(a): return a + b\nc = [i for i in d]\nimport e\ne.x") == {"b", "d"}
    assert needed_by("class A:\n    x = 1\n    def g(self): return len(h)\nlambda z: z + A.x") == {
        "h"
    }
    assert needed_by("try: import m\nexcept ImportError: m = None\nprint(m, n)") == {"n"}


@pytest.fixture
def cells(tmp_path):
    "Two notebooks, in which two cells have ids that begin alike, and two have the same."
    for name, ids in (("one", ["abcd1234", "abcf0000", "5a5a5a5a"]), ("two", ["5a5a5a5a"])):
        made = [mk_cell(f"{name} {i}", "markdown", id=i) for i in ids]
        write_nb(new_nb(made), tmp_path / f"{name}.ipynb")
    return lambda text: where(text, [Path("one.ipynb"), Path("two.ipynb")], tmp_path)


@pytest.mark.parametrize("text", ["abcd1234", "#abcd1234", "abcd", " abcd ", "cell-abcd1234"])
def test_where_prints_the_cell_of_an_id_or_of_its_beginning(cells, text):
    assert cells(text) == "one.ipynb, cell 1 of 3, #abcd1234 (markdown)\n\none abcd1234"


def test_where_prints_both_cells_of_an_id_that_two_notebooks_have(cells):
    assert "one 5a5a5a5a\n\ntwo.ipynb, cell 1 of 1" in cells("5a5a")


@pytest.mark.parametrize(
    "text, message",
    [
        ("abc", "2 cells have an id that begins with 'abc':\none.ipynb, cell 1 of 3, #abcd1234"),
        ("zzz", "no cell of the course has the id 'zzz'"),
        ("", "which cell?"),
        ("#", "which cell?"),
    ],
)
def test_where_says_what_it_needs(cells, text, message):
    with pytest.raises(ValueError) as raised:
        cells(text)
    assert message in str(raised.value)


def test_the_command_where_names_a_notebook_of_the_course():
    def command(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "course_tools.export", *arguments],
            cwd=ROOT / "docs",
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        return done.stdout + done.stderr

    first = read_nb(ROOT / "nbs/index.ipynb").cells[0]
    place = f"nbs/index.ipynb, cell 1 of {len(read_nb(ROOT / 'nbs/index.ipynb').cells)}"
    assert command("where", first.id).startswith(place)
    assert "no cell of the course" in command("where", "nowhere")
    assert "one id at a time" in command("where", "a", "b")
    assert "usage:" in command("when")
