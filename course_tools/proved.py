"""Claims that stand beside a test (`#| claim: TEXT`), and the site's page *What is proved*.

    #| test attention_equals_pytorchs
    #| claim: Our attention computes what PyTorch's computes, masks and groups included.
    #| oracle: `scaled_dot_product_attention` in float64
    #| tolerance: 1e-12

A long text goes on in a second line of the same kind. `oracle` and `tolerance` may be left out.
"""

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

from course_tools.words import texts_of

WORDS = ("claim", "oracle", "tolerance")
CONDITIONS = {"gpu": "on a GPU", "net": "with a network", "slow": "`make test-slow`"}
DOCSTRING_WIDTH = 92
EMPTY = "No page of the course states a claim beside a test yet.\n"


@dataclass(frozen=True)
class Proved:
    "A claim, and the test behind it."

    claim: str
    oracle: str  # what the result is compared with; may be empty
    tolerance: str  # how far it may be off; may be empty
    test: str
    cell: str  # id
    condition: str = ""  # what the test needs

    @property
    def docstring(self) -> str:
        "The claim as the docstring of the exported test."
        facts = {"Oracle": self.oracle, "Tolerance": self.tolerance}
        lines = textwrap.wrap(self.claim, DOCSTRING_WIDTH)
        more = [f"{name}: {text}" for name, text in facts.items() if text]
        lines += ["", *more] if more else []
        text = "\n".join(lines)
        if "\\" in text or '"""' in text or text.endswith('"'):
            return repr(text)
        return f'"""{text}\n"""' if len(lines) > 1 else f'"""{text}"""'


def problem(words: Iterable[str], texts: dict[str, str]) -> str:
    "What is wrong with the claim of a cell that has the directives `words`; '' if nothing is."
    words = set(words)
    stated = [word for word in WORDS if word in words]
    if stated and "test" not in words:
        return f"`#| {stated[0]}:` goes with `#| test NAME`"
    if stated and "claim" not in words:
        return f"`#| {stated[0]}:` goes with `#| claim: TEXT`"
    if stated and "hide" in words:
        return "a claim leads to its cell on the page, so the cell can't be `#| hide`"
    empty = [word for word in stated if not texts.get(word)]
    return f"`#| {empty[0]}:` needs a text" if empty else ""


def claims_on(cells: Iterable) -> list[Proved]:
    "The claims on a page, in their order there. `cells` are as they are read, with directives."
    found = []
    for cell in cells:
        if cell.cell_type != "code" or "claim" not in cell.directives:
            continue
        words, texts = cell.directives, texts_of(cell.source)
        marks = words.get("mark", "").replace(",", " ").split()
        condition = ", ".join(CONDITIONS[mark] for mark in marks if mark in CONDITIONS)
        test = words.get("test", "").removeprefix("test_")
        parts = [texts.get(word, "") for word in WORDS]
        found.append(Proved(*parts, test=test, cell=cell.id, condition=condition))
    return found


# The site's page --------------------------------------------------------------------------------


def in_table(text: str) -> str:
    return text.replace("|", "\\|") or "—"


def row(proved: Proved, address: str) -> str:
    name = proved.test.replace("_", " ")
    place = f"{address}#cell-{proved.cell}"
    link = f'<a class="reference" href="{place}" title="{name}">the test</a>'
    claim = in_table(proved.claim[:1].upper() + proved.claim[1:])
    if proved.condition:
        claim += f" *({proved.condition})*"
    return f"| {claim} | {in_table(proved.oracle)} | {in_table(proved.tolerance)} | {link} |"


def tables(chapters: dict[str, list[tuple[str, str, list[Proved]]]]) -> str:
    "The claims of the course: for each chapter's title its pages, as (title, docname, claims)."
    out = []
    for chapter, pages in chapters.items():
        pages = [page for page in pages if page[2]]
        if not pages:
            continue
        out += [f"## {chapter}", ""]
        for title, docname, claims in pages:
            out += [f"### [{title}]({docname}.ipynb)", "", ":::{table}", ":class: proved", ""]
            out += ["| claim | compared with | within | |", "|---|---|---|---|"]
            out += [row(claim, f"{docname}.html") for claim in claims]
            out += [":::", ""]
    return "\n".join(out) or EMPTY
