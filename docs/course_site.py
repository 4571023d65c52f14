"""What the site adds to Sphinx.

Links from names in backticks and from the glossary's terms, labels on cells, sizes of figures,
formulas as MathML, and pages that weigh little.
"""

import builtins
import html
import itertools
import json
import keyword
import re
import struct
import sys
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.util import logging

from course_tools.api import Library
from course_tools.export import modules_of

log = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parent.parent
NO_LINKS_IN = (
    nodes.reference,
    nodes.title,
    nodes.term,
    nodes.literal,
    nodes.literal_block,
    nodes.rubric,
    addnodes.pending_xref,
    addnodes.desc_signature,
    addnodes.download_reference,
    nodes.raw,
)


def prepare(app):
    "Read what links need: the library's names, all words of the code, and the glossary's terms."
    for sheet in Path(app.outdir, "_static").glob("mystnb.*.css"):
        sheet.unlink()  # purged by the last build: myst-nb won't overwrite it
    notebooks = sorted((ROOT / "nbs").rglob("[!.]*.ipynb"))
    app.library = Library(ROOT / "llm_course", modules_of(notebooks))
    code = [
        p.read_text(encoding="utf-8")
        for folder in ("llm_course", "benchmarks", "docs")
        for p in (ROOT / folder).rglob("*.py")
    ]
    code += [
        (ROOT / name).read_text(encoding="utf-8")
        for name in ("Makefile", "pyproject.toml", "settings.ini")
    ]
    code += [
        "".join(c["source"])
        for p in notebooks
        for c in json.loads(p.read_text(encoding="utf-8"))["cells"]
        if c["cell_type"] == "code"
    ]
    app.words = (
        set(re.findall(r"[A-Za-z_]\w*", "\n".join(code)))
        | set(dir(builtins))
        | set(keyword.kwlist)
        | sys.stdlib_module_names
    )
    block = re.search(
        r"^:::\{glossary\}(.*?)^:::",
        Path(app.srcdir, "glossary.md").read_text(encoding="utf-8"),
        re.M | re.S,
    )
    app.terms = (
        [l.strip() for l in block[1].splitlines() if l.strip() and not l.startswith((" ", ":"))]
        if block
        else []
    )


def parents(node):
    while node := node.parent:
        yield node


def may_link(node) -> bool:
    return not any(isinstance(p, NO_LINKS_IN) for p in parents(node))


def section_of(node):
    return next((id(p) for p in parents(node) if isinstance(p, nodes.section)), 0)


def link_names(app, doctree):
    """Names in backticks link to the API, once a section.

    A name that is written as one of ours (`llm_course.…`, `OurClass.method`), or looks like code
    (`called()`, `snake_case`, `CamelCase`) and occurs in no code of the course, fails the build:
    it has been renamed, or never was.
    """
    docname = app.env.docname
    module, linked = docname.removeprefix("api/").replace("/", "."), set()
    words = app.words | {
        w
        for n in doctree.findall(nodes.literal)
        if re.search(r"[ (=+*]", n.astext())
        for w in re.findall(r"\w+", n.astext()[:-1])
    }
    for node in list(doctree.findall(nodes.literal)):
        text = node.astext()
        if "code" in node.get("classes", []) or not may_link(node):
            continue
        try:
            found = app.library.resolve(text, module)
        except ValueError as e:
            log.warning("%s", e, location=node, type="course", subtype="name")
            continue
        if found is None:
            name = re.match(r"[A-Za-z_]\w*(?:\.\w+)*(?=\(.*\)$|$)", text)
            looks = name and (
                text.endswith(")")
                or re.search(r"(^|\.)[a-z]+_", name[0])
                or re.search(r"[a-z][A-Z]", name[0])
            )
            if looks and (missing := [w for w in name[0].split(".") if w not in words]):
                log.warning(
                    "`%s`: no code of the course has the name %s",
                    text,
                    missing[0],
                    location=node,
                    type="course",
                    subtype="name",
                )
            continue
        kind, target = found
        if (section_of(node), target) in linked or docname == "api/" + target.split(".", 1)[1]:
            continue
        linked.add((section_of(node), target))
        ref = addnodes.pending_xref(
            "",
            refdomain="py",
            reftype="mod" if kind == "module" else "obj",
            reftarget=target,
            refdoc=docname,
            refwarn=True,
        )
        node.replace_self(ref)
        ref += node


