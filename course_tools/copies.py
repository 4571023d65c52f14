"""Copies of the notebooks to work in: without answers, never written over the reader's work.

Each copy keeps a digest of the text of its cells, as it was written. A copy whose cells still say
the same was at most run: it may be renewed. Any other is the reader's, and stays.
"""

import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

from fastcore.nbio import nb2str, read_nb

from course_tools.export import bound_in, is_answer, needed_by

LINK = re.compile(r"\]\((?!#|[a-z][\w+.-]*:)([^)\s#]+)((?:#[^)\s]*)?)\)")  # no address of the web


@dataclass
class Report:
    "What became of each page, as paths inside the folder."

    new: list[str] = field(default_factory=list)
    renewed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)  # the reader changed them
    same: list[str] = field(default_factory=list)


# One page ---------------------------------------------------------------------------------------


def names(find, source: str) -> set[str]:
    "The names that `find` sees in a cell; none where the cell isn't plain Python."
    try:
        return find(source)
    except SyntaxError:
        return set()


def without_answers(cells: Iterable) -> Iterator:
    "The cells of a page without its solutions, and without what solutions put into outputs."
    answered: set[str] = set()  # names that a solution gave a meaning
    for cell in cells:
        if cell.cell_type != "code":
            yield cell
            continue
        if is_answer(cell):
            answered |= names(bound_in, cell.source)
            continue
        shows_answer = answered & names(needed_by, cell.source)
        if "exercise" in cell.directives or shows_answer:
            cell.outputs = []
        yield cell


def with_links_from(text: str, page: Path, copy: Path, notebooks: Path) -> str:
    "A page's text, in which links to files that aren't copied lead there from the copy's place."

    def link(found: re.Match) -> str:
        target = (page.parent / unquote(found[1])).resolve()
        if target.is_relative_to(notebooks) or not target.exists():
            return found[0]
        path = Path(os.path.relpath(target, copy.parent)).as_posix()
        return f"]({quote(path)}{found[2]})"

    return LINK.sub(link, text)


def digest(cells: Iterable) -> str:
    "What the text of all cells comes to, however often they were run."
    said = [[cell["cell_type"], "".join(cell["source"])] for cell in cells]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def copy_of(page: Path, copy: Path, notebooks: Path) -> str:
    "The text of the copy of a page, to be written to the path `copy`."
    notebook = read_nb(page)
    notebook.cells = list(without_answers(notebook.cells))
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = with_links_from(cell.source, page, copy, notebooks)
    notebook.metadata["course"] = {"digest": digest(notebook.cells)}
    return nb2str(notebook)


# The folder -------------------------------------------------------------------------------------


def is_readers(copy: Path) -> bool:
    "Whether the reader changed the file at `copy`, or it never was a copy of ours."
    try:
        notebook = json.loads(copy.read_text(encoding="utf-8"))
        return digest(notebook["cells"]) != notebook["metadata"]["course"]["digest"]
    except (ValueError, KeyError, TypeError):
        return True


def says_the_same(copy: Path, text: str) -> bool:
    "Whether a copy that the reader left as it was needs no renewal."
    old, new = json.loads(copy.read_text(encoding="utf-8")), json.loads(text)
    return old["metadata"]["course"] == new["metadata"]["course"]


def write_whole(path: Path, text: str) -> None:
    "Write a file under a temporary name, and rename it: it is there whole, or not at all."
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_copies(folder: Path, notebooks: Path) -> Report:
    """What was done to bring a copy of each notebook into `folder`.

    Raises `ValueError` where `folder` is a file, or holds the course's own notebooks.
    """
    folder, notebooks = folder.resolve(), notebooks.resolve()
    if folder.is_relative_to(notebooks):
        raise ValueError(f"{folder} belongs to the course: name a folder outside of {notebooks}")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: name a folder, or a name that is still free")
    report = Report()
    for page in sorted(notebooks.rglob("*.ipynb")):
        place = page.relative_to(notebooks)
        if any(part.startswith((".", "_")) for part in place.parts):
            continue
        copy = folder / place
        text = copy_of(page, copy, notebooks)
        if not copy.exists():
            report.new.append(place.as_posix())
        elif is_readers(copy):
            report.kept.append(place.as_posix())
            continue
        elif says_the_same(copy, text):
            report.same.append(place.as_posix())
            continue
        else:
            report.renewed.append(place.as_posix())
        write_whole(copy, text)
    return report


def told(report: Report, folder: Path) -> str:
    "The report, in words."
    lines = []
    if report.new and not (report.kept or report.same or report.renewed):
        lines.append(f"{len(report.new)} notebooks without solutions")
    else:
        lines += [f"new:      {name}" for name in report.new]
    lines += [f"renewed:  {name} (the course's page is newer)" for name in report.renewed]
    lines += [f"kept:     {name} (you changed it)" for name in report.kept]
    if report.kept:
        lines.append("To get a page of the course again, rename yours, and repeat the command.")
    if not lines:
        lines.append("nothing to do, every page is as in the course")
    return f"{folder}{os.sep}\n" + "\n".join(f"  {line}" for line in lines)
