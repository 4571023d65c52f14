"""The API reference, read from the exported modules.

The library isn't imported: signatures, shapes and comments are read from its source.
"""

import ast
import io
import re
import tokenize
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

from fastcore.docments import _clean_comment

# The API, read from the library's source --------------------------------------------------------


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


@cache
def homes_of(source: str, module: str) -> dict[str, str]:
    "The full names of what a module has of the course's own: what it defines, what it imports."
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            found[node.name] = f"{module}.{node.name}"
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = f"{module}.{node.targets[0].id}"
        if isinstance(node, ast.ImportFrom):
            above = module.split(".")[: -node.level] if node.level else []
            home = ".".join([*above, *filter(None, [node.module])])
            if home.startswith("llm_course"):
                found |= {a.asname or a.name: f"{home}.{a.name}" for a in node.names}
    return found


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
        """Name, type, default and comment of each parameter; of a dataclass, of each field.

        A lone `*` stands for itself.
        """
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

    def qualified(self, kind: str) -> str:
        "A type with the full names of the course's classes: two modules may have one of a name."
        homes = homes_of(self.source, self.module)
        parts = re.split(r"(\"[^\"]*\"|'[^']*')", kind)  # shapes and literals stay
        for i in range(0, len(parts), 2):
            parts[i] = re.sub(r"(?<![\w.])[A-Za-z_]\w*", lambda m: homes.get(m[0], m[0]), parts[i])
        return "".join(parts)

    @property
    def signature(self) -> str:
        def one(name, kind, default, _):
            kind = self.qualified(kind)
            return (
                name
                + (f": {kind}" if kind else "")
                + ((" = " if kind else "=") + default if default else "")
            )

        if self.kind in ("data", "property"):
            return ""
        returns = self.qualified(self.returns[0])
        return f"({', '.join(one(*p) for p in self.parameters)})" + (
            f" -> {returns}" if returns else ""
        )


def read_module(path: Path, module: str) -> tuple[str, list[Symbol]]:
    "A module's docstring, and the symbols in its `__all__`, in their order there."
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
                    if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))
                    and (not n.name.startswith("_") or n.name in ("__call__", "__len__"))
                    and ast.get_docstring(n)
                ]
    return ast.get_docstring(tree) or "", list(found.values())


def attributes(symbol: Symbol) -> set[str]:
    "The names that may follow a class and a dot: methods, fields, and what is assigned to `self`."
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    own = {n.name for n in symbol.node.body if isinstance(n, kinds)}
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
        """What `text` in backticks, on the page of `module`, links to: its kind and full name.

        None if it is none of our names; raises `ValueError` if it claims to be one, and isn't.
        """
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


# The pages of the API ---------------------------------------------------------------------------


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
            lines.append(f":type: {s.qualified(s.returns[0])}")
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
        f"The page [{title}]({notebook.replace('.html', '.ipynb')}) "
        "builds this module step by step; "
        "*source* leads to the cell that holds the code.",
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
        "> Every name that the course exports: "
        "`from llm_course.transformers.attention import causal_mask`.",
        "",
        'Shapes are part of the types: `Float[Tensor, "b h t d"]` is a tensor of floating-point '
        "numbers with a batch, heads, tokens and channels. The tests check them.",
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
        for s in symbols:
            about = s.doc.splitlines()[0] if s.doc else _code(s._text(s.node)[:80])
            out.append(f"| {{py:obj}}`{s.name} <{s.full}>` | {about} |")
        out += [":::", ""]
    return "\n".join(out)
