"""The diagrams' helpers: text stays inside its box, colours can be read, faults are found."""

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from course_tools import diagrams as d

DARK = "#0f1419"  # the site's dark page


@pytest.fixture(autouse=True)
def figure():
    with plt.style.context("course_tools.course"):
        yield
    plt.close("all")


def contrast(one, other) -> float:
    high, low = sorted((d._luminance(one), d._luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def sample() -> dict[str, d.Box]:
    "One of everything, laid out well."
    d.canvas(30, 14.5)
    x = d.box(0.4, 5, 4.4, 2, "tokens x", "stream", shape="(b, t, c)")
    q = d.box(8.5, 1, 5, 2, "queries", "query", shape="(b, h, t, d)")
    v = d.box(8.5, 9, 5, 2, "values", "value", shape="(b, h, t, d)")
    d.arrow(x, q, "W_q", bend="z", side="left")
    d.arrow(x, v, bend="z")
    weights = np.tril(np.ones((4, 4))) / np.arange(1, 5)[:, None]
    weights[np.triu_indices(4, 1)] = np.nan
    words = ["The", "cat", "sat", "down"]
    w = d.grid(17, 3, weights, cell=(1.6, 1.1), rows=words, columns=words, show="{:.2f}")
    d.caption(w, "(b, h, t, t)")
    out = d.box(25.5, 9, 4, 2, "output", "stream")
    d.arrow(v, out)
    d.arrow(w, out, bend="hv")
    kinds = [["cached"] * 4 + ["key", "masked"]]
    cache = d.grid(8, 12.4, (1, 6), "cached", texts=[list("abcdef")], kinds=kinds)
    d.brace(cache, "cache", "right")
    return {"x": x, "q": q, "v": v, "w": w, "out": out, "cache": cache}


def test_a_good_diagram_has_no_faults():
    sample()
    assert d.faults() == []


def test_every_text_lies_inside_its_box_by_the_renderers_measure():
    places = sample()
    ax = plt.gca()
    renderer = ax.figure.canvas.get_renderer()
    owner = {"tokens x": "x", "queries": "q", "values": "v", "output": "out"}
    seen = set()
    for text in ax.texts:
        if text.get_text() not in owner:
            continue
        box = places[owner[text.get_text()]]
        extent = text.get_window_extent(renderer)
        (x0, y1), (x1, y0) = ax.transData.inverted().transform(extent.get_points())
        assert box.x <= x0 and x1 <= box.x + box.w
        assert box.y <= y0 and y1 <= box.y + box.h
        seen.add(text.get_text())
    assert seen == set(owner)


def test_a_text_too_wide_or_too_high_for_its_box_is_refused():
    d.canvas(20, 5)
    with pytest.raises(ValueError, match="make the box larger or the text shorter"):
        d.box(1, 1, 3, 2, "a text that is much too wide", "query")
    with pytest.raises(ValueError, match="needs"):
        d.box(1, 1, 3, 1, "three\nlines\nhigh", "query")
    with pytest.raises(ValueError, match="needs"):
        d.grid(8, 1, [[0.123456]], show="{:.6f}")


@pytest.mark.parametrize(
    "spoil, fault",
    [
        (lambda b: d.box(b["q"].x + 1, b["q"].y + 1, 5, 2, "", "key"), "overlap"),
        (lambda b: d.label(*b["q"].right, "on the edge"), "crosses a line of kind 'query'"),
        (lambda b: d.label(20, 10, "on an arrow"), "crosses a line of kind 'arrow'"),
        (lambda b: d.label(*b["q"].top, "over", "below"), "covers 'queries'"),
        (lambda b: d.label(29.9, 1, "outside"), "leaves the canvas"),
        (lambda b: d.label(2, 1, "tiny", size=6), "below 8 points"),
    ],
)
def test_each_fault_is_found(spoil, fault):
    spoil(sample())
    assert any(fault in f for f in d.faults()), d.faults()


def test_arrows_end_at_the_sides_of_boxes():
    a, b, c = d.Box(0, 0, 2, 2), d.Box(5, 0, 2, 2), d.Box(5, 6, 2, 2)
    assert d._route(a, b, "") == [(2, 1), (5, 1)]
    assert d._route(b, a, "") == [(5, 1), (2, 1)]
    assert d._route(b, c, "") == [(6, 2), (6, 6)]
    assert d._route(a, c, "hv") == [(2, 1), (6, 1), (6, 6)]
    assert d._route(a, c, "vh") == [(1, 2), (1, 7), (5, 7)]
    assert d._route(a, c, "z") == [(2, 1), (3.5, 1), (3.5, 7), (5, 7)]
    with pytest.raises(ValueError, match="unknown bend"):
        d.arrow(a, b, bend="zigzag")


def test_colours_can_be_read_on_light_and_dark_pages():
    for name, colour in d.COLOURS.items():
        assert contrast(colour, "white") >= 4.5, name  # white ink on it
        assert contrast(colour, DARK) >= 2.9, name  # its shape on the dark page
    assert contrast(d.GREY, "white") >= 4.2
    assert contrast(d.GREY, DARK) >= 4.2


def test_numbers_in_a_grid_can_be_read_at_every_shade():
    for kind in d.COLOURS:
        d.canvas(24, 3)
        d.grid(1, 1, np.linspace(0, 1, 21)[None], kind, show="{:.0f}")
        cells = [p for p in plt.gca().patches if p.get_gid() == kind]
        for patch, text in zip(cells, plt.gca().texts, strict=True):
            assert contrast(patch.get_facecolor()[:3], text.get_color()) >= 4.0, kind


def test_shades_run_from_pale_over_the_colour_to_dark():
    levels = [d._luminance(d.shades("weight")(x)[:3]) for x in np.linspace(0, 1, 11)]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] > 0.8 and levels[-1] < 0.1


def test_clear_shades_begin_as_the_page_and_stand_out_more_with_each_amount():
    assert d.clear_shades("weight")(0.0)[3] == 0
    for page in ((1.0, 1.0, 1.0), d.to_rgb(DARK)):
        seen = []
        for amount in np.linspace(0, 1, 11):
            *colour, alpha = d.clear_shades("weight")(amount)
            mixed = alpha * np.array(colour) + (1 - alpha) * np.array(page)
            seen.append(contrast(mixed, page))
        assert seen == sorted(seen)
        assert seen[0] == 1 and seen[-1] > 2.9