def link_terms(app, doctree):
    "The first time that a page uses a term of the glossary, it links there."
    docname, todo = app.env.docname, {t.lower(): t for t in app.terms}
    if docname in ("glossary", "index", "404") or docname.startswith("api/"):
        return
    pattern = re.compile(
        r"(?<![\w-])("
        + "|".join(sorted(map(re.escape, todo), key=len, reverse=True))
        + r")(e?s)?(?![\w-])",
        re.I,
    )
    for text in [
        t
        for t in doctree.findall(nodes.Text)
        if isinstance(t.parent, (nodes.paragraph, nodes.emphasis, nodes.strong))
    ]:
        if not may_link(text) or any(
            isinstance(p, nodes.block_quote) or "page-facts" in p.get("classes", [])
            for p in parents(text)
        ):
            continue
        pieces, at = [], 0
        for m in pattern.finditer(text):
            term = todo.pop(m[1].lower(), None)
            if term is None:
                continue
            ref = addnodes.pending_xref(
                "",
                nodes.inline("", m[0], classes=["term"]),
                refdomain="std",
                reftype="term",
                reftarget=term,
                refdoc=docname,
                refwarn=True,
                refexplicit=True,
            )
            pieces += [nodes.Text(text[at : m.start()]), ref]
            at = m.end()
        if pieces:
            text.parent.replace(text, [*pieces, nodes.Text(text[at:])])


def label_cells(app, doctree):
    "A notebook's cells get the anchors that source links lead to, and say what they are: a test."
    for cell in doctree.findall(nodes.container):
        course = cell.get("cell_metadata", {}).get("course")
        if not course:
            continue
        cell["ids"].append(f"cell-{course['id']}")
        if course["label"]:
            cell.insert(0, nodes.paragraph("", course["label"], classes=["cell-label"]))


def is_later_test(node) -> bool:
    "Whether a node is a test cell that the first of its run stands for."
    return isinstance(node, nodes.container) and node.get("cell_metadata", {}).get(
        "course", {}
    ).get("later", False)


def fold_later_tests(app, doctree):
    "The tests of a run after its first stand in one fold: 4 more checks."
    for parent in {cell.parent for cell in doctree.findall(is_later_test)}:
        children: list[nodes.Node] = []
        for later, group in itertools.groupby(parent.children, is_later_test):
            cells = list(group)
            if later:
                noun = "check" if len(cells) == 1 else "checks"
                summary = f'<p class="admonition-title">{len(cells)} more {noun}</p>'
                opening = f'<details class="hide more-checks"><summary>{summary}</summary>\n'
                cells = [
                    nodes.raw("", opening, format="html"),
                    *cells,
                    nodes.raw("", "</details>\n", format="html"),
                ]
            children += cells
        parent.children = children


# Formulas ---------------------------------------------------------------------------------------


def mathml(tex: str, display: str) -> str:
    from latex2mathml.converter import convert

    tex = re.sub(r"\\(begin|end)\{(aligned|align|split)\}", r"\\\1{align*}", tex)
    out = (
        convert(tex.strip(), display=display)
        .replace('width="negativethinmathspace"', 'width="-0.1667em"')
        .replace("<mi>&</mi>", "")
    )
    out = re.sub(
        r"<mo>([A-Za-z]{2,})</mo>", r"<mi>\1</mi><mspace width=\"0.1667em\" />", out
    )  # \operatorname{softmax}
    if unknown := re.search(r"\\\w+", out):
        raise ValueError(f"no MathML for {unknown[0]}")
    return out.replace("<math ", f'<math alttext="{html.escape(tex.strip())}" ', 1)


def visit_math(self, node, display="inline"):
    try:
        out = mathml(node.astext(), display)
    except Exception as e:
        log.warning("formula %r: %s", node.astext(), e, location=node)
        out = html.escape(node.astext())
    self.body.append(out if display == "inline" else f'<div class="math">{out}</div>')
    raise nodes.SkipNode


# Pages ------------------------------------------------------------------------------------------


def png_size(path: Path) -> tuple[int, int] | None:
    with open(path, "rb") as f:
        head = f.read(24)
    return struct.unpack(">II", head[16:24]) if head[:8] == b"\x89PNG\r\n\x1a\n" else None


