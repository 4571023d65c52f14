"""How notebooks become pages: the doc processor, and the API reference read from the exported modules.

Imported by the site's build only (`export.py`, its neighbour, is about tests). Nothing is executed, and the
library isn't imported: signatures, shapes and comments are read from its source, as written there.

    python -m course_tools.site docs/pages docs/_build/src     stage what Sphinx reads
    python -m course_tools.site serve docs/_build/html [PORT]  look at the built site
"""

import ast
import io
import json
import os
import re
import sys
import tokenize
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from urllib.parse import unquote

from fastcore.docments import _clean_comment
from fastcore.nbio import read_nb
from nbdev.config import get_config
from nbdev.doclinks import nbglob
from nbdev.process import NBProcessor, Processor

from course_tools.export import is_answer, later_tests, modules_of
from course_tools.proved import Proved, claims_on, tables

# What a chapter is called where no page in docs/pages introduces it yet; the folder's number gives the order.
CHAPTERS = {
    "transformers": (
        "Transformers",
        "From text to tokens, from tokens to attention, and on to a model that answers, fast.",
    ),
    "training": ("Training", "Pre-train, fine-tune, and learn from preferences and rewards."),
    "evaluation": (
        "Evaluation",
        "Perplexity, BLEU, ROUGE and benchmarks: what a number says, and what it doesn't.",
    ),
    "compression": (
        "Compression",
        "Fewer bits and smaller models: quantization, quantization-aware training, distillation.",
    ),
    "inference": ("Inference", "Speculative decoding, repetition, and a server."),
    "prompting": ("Prompting", "Sampling, shots, and reasoning in steps."),
    "agents": ("Agents", "Tools, memory, workflows and teams."),
}
WORDS_PER_MINUTE, LINES_PER_MINUTE = 200, 20  # of prose, and of code that is read with care


def slug(heading: str) -> str:
    "The anchor of a heading: GitHub's, which is also myst-parser's."
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def chapter_of(folder: str) -> str:
    "A chapter's name without the number that orders it."
    return re.sub(r"^\d+_", "", folder)


# The API, read from the library's source ------------------------------------------------------------------------------


@cache
def lines_of(source: str) -> list[bytes]:
    return source.encode().splitlines()


@cache
def comments_of(source: str) -> dict[int, str]:
    "The comments of a module, by line."
    return {
        t.start[0]: _clean_comment(t.string)
        for t in tokenize.generate_tokens(io.StringIO(source).readline)
        if t.type == tokenize.COMMENT
    }


