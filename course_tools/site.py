"""The site's build: all that Sphinx reads, in one folder, and a server to look at the result.

Nothing is executed, and the library isn't imported.

    python -m course_tools.site docs/pages docs/_build/src     stage what Sphinx reads
    python -m course_tools.site serve docs/_build/html [PORT]  look at the built site
"""

import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path

from fastcore.nbio import read_nb
from nbdev.config import get_config
from nbdev.doclinks import nbglob

from course_tools.api import Library, api_index, api_page
from course_tools.export import modules_of
from course_tools.numbers import all_rows
from course_tools.pages import Page, render
from course_tools.pictures import social_card, thumbnail, write
from course_tools.proved import Proved, tables
from course_tools.recorded import benchmarks

# What a chapter is called where no page in docs/pages introduces it yet; the folder's number gives
# the order.
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

# Staging: everything that Sphinx reads, in one folder -------------------------------------------


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
    "The landing page's cards: a card a chapter, or a card a page while there are few chapters."
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


def chapter_cards(pages: list[Page]) -> str:
    "The pages of a chapter as cards, and as what the navigation lists."
    shown = cards([(p.docname, p.title, p.subtitle) for p in pages], "1 2 2 3")
    return shown + "\n\n" + toctree([p.name for p in pages], ":hidden:")


def answer(path: Path) -> str:
    "The recorded answer of the real model, as HTML that course.js plays back at its own speed."
    r = json.loads(path.read_text(encoding="utf-8"))
    tokens = "".join(f'<span data-t="{t}">{escape(text)}</span>' for text, t in r["tokens"])
    model, machine, question = (escape(r[key]) for key in ("model", "machine", "question"))
    head = f"<b>{model}</b> on {machine}<span>{r['tokens_per_second']} tokens a second</span>"
    said = f'<p class="question">{question}</p>\n<p class="reply">{tokens}</p>'
    figure = f'<figure class="answer"><figcaption>{head}</figcaption>\n{said}</figure>'
    return f"```{{raw}} html\n{figure}\n```"


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