def finish_page(app, pagename, templatename, context, doctree):
    """Figures get their size, so that nothing moves when they arrive, and load when needed.

    The head gets what links elsewhere show.
    """
    files = {name: path for path, name in app.builder.images.items()}

    def image(m):
        tag, path = m[0], files.get(m[1].rsplit("/", 1)[-1])
        size = path and png_size(Path(app.srcdir, path))
        if not size:
            return tag
        if w := re.search(r'style="width: (\d+)px;"', tag):
            size = int(w[1]), round(size[1] * int(w[1]) / size[0])
        elif size[0] > 1000:
            size = (
                size[0] // 2,
                size[1] // 2,
            )  # figures are drawn at twice their size, for sharp screens
        tag = re.sub(r' (style|loading|width|height)="[^"]*"', "", tag)
        if "sd-card-img" in tag:
            tag = re.sub(r' alt="[^"]*"', "", tag).replace("<img ", '<img alt="" ')
        return tag.replace(
            "<img ", f'<img width="{size[0]}" height="{size[1]}" loading="lazy" decoding="async" '
        ).replace('class="', 'class="dark-light ')

    if "body" in context:
        # Half of a page of code is spans around names, operators and spaces that no style colors.
        context["body"] = re.sub(
            r'<span class="(?:n|p|o|w|nn|nb-Pseudo|bp|pre)">([^<]*)</span>', r"\1", context["body"]
        )
        context["body"] = re.sub(r'<img [^>]*?src="([^"]+)"[^>]*>', image, context["body"])
        # What a fold is called is what it says, for screen readers too.
        context["body"] = context["body"].replace(' aria-label="Toggle hidden content"', "")

        # Sphinx writes the lines of a long signature as a list without terms, which screen readers
        # stumble over.
        context["body"] = re.sub(
            r'(?s)<dt class="sig .*?</dt>\n(?=<dd>|</dl>)',
            lambda m: (
                re.sub(r"<(/?)d[ld]>", r"<\1span>", m[0])
                .replace("<span><em", '<span class="line"><em')
                .replace("<span>\n", '<span class="lines">\n')
            ),
            context["body"],
        )

    title = re.sub("<.*?>", "", context.get("title", "")) or "llm_course"
    lead = re.search(r"<blockquote>\s*<div><p>(.*?)</p>", context.get("body", ""), re.S)
    about = (
        " ".join(re.sub("<.*?>", "", lead[1]).split())
        if lead
        else "A course in notebooks that is a PyTorch library."
    )
    name = pagename.replace("/", "-")
    if not Path(app.srcdir, "_extra/cards", f"{name}.png").exists():
        name = "index"
    picture = f"{app.config.html_baseurl or context['pathto']('', 1)}cards/{name}.png"
    meta = {
        "og:type": "article",
        "og:site_name": "llm_course",
        "og:title": title,
        "og:description": about,
        "og:image": picture,
        "og:image:width": "1200",
        "og:image:height": "630",
        "og:image:alt": title,
        "twitter:card": "summary_large_image",
    }
    base = (
        f'<base href="{app.config.html_baseurl or "/"}" />\n' if pagename == "404" else ""
    )  # it is shown at any address
    context["metatags"] = (
        base
        + context.get("metatags", "")
        + f'<meta name="description" content="{about}" />\n'
        + "".join(
            f'<meta property="{k}" content="{html.escape(html.unescape(v))}" />\n'
            for k, v in meta.items()
        )
    )


def used_names(out: Path) -> set[str]:
    "Every word that may be a class or an id, in pages and scripts."
    words = set()
    for p in [*out.rglob("*.html"), *out.rglob("*.js")]:
        text = p.read_text(encoding="utf-8")
        found = re.findall(r'(?:class|id)="([^"]*)"', text) if p.suffix == ".html" else [text]
        for f in found:
            words.update(re.findall(r"[\w-]+", f))
    return words


