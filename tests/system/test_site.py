"""The built site in a real browser: `make test-site` builds it and runs this file.

Needs Chromium (Debian: apt-get install chromium).
"""

import gzip
import json
import re
import struct
import threading
from contextlib import suppress
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import pytest

pytestmark = pytest.mark.site
ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "docs/_build/html"
PAGES = sorted(
    p.relative_to(SITE).as_posix() for p in SITE.rglob("*.html") if "_static" not in p.parts
)
MODES = {
    f"{name}-{theme}": (width, height, theme)
    for name, width, height in (("desktop", 1280, 800), ("phone", 390, 844))
    for theme in ("light", "dark")
}
# Pages of each kind, which are opened in every mode; each other page is opened in one, in turn.
OF_EACH_KIND = {
    "index.html",
    "explorer.html",
    "learning.html",
    "metrics.html",
    "scorecard.html",
    "rounds.html",
    "sampling.html",
    "kills.html",
    "benchmarks.html",
    "api/transformers.attention.html",
    "transformers/attention.html",
}
LOOKS = [
    (url, mode)
    for i, url in enumerate(PAGES)
    for mode in (MODES if url in OF_EACH_KIND else [list(MODES)[i % len(MODES)]])
]
PHONE_WIDTH = 390
MEASURE = """window.shift = 0; window.shifted = [];
new PerformanceObserver((list) => { for (const e of list.getEntries()) if (!e.hadRecentInput) {
  shift += e.value;
  shifted.push(...e.sources.map((s) => s.node?.outerHTML?.slice(0, 80) ?? "?"));
} }).observe({ type: "layout-shift", buffered: true });"""
# Pictures whose place isn't known before they arrive, or that say nothing to those who can't see.
BARE = """[...document.querySelectorAll('article img')]
    .filter((i) => ['alt', 'width', 'height'].some((name) => !i.hasAttribute(name)))
    .map((i) => i.src)"""

# Code in one colour: its colours take most of the time, and are checked on a page of each kind.
ONE_COLOUR = """for (const code of document.querySelectorAll('.highlight pre'))
    code.textContent = code.textContent"""


@pytest.fixture(scope="session")
def address():
    from course_tools.site import server

    assert PAGES, f"there is no site in {SITE}: run `make docs`"
    s = server(SITE)
    threading.Thread(target=s.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{s.server_port}/"
    s.shutdown()


def sent_bytes(url: str, body: bytes) -> int:
    "What a host sends: text compressed, pictures and fonts as they are."
    is_packed = urlsplit(url).path.endswith((".png", ".woff", ".woff2", ".gz"))
    return len(body) if is_packed else len(gzip.compress(body))


@pytest.fixture
def open_page(browser, address):
    "A function that opens an address of the site; whatever goes wrong on the way fails the test."
    from playwright.sync_api import Error

    contexts, wrong = [], []

    def open_(url="index.html", mode="desktop-light", **options):
        width, height, theme = MODES[mode]

        def failed(r):
            if r.failure != "net::ERR_ABORTED":  # the page has gone on to another address
                wrong.append(f"{url} ({mode}): failed: {r.url}: {r.failure}")

        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=theme,
            has_touch=width < 500,
            **options,
        )
        contexts.append(context)
        page = context.new_page()
        page.wrong, page.weight = wrong, {}
        page.add_init_script(MEASURE)
        page.on(
            "console",
            lambda m: (
                wrong.append(f"{url} ({mode}): console {m.type}: {m.text}")
                if m.type in ("error", "warning")
                else None
            ),
        )
        page.on("pageerror", lambda e: wrong.append(f"{url} ({mode}): {e}"))
        page.on("requestfailed", failed)
        page.on(
            "request",
            lambda r: (
                None
                if r.url.startswith((address, "data:", "blob:"))
                else wrong.append(f"{url} ({mode}): asks another host: {r.url}")
            ),
        )

        def answered(r):
            if r.status >= 400 and r.url != address + url:
                wrong.append(f"{url} ({mode}): {r.status}: {r.url}")
            elif r.status == 200:
                with suppress(Error):  # the page has gone on to another address
                    page.weight[r.url] = sent_bytes(r.url, r.body())

        page.on("response", answered)
        page.goto(address + url, wait_until="load")
        return page

    yield open_
    for c in contexts:
        c.close()
    assert not wrong, "\n".join(wrong)


def scroll_through(page):
    "To the end and back; then whatever lazy picture a slow machine passed by is asked for too."
    page.evaluate("""async () => {
        for (let y = 0; y < document.documentElement.scrollHeight; y += innerHeight) {
            scrollTo(0, y);
            await new Promise((r) => setTimeout(r, 30)); }
        scrollTo(0, 0);
        for (const image of document.images) image.loading = "eager"; }""")
    page.wait_for_function("[...document.images].every((i) => i.complete)")


def serious_problems(page, part: str = "html") -> list[str]:
    "What those meet who can't see a part of the page, or can't use a mouse, by axe's rules."
    from axe_playwright_python.base import AXE_FILE_PATH

    page.evaluate(Path(AXE_FILE_PATH).read_text(encoding="utf-8"))
    run = "(part) => axe.run(part, {resultTypes: ['violations']})"
    found = page.evaluate(run, part)["violations"]
    return [
        f"{v['id']}: {v['help']}\n    "
        + "\n    ".join(f"{n['html'][:160]}  {n['failureSummary'][:300]}" for n in v["nodes"][:4])
        for v in found
        if v["impact"] in ("serious", "critical")
    ]


def test_there_is_a_page_of_each_kind():
    missing = OF_EACH_KIND - set(PAGES)
    assert not missing, f"run `make docs`, or name other pages of their kind: {missing}"


