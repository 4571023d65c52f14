"""How notebooks become pages of the site: what is shown, what is folded, and what stands on top."""

import ast
import io
import json
import os
import re
from pathlib import Path
from urllib.parse import unquote

from fastcore.nbio import read_nb
from nbdev.config import get_config
from nbdev.process import NBProcessor, Processor

from course_tools.pictures import write
from course_tools.proved import claims_on
from course_tools.words import is_answer, later_tests, texts_of, without_number

WORDS_PER_MINUTE, LINES_PER_MINUTE = 200, 20  # of prose, and of code that is read with care


def slug(heading: str) -> str:
    "The anchor of a heading: GitHub's, which is also myst-parser's."
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


# Notebooks --------------------------------------------------------------------------------------


def only_imports(source: str) -> bool:
    try:
        return all(isinstance(n, (ast.Import, ast.ImportFrom)) for n in ast.parse(source).body)
    except SyntaxError:
        return False


def align(table: str) -> str:
    """A pandas table whose columns of words are marked, to stand at the left.

    Numbers stay at the right. The table's own style sheet goes.
    """
    rows = [
        re.findall(r"<t([hd])([^>]*)>(.*?)</t[hd]>", r, re.S)
        for r in re.findall(r"<tr.*?</tr>", table, re.S)
    ]
    width = max(map(len, rows), default=0)
    number = re.compile(
        r"\s*(|nan|NaN|—|[-−+±~≈]?[\d.,]+(e[-+]?\d+)?)\s*([%×x‰]|[a-zA-Zµ/²]{1,10}|\([^)]*\))?\s*"
    )
    words = {
        i
        for i in range(width)
        if any(
            len(r) == width
            and r[i][0] == "d"
            and not number.fullmatch(re.sub("<.*?>", "", r[i][2]))
            for r in rows
        )
    }

    def row(m):
        cells, at = re.findall(r"<t[hd][^>]*>.*?</t[hd]>", m[0], re.S), iter(range(width))
        if len(cells) != width:
            return m[0]
        return re.sub(
            r"<(t[hd])", lambda c: f'<{c[1]} class="words"' if next(at) in words else c[0], m[0]
        )

    return re.sub(
        r"<tr.*?</tr>", row, re.sub(r"<style scoped.*?</style>", "", table, flags=re.S), flags=re.S
    ).replace(' border="1"', "")


def smaller(png: str) -> str:
    """A figure (in base64) with at most 256 colors, at about a third of the weight.

    What was done once is kept in docs/_build/png.
    """
    import base64
    import hashlib

    kept = (
        get_config().config_path / "docs/_build/png" / hashlib.sha256(png.encode()).hexdigest()[:20]
    )
    if not kept.exists():
        from PIL import Image

        data = base64.b64decode(png)
        figure = Image.open(io.BytesIO(data)).convert("RGBA")
        for colors in (256, 64):  # the second for a picture that is still heavy
            figure.quantize(colors, Image.Quantize.FASTOCTREE).save(
                out := io.BytesIO(), "PNG", optimize=True
            )
            data = min(out.getvalue(), data, key=len)
            if len(data) < 60_000:
                break
        write(kept, data)
    return base64.b64encode(kept.read_bytes()).decode()