def purge(css: str, used: set[str]) -> str:
    "A style sheet without the rules that no page can match."
    out, at = [], 0
    css = re.sub(r"/\*.*?\*/", "", css, flags=re.S)
    while (open_ := css.find("{", at)) >= 0:
        head, depth, end = css[at:open_], 1, open_ + 1
        while depth:
            depth += {"{": 1, "}": -1}.get(css[end], 0)
            end += 1
        body = css[open_ + 1 : end - 1]
        selector = head.rpartition(";")[2]  # without the @charset before it
        if selector.lstrip().startswith(("@media", "@supports")):
            if inner := purge(body, used):
                out.append(f"{selector}{{{inner}}}")
        elif selector.lstrip().startswith("@font-face"):
            pass  # icon fonts: course.css draws the few icons that the site uses
        elif selector.lstrip().startswith("@"):
            out.append(css[at:end])
        else:
            kept = [
                s
                for s in split_selectors(selector)
                if all(
                    n in used
                    for n in re.findall(
                        r"[.#](-?[A-Za-z_][\w-]*)",
                        re.sub(r":(not|is|where)\(.*?\)+|\[.*?\]", "", s),
                    )
                )
            ]
            if kept and body.strip():
                out.append(f"{','.join(kept)}{{{body}}}")
        at = end
    return "".join(out)


def split_selectors(text: str) -> list[str]:
    "Split at the commas that stand outside of parentheses."
    parts, depth = [""], 0
    for c in text:
        depth += {"(": 1, ")": -1}.get(c, 0)
        if c == "," and not depth:
            parts.append("")
        else:
            parts[-1] += c
    return parts


def math_font(path: Path, letters: set[str]):
    "The glyphs of STIX Two Math that the site's formulas use, for systems without such a font."
    import logging as plain

    import ziamath
    from fontTools import subset

    plain.getLogger("fontTools").setLevel(plain.ERROR)
    italic = (
        {c: 0x1D434 + ord(c) - ord("A") for c in letters if "A" <= c <= "Z"}
        | {c: 0x1D44E + ord(c) - ord("a") for c in letters if "a" <= c <= "z"}
        | {c: 0x1D6FC + ord(c) - ord("α") for c in letters if "α" <= c <= "ω"}
        | {"h": 0x210E}
    )  # how browsers show a variable of one letter
    options = subset.Options(
        flavor="woff", hinting=False, layout_features=["ssty"], name_IDs=[0, 13, 14]
    )
    font = subset.load_font(
        Path(ziamath.__file__).parent / "fonts/STIXTwoMath-Regular.ttf", options
    )
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=[*map(ord, letters), *italic.values()])
    subsetter.subset(font)
    subset.save_font(font, str(path), options)


def finish_site(app, error):
    """Drop what the theme ships and the site doesn't use, and pages whose source is gone.

    The theme ships many style sheets, an icon font of 1.5 MB, and source maps.
    """
    if error or app.builder.name != "html":
        return
    out, static = Path(app.outdir), Path(app.outdir, "_static")
    for p in [
        *static.rglob("*.map"),
        *static.glob("scripts/fontawesome*"),
        *static.glob("vendor/fontawesome/webfonts/*"),
        *static.glob("locales/*/*/*.mo"),
        *static.glob("*webpack-macros.html"),
    ]:
        p.unlink(missing_ok=True)
    pages = [p for p in out.rglob("*.html") if static not in p.parents]
    for p in pages:
        if p.relative_to(out).with_suffix("").as_posix() not in {*app.env.found_docs, "search"}:
            p.unlink()
    used = used_names(out)
    own = ("course", "explorer", "learning", "bench", "scorecard", "sampling")
    for p in (f for f in static.rglob("*.css") if f.stem not in own):
        p.write_text(
            f"@layer theme{{{purge(p.read_text(encoding='utf-8'), used)}}}", encoding="utf-8"
        )  # so that any rule of course.css wins
    formulas = "".join(
        m
        for p in pages
        if p.exists()
        for m in re.findall(r"<math.*?</math>", p.read_text(encoding="utf-8"), re.S)
    )
    letters = "".join(sorted(set(html.unescape(re.sub("<.*?>", "", formulas)))))
    font, known = (
        Path(app.doctreedir, "stix-two-math.woff"),
        Path(app.doctreedir, "stix-two-math.txt"),
    )
    if not known.exists() or known.read_text(encoding="utf-8") != letters:
        math_font(font, set(letters))
        known.write_text(letters, encoding="utf-8")
    (static / font.name).write_bytes(font.read_bytes())


def setup(app):
    app.connect("builder-inited", prepare)
    for f in (link_names, link_terms, label_cells, fold_later_tests):
        app.connect("doctree-read", f)
    app.connect("html-page-context", finish_page)
    app.connect("build-finished", finish_site, priority=900)
    app.add_html_math_renderer(
        "mathml", (visit_math, None), (lambda self, node: visit_math(self, node, "block"), None)
    )
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