@dataclass
class Symbol:
    "A function, class or value that a module exports, or a method of such a class."

    module: str  # llm_course.transformers.attention
    name: str  # MultiHeadAttention or MultiHeadAttention.forward
    node: ast.AST
    source: str  # of the module
    cell: str = ""  # id of the notebook's cell that holds it
    members: list = field(default_factory=list)  # of a class: methods and attributes

    @property
    def full(self) -> str:
        return f"{self.module}.{self.name}"

    @property
    def kind(self) -> str:
        if isinstance(self.node, ast.ClassDef):
            return "class"
        if not isinstance(self.node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return "data"
        if "." not in self.name:
            return "function"
        kinds = {
            "property": "property",
            "cached_property": "property",
            "staticmethod": "staticmethod",
            "classmethod": "classmethod",
        }
        return next(
            (
                kinds[d.id]
                for d in self.node.decorator_list
                if isinstance(d, ast.Name) and d.id in kinds
            ),
            "method",
        )

    @property
    def doc(self) -> str:
        return "" if self.kind == "data" else ast.get_docstring(self.node) or ""

    @property
    def callee(self) -> ast.FunctionDef | None:
        "The function whose parameters are the symbol's: for a class, its `__init__`."
        if self.kind != "class":
            return None if self.kind in ("data", "property") else self.node
        return next(
            (n for n in self.node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"),
            None,
        )

    @property
    def is_dataclass(self) -> bool:
        return self.kind == "class" and any(
            "dataclass" in ast.unparse(d) for d in self.node.decorator_list
        )

    @property
    def comments(self) -> dict[int, str]:
        return comments_of(self.source)

    def _text(self, node) -> str:
        "The source of a part of the symbol, on one line."
        if node is None:
            return ""
        lines = lines_of(self.source)[node.lineno - 1 : node.end_lineno]
        lines[-1] = lines[-1][: node.end_col_offset]  # ast counts bytes, so these are bytes
        lines[0] = lines[0][node.col_offset :]
        return re.sub(r"\s+", " ", b"\n".join(lines).decode())

    @cached_property
    def parameters(self) -> list[tuple[str, str, str, str]]:
        "Name, type, default and comment of each parameter; of a dataclass, of each field. A lone `*` stands for itself."
        if self.is_dataclass:
            fields = [n for n in self.node.body if isinstance(n, ast.AnnAssign)]
            return [
                (n.target.id, self._text(n.annotation), self._text(n.value), self._comment(n, n))
                for n in fields
            ]
        if self.callee is None:
            return []
        a = self.callee.args
        plain = a.posonlyargs + a.args
        defaults = [None] * (len(plain) - len(a.defaults)) + a.defaults
        rows = [("", p, d) for p, d in zip(plain, defaults)]
        if "." in self.name and self.kind != "staticmethod" or self.kind == "class":
            rows = rows[1:]  # self, cls
        if a.vararg:
            rows.append(("*", a.vararg, None))
        elif a.kwonlyargs:
            rows.append(("*", None, None))
        rows += [("", p, d) for p, d in zip(a.kwonlyargs, a.kw_defaults)]
        if a.kwarg:
            rows.append(("**", a.kwarg, None))
        nodes = [p for _, p, _ in rows if p is not None]
        last = {
            p.end_lineno: p for p in nodes
        }  # a comment beside several parameters belongs to the last of them
        return [
            (
                star + (p.arg if p else ""),
                self._text(p.annotation) if p else "",
                self._text(d),
                self._comment(p, d or p) if p is not None and last[p.end_lineno] is p else "",
            )
            for star, p, d in rows
        ]

    def _comment(self, first, last) -> str:
        "The comment at the end of the last line, or else alone on the lines before the first."
        lines = lines_of(self.source)
        if last.end_lineno in self.comments:
            return self.comments[last.end_lineno]
        above, n = [], first.lineno - 1
        while n in self.comments and lines[n - 1].lstrip().startswith(b"#"):
            above.insert(0, self.comments[n])
            n -= 1
        return " ".join(above)

    @property
    def returns(self) -> tuple[str, str]:
        "Type of what is returned, and the comment beside it."
        if self.kind in ("class", "data"):
            return "", ""
        r = self.node.returns
        return self._text(r), self.comments.get(
            r.end_lineno, ""
        ) if r and self.kind != "property" else ""

    @property
    def signature(self) -> str:
        def one(name, kind, default, _):
            return (
                name
                + (f": {kind}" if kind else "")
                + ((" = " if kind else "=") + default if default else "")
            )

        if self.kind in ("data", "property"):
            return ""
        returns = self.returns[0]
        return f"({', '.join(one(*p) for p in self.parameters)})" + (
            f" -> {returns}" if returns else ""
        )


def read_module(path: Path, module: str) -> tuple[str, list[Symbol]]:
    "A module's docstring, and the symbols in its `__all__`, in the order in which they stand there."
    source = path.read_text(encoding="utf-8")
    tree, found, cell_of, cell = ast.parse(source), {}, {}, ""
    for n, line in enumerate(source.splitlines(), 1):
        if m := re.match(r"# %% \S+\.ipynb #(\S+)", line):
            cell = m[1]
        cell_of[n] = cell
    exported = next(
        (
            ast.literal_eval(n.value)
            for n in tree.body
            if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "__all__"
        ),
        [],
    )
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names = [node.name]
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            names = [
                t.id
                for t in (node.targets if isinstance(node, ast.Assign) else [node.target])
                if isinstance(t, ast.Name)
            ]
        else:
            continue
        for name in names:
            if name not in exported:
                continue
            found[name] = s = Symbol(module, name, node, source, cell_of[node.lineno])
            if s.kind == "class":
                s.members = [
                    Symbol(module, f"{name}.{n.name}", n, source, s.cell)
                    for n in node.body
                    if isinstance(n, ast.FunctionDef)
                    and (not n.name.startswith("_") or n.name in ("__call__", "__len__"))
                    and ast.get_docstring(n)
                ]
    return ast.get_docstring(tree) or "", list(found.values())


def attributes(symbol: Symbol) -> set[str]:
    "The names that may follow a class and a dot: methods, fields, and what its methods assign to `self`."
    own = {n.name for n in symbol.node.body if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    for n in ast.walk(symbol.node):
        if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id == "self":
            own.add(n.attr)
        elif isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name):
            own.add(n.target.id)
    return own


class Library:
    "Everything that the course exports, and what a name in backticks means."

    def __init__(self, root: Path, modules: dict[str, Path]):
        self.docs, self.symbols, self.order = {}, {}, list(modules)
        for module in modules:
            full = f"{root.name}.{module}"
            path = root.joinpath(*module.split(".")).with_suffix(".py")
            if not path.exists():
                continue  # not exported yet
            self.docs[full], self.symbols[full] = read_module(path, full)
        self.package = root.name
        self.names = {}  # every name that can be linked -> the symbols that have it
        for found in self.symbols.values():
            for s in found:
                for x in (s, *s.members):
                    self.names.setdefault(x.name, []).append(x)
        self.chapters = {m.rsplit(".", 1)[0] for m in self.docs if m.count(".") > 1}

    def resolve(self, text: str, module: str = "") -> tuple[str, str] | None:
        """What `text` in backticks, on the page of `module`, links to: a module or a symbol with its full name.
        None if it is none of our names; raises `ValueError` if it claims to be one, and isn't."""
        name = re.sub(r"\(.*\)$", "", text, flags=re.S)
        if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", name):
            return None
        ours = name.startswith(self.package + ".")
        full = name if ours else f"{self.package}.{name}"
        if full == self.package or full in self.chapters:
            return None
        if full in self.docs:
            return ("module", full) if ours or "." in name else None
        if "." in name and (m := next((m for m in self.docs if full.startswith(m + ".")), None)):
            name, candidates = full[len(m) + 1 :], [m]
        elif ours:
            raise ValueError(f"`{text}` is in no module of the course")
        else:
            candidates = sorted(
                self.docs,
                key=lambda m: (
                    m != f"{self.package}.{module}",
                    self.order.index(m[len(self.package) + 1 :]),
                ),
            )
        found = {s.module: s for s in self.names.get(name, [])}
        for m in candidates:
            if m in found:
                return "symbol", found[m].full
        owner, _, attribute = name.rpartition(".")
        for m in candidates:
            for s in self.symbols[m]:
                if s.name != owner or s.kind != "class":
                    continue
                if attribute in attributes(s) or not s.doc:
                    return "symbol", s.full
                if s.node.bases:
                    return None  # perhaps inherited
                raise ValueError(f"`{text}`: the class {s.full} has no {attribute}")
        if len(candidates) == 1:
            raise ValueError(f"`{text}`: the module {candidates[0]} exports no {name}")
        return None


# The pages of the API -------------------------------------------------------------------------------------------------


def _code(text: str) -> str:
    "Inline code that survives a table."
    return f"``` {text} ```".replace("|", "\\|") if text else ""


def _details(s: Symbol) -> list[str]:
    "What stands below a signature: docstring, parameters, and what is returned."
    out = [s.doc, ""]
    rows = [(n, t, d, c) for n, t, d, c in s.parameters if n != "*"]
    value, note = s.returns
    if any(r[3] for r in rows) or note:
        out += [
            ":::{table}",
            ":class: parameters",
            "",
            "| parameter | type | default | |",
            "|---|---|---|---|",
        ]
        out += [f"| {_code(n)} | {_code(t)} | {_code(d)} | {c} |" for n, t, d, c in rows]
        if value and value != "None":
            out += [f"| *returns* | {_code(value)} | | {note} |"]
        out += [":::", ""]
    return out


def api_page(
    module: str, doc: str, symbols: list[Symbol], notebook: str, title: str, repository: str
) -> str:
    "The reference of one module. `notebook` is the page it comes from, relative to this one."

    def entry(s, fence):
        where = f'<a href="{notebook}#cell-{s.cell}">source</a>' + (
            f" · [on GitHub]({repository}/{module.replace('.', '/')}.py#L{s.node.lineno})"
            if repository
            else ""
        )
        lines = [
            f"{fence}{{py:{s.kind}}} {s.name}{s.signature}".replace(
                "py:staticmethod", "py:method"
            ).replace("py:classmethod", "py:method")
        ]
        if s.kind in ("classmethod", "staticmethod"):
            lines.append(f":{s.kind}:")
        if s.kind == "property" and s.returns[0]:
            lines.append(f":type: {s.returns[0]}")
        lines += ["", *_details(s)]
        if s.kind == "data":
            lines += [f"```python\n{s._text(s.node)[:300]}\n```", ""]
        if "." not in s.name:
            lines += [f"{{.source}}\n{where}", ""]
        for m in s.members:
            lines += [*entry(m, fence[1:]), ""]
        return [*lines, fence]

    body = [
        f"# `{module.split('.', 1)[1]}`",
        "",
        f"> {doc}" if doc else "",
        "",
        f"The page [{title}]({notebook.replace('.html', '.ipynb')}) builds this module step by step; *source* leads to the cell that holds the code.",
        "",
        f":::{{py:module}} {module}",
        ":::",
        "",
    ]
    for s in symbols:
        body += [*entry(s, "::::"), ""]
    return "\n".join(body)


def api_index(library: Library) -> str:
    "Every exported symbol, with its first line."
    out = [
        "# API reference",
        "",
        "> Every name that the course exports: `from llm_course.transformers.attention import causal_mask`.",
        "",
        'Shapes are part of the types: `Float[Tensor, "b h t d"]` is a tensor of floating-point numbers with a batch, heads, tokens and channels. '
        "The tests check them.",
        "",
        "```{toctree}",
        ":hidden:",
        "",
    ]
    out += [m.split(".", 1)[1] for m in library.docs] + ["```", ""]
    for module, symbols in library.symbols.items():
        out += [
            f"## [{module.split('.', 1)[1]}]({module.split('.', 1)[1]}.md)",
            "",
            library.docs[module],
            "",
        ]
        if not symbols:
            continue
        out += [":::{table}", ":class: index", "", "| | |", "|---|---|"]
        out += [
            f"| {{py:obj}}`{s.name} <{s.full}>` | {s.doc.splitlines()[0] if s.doc else _code(s._text(s.node)[:80])} |"
            for s in symbols
        ]
        out += [":::", ""]
    return "\n".join(out)


# Notebooks ------------------------------------------------------------------------------------------------------------


def only_imports(source: str) -> bool:
    try:
        return all(isinstance(n, (ast.Import, ast.ImportFrom)) for n in ast.parse(source).body)
    except SyntaxError:
        return False


def align(table: str) -> str:
    "A pandas table whose columns of words are marked, to stand at the left; numbers stay at the right. Its own style sheet goes."
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
    "A figure (in base64) with at most 256 colors, at about a third of the weight. What was done once is kept in docs/_build/png."
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
    """Turns a notebook into one that myst-nb renders: what `#|` lines say becomes tags, labels and alt text, which
    docs/course_site.py and docs/_static/course.css know how to show."""

    def _hide_(self, cell):
        cell.source = None  # nbdev drops such cells

    def _default_exp_(self, cell, module):
        cell.source = None

    def _export_(self, cell, *_):
        self._fold(cell, "export", "Imports") if only_imports(cell.source) else self._mark(
            cell, "export"
        )

    def _given_(self, cell):
        self._fold(cell, "given", "Imports") if only_imports(cell.source) else self._mark(
            cell, "given"
        )

    def _exercise_(self, cell):
        self._mark(cell, "exercise", "Your turn")

    def _alt_(self, cell, *words):
        cell.metadata.setdefault("mystnb", {})["image"] = {"alt": " ".join(words)}

    def begin(self):
        answers = {id(c) for c in self.nb.cells if c.cell_type == "code" and is_answer(c)}
        self.of_answers = answers
        self.later = {id(cell) for cell in later_tests(self.nb.cells)}

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
        self.chapter = chapter_of(rel.parts[0]) if len(rel.parts) > 1 else ""
        self.name = "tour" if rel.as_posix() == "index.ipynb" else chapter_of(path.stem)
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
    run = [
        f"{{download}}`Download the notebook <{os.path.relpath(page.path, (root / 'docs/_build/src' / page.docname).parent)}>`",
        f'[Open in JupyterLab](http://localhost:8888/lab/tree/{source} "Opens in the JupyterLab that `make lab` started")',
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
            cell.source, seen = (
                f"{cell.source[: m.end()]}\n\n{facts(page, pages, root, repository)}\n\n{cell.source[m.end() :]}",
                True,
            )
    cells = [{k: v for k, v in c.items() if not k.endswith("_")} for c in proc.nb.cells]
    return json.dumps(
        {"cells": cells, "metadata": proc.nb.metadata, "nbformat": 4, "nbformat_minor": 5},
        ensure_ascii=False,
        indent=1,
    )


# Staging: everything that Sphinx reads, in one folder -------------------------------------------------------------------


def cards(pages: list[tuple[str, str, str]], columns: str) -> str:
    "Cards for pages: (docname, title, text) each, with the page's figure where it has one."
    out = [f"::::{{grid}} {columns}", ":gutter: 3", ":class-container: cards", ""]
    for docname, title, text in pages:
        out += [
            f":::{{grid-item-card}} {title}",
            f":link: /{docname}",
            ":link-type: doc",
            f":img-top: /_figures/{docname.replace('/', '-')}.png",
            "",
            text,
            ":::",
            "",
        ]
    return "\n".join([*out, "::::"])


def course_map(chapters: dict[str, list[Page]]) -> str:
    "The landing page's cards: a card a chapter, or a card a page while there are hardly any chapters."
    many = len(chapters) > 2
    if many:
        items = [
            (f"{c}/index", CHAPTERS.get(c, (c.title(), ""))[0], CHAPTERS.get(c, ("", ""))[1])
            for c in chapters
        ]
    else:
        items = [(p.docname, p.title, p.subtitle) for ps in chapters.values() for p in ps]
    coming = [title for c, (title, _) in CHAPTERS.items() if c not in chapters]
    text = cards(items, "2 2 4 4")
    return text + (
        f"\n\n{{.coming}}\nChapters to come: {', '.join(coming).lower()}." if coming else ""
    )


def toctree(pages: list[str], *options: str) -> str:
    return "\n".join(["```{toctree}", *options, "", *pages, "```"])


def answer(path: Path) -> str:
    "The recorded answer of the real model, as HTML that docs/_static/course.js plays back at the speed at which it came."
    from html import escape

    r = json.loads(path.read_text(encoding="utf-8"))
    tokens = "".join(f'<span data-t="{t}">{escape(text)}</span>' for text, t in r["tokens"])
    return (
        f'```{{raw}} html\n<figure class="answer"><figcaption><b>{escape(r["model"])}</b> on {escape(r["machine"])}'
        f'<span>{r["tokens_per_second"]} tokens a second</span></figcaption>\n<p class="question">{escape(r["question"])}</p>\n<p class="reply">{tokens}</p></figure>\n```'
    )


def anchors(pages: list[Page], library: Library, moved: Path) -> dict[str, dict]:
    "Where an anchor of the site is now, for addresses of earlier times: cells, names, sections."
    names: dict[str, list[str]] = {}
    for name, found in library.names.items():
        names.setdefault(found[0].module.split(".", 1)[1], []).append(name)
    return {
        "cells": {p.docname: p.cells for p in pages},
        "names": names,
        "sections": json.loads(moved.read_text(encoding="utf-8")),
    }


def proved(pages: list[Page]) -> str:
    "The claims on all pages, by chapter."
    chapters: dict[str, list[tuple[str, str, list[Proved]]]] = {}
    for p in pages:
        title = CHAPTERS.get(p.chapter, (p.chapter.title() or "Set-up", ""))[0]
        chapters.setdefault(title, []).append((p.title, p.docname, p.claims))
    return tables(chapters)


def write(path: Path, text: str | bytes):
    "Write a file unless it says the same already, so that Sphinx rereads only what changed."
    data = text.encode() if isinstance(text, str) else text
    if path.exists() and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def few_colors(png: bytes, width: int = 10_000) -> bytes:
    "A picture with 64 colors, at most `width` pixels wide: a third of the bytes."
    from PIL import Image

    im = Image.open(io.BytesIO(png)).convert("RGBA")
    if im.width > width:
        im = im.resize((width, round(im.height * width / im.width)), Image.LANCZOS)
    im.quantize(64).save(buffer := io.BytesIO(), "PNG", optimize=True)
    return buffer.getvalue()


def thumbnail(png_base64: str) -> bytes:
    import base64

    return few_colors(base64.b64decode(png_base64), 560)


def social_card(title: str, subtitle: str, figure: bytes | None) -> bytes:
    "The picture that a link to the page shows elsewhere, 1200 × 630."
    import textwrap

    import matplotlib
    from PIL import Image, ImageDraw, ImageFont

    font = lambda name, size: ImageFont.truetype(
        str(Path(matplotlib.get_data_path()) / f"fonts/ttf/{name}.ttf"), size
    )
    card = Image.new("RGB", (1200, 630), "#0f1720")
    draw = ImageDraw.Draw(card)
    draw.rectangle((0, 0, 14, 630), fill="#2f81f7")
    draw.text((80, 64), "llm_course", font=font("DejaVuSansMono", 30), fill="#8b9bb0")
    draw.multiline_text(
        (80, 130),
        textwrap.fill(title, 26),
        font=font("DejaVuSans-Bold", 58),
        fill="white",
        spacing=14,
    )
    draw.multiline_text(
        (80, 300 if len(title) <= 26 else 350),
        textwrap.fill(subtitle, 46 if figure else 62),
        font=font("DejaVuSans", 28),
        fill="#c9d4e0",
        spacing=12,
    )
    if figure:
        im = Image.open(io.BytesIO(figure)).convert("RGBA")
        im.thumbnail((420, 420))
        card.paste(im, (1140 - im.width, 570 - im.height), im)
    card.quantize(64).save(buffer := io.BytesIO(), "PNG", optimize=True)
    return buffer.getvalue()


def stage(written: Path, out: Path):
    "Write what Sphinx reads to `out`: the pages in `written`, a page a notebook, the API, the benchmarks, and their pictures."
    cfg = get_config()
    root, nbs = cfg.config_path.resolve(), cfg.nbs_path.resolve()
    repository = repository_url(root)
    paths = sorted(
        (Path(p).resolve() for p in nbglob()),
        key=lambda p: (p.name != "index.ipynb", len(p.relative_to(nbs).parts), p),
    )
    pages = [Page(p, nbs) for p in paths]
    chapters: dict[str, list[Page]] = {}
    for p in pages:
        if p.chapter:
            chapters.setdefault(p.chapter, []).append(p)
    by_module = {p.module: p for p in pages if p.module}
    library = Library(cfg.lib_path.resolve(), {m: p for m, p in modules_of(paths).items()})
    kept: set[Path] = set()

    def put(name, text):
        kept.add(out / name)
        write(out / name, text)

    problems = [
        f"{p.path.relative_to(root)}: the figure of cell #{c.id} has no `#| alt: …` line"
        for p in pages
        for c in read_nb(p.path).cells
        if c.cell_type == "code"
        and not {"alt", "hide"} & c.directives.keys()
        and any("image/png" in o.get("data", {}) for o in c.get("outputs", []))
    ]
    if problems:
        raise SystemExit("\n".join(problems))

    intros = {
        f"{c}/index.md": "# {}\n\n> {}\n\n<!-- cards -->\n".format(
            *CHAPTERS.get(c, (c.title(), ""))
        )
        for c in chapters
    }
    texts = intros | {
        p.relative_to(written).as_posix(): p.read_text(encoding="utf-8")
        for p in written.rglob("*.md")
    }
    front = [p.docname for p in pages if not p.chapter] + [f"{c}/index" for c in chapters]
    fill = {
        "<!-- map -->": lambda _: course_map(chapters),
        "<!-- answer -->": lambda _: answer(written.parent / "_static/answer.json"),
        "<!-- toctree -->": lambda _: toctree(front, ":hidden:", ":caption: The course"),
        "<!-- cards -->": lambda name: (
            cards([(p.docname, p.title, p.subtitle) for p in chapters[name]], "1 2 2 3")
            + "\n\n"
            + toctree([p.name for p in chapters[name]], ":hidden:")
        ),
        "<!-- proved -->": lambda _: proved(pages),
        "<!-- benchmarks -->": lambda _: benchmarks(root / "benchmarks/results", put),
    }
    for name, text in texts.items():
        for mark, make in fill.items():
            if mark in text:
                text = text.replace(mark, make(name.split("/")[0]))
        put(name, text)

    for p in pages:
        put(f"{p.docname}.ipynb", render(p, pages, root, repository))
        figure = (
            thumbnail(p.figure) if p.figure else (written.parent / "_static/blank.png").read_bytes()
        )
        put(f"_figures/{p.docname.replace('/', '-')}.png", figure)
        card = out / "_extra/cards" / f"{p.docname.replace('/', '-')}.png"
        kept.add(card)
        if not card.exists() or card.stat().st_mtime < p.path.stat().st_mtime:
            write(card, social_card(p.title, p.subtitle, figure if p.figure else None))
    for c, ps in chapters.items():  # a chapter shows the figure of its middle page
        if figures := [p.figure for p in ps if p.figure]:
            put(f"_figures/{c}-index.png", thumbnail(figures[len(figures) // 2]))
    kept.add(out / "_extra/cards/index.png")
    if not (out / "_extra/cards/index.png").exists():
        write(
            out / "_extra/cards/index.png",
            social_card(
                "Build a language model, page by page",
                "A course in notebooks that is a PyTorch library.",
                None,
            ),
        )

    for module, symbols in library.symbols.items():
        short, p = module.split(".", 1)[1], by_module[module.split(".", 1)[1]]
        put(
            f"api/{short}.md",
            api_page(
                module,
                library.docs[module],
                symbols,
                f"../{p.docname}.html",
                p.title,
                f"{repository}/blob/main" if repository else "",
            ),
        )
    put("api/index.md", api_index(library))
    put("_extra/anchors.json", json.dumps(anchors(pages, library, written.parent / "moved.json")))
    lines = [f"- [{p.title}]({p.docname}.html): {p.subtitle}" for p in pages]
    put(
        "_extra/llms.txt",
        "# llm_course\n\n> Learn how language models work by building one: a course in notebooks that is a PyTorch library. Every page runs on a real "
        "model, SmolLM2-135M-Instruct.\n\n## Pages\n\n"
        + "\n".join(lines)
        + "\n\n## Reference\n\n"
        + "\n".join(f"- [{m}](api/{m.split('.', 1)[1]}.html): {d}" for m, d in library.docs.items())
        + "\n- [Glossary](glossary.html): the course's terms, in a sentence or two each\n- [What is proved](proved.html): claims, with the tests behind them\n- [Benchmarks](benchmarks.html): measured against peers, with machine and date\n",
    )
    for p in out.rglob("*"):
        if p.is_file() and p not in kept:
            p.unlink()


def repository_url(root: Path) -> str:
    "The project's repository on GitHub, from `[project.urls]` in pyproject.toml; '' where none is named."
    m = re.search(
        r'^\[project\.urls\][^\[]*?^(?:Repository|Source)\s*=\s*"(https://github\.com/[^"]+?)/?"',
        (root / "pyproject.toml").read_text(encoding="utf-8"),
        re.M | re.S,
    )
    return m[1] if m else ""


# Benchmarks -----------------------------------------------------------------------------------------------------------

STAMP = ("benchmark", "machine", "versions", "when", "what")


def benchmarks(results: Path, put) -> str:
    "Tables and plots of the recorded runs, by machine."
    out = []
    for folder in sorted(p for p in results.glob("*") if any(p.glob("*.json"))):
        runs = {p: json.loads(p.read_text(encoding="utf-8")) for p in sorted(folder.glob("*.json"))}
        m = next(iter(runs.values())).get("machine", folder.name)
        m = m if isinstance(m, dict) else {"name": m}
        parts = [
            m.get("gpu"),
            m.get("cpu"),
            f"{m['cores']} cores" if "cores" in m else None,
            f"{m['memory_gb']:.0f} GB" if "memory_gb" in m else None,
        ]
        out += [f"## {', '.join(filter(None, parts)) or folder.name}", ""]
        for path, run in runs.items():
            out += one_benchmark(path, run, put)
    return "\n".join(out) or "Nobody has recorded a run yet.\n"


def one_benchmark(path: Path, run: dict, put) -> list[str]:
    tables = tables_of(run)
    if not tables:
        return []
    named = ", ".join(f"{k} {v}" for k, v in run.get("versions", {}).items() if v)
    facts = [
        f"{k.replace('_', ' ')}: {v}"
        for k, v in run.items()
        if k not in STAMP and isinstance(v, (str, int, float))
    ]
    out = [
        f"### {run.get('benchmark', path.stem).replace('_', ' ').capitalize()}",
        "",
        run.get("what", "").capitalize() + ("." if run.get("what") else ""),
        "",
        "{.coming}",
        " · ".join([str(run.get("when", ""))[:10], named, *facts]),
        "",
    ]
    number = lambda v: (
        f"{v:,.3g}"
        if isinstance(v, float) and abs(v) < 1000
        else f"{v:,.0f}"
        if isinstance(v, (int, float)) and not isinstance(v, bool)
        else ""
        if v is None
        else str(v).replace("|", "\\|")
    )
    for i, (title, rows) in enumerate(tables.items()):
        columns = list(dict.fromkeys(k for r in rows for k in r))
        if title:
            out += ["{.table-title}", title, ""]
        if picture := plot(rows, columns):
            name = f"_figures/bench-{path.parent.name}-{path.stem}{i or ''}.png"
            put(name, picture)
            out += [
                f"![{title or run.get('what', path.stem)}: the numbers of the table below, as a plot](/{name})",
                "",
            ]
        align = [":--" if any(isinstance(r.get(c), str) for r in rows) else "--:" for c in columns]
        out += ["| " + " | ".join(columns) + " |", "|" + "|".join(align) + "|"]
        out += ["| " + " | ".join(number(r.get(c)) for c in columns) + " |" for r in rows] + [""]
    return out


def tables_of(run: dict) -> dict[str, list[dict]]:
    "A run's tables by title: its `tables`, its `rows`, or the medians of the timings that it recorded by name."
    import statistics

    if run.get("tables"):
        return run["tables"]
    if run.get("rows"):
        return {"": run["rows"]}
    seconds = run.get("seconds") or {}
    return (
        {
            "": [
                {
                    "": name,
                    "seconds, median": float(statistics.median(v)),
                    "least": float(min(v)),
                    "most": float(max(v)),
                    "runs": len(v),
                }
                for name, v in seconds.items()
            ]
        }
        if seconds
        else {}
    )


def plot(rows: list[dict], columns: list[str]) -> bytes | None:
    "Bars for rows with names, lines for rows with a first column of rising numbers; None where neither fits."
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    floats = [
        c
        for c in columns
        if any(isinstance(r.get(c), float) for r in rows)
        and not re.search(r"speed|ratio|/|same|least|most", c)
    ]
    labels = [c for c in columns if any(isinstance(r.get(c), str) for r in rows)]
    if not floats or len(rows) > 24:
        return None
    values = [r[c] for r in rows for c in floats if r.get(c)]
    wide = max(values) > 30 * min(values)
    with style.context("course_tools.course"):
        if labels:
            names, n = [" · ".join(str(r.get(c, "")) for c in labels) for r in rows], len(floats)
            fig = Figure(figsize=(7, 0.7 + len(rows) * (0.14 + 0.2 * n)), dpi=180)
            ax = fig.subplots()
            for i, c in enumerate(floats):
                color = (
                    f"C{i}"
                    if n > 1
                    else [
                        "C0" if name.startswith(("ours", "llm_course")) else "#8b949e"
                        for name in names
                    ]
                )
                ax.barh(
                    [len(rows) - 1 - y - (i - (n - 1) / 2) * 0.8 / n for y in range(len(rows))],
                    [r.get(c) or 0 for r in rows],
                    height=0.72 / n,
                    color=color,
                    label=c,
                )
            ax.set_yticks([len(rows) - 1 - y for y in range(len(rows))], names)
            if wide:
                ax.set_xscale("log")
                ax.xaxis.set_minor_formatter("")
            ax.xaxis.set_major_formatter("{x:g}")
            if n == 1:
                ax.set(xlabel=floats[0])
            else:
                ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=min(n, 4), fontsize=8)
            ax.grid(False, axis="y")
        elif len(rows) > 1 and all(
            rows[i][columns[0]] < rows[i + 1][columns[0]] for i in range(len(rows) - 1)
        ):
            fig = Figure(figsize=(7, 3.2), dpi=180)
            ax = fig.subplots()
            for c in floats:
                ax.plot(
                    *zip(*[(r[columns[0]], r[c]) for r in rows if r.get(c) is not None]),
                    marker="o",
                    label=c,
                )
            ax.set(xlabel=columns[0])
            if wide:
                ax.set(xscale="log", yscale="log")
                ax.yaxis.set_major_formatter("{x:g}")
                ax.yaxis.set_minor_formatter("")
            else:
                ax.set(ylim=(0, None))
            ax.set_xticks(
                [r[columns[0]] for r in rows], [str(r[columns[0]]) for r in rows], minor=False
            )
            ax.set_xticks([], minor=True)
            ax.legend()
        else:
            return None
        FigureCanvasAgg(fig).print_png(buffer := io.BytesIO())
    return few_colors(buffer.getvalue())


# Looking at the site --------------------------------------------------------------------------------------------------


def server(folder: Path, port: int = 0):
    "A web server for `folder`, as static hosts are: with the site's own page for what isn't there."
    from functools import partial
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def send_error(self, code, message=None, explain=None):
            page = Path(self.directory, "404.html")
            if code != 404 or not page.exists():
                return super().send_error(code, message, explain)
            body = page.read_bytes()
            self.send_response(404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    return ThreadingHTTPServer(("127.0.0.1", port), partial(Handler, directory=str(folder)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        s = server(Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 8000)
        print(f"http://localhost:{s.server_port} (Ctrl-C ends it)", flush=True)
        try:
            s.serve_forever()
        except KeyboardInterrupt:
            print()
    elif len(sys.argv) == 3:
        stage(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
    else:
        raise SystemExit(__doc__)