class DocProc(Processor):
    """Turns a notebook into one that myst-nb renders.

    What `#|` lines say becomes tags, labels and alt text, which docs/course_site.py and
    docs/_static/course.css know how to show.
    """

    def _hide_(self, cell):
        cell.source = None  # nbdev drops such cells

    def _default_exp_(self, cell, module):
        cell.source = None

    def _export_(self, cell, *_):
        self._mark_or_fold(cell, "export")

    def _given_(self, cell):
        self._mark_or_fold(cell, "given")

    def _mark_or_fold(self, cell, kind):
        "Code of a kind; imports alone are folded."
        if cell.source is None:  # hidden
            return
        if "fold" in cell.directives_:
            self._fold(cell, kind, self.folds[cell.id])
        elif only_imports(cell.source):
            self._fold(cell, kind, "Imports")
        else:
            self._mark(cell, kind)

    def _exercise_(self, cell):
        self._mark(cell, "exercise", "Your turn")

    def _alt_(self, cell, *_):
        cell.metadata.setdefault("mystnb", {})["image"] = {"alt": self.alts[cell.id]}

    def begin(self):
        answers = {id(c) for c in self.nb.cells if c.cell_type == "code" and is_answer(c)}
        self.of_answers = answers
        self.later = {id(cell) for cell in later_tests(self.nb.cells)}
        sources = {cell.id: cell.source for cell in read_nb(self.nb.path_).cells}
        self.alts = {name: texts_of(source).get("alt", "") for name, source in sources.items()}
        self.folds = {name: texts_of(source).get("fold", "") for name, source in sources.items()}

    def _test_(self, cell, name):
        marks = [
            {"gpu": "on a GPU", "net": "with a network", "slow": ""}[m]
            for m in cell.directives_.get("mark", "").replace(",", " ").split()
        ]
        label = " ".join(["Test:", name.replace("_", " "), *filter(None, marks)])
        if id(cell) in self.later or id(cell) in self.of_answers:
            self._fold(cell, "test", label)
            cell.metadata["course"]["later"] = id(cell) in self.later
        else:
            self._mark(cell, "test", label)

    def _fold_(self, cell, *_):
        "Plain code keeps its output in view; of the library and of set-up all is folded."
        if cell.source is None or {"export", "given"} & cell.directives_.keys():
            return
        self._mark(cell, "fold")
        cell.metadata["tags"].append("hide-input")
        label = self.folds[cell.id]
        prompts = {"code_prompt_show": label, "code_prompt_hide": label}
        cell.metadata.setdefault("mystnb", {}).update(prompts)

    def _draw_(self, cell):
        self._mark(cell, "draw")
        cell.metadata["tags"].append("hide-input")
        cell.metadata.setdefault("mystnb", {}).update(
            code_prompt_show="Show the code of the figure",
            code_prompt_hide="Hide the code of the figure",
        )

    def _solution_(self, cell):
        self._fold(cell, "solution", "Solution")

    def _fold(self, cell, tag, label):
        self._mark(cell, tag)
        cell.metadata["tags"].append("hide-cell")
        cell.metadata.setdefault("mystnb", {}).update(
            code_prompt_show=label, code_prompt_hide=label
        )

    def _mark(self, cell, tag, label=""):
        cell.metadata.setdefault("tags", []).append(tag)
        cell.metadata["course"] = {"label": label}

    def cell(self, cell):
        if cell.cell_type != "code" or cell.source is None:
            return
        if not cell.source.strip():
            cell.source = None
        cell.metadata.pop("jupyter", None)
        cell.metadata.setdefault("course", {"label": ""})["id"] = cell.id
        for out in cell.get(
            "outputs", []
        ):  # a figure that was drawn at twice the size, for sharp screens, says so
            data = out.get("data", {})
            if "image/png" in data:
                data["image/png"] = smaller(data["image/png"])
            if "<table" in data.get("text/html", ""):
                data["text/html"] = align(data["text/html"])
            size = out.get("metadata", {}).get("image/png", {})
            if "width" in size:
                cell.metadata.setdefault("mystnb", {}).setdefault("image", {})["width"] = (
                    f"{size['width']}px"
                )

    def end(self):
        self.nb.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}


