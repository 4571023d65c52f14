"""Lay out a new page of the course, with everything that the checks ask for.

python -m course_tools.new_page agents/planning

Writes the notebook after the chapter's last one, gives its module the highest place among the
chapter's layers in pyproject.toml, and links the page in the README. What it says is yours to
replace: the page runs, exports and passes its tests as it is.
"""

from __future__ import annotations

import json
import keyword
import re
import sys
from pathlib import Path
from typing import NamedTuple

from llm_course.core import atomic_write

ROOT = Path(__file__).resolve().parents[1]

SETUP = """\
#| hide
import matplotlib.pyplot as plt
from matplotlib_inline.backend_inline import set_matplotlib_formats

from course_tools.diagrams import arrow, box, canvas
from course_tools.exercises import check
from llm_course.core import settings

full = settings.budget == "full"
plt.style.use("course_tools.course")
set_matplotlib_formats("retina")
plt.rcParams["figure.dpi"] = 72
"""
PICTURE = """\
#| draw
#| alt: Two boxes, what goes in and what comes out, with an arrow from the first to the second.
canvas(20, 4)
goes_in = box(1, 1, 7, 2, "what goes in")
comes_out = box(12, 1, 7, 2, "what comes out")
arrow(goes_in, comes_out)
plt.show()
"""
LIBRARY = """\
#| export
def share(part: int, whole: int) -> float:
    "How much of the whole the part is. Raises `ValueError` where there is no whole."
    if whole <= 0:
        raise ValueError(f"a whole is 1 or more, got {whole}; count it before the part")
    return part / whole
"""
TEST = """\
#| test a_part_is_a_share_of_its_whole
assert share(1, 4) == 0.25
assert share(4, 4) == 1.0
"""


class Place(NamedTuple):
    "Where a page goes."

    chapter: str  # "agents"
    name: str  # "planning"
    notebook: Path


def place(given: str, root: Path = ROOT) -> Place:
    "The place of `chapter/name`. Raises `ValueError` for one that can't be."
    folders = {p.name.split("_", 1)[1]: p for p in sorted((root / "nbs").glob("[0-9]*_*/"))}
    chapter, slash, name = given.partition("/")
    if not slash or chapter not in folders:
        raise ValueError(
            f"a page is named chapter/name, with a chapter of {', '.join(folders)}; got {given!r}"
        )
    if not re.fullmatch(r"[a-z][a-z_]*", name) or keyword.iskeyword(name):
        raise ValueError(
            f"a page's name becomes a module's: small letters and _, no word of Python's; "
            f"got {name!r}"
        )
    pages = sorted(folders[chapter].glob("[0-9][0-9]_*.ipynb"))
    if taken := [p for p in pages if p.stem[3:] == name]:
        raise ValueError(f"{taken[0].relative_to(root)} is there already: choose another name")
    number = int(pages[-1].stem[:2]) + 1 if pages else 1
    return Place(chapter, name, folders[chapter] / f"{number:02}_{name}.ipynb")


def exercise(number: int, name: str) -> list[tuple[str, str]]:
    "Text, stub, solution and test of an exercise."
    text = f"{number}\\. Say what is asked.\n\n*Difficulty {number}, ten minutes.*"
    if number == 1:
        text = f"## Exercises\n\n{text}"
    call = f'def {name}(part: int, whole: int) -> float:\n    "What it returns."\n'
    return [
        ("markdown", text),
        ("code", f"#| exercise\n{call}    ...\n\n\ncheck({name})\n"),
        ("code", f"#| solution\n{call}    return {number} * part / whole\n"),
        (
            "code",
            f"#| test solution_{name}\n#| hide\nyours = {name}(1, 4)\n"
            'assert yours is not None, "it returns None"\n'
            f'assert yours == {number} / 4, f"1 of 4: {number / 4}, yours: {{yours}}"\n',
        ),
    ]


def cells(where: Place) -> list[tuple[str, str]]:
    "Kind and source of each cell."
    title = where.name.replace("_", " ").capitalize()
    return [
        (
            "markdown",
            f"# {title}\n\n> One line: what the page is about.\n\n"
            "Why does a reader want to know? Say what is built on this page, and what it shows.\n\n"
            "`b` rows · `t` tokens",
        ),
        ("code", f"#| default_exp {where.chapter}.{where.name}"),
        ("code", SETUP),
        ("markdown", "## The idea\n\nIn plain words, and as a picture before any code:"),
        ("code", PICTURE),
        ("markdown", "The smallest version, in a few lines:"),
        ("code", LIBRARY),
        ("code", "share(1, 4)"),
        ("markdown", "## Tests\n\nWhat the page claims, proved:"),
        ("code", TEST),
        *exercise(1, "once"),
        *exercise(2, "twice"),
        *exercise(3, "thrice"),
        ("markdown", "## Summary\n\n- What an output of this page bears, and no more."),
    ]


def notebook(where: Place) -> str:
    "The notebook as a file holds it."
    made = []
    for i, (kind, source) in enumerate(cells(where)):
        cell = {"cell_type": kind, "id": f"{where.name[:8]}-{i:02}", "metadata": {}}
        cell["source"] = source.rstrip("\n").splitlines(keepends=True)
        made.append(cell | ({"execution_count": None, "outputs": []} if kind == "code" else {}))
    spec = {"display_name": "python3", "language": "python", "name": "python3"}
    whole = {"cells": made, "metadata": {"kernelspec": spec}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def with_layer(pyproject: str, where: Place) -> str:
    "pyproject.toml with the page's module above the chapter's others."
    container = f'containers = ["llm_course.{where.chapter}"]\n'
    head = f"{container}layers = [\n"
    if pyproject.count(head) != 1:
        raise ValueError(f"pyproject.toml has no list of layers after {container.strip()}")
    before, after = pyproject.split(head)
    is_optional = after.lstrip().startswith('"(')  # a layer in brackets may be missing
    layer = f'    "({where.name})",\n' if is_optional else f'    "{where.name}",\n'
    return before + head + layer + after


def with_link(readme: str, where: Place) -> str:
    "The README with the page in its chapter's row of the map."
    folder = where.notebook.parent.name
    rows = [
        line for line in readme.splitlines() if line.startswith("|") and f"nbs/{folder}/" in line
    ]
    if len(rows) != 1:
        raise ValueError(f"README.md has {len(rows)} rows of pages in nbs/{folder}, not one")
    row = rows[0].removesuffix("|").rstrip()
    link = f"[{where.name.replace('_', ' ')}](nbs/{folder}/{where.notebook.name})"
    return readme.replace(rows[0], f"{row} · {link} |")


def make(given: str, root: Path = ROOT) -> Place:
    "Lays out the page `chapter/name`. Raises `ValueError`, and then nothing was written."
    where = place(given, root)
    texts = {
        root / "pyproject.toml": with_layer(read(root / "pyproject.toml"), where),
        root / "README.md": with_link(read(root / "README.md"), where),
        where.notebook: notebook(where),
    }
    for path, text in texts.items():
        with atomic_write(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return where


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def main(given: list[str]) -> None:
    if len(given) != 1:
        sys.exit("name one page: make page agents/planning")
    try:
        where = make(given[0])
    except ValueError as error:
        sys.exit(str(error))
    path = where.notebook.relative_to(ROOT)
    print(f"{path} is laid out, with a layer in pyproject.toml and a link in README.md.")
    print("Write it in JupyterLab (make lab). Then: make export, make save, make test.")


if __name__ == "__main__":
    main(sys.argv[1:])
