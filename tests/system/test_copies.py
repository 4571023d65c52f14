"""`make exercises`: copies of the notebooks without answers, which never cost the reader a word."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fastcore.nbio import mk_cell, new_nb, read_nb, write_nb

from course_tools.copies import write_copies

ROOT = Path(__file__).resolve().parents[2]
PAGE = [
    ("markdown", "# Numbers\n\n[words](words.ipynb#more) [how](../README.md#how) [x](x.md)"),
    ("code", "base = 3\nbase"),
    ("markdown", "## Exercises\n\n1. *Difficulty 1, two minutes.* Write `triple`."),
    ("code", "#| exercise\ndef triple(x):\n    ...\n\n\ncheck(triple)"),
    ("code", "#| solution\ndef triple(x):\n    return base * x"),
    ("code", "#| test solution_triple\nassert triple(2) == 6"),
    ("code", "[triple(n) for n in range(3)]"),
    ("code", "#| test base_is_three\nassert base == 3"),
]
SAID = "what a cell said"


def page(*more: tuple[str, str]):
    cells = []
    for i, (kind, source) in enumerate([*PAGE, *more]):
        cell = mk_cell(source, kind, id=f"cell{i:04d}")
        if kind == "code":
            cell.outputs = [{"output_type": "stream", "name": "stdout", "text": f"{SAID} {i}"}]
        cells.append(cell)
    return new_nb(cells)


@pytest.fixture
def course(tmp_path):
    "A course of two pages, in the folder `nbs`."
    notebooks = tmp_path / "nbs"
    (notebooks / "01_first").mkdir(parents=True)
    (notebooks / ".ipynb_checkpoints").mkdir()
    (tmp_path / "nbs" / "README.md").write_text("never copied")
    (tmp_path / "README.md").write_text("never copied")
    write_nb(page(), notebooks / "01_first" / "numbers.ipynb")
    write_nb(page(), notebooks / "index.ipynb")
    write_nb(page(), notebooks / ".ipynb_checkpoints" / "index-checkpoint.ipynb")
    return notebooks


def sources(path: Path) -> list[str]:
    return [cell.source for cell in read_nb(path).cells]


def test_solutions_and_their_tests_are_left_out_the_rest_stays_in_order(course, tmp_path):
    write_copies(tmp_path / "mine", course)
    expected = [source for _, source in PAGE]
    del expected[4:6]
    assert sources(tmp_path / "mine/01_first/numbers.ipynb") == expected
    assert len(list((tmp_path / "mine").rglob("*"))) == 3  # a folder and two pages


def test_no_output_shows_what_a_solution_gave(course, tmp_path):
    write_copies(tmp_path / "mine", course)
    cells = read_nb(tmp_path / "mine/index.ipynb").cells
    said = [bool(cell.get("outputs")) for cell in cells if cell.cell_type == "code"]
    assert said == [True, False, False, True]  # base, the stub, what uses triple, a test


@pytest.mark.parametrize("folder", ["mine", "deep/down/mine"])
def test_links_lead_where_they_led(course, tmp_path, folder):
    write_copies(tmp_path / folder, course)
    text = sources(tmp_path / folder / "index.ipynb")[0]
    assert "[words](words.ipynb#more)" in text
    assert "[x](x.md)" in text  # leads nowhere, here as there
    link = text.split("[how](")[1].split("#how)")[0]
    assert (tmp_path / folder / link).resolve() == tmp_path / "README.md"


def test_a_second_time_nothing_is_written(course, tmp_path):
    write_copies(tmp_path / "mine", course)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "mine").rglob("*.ipynb")}
    report = write_copies(tmp_path / "mine", course)
    assert report.same == ["01_first/numbers.ipynb", "index.ipynb"]
    assert before == {p: p.stat().st_mtime_ns for p in before}


def run_in_the_editor(path: Path, change=lambda notebook: None):
    "What JupyterLab does to a file: other spacing, numbers, outputs, metadata; and `change`."
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
        cell["metadata"]["trusted"] = True
        if cell["cell_type"] == "code":
            cell["execution_count"], cell["outputs"] = 7, []
    change(notebook)
    path.write_text(json.dumps(notebook, indent=2), encoding="utf-8")


def answer(notebook):
    notebook["cells"][3]["source"] = "#| exercise\ndef triple(x): return 3 * x"


def test_what_the_reader_wrote_stays_and_is_named(course, tmp_path):
    write_copies(tmp_path / "mine", course)
    mine = tmp_path / "mine/01_first/numbers.ipynb"
    run_in_the_editor(mine, answer)
    written = mine.read_bytes()
    write_nb(page(("markdown", "More.")), course / "01_first/numbers.ipynb")
    report = write_copies(tmp_path / "mine", course)
    assert mine.read_bytes() == written
    assert report.kept == ["01_first/numbers.ipynb"]


@pytest.mark.parametrize(
    "change",
    [
        lambda nb: nb["cells"].append({"cell_type": "markdown", "metadata": {}, "source": "Mine."}),
        lambda nb: nb["cells"].pop(1),
        lambda nb: nb["cells"].reverse(),
        lambda nb: nb["cells"][1].update(cell_type="markdown"),
        lambda nb: nb["metadata"].pop("course"),
    ],
)
def test_any_change_makes_a_page_the_readers(course, tmp_path, change):
    write_copies(tmp_path / "mine", course)
    run_in_the_editor(tmp_path / "mine/index.ipynb", change)
    assert write_copies(tmp_path / "mine", course).kept == ["index.ipynb"]


@pytest.mark.parametrize("text", ["", "my notes", "{", "[]", '{"cells": 3, "metadata": {}}'])
def test_a_file_that_was_there_before_stays(course, tmp_path, text):
    mine = tmp_path / "mine/index.ipynb"
    mine.parent.mkdir()
    mine.write_text(text, encoding="utf-8")
    assert write_copies(tmp_path / "mine", course).kept == ["index.ipynb"]
    assert mine.read_text(encoding="utf-8") == text


def test_a_page_that_was_only_run_is_renewed_and_new_pages_come(course, tmp_path):
    write_copies(tmp_path / "mine", course)
    run_in_the_editor(tmp_path / "mine/index.ipynb")
    assert write_copies(tmp_path / "mine", course).same == ["01_first/numbers.ipynb", "index.ipynb"]
    write_nb(page(("markdown", "More.")), course / "index.ipynb")
    write_nb(page(), course / "01_first/words.ipynb")
    report = write_copies(tmp_path / "mine", course)
    assert report.renewed == ["index.ipynb"]
    assert report.new == ["01_first/words.ipynb"]
    assert sources(tmp_path / "mine/index.ipynb")[-1] == "More."


def test_a_write_that_fails_leaves_the_old_page_whole(course, tmp_path, monkeypatch):
    write_copies(tmp_path / "mine", course)
    mine = tmp_path / "mine/index.ipynb"
    before = mine.read_bytes()
    write_nb(page(("markdown", "More.")), course / "index.ipynb")

    def fail(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        write_copies(tmp_path / "mine", course)
    assert mine.read_bytes() == before
    assert [p.name for p in mine.parent.iterdir() if p.is_file()] == ["index.ipynb"]


def test_folders_that_cant_be_meant_are_errors(course, tmp_path):
    for folder in (course, course / "01_first", course / "mine"):
        with pytest.raises(ValueError, match="belongs to the course"):
            write_copies(folder, course)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="is a file"):
        write_copies(tmp_path / "file", course)


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "course_tools.exercises", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


def test_the_command_copies_the_course_and_says_what_it_did(tmp_path):
    folder = tmp_path / "mine"
    assert "notebooks without solutions" in command(str(folder)).stdout
    run_in_the_editor(folder / "index.ipynb", lambda nb: nb["cells"].pop())
    assert "kept:     index.ipynb (you changed it)" in command(str(folder)).stdout
    for path in folder.rglob("*.ipynb"):
        for cell in read_nb(path).cells:
            assert "#| solution" not in cell.source, path.name
            if cell.cell_type == "code" and "exercise" in cell.directives:
                assert not cell.outputs, path.name
    assert command("a", "b").returncode != 0
    assert "usage: " in command("--help").stderr
    assert "belongs to the course" in command("nbs").stderr


def test_check_works_in_a_copy(tmp_path):
    "An exercise in a copy's own folder, run by a shell like its kernel."
    folder = tmp_path / "mine"
    command(str(folder))
    copy = folder / "01_transformers/02_attention.ipynb"
    stub = "#| exercise\ndef effective_keys(weights):\n    ...\n\n\ncheck(effective_keys)"
    driver = (
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance()\n"
        "shell.run_cell('from course_tools.exercises import check', store_history=True)\n"
        f"shell.run_cell({stub!r}, store_history=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", driver],
        cwd=copy.parent,
        env=os.environ | {"PYTHONPATH": str(ROOT), "IPYTHONDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert "effective_keys: not yet. First it must hold that" in done.stdout, done.stderr