class Page:
    "A notebook, read for the site."

    def __init__(self, path: Path, nbs: Path):
        self.path, rel = path, path.relative_to(nbs)
        self.number = path.stem.split("_")[0] if path.stem[0].isdigit() else ""
        self.chapter = without_number(rel.parts[0]) if len(rel.parts) > 1 else ""
        self.name = "tour" if rel.as_posix() == "index.ipynb" else without_number(path.stem)
        self.docname = f"{self.chapter}/{self.name}" if self.chapter else self.name
        cells = read_nb(path).cells
        first = next((c.source for c in cells if c.cell_type == "markdown"), "")
        title = re.search(r"^# (.+)$", first, re.M)
        if not title:
            raise ValueError(
                f"{path}: the first text cell needs a title, a line that starts with `# `"
            )
        subtitle = re.search(r"^> (.+)$", first, re.M)
        self.title, self.subtitle = title[1].strip(), subtitle[1].strip() if subtitle else ""
        code = [c for c in cells if c.cell_type == "code" and "hide" not in c.directives]
        self.claims = claims_on(cells)
        self.cells = [c.id for c in code]
        self.module = next(
            (
                c.directives["default_exp"]
                for c in cells
                if c.cell_type == "code" and "default_exp" in c.directives
            ),
            "",
        )
        words = sum(len(c.source.split()) for c in cells if c.cell_type == "markdown")
        self.minutes = max(
            1,
            round(
                words / WORDS_PER_MINUTE
                + sum(c.source.count("\n") + 1 for c in code) / LINES_PER_MINUTE
            ),
        )
        text = "\n".join(c.source for c in cells if c.cell_type == "code")
        self.imports = set(re.findall(r"from llm_course\.([\w.]+) import", text))
        self.figure = next(
            (
                o["data"]["image/png"]
                for c in code
                for o in c.get("outputs", [])
                if "image/png" in o.get("data", {})
            ),
            None,
        )

    def relative(self, docname: str) -> str:
        return os.path.relpath(docname, Path(self.docname).parent).replace(os.sep, "/")


def facts(page: Page, pages: list[Page], root: Path, repository: str) -> str:
    "The lines under a page's title: how long, what it needs, what comes next, and where to run it."
    at = pages.index(page)
    link = lambda p: f"[{p.title}]({page.relative(p.docname)}.ipynb)"
    needs = [link(p) for p in pages[:at] if p.module in page.imports and p.module != page.module]
    source = page.path.relative_to(root).as_posix()
    file = os.path.relpath(page.path, (root / "docs/_build/src" / page.docname).parent)
    lab = f"http://localhost:8888/lab/tree/{source}"
    run = [
        f"{{download}}`Download the notebook <{file}>`",
        f'[Open in JupyterLab]({lab} "Opens in the JupyterLab that `make lab` started")',
    ]
    if repository:
        run.append(
            f"[Open in Colab](https://colab.research.google.com/github/{repository.split('github.com/')[-1]}/{source})"
        )
    lines = [f"**{page.minutes} minutes** to read"] + (
        [f"needs {', '.join(needs)}"] if needs else []
    )
    if at + 1 < len(pages):
        lines.append(f"next: {link(pages[at + 1])}")
    return f":::{{div}} page-facts\n{' · '.join(lines)}\n\n{' · '.join(run)}\n:::"


def render(page: Page, pages: list[Page], root: Path, repository: str) -> str:
    "The notebook as JSON for myst-nb."
    proc = NBProcessor(page.path, DocProc)
    proc.process()
    at, seen = {p.path: p for p in pages}, False

    def link(m):
        "A link to another notebook, as a link to its page."
        target = (page.path.parent / unquote(m[1])).resolve() if m[1] else page.path
        if target not in at:
            return m[0]
        path = page.relative(at[target].docname) + ".ipynb" if m[1] else ""
        return f"]({path}{'#' + slug(unquote(m[2][1:]).replace('-', ' ')) if m[2] else ''})"

    for cell in proc.nb.cells:
        if cell.cell_type != "markdown":
            continue
        cell.source = re.sub(r"\]\(([^)\s#:]+\.ipynb)?(#[^)\s]+)?\)", link, cell.source)
        if not seen and (m := re.search(r"^# .+\n+(> .+\n?)*", cell.source, re.M)):
            lines = facts(page, pages, root, repository)
            cell.source = f"{cell.source[: m.end()]}\n\n{lines}\n\n{cell.source[m.end() :]}"
            seen = True
    cells = [{k: v for k, v in c.items() if not k.endswith("_")} for c in proc.nb.cells]
    return json.dumps(
        {"cells": cells, "metadata": proc.nb.metadata, "nbformat": 4, "nbformat_minor": 5},
        ensure_ascii=False,
        indent=1,
    )