@pytest.mark.parametrize(("url", "mode"), LOOKS)
def test_page_loads_clean_light_and_still(open_page, url, mode):
    page = open_page(url, mode)
    page.wait_for_timeout(100)
    scroll_through(page)
    assert sum(page.weight.values()) <= 600_000, "\n".join(
        f"{v:8} {k}" for k, v in sorted(page.weight.items(), key=lambda i: -i[1])[:9]
    )
    assert page.evaluate("shift") < 0.01, (
        f"moved by {page.evaluate('shift'):.3f}: {set(page.evaluate('shifted'))}"
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= MODES[mode][0], (
        "the page scrolls sideways"
    )
    bad = page.evaluate(BARE)
    assert not bad, f"pictures without alt text or size: {bad}"
    cells = "\n".join(page.locator("main .cell_input").all_inner_texts())
    assert not re.search(r"^\s*#\|", cells, re.M), "a directive shows"
    assert "@@" not in page.inner_text("main")
    if url not in OF_EACH_KIND:
        page.evaluate(ONE_COLOUR)
    serious = serious_problems(page)
    assert not serious, "\n".join(serious)
    page.set_viewport_size({"width": PHONE_WIDTH, "height": 844})
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= PHONE_WIDTH, "the page scrolls sideways on a phone"


@pytest.mark.parametrize("url", [p for p in PAGES if "/" in p][::4] + ["index.html"])
def test_text_shows_within_a_second(open_page, browser, address, url):
    # The best of three, and more time where even a page without style or script is slow: the
    # machine may be busy with something else.
    bare = browser.new_page()
    bare.route("**/bare.html", lambda route: route.fulfill(content_type="text/html", body="text"))
    limits = []
    for _ in range(3):
        bare.goto(address + "bare.html")
        limits.append(10 * first_text(bare))
    bare.close()
    times = [first_text(open_page(url)) for _ in range(3)]
    allowed = max(1000, min(limits))
    assert min(times) <= allowed, f"first text after {times} ms, allowed: {allowed:.0f}"


def first_text(page) -> float:
    "Milliseconds until the page showed something."
    paint = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
    page.wait_for_function(paint)
    return page.evaluate(paint)


class Links(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.links, self.ids, self.meta = [], set(), {}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        a = dict(attributes)
        self.ids |= {a[k] for k in ("id", "name") if a.get(k)}
        self.links += [a[k] for k in ("href", "src") if a.get(k)]
        if tag == "meta" and "property" in a:
            self.meta[a["property"]] = a["content"]


def test_every_link_and_anchor_leads_somewhere():
    pages, missing = {p: Links((SITE / p).read_text(encoding="utf-8")) for p in PAGES}, []
    for url, page in pages.items():
        if url == "404.html":
            continue  # its links are relative to the site's root, see below
        for link in page.links:
            if urlsplit(link).scheme:
                continue
            path, anchor = urldefrag(unquote(urljoin("/" + url, link)))
            path = path.lstrip("/").split("?")[0] or "index.html"
            if not (SITE / path).is_file():
                missing.append(f"{url} -> {link}")
            elif anchor and path in pages and anchor not in pages[path].ids:
                missing.append(f"{url} -> {link}: no such anchor")
    assert not missing, "\n".join(missing)


def test_pages_show_elsewhere_with_a_picture_and_machines_get_a_list():
    for url in PAGES:
        meta = Links((SITE / url).read_text(encoding="utf-8")).meta
        assert meta["og:title"] and meta["og:description"]
        card = (SITE / url).parent / meta["og:image"]
        assert struct.unpack(">II", card.read_bytes()[16:24]) == (1200, 630), card
    text = (SITE / "llms.txt").read_text(encoding="utf-8")
    assert text.startswith("# llm_course\n\n> ")
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) > 10 and all((SITE / l).is_file() for l in links)


def notebooks_with(directive: str) -> list[str]:
    "The pages of notebooks that have such a cell."
    return [
        p.relative_to(ROOT / "docs/_build/src").with_suffix(".html").as_posix()
        for p in sorted((ROOT / "docs/_build/src").rglob("*.ipynb"))
        if f'"{directive}"' in p.read_text(encoding="utf-8")
    ]


def test_search_finds_a_phrase_from_the_middle_of_a_notebook(open_page):
    source = ROOT / "docs/_build/src/transformers/attention.ipynb"
    texts = [
        c["source"]
        for c in json.loads(source.read_text(encoding="utf-8"))["cells"]
        if c["cell_type"] == "markdown"
    ]
    words = re.findall(
        r"\b[a-z]{5,}\b", re.sub(r"`[^`]*`|\$[^$]*\$|\]\([^)]*\)", " ", texts[len(texts) // 2])
    )[:4]
    page = open_page("search.html?q=" + "+".join(words))
    page.wait_for_selector("#search-results a[href*='transformers/attention.html']", timeout=20_000)


def test_keyboard_reaches_search_and_content(open_page):
    page = open_page()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent").strip() == "Skip to main content"
    page.keyboard.press("Control+k")
    page.keyboard.type("grouped-query")
    page.keyboard.press("Enter")
    page.wait_for_selector("#search-results li a", timeout=20_000)


@pytest.mark.parametrize("mode", ["desktop-light", "phone-dark"])
def test_solution_unfolds(open_page, mode):
    page = open_page(notebooks_with("solution")[0], mode)
    solution = page.locator(".tag_solution").first
    code = solution.locator(".cell_input")
    assert not code.is_visible()
    solution.locator("summary").click()
    code.wait_for(state="visible")
    page.keyboard.press("Enter")  # the summary has the focus: close it again
    code.wait_for(state="hidden")


def test_a_run_of_tests_shows_its_first_and_unfolds_the_others(open_page):
    page = open_page("transformers/attention.html")
    more = page.locator("details.more-checks").first
    first = more.locator("xpath=preceding-sibling::*[1]")
    assert "tag_test" in first.get_attribute("class")
    assert first.locator(".cell_input").is_visible()
    assert first.locator(".cell-label").inner_text().startswith("Test: ")
    count = more.locator(".tag_test").count()
    assert more.locator("> summary").inner_text() == f"{count} more check" + "s" * (count > 1)
    test = more.locator(".tag_test").first
    assert not test.is_visible()
    more.locator("> summary").click()
    test.locator("summary").click()
    test.locator(".cell_input").wait_for(state="visible")


API_LOAD = "api/transformers.checkpoints.html#llm_course.transformers.checkpoints.load"
API_PAGED = "api/transformers.paged.html#llm_course.transformers.paged.PagedKVCache"
OLD_ADDRESSES = {
    "transformers/model.html#generating": "transformers/generation.html",
    "transformers/model.html#checkpoints": "transformers/checkpoints.html",
    "transformers/model.html#saving": "transformers/checkpoints.html",
    "transformers/cache.html#blocks": "transformers/paged.html",
    "transformers/cache.html#how-fast": "transformers/linear.html",
    "transformers/flash.html#a-gpu-kernel": "transformers/kernels.html",
    "api/transformers.model.html#llm_course.transformers.model.load": API_LOAD,
    "api/transformers.model.html#load": API_LOAD,
    "api/transformers.cache.html#llm_course.transformers.cache.PagedKVCache": API_PAGED,
    "transformers/model.html#no-such-section": "transformers/model.html#no-such-section",
}


def test_addresses_of_earlier_times_lead_to_what_has_moved(open_page, address):
    page = open_page("transformers/model.html")
    for old, new in OLD_ADDRESSES.items():
        page.goto("about:blank")
        page.goto(address + old)
        page.wait_for_url(lambda url, new=new: url.startswith(address + new))
        anchor = unquote(urldefrag(page.url).fragment)
        if target := page.query_selector(f"[id='{anchor}']"):
            top = target.bounding_box()["y"]
            assert 0 <= top < MODES["desktop-light"][1], f"{old}: the target is out of view"


def test_a_cell_that_moved_is_found_and_a_folded_one_is_opened(open_page, address):
    anchors = json.loads((SITE / "anchors.json").read_text(encoding="utf-8"))
    moved = anchors["cells"]["transformers/generation"][-1]
    page = open_page(f"transformers/model.html#cell-{moved}")
    page.wait_for_url(f"**/transformers/generation.html#cell-{moved}")
    page.goto(address + "transformers/attention.html")
    folded = page.locator("details.more-checks .tag_test").first
    name = folded.get_attribute("id")
    page.goto("about:blank")
    page.goto(address + f"transformers/attention.html#{name}")
    code = page.locator(f"[id='{name}'] .cell_input")
    code.wait_for(state="visible")
    assert 0 <= code.bounding_box()["y"] < MODES["desktop-light"][1]


def test_what_moved_went_to_pages_that_exist():
    sections = json.loads((ROOT / "docs/moved.json").read_text(encoding="utf-8"))
    for old, anchors in sections.items():
        ids = Links((SITE / f"{old}.html").read_text(encoding="utf-8")).ids
        for anchor, new in anchors.items():
            assert f"{new}.html" in PAGES, f"{old}#{anchor} went to {new}, which is no page"
            assert anchor not in ids, f"{old}#{anchor} is there again"


def test_no_fold_stands_open_and_every_test_is_in_the_page(open_page):
    source = ROOT / "docs/_build/src/transformers/attention.ipynb"
    tests = source.read_text(encoding="utf-8").count('"label": "Test: ') + len(
        re.findall(r'"code_prompt_show": "Test: ', source.read_text(encoding="utf-8"))
    )
    page = open_page("transformers/attention.html")
    assert page.locator(".tag_test").count() == tests
    assert page.locator("article details[open]").count() == 0


def test_copy_button_copies_without_the_prompt(open_page):
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    block = page.locator(".highlight-console").first
    assert block.inner_text().startswith("$ make")
    block.hover()
    block.locator("button.copybtn").click()
    page.wait_for_timeout(200)
    assert page.evaluate("navigator.clipboard.readText()").split("\n") == [
        "make course",
        "make test",
    ]


def test_theme_switches_and_is_remembered(open_page):
    page = open_page(mode="desktop-light")
    page.locator(".theme-switch-button").click()
    page.locator(".theme-change-button[data-mode=dark]").click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    red, green, blue = map(
        int,
        re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor"))[:3],
    )
    assert max(red, green, blue) < 60


def test_explorer_answers_to_mouse_keyboard_and_touch(open_page):
    page = open_page("explorer.html")
    status = page.locator("#explorer .status")
    status.wait_for()
    first = status.inner_text()
    page.locator("#explorer [role=radio]").nth(4).hover()
    second = status.inner_text()
    assert second != first and "looks at" in second
    page.locator("#explorer [role=radio][tabindex='0']").focus()
    page.keyboard.press("ArrowRight")
    assert status.inner_text() != second
    page.locator("#explorer [role=gridcell][tabindex='0']").focus()
    before = status.inner_text()
    page.keyboard.press("ArrowUp")
    assert (
        status.inner_text() != before
        and page.evaluate("document.activeElement.ariaSelected") == "true"
    )
    page.locator("#explorer select").select_option("1")
    assert page.locator("#explorer [role=radio]").first.inner_text().startswith("Alice")

    phone = open_page("explorer.html", "phone-light")
    phone.locator("#explorer .status").wait_for()
    phone.locator("#explorer [role=radio]").nth(3).tap()
    assert phone.locator("#explorer [aria-checked=true]").count() == 1
    phone.locator("#explorer [role=gridcell]").nth(40).tap()
    assert phone.locator("#explorer .status").inner_text().startswith("Layer 4, head 4")


def test_explorer_shows_what_attention_is(address):
    "Each row of recorded weights sums to 1, and the file is small."
    import base64

    path = SITE / "_static/explorer/attention.json"
    assert path.stat().st_size <= 1_000_000
    for s in json.loads(path.read_text(encoding="utf-8"))["sentences"]:
        data, t = base64.b64decode(s["weights"]), len(s["tokens"])
        assert len(data) == s["layers"] * s["heads"] * t * (t + 1) // 2
        at = 0
        for _ in range(s["layers"] * s["heads"]):
            for q in range(t):
                assert abs(sum(data[at : at + q + 1]) - 255) <= (q + 1) / 2 + 1
                at += q + 1


def test_training_is_played_back_by_keyboard_and_touch(open_page):
    page = open_page("learning.html")
    status = page.locator("#learning .status")
    status.wait_for()
    text = page.locator("#learning pre")
    last, end = status.inner_text(), text.inner_text()
    marker = page.locator("#learning .marker")
    right = marker.get_attribute("x1")
    page.locator("#learning input").focus()
    page.keyboard.press("ArrowLeft")
    assert status.inner_text() != last and text.inner_text() != end
    assert float(marker.get_attribute("x1")) < float(right)
    page.keyboard.press("Home")
    assert status.inner_text().startswith("Step 1:")
    page.locator("#learning select").select_option("2")
    first = page.locator("#learning option").nth(2).inner_text()
    assert text.inner_text().startswith(first)

    phone = open_page("learning.html", "phone-light")
    phone.locator("#learning .status").wait_for()
    place = phone.locator("#learning input").bounding_box()
    phone.touchscreen.tap(place["x"] + 3, place["y"] + place["height"] / 2)
    assert phone.locator("#learning .status").inner_text().startswith("Step 1:")


def test_scorecard_answers_to_mouse_keyboard_and_touch(open_page):
    page = open_page("scorecard.html")
    points = page.locator("#scorecard [role=radio]")
    points.first.wait_for()
    name = page.locator("#scorecard .name")
    assert name.inner_text() == "packed"
    card = json.loads((SITE / "_static/scorecard/scorecard.json").read_text(encoding="utf-8"))
    drawn = [r for r in card["recipes"] if {"kl", "memory"} <= set(r["values"])]
    assert points.count() == len(drawn)
    for i in (0, 3):  # dots that lie side by side, too
        label = points.nth(i).get_attribute("aria-label")
        points.nth(i).locator(".dot").hover(force=True)
        assert name.inner_text() == label.partition(":")[0] != "packed"
    page.locator("#scorecard [aria-checked=true]").focus()
    visited = set()
    for _ in drawn:
        page.keyboard.press("ArrowLeft")
    for _ in drawn:
        visited.add(name.inner_text())
        page.keyboard.press("ArrowRight")
    assert visited == {r["name"] for r in drawn}  # no dot is out of the keyboard's reach
    dots = "[...document.querySelectorAll('#scorecard .dot')].map((dot) => dot.getAttribute('cx'))"
    before = page.evaluate(dots)
    page.locator("#scorecard-x").select_option("batch 1")
    after = page.evaluate(dots)
    assert before != after
    timed = [r for r in drawn if "batch 1" in r["values"]]
    speeds = {r["name"]: r["values"]["batch 1"][0] for r in timed}
    page.locator("#scorecard [aria-checked=true]").focus()
    for _ in drawn:
        page.keyboard.press("ArrowRight")
    assert speeds[name.inner_text()] > 0.9 * max(speeds.values())  # dots that meet are moved apart
    rows = page.locator("#scorecard tbody tr")
    assert rows.count() == len(after) and page.locator("#scorecard tr.on").count() == 1
    assert page.locator("#scorecard tr.on th").inner_text().endswith(name.inner_text())

    phone = open_page("scorecard.html", "phone-dark")
    points = phone.locator("#scorecard [role=radio]")
    points.first.wait_for()
    point = phone.locator("#scorecard [role=radio][aria-label^='bfloat16']")
    point.locator(".dot").tap(force=True)
    assert phone.locator("#scorecard .name").inner_text() == "bfloat16"
    assert point.get_attribute("aria-checked") == "true"
    assert phone.evaluate("document.documentElement.scrollWidth") <= PHONE_WIDTH


def test_the_scorecard_marks_what_nothing_dominates(open_page):
    "Full and hollow dots are the library's front, on all pairs of axes that are tried."
    from llm_course.compression.scorecard import pareto

    path = SITE / "_static/scorecard/scorecard.json"
    assert path.stat().st_size <= 300_000
    card = json.loads(path.read_text(encoding="utf-8"))
    measures = {m["key"]: m for m in card["measures"]}

    def cost(recipe, key):
        value = float(recipe["values"][key][0])
        value = 0.0 if measures[key]["log"] and value <= card["zero"] else value
        return value if measures[key]["lower_is_better"] else -value

    page = open_page("scorecard.html")
    page.locator("#scorecard [role=radio]").first.wait_for()
    for across, up in (("kl", "memory"), ("batch 1", "kl"), ("disk", "first token")):
        page.locator("#scorecard-x").select_option(across)
        page.locator("#scorecard-y").select_option(up)
        full = page.locator("#scorecard .point:has(.dot:not(.beaten))")
        labels = full.evaluate_all("(points) => points.map((p) => p.ariaLabel.split(':')[0])")
        points = {
            r["name"]: [cost(r, across), cost(r, up)]
            for r in card["recipes"]
            if {across, up} <= set(r["values"])
        }
        assert sorted(labels) == sorted(pareto(points)), (across, up)


def test_rounds_step_by_button_keyboard_and_touch(open_page):
    page = open_page("rounds.html")
    status = page.locator("#rounds .status")
    status.wait_for()
    record = json.loads((SITE / "_static/speculative/rounds.json").read_text(encoding="utf-8"))
    rounds = record["texts"][0]["rounds"]
    assert status.inner_text().startswith(f"Round 1 of {len(rounds)}: guesses. 0 tokens")
    guesses = page.locator("#rounds .text .guess")
    assert guesses.count() == len(rounds[0]["guesses"])
    page.get_by_role("button", name="Next").click()
    assert page.locator("#rounds .text .kept").count() == rounds[0]["kept"]
    assert guesses.count() == 0 and f"{rounds[0]['kept'] + 1} token" in status.inner_text()
    page.locator("#rounds input").focus()
    page.keyboard.press("End")
    tokens = sum(r["kept"] + 1 for r in rounds)
    assert f"{tokens} tokens from {len(rounds)} passes" in status.inner_text()
    assert page.locator("#rounds .text .own").count() == len(rounds)
    assert page.get_by_role("button", name="Next").is_disabled()
    page.keyboard.press("ArrowLeft")
    assert page.locator("#rounds .text .own").count() == len(rounds) - 1
    page.locator("#rounds select").select_option(str(len(record["texts"]) - 1))
    assert status.inner_text().startswith("Round 1 of")

    phone = open_page("rounds.html", "phone-dark")
    phone.locator("#rounds .status").wait_for()
    phone.get_by_role("button", name="Next").tap()
    assert "the large model has read" in phone.locator("#rounds .status").inner_text()
    assert phone.evaluate("document.documentElement.scrollWidth") <= PHONE_WIDTH


def test_an_agent_is_killed_by_button_keyboard_and_touch(open_page):
    page = open_page("kills.html")
    status = page.locator("#kills .status")
    status.wait_for()
    runs = json.loads((SITE / "_static/agents/kills.json").read_text(encoding="utf-8"))["runs"]
    assert "3 orders and booked 2 payments" in status.inner_text(), "a number, so booked once"
    page.locator("#kills select").select_option("careless")
    assert "A bill was paid twice." in status.inner_text()
    page.locator("#kills input").focus()
    page.keyboard.press("Home")
    assert page.get_by_role("button", name="Back").is_disabled()
    assert page.locator("#kills td.kept").count() == 0, "nothing was noted before the kill"
    page.keyboard.press("End")
    assert page.get_by_role("button", name="Next").is_disabled()
    assert page.locator("#kills td.kept").count() == page.locator("#kills tbody tr").count()

    phone = open_page("kills.html", "phone-dark")
    phone.locator("#kills .status").wait_for()
    sent = next(i for i, run in enumerate(runs["careful"]) if run["place"] == "after sending")
    start = next(i for i, run in enumerate(runs["careful"]) if run["place"] == "after paying")
    for _ in range(sent - start):
        phone.get_by_role("button", name="Next").tap()
    assert "the agent can’t know" in phone.locator("#kills .status").inner_text()
    assert phone.locator("#kills td.unknown").count() == 1
    assert phone.evaluate("document.documentElement.scrollWidth") <= PHONE_WIDTH


def test_recorded_kills_show_what_the_page_says(address):
    "Careful runs do nothing twice, wherever they are killed; careless ones do, somewhere."
    path = SITE / "_static/agents/kills.json"
    assert path.stat().st_size <= 300_000
    runs = json.loads(path.read_text(encoding="utf-8"))["runs"]
    assert all(run["booked"] == 2 and run["letters"] <= 1 for run in runs["careful"])
    assert {run["letters"] for run in runs["careful"]} == {0, 1}, "a gap stays"
    assert any(run["booked"] > 2 for run in runs["careless"])
    assert any(run["letters"] > 1 for run in runs["careless"])
    assert all(len(run["starts"]) == 2 for way in runs.values() for run in way)


def test_recorded_rounds_follow_the_rule(address):
    "What p could never say is refused, what p likes as well as q is kept, and both happen."
    path = SITE / "_static/speculative/rounds.json"
    assert path.stat().st_size <= 300_000
    texts = json.loads(path.read_text(encoding="utf-8"))["texts"]
    assert len({text["guesser"] for text in texts}) > 1
    sure, refused = 0, 0
    for text in texts:
        for r in text["rounds"]:
            assert 0 <= r["kept"] <= len(r["guesses"])
            for at, guess in enumerate(r["guesses"][: r["kept"] + 1]):
                if at < r["kept"]:
                    assert guess["p"] > 0
                    sure += guess["p"] >= guess["q"]
                else:
                    assert guess["p"] <= guess["q"]  # rounded to four digits
                    refused += 1
    assert sure > 0 and refused > 0


def sampling_record() -> dict:
    path = SITE / "_static/sampling/sampling.json"
    assert path.stat().st_size <= 300_000
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_playground_draws_by_button_keyboard_and_touch(open_page):
    page = open_page("sampling.html")
    status = page.locator("#sampling .status")
    status.wait_for()
    record = sampling_record()
    assert status.inner_text().startswith("49,152 of 49,152 tokens can be drawn.")
    page.locator("#sampling-k").focus()
    page.keyboard.press("Home")
    assert status.inner_text().startswith("1 of 49,152")
    draws = page.locator("#sampling .drawn li")
    page.get_by_role("button", name="Draw").click()
    first = record["prompts"][0]
    written = f"… {first['tokens'][0]}{first['follows'][0]}".replace("\n", "↵")
    assert draws.first.inner_text().startswith(written[:12])
    page.keyboard.press("Enter")
    assert draws.count() == 2
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # clear
    assert draws.count() == 0
    page.locator("#sampling-k").focus()
    page.keyboard.press("End")
    page.locator("#sampling-temperature").focus()
    page.keyboard.press("Home")
    assert status.inner_text().startswith("1 of 49,152")
    assert page.locator("#sampling-temperature").get_attribute("aria-valuetext") == "0: greedy"
    page.locator("#sampling-prompt").select_option("1")
    assert draws.count() == 0

    phone = open_page("sampling.html", "phone-dark")
    phone.locator("#sampling .status").wait_for()
    for _ in range(7):
        phone.get_by_role("button", name="Draw").tap()
    assert phone.locator("#sampling .drawn li").count() == 5  # the newest ones
    assert phone.evaluate("document.documentElement.scrollWidth") <= PHONE_WIDTH


def test_the_playground_leaves_what_the_library_leaves(open_page):
    "The sliders' tokens are those of `Sampler`, on the recorded scores."
    import torch

    from llm_course.prompting.sampling import Sampler

    page = open_page("sampling.html")
    status = page.locator("#sampling .status")
    status.wait_for()
    set_to = """([name, value]) => { const input = document.getElementById(`sampling-${name}`);
        input.value = value; input.dispatchEvent(new Event("input")); }"""
    ks = [1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000, 5000]
    for number, prompt in enumerate(sampling_record()["prompts"]):
        last = prompt["below"][-1]
        below = list(prompt["below"])
        for x, n in prompt["tail"]:
            below += [max(x, last)] * n
        assert len(below) == 49_152
        z = -torch.tensor([below])
        page.locator("#sampling-prompt").select_option(str(number))
        for t, k, p, least in ((0.7, None, 0.9, 0), (1.5, None, 1, 0.1), (1, 10, 0.55, 0.02)):
            slot = len(ks) if k is None else ks.index(k)
            for name, value in (("temperature", t), ("k", slot), ("p", p), ("min-p", least)):
                page.evaluate(set_to, [name, value])
            left = int(Sampler(t, k, p, least).probabilities(z).count_nonzero())
            shown = int(status.inner_text().split(" of ")[0].replace(",", ""))
            assert abs(shown - left) <= 1 + left // 1000, (prompt["prompt"], t, k, p, least)


def test_the_training_that_is_played_back_is_whole(address):
    import ast

    path = SITE / "_static/learning/run.json"
    assert path.stat().st_size <= 300_000
    run = json.loads(path.read_text(encoding="utf-8"))
    assert len(run["losses"]) == run["validation"][-1][0] == run["moments"][-1]["step"]
    assert run["losses"][0] > 7 > run["validation"][-1][1] + 3
    for moment in run["moments"]:
        assert len(moment["written"]) == len(run["prompts"])
        for first, written in zip(run["prompts"], moment["written"]):
            try:
                ast.parse(first + written["text"])
                wrong = False
            except (SyntaxError, ValueError):
                wrong = True
            assert wrong == bool(written["error"]), first


# The metric bench -------------------------------------------------------------------------------

PIECES = {
    "plain": "the cat sat on the mat and the dog ran to the cat".split(),
    "signs": (
        'Well, no! (yes) "so" it\'s 3.14 1,000 2-3 A-B 50% $5. 7, x-\ny ... -- &amp; &lt;b&gt; '
        "&amp;lt; <skipped> a<skipped>b ' !' '' [1] x_y a/b e.g. .5 5. U.S. 12:30"
    ).split(" "),
    "scripts": (
        "Кошка СИДИТ на коврике ΟΔΟΣ ΣΑΣ İstanbul ıI ﬁn Straße naïve naïve 猫坐在垫子上。 "
        "ネコ हिन्दी ١٢٣ 👩‍🚀 😀😀 😀! ！？ “quoted” … Ⅷ K Å ǅ 𝒜𝒷 −5 ½ 한국어"
    ).split(" "),
    "repeats": "a b c d e f a b c a b a".split(),
    "numbers": "1 1. 1, 1.5 1,5 10 010 1-1 -1 1- ,1 .1 1.. 3.".split(),
}
BLANKS = [" "] * 12 + ["  ", "\t", "\n", "\u00a0", "\u3000", "\x1c", "\x85", "\u2028", "\ufeff"]
BLANKS += ["\u200b", "-\n"]


def text_of(rng, pieces: list[str], n: int) -> str:
    "So many pieces, with blanks of all kinds around them."
    return "".join(rng.choice(pieces) + rng.choice(BLANKS) for _ in range(n))


def changed(rng, text: str, pieces: list[str]) -> str:
    "The text after some of what happens to texts: words lost, added, exchanged, moved, a case."
    words = text.split(" ")
    for _ in range(rng.randrange(1, 5)):
        at = rng.randrange(len(words) + 1)
        kind = rng.choice(["lose", "add", "exchange", "move", "case"])
        if kind == "add":
            words.insert(at, rng.choice(pieces))
        elif kind == "exchange":
            words[at : at + 1] = [rng.choice(pieces)]
        elif kind == "case":
            words = [word.upper() if rng.random() < 0.3 else word for word in words]
        else:
            block = words[at : at + rng.randrange(1, 4)]
            del words[at : at + len(block)]
            if kind == "move":
                to = rng.randrange(len(words) + 1)
                words[to:to] = block
    return " ".join(words)


def pairs_of_texts(n: int = 200) -> list[tuple[str, list[str]]]:
    "Candidates with one to three references, of all kinds that the scores treat differently."
    import random

    rng = random.Random(10)
    everything = sum(PIECES.values(), [])
    found = []
    while len(found) < n:
        pieces = rng.choice([*PIECES.values(), everything])
        n_words = rng.choice([1, 2, 3, 5, 8, 13, 21])
        references = [text_of(rng, pieces, n_words) for _ in range(rng.choice([1, 1, 2, 3]))]
        references = [text for text in references if text.strip()] or ["."]
        origin = rng.choice(references)
        ways = [
            changed(rng, origin, pieces),
            changed(rng, origin, pieces),
            " ".join(rng.sample(words := origin.split(), len(words))),
            text_of(rng, pieces, rng.choice([0, 1, n_words, n_words + 3])),
        ]
        found.append((rng.choice(ways), references))
    numbered = [f"w{i}" for i in range(220)]
    limits = [
        ("", ["the cat"]),
        (" \x1c\u3000", ["!", "?"]),
        ("same", ["same"]),
        ("a b c", ["a b c d", "a b"]),  # two lengths are as close
        (" ".join(numbered[22:34] + numbered[:22]), [" ".join(numbered[:34])]),  # a long block
        (" ".join(numbered[59:60] + numbered[:59]), [" ".join(numbered[:60])]),  # a long way
        ("w8 w0 w90 w3", [" ".join(numbered)]),  # a wide band
        (" ".join(["x"] * 60 + numbered[:60]), [" ".join(numbered[:60])]),  # outside of the band
        (text_of(rng, PIECES["repeats"], 60), [text_of(rng, PIECES["repeats"], 60)]),  # trials
    ]
    return limits + found[len(limits) :]


def scores_of_the_library(candidate: str, references: list[str]) -> dict[str, list[float]]:
    "What the page must show, by name."
    import warnings

    from llm_course.evaluation.bleu import bleu_tokens, sentence_bleu
    from llm_course.evaluation.chrf import sentence_chrf
    from llm_course.evaluation.rouge import classic_words, lcs_places, match_bits, rouge
    from llm_course.evaluation.ter import sentence_ter

    bleu = sentence_bleu(candidate, references)
    chrf = sentence_chrf(candidate, references)
    plus = sentence_chrf(candidate, references, word_order=2)
    ter = sentence_ter(candidate, references)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of texts without a letter from a to z
        found = rouge(candidate, references)
    target = classic_words(references[0])
    places = lcs_places(match_bits(target), len(target), classic_words(candidate))
    return {
        "bleu": [bleu.score, bleu.bp, bleu.sys_len, bleu.ref_len, *bleu.counts, *bleu.totals],
        "tokens": bleu_tokens(candidate),
        "chrf": [chrf.score, plus.score],
        "ter": [ter.score, ter.num_edits, ter.ref_length],
        "rouge": [share for score in found.values() for share in score],
        "lcs": [i for i in range(len(target)) if places >> i & 1],
    }


SCORES_OF_THE_PAGE = """async (pairs) => {
    const bench = await import(new URL("_static/metrics/metrics.js", location.href));
    return pairs.map(([candidate, references]) => {
        const { bleu, chrf, chrfpp, ter, rouge } = bench.scoreAll(candidate, references);
        const table = bench.lcsTable(rouge.prediction, rouge.targets[0]);
        const path = bench.lcsPath(table, rouge.prediction, rouge.targets[0]);
        return {
            bleu: [bleu.score, bleu.penalty, bleu.length, bleu.referenceLength, ...bleu.counts,
                   ...bleu.totals],
            tokens: bleu.tokens,
            chrf: [chrf.score, chrfpp.score],
            ter: [ter.score, ter.count, ter.length],
            rouge: [rouge.rouge1, rouge.rouge2, rouge.rougeL]
                .flatMap((one) => [one.precision, one.recall, one.fmeasure]),
            lcs: path.filter(([i, j, equal]) => equal).map(([i, j]) => j),
        };
    });
}"""


def test_the_metric_bench_computes_what_the_library_does(open_page):
    pairs = pairs_of_texts()
    shown = open_page("metrics.html").evaluate(SCORES_OF_THE_PAGE, pairs)
    scores = set()
    for (candidate, references), found in zip(pairs, shown, strict=True):
        wanted = scores_of_the_library(candidate, references)
        for name, values in wanted.items():
            if name == "tokens":
                assert found[name] == values, (candidate, references)
            else:
                close = pytest.approx(values, rel=0, abs=1e-9)
                assert found[name] == close, (name, candidate, references)
        scores.add(round(wanted["bleu"][0], 3))
    assert len(pairs) == 200 and len(scores) > 100, "pairs must differ, or they show nothing"


def presets(page) -> dict[str, tuple[str, list[str]]]:
    "The pairs that the page offers: a candidate and its references, by name."
    found = page.evaluate(
        "async () => (await import(new URL('_static/metrics/bench.js', location.href))).PRESETS"
    )
    return {pair["name"]: (pair["candidate"], pair["references"]) for pair in found}


def test_the_stories_of_the_metric_bench_are_true(open_page):
    pairs = presets(open_page("metrics.html"))
    found = {name: scores_of_the_library(*pair) for name, pair in pairs.items()}

    def changed_scores(name, old, new, both=False):
        candidate, references = pairs[name]
        assert old in candidate
        candidate = candidate.replace(old, new)
        if both:
            references = [text.replace(old, new) for text in references]
        return scores_of_the_library(candidate, references)

    assert found["A perfect copy"]["chrf"] == pytest.approx([100, 100])
    assert found["A perfect copy"]["rouge"] == [1] * 9
    assert found["A perfect copy"]["ter"][0] == 0

    false, true = found["A negation"], found["A paraphrase"]
    assert pairs["A negation"][1] == pairs["A paraphrase"][1]
    assert all(a > 4 * b for name in ("chrf", "rouge") for a, b in zip(false[name], true[name]))
    assert false["bleu"][0] > 10 * true["bleu"][0] and 10 * false["ter"][0] <= true["ter"][0]
    very = changed_scores("A negation", "not", "very")
    assert all(very[name] == false[name] for name in ("bleu", "ter", "rouge"))
    assert very["chrf"] != false["chrf"]

    turned = found["Turned round"]["rouge"]
    assert turned[2] == 1 and max(turned[5], turned[8]) < 1
    assert found["A block that moved"]["ter"][1] == 4
    assert changed_scores("A block that moved", ".", "", both=True)["ter"][1] == 1

    score, penalty, _, _, *counts = found["Too short"]["bleu"]
    assert counts[:4] == counts[4:] and score == pytest.approx(100 * penalty) and penalty < 0.5
    assert found["The the the"]["bleu"][4] == 2 and found["The the the"]["bleu"][8] == 6
    other = changed_scores("A wrong ending", "walks", "sings")
    assert all(other[n] == found["A wrong ending"][n] for n in ("bleu", "ter", "rouge"))
    assert other["chrf"][0] < found["A wrong ending"]["chrf"][0] - 5

    candidate, references = pairs["Two references"]
    alone = [scores_of_the_library(candidate, [text]) for text in references]
    assert found["Two references"]["bleu"][0] > max(one["bleu"][0] for one in alone)
    for name in ("chrf", "rouge"):
        assert found["Two references"][name] in [one[name] for one in alone]
    assert set(found["Another script"]["rouge"]) == {0} and found["Another script"]["bleu"][0] > 40


def shown_scores(page) -> list[str]:
    return page.locator("#metrics [role=tab] b").all_inner_texts()


def wanted_scores(candidate: str, references: list[str]) -> list[str]:
    "The seven numbers, as the page writes the library's."
    found = scores_of_the_library(candidate, references)
    hundreds = [found["bleu"][0], *found["chrf"], found["ter"][0]]
    return [f"{score:.1f}" for score in hundreds] + [f"{f:.3f}" for f in found["rouge"][2::3]]


def test_the_metric_bench_follows_what_is_typed(open_page):
    page = open_page("metrics.html")
    candidate = page.get_by_role("textbox", name="Candidate")
    references = page.get_by_role("textbox", name="References")
    page.locator("#metrics select").select_option(label="The the the")
    assert shown_scores(page) == wanted_scores(*presets(page)["The the the"])
    assert page.locator("#metrics .text .over").count() == 4

    wanted = "A dog ran."
    references.fill(wanted)
    candidate.fill("")
    assert shown_scores(page) == ["0.0", "0.0", "0.0", "100.0", "0.000", "0.000", "0.000"]
    seen = set()
    for i in range(len(wanted)):
        page.keyboard.type(wanted[i])
        assert shown_scores(page) == wanted_scores(wanted[: i + 1], [wanted])
        seen.add(tuple(shown_scores(page)))
    assert len(seen) >= 6
    status = page.locator("#metrics [role=status]")
    page.wait_for_function("document.querySelector('#metrics [role=status]').textContent")
    page.wait_for_timeout(800)  # it speaks when the reader has stopped for a moment
    assert status.inner_text().startswith("BLEU 100.0, chrF 100.0, chrF++ 100.0, TER 0.0, ROUGE-1")

    references.fill("nothing\nA dog ran. Or not.\n\n")  # each line is a reference
    assert shown_scores(page) == wanted_scores(wanted, ["nothing", "A dog ran. Or not."])
    references.fill(" \n")
    assert shown_scores(page) == ["–"] * 7
    assert page.get_by_text("Write a reference").is_visible()
    page.get_by_role("button", name="Reset").click()
    assert shown_scores(page) == wanted_scores(*presets(page)["The the the"])


def test_the_metric_bench_is_used_by_keyboard_and_touch(open_page):
    page = open_page("metrics.html")
    tabs, panels = page.locator("#metrics [role=tab]"), page.locator("#metrics [role=tabpanel]")
    tabs.first.focus()
    for i, text in enumerate(["Brevity penalty", "chrF++ P", "all edits", "ROUGE-L"]):
        assert tabs.nth(i).get_attribute("aria-selected") == "true"
        assert text in panels.nth(i).inner_text()
        assert panels.locator("visible=true").count() == 1
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Home")
    page.keyboard.press("Tab")  # from the tab to the choice of runs, and on to the first of them
    page.keyboard.press("ArrowRight")
    assert page.locator("#metrics-bleu tr.current").inner_text().startswith("3")
    page.keyboard.press("Tab")
    run = page.locator("#metrics-bleu .grams button").first
    assert run.evaluate("(e) => e === document.activeElement")
    seen = page.locator("#metrics-bleu .text .seen")
    assert seen.all_inner_texts() == ["The", "cat", "sat"] * 2
    page.keyboard.press("Enter")
    assert run.get_attribute("aria-pressed") == "true"
    page.locator("h1").hover()
    page.get_by_role("textbox", name="Candidate").focus()
    assert seen.count() == 6, "a run that was chosen stays in view"

    phone = open_page("metrics.html", "phone-light")
    phone.locator("#metrics [role=tab]").nth(3).tap()
    phone.locator("#metrics-rouge .runs label").nth(2).tap()
    cells = phone.locator("#metrics .lcs td.equal")
    assert cells.all_inner_texts() == ["1", "2", "3", "4", "5", "6"]
    phone.locator("#metrics [role=tab]").first.tap()
    phone.locator("#metrics-bleu .grams button").last.tap()
    assert phone.locator("#metrics-bleu .text .seen").count() > 0


@pytest.mark.parametrize("mode", list(MODES))
def test_each_part_of_the_metric_bench_can_be_read(open_page, mode):
    page = open_page("metrics.html", mode)
    page.emulate_media(reduced_motion="reduce")
    candidate = page.get_by_role("textbox", name="Candidate")
    references = page.get_by_role("textbox", name="References")
    long = "wwwwwwwwww" * 12 + " " + " ".join(f"word{i % 19}" for i in range(29))
    for text in ("the the the cat. The cat sat on the mat", long):
        candidate.fill(text)
        references.fill(" ".join(text.split()[::-1]) + "\nThe cat, then.")
        for tab in page.locator("#metrics [role=tab]").all():
            tab.click()
            if tab.inner_text().startswith("ROUGE"):
                page.locator("#metrics-rouge .runs label").last.click()
            if text != long:
                problems = serious_problems(page, "#metrics")
                assert not problems, "\n".join(problems)
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= MODES[mode][0], f"{tab.inner_text()}: the page scrolls sideways"


def test_the_metric_bench_is_small():
    files = list((SITE / "_static/metrics").iterdir())
    assert len(files) == 3 and sum(f.stat().st_size for f in files) <= 300_000


def test_phone_opens_the_menu_and_the_contents(open_page):
    page = open_page(notebooks_with("solution")[0], "phone-light")
    page.locator("button.primary-toggle").click()
    page.locator("#pst-primary-sidebar-modal nav a").first.wait_for(state="visible")
    page.keyboard.press("Escape")
    page.locator("button.secondary-toggle").click()
    page.locator("#pst-secondary-sidebar-modal nav a").first.wait_for(state="visible")


def test_missing_page_says_so_anywhere(open_page):
    page = open_page("no/such/page.html")
    page.wrong[:] = [
        w for w in page.wrong if "404 (Not Found)" not in w
    ]  # the browser's own word for what is being tested
    assert "There is no such page" in page.inner_text("h1")
    page.locator("article a", has_text="first page").click()
    page.wait_for_selector(".hero")


def test_print_shows_what_is_folded(open_page):
    page = open_page(notebooks_with("solution")[0])
    page.emulate_media(media="print")
    assert (
        page.locator("h1").first.is_visible()
        and not page.locator("#pst-primary-sidebar").is_visible()
    )
    assert (
        page.locator(".tag_solution .cell_input").first.evaluate(
            "(e) => e.getBoundingClientRect().height"
        )
        > 10
    )