@dataclass
class Stage:
    "The folder that Sphinx reads, as it is written; what isn't put there anew is deleted."

    written: Path  # pages written by hand
    out: Path
    root: Path  # of the project
    pages: list[Page]
    library: Library
    kept: set[Path] = field(default_factory=set)

    @cached_property
    def chapters(self) -> dict[str, list[Page]]:
        found: dict[str, list[Page]] = {}
        for p in self.pages:
            if p.chapter:
                found.setdefault(p.chapter, []).append(p)
        return found

    @cached_property
    def repository(self) -> str:
        return repository_url(self.root)

    def put(self, name: str, text: str | bytes):
        self.kept.add(self.out / name)
        write(self.out / name, text)

    def put_texts(self):
        "The pages written by hand, with what their marks stand for; one for each chapter."
        texts = {
            f"{c}/index.md": "# {}\n\n> {}\n\n<!-- cards -->\n".format(
                *CHAPTERS.get(c, (c.title(), ""))
            )
            for c in self.chapters
        }
        for path in self.written.rglob("*.md"):
            name = path.relative_to(self.written).as_posix()
            texts[name] = path.read_text(encoding="utf-8")
        for name, text in texts.items():
            for mark, make in self.fill.items():
                if mark in text:
                    text = text.replace(mark, make(name.split("/")[0]))
            self.put(name, text)

    @property
    def fill(self) -> dict[str, Callable[[str], str]]:
        "What each mark in a page stands for, given the chapter that the page is of."
        front = [p.docname for p in self.pages if not p.chapter]
        front += [f"{c}/index" for c in self.chapters]
        static = self.written.parent / "_static"
        return {
            "<!-- map -->": lambda _: course_map(self.chapters),
            "<!-- answer -->": lambda _: answer(static / "answer.json"),
            "<!-- toctree -->": lambda _: toctree(front, ":hidden:", ":caption: The course"),
            "<!-- cards -->": lambda chapter: chapter_cards(self.chapters[chapter]),
            "<!-- proved -->": lambda _: proved(self.pages),
            "<!-- numbers -->": lambda _: all_rows(self.root / "benchmarks/results"),
            "<!-- benchmarks -->": lambda _: benchmarks(self.root / "benchmarks/results", self.put),
        }

    def put_notebooks(self):
        "A page a notebook, with the pictures that lead there."
        blank = (self.written.parent / "_static/blank.png").read_bytes()
        for p in self.pages:
            self.put(f"{p.docname}.ipynb", render(p, self.pages, self.root, self.repository))
            name = p.docname.replace("/", "-")
            figure = thumbnail(p.figure) if p.figure else blank
            self.put(f"_figures/{name}.png", figure)
            shown = figure if p.figure else None
            self.put_card(name, p.title, p.subtitle, shown, newer_than=p.path.stat().st_mtime)
        for c, pages in self.chapters.items():  # a chapter shows the figure of its middle page
            if figures := [p.figure for p in pages if p.figure]:
                self.put(f"_figures/{c}-index.png", thumbnail(figures[len(figures) // 2]))
        subtitle = "A course in notebooks that is a PyTorch library."
        self.put_card("index", "Build a language model, page by page", subtitle, None)

    def put_card(self, name, title, subtitle, figure, newer_than=0.0):
        "The picture that a link to a page shows elsewhere; drawn again where the page is newer."
        card = self.out / f"_extra/cards/{name}.png"
        self.kept.add(card)
        if not card.exists() or card.stat().st_mtime < newer_than:
            write(card, social_card(title, subtitle, figure))

    def put_api(self):
        by_module = {p.module: p for p in self.pages if p.module}
        blob = f"{self.repository}/blob/main" if self.repository else ""
        for module, symbols in self.library.symbols.items():
            short = module.split(".", 1)[1]
            page = by_module[short]
            doc, notebook = self.library.docs[module], f"../{page.docname}.html"
            text = api_page(module, doc, symbols, notebook, page.title, blob)
            self.put(f"api/{short}.md", text)
        self.put("api/index.md", api_index(self.library))

    def put_lists(self):
        "What machines read: where anchors are, and what pages there are."
        moved = self.written.parent / "moved.json"
        places = anchors(self.pages, self.library, moved)
        self.put("_extra/anchors.json", json.dumps(places))
        lines = [f"- [{p.title}]({p.docname}.html): {p.subtitle}" for p in self.pages]
        lines += ["", "## Reference", ""]
        for module, doc in self.library.docs.items():
            lines.append(f"- [{module}](api/{module.split('.', 1)[1]}.html): {doc}")
        self.put("_extra/llms.txt", "\n".join([LIST_HEAD, *lines, LIST_TAIL]))

    def delete_others(self):
        for p in self.out.rglob("*"):
            if p.is_file() and p not in self.kept:
                p.unlink()


LIST_HEAD = """# llm_course

> Learn how language models work by building one: a course in notebooks that is a PyTorch \
library. Every page runs on a real model, SmolLM2-135M-Instruct.

## Pages
"""
LIST_TAIL = """\
- [Glossary](glossary.html): the course's terms, in a sentence or two each
- [What is proved](proved.html): claims, with the tests behind them
- [Benchmarks](benchmarks.html): measured against peers, with machine and date
"""


def figures_without_words(pages: list[Page], root: Path) -> list[str]:
    "The figures that nobody can imagine who doesn't see them."
    return [
        f"{p.path.relative_to(root)}: the figure of cell #{c.id} has no `#| alt: …` line"
        for p in pages
        for c in read_nb(p.path).cells
        if c.cell_type == "code"
        and not {"alt", "hide"} & c.directives.keys()
        and any("image/png" in o.get("data", {}) for o in c.get("outputs", []))
    ]


def stage(written: Path, out: Path):
    "Write what Sphinx reads to `out`: pages in `written`, notebooks, API, benchmarks, pictures."
    cfg = get_config()
    root, nbs = cfg.config_path.resolve(), cfg.nbs_path.resolve()
    paths = sorted(
        (Path(p).resolve() for p in nbglob()),
        key=lambda p: (p.name != "index.ipynb", len(p.relative_to(nbs).parts), p),
    )
    pages = [Page(p, nbs) for p in paths]
    if problems := figures_without_words(pages, root):
        raise SystemExit("\n".join(problems))
    library = Library(cfg.lib_path.resolve(), modules_of(paths))
    site = Stage(written, out, root, pages, library)
    site.put_texts()
    site.put_notebooks()
    site.put_api()
    site.put_lists()
    site.delete_others()


def repository_url(root: Path) -> str:
    "The project's repository on GitHub, from `[project.urls]` in pyproject.toml; '' without one."
    m = re.search(
        r'^\[project\.urls\][^\[]*?^(?:Repository|Source)\s*=\s*"(https://github\.com/[^"]+?)/?"',
        (root / "pyproject.toml").read_text(encoding="utf-8"),
        re.M | re.S,
    )
    return m[1] if m else ""


# Looking at the site ----------------------------------------------------------------------------


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
