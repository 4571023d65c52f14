"""Boxes, arrows and grids for the course's explanatory diagrams, so that all look alike.

    canvas(30, 8)  # 7.5 × 2 inches; one unit is a quarter of an inch
    x = box(0, 3, 5, 2, "x", "stream", shape="(b, t, c)")
    q = box(8, 1, 5, 2, "queries", "query")
    arrow(x, q, "W_q", bend="z")
    w = grid(17, 2, weights, "weight", rows=words, columns=words, show="{:.2f}")
    arrow(q, w, bend="z")

`x` runs to the right and `y` down, both from the top left corner, as on a page. What is drawn goes
to pyplot's current axes. A text that doesn't fit its box is a `ValueError`, and `faults()` lists
what overlaps. Fills are opaque with an ink that reads on them, and lines are mid-grey: a diagram
looks the same on a light page and on a dark one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, PathPatch, Rectangle
from matplotlib.path import Path

Kind = Literal[
    "query", "key", "value", "weight", "stream", "parameter", "masked", "cached", "plain", "group"
]
Point = tuple[float, float]

# One meaning a colour, in every diagram and plot of the course. White text on each: 4.5 to 1.
COLOURS: dict[str, str] = {
    "query": "#1f6feb",
    "key": "#bc4c00",
    "value": "#1a7f37",
    "weight": "#8250df",  # scores and attention weights
    "stream": "#636c76",  # tokens, and the vectors that flow from block to block
    "parameter": "#bf3989",  # what training changes
    "cached": "#0e7490",  # kept from an earlier step
}
GREY = "#737b86"  # lines and text outside of boxes: 4.2 to 1 on white and on the dark page alike
INK = "#101418"  # on pale fills
UNIT = 0.25  # inches
MONO = "DejaVu Sans Mono"
SIZES = {"title": 10.5, "text": 9.5, "small": 8.5}  # points; none is below 8


@dataclass(frozen=True)
class Box:
    "A rectangle on the canvas: what `box` and `grid` return, and what arrows and braces take."

    x: float
    y: float
    w: float
    h: float
    rows: int = 1
    columns: int = 1

    @property
    def left(self) -> Point:
        return self.x, self.y + self.h / 2

    @property
    def right(self) -> Point:
        return self.x + self.w, self.y + self.h / 2

    @property
    def top(self) -> Point:
        return self.x + self.w / 2, self.y

    @property
    def bottom(self) -> Point:
        return self.x + self.w / 2, self.y + self.h

    def cell(self, row: int, column: int = 0) -> Box:
        "The cell of a grid."
        w, h = self.w / self.columns, self.h / self.rows
        return Box(self.x + column * w, self.y + row * h, w, h)


def canvas(width: float, height: float) -> plt.Axes:
    "An empty diagram of `width` × `height` units, now pyplot's current axes."
    figure = plt.figure(figsize=(width * UNIT, height * UNIT), layout="none")
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, width), ylim=(height, 0))
    ax.axis("off")
    ax.grid(False)
    return ax


def shades(kind: Kind) -> LinearSegmentedColormap:
    "A colour map for amounts of one kind: nearly white, its colour, nearly black."
    colour = COLOURS[kind]
    steps = [(0, _mix(colour, "white", 0.93)), (0.6, colour), (1, _mix(colour, "black", 0.55))]
    return LinearSegmentedColormap.from_list(kind, steps)


def clear_shades(kind: Kind) -> LinearSegmentedColormap:
    """A colour map for large heatmaps of one kind: transparent at 0, its colour at 1.

    Zero is the page itself, light or dark, so that only amounts stand out on either.
    """
    colour = to_rgb(COLOURS[kind])
    return LinearSegmentedColormap.from_list(f"clear {kind}", [(*colour, 0.0), (*colour, 1.0)])


def box(
    x: float,
    y: float,
    w: float,
    h: float,
    text: str = "",
    kind: Kind = "plain",
    *,
    shape: str = "",  # a second line in monospace, such as "(b, h, t, d)"
    size: float = SIZES["text"],
) -> Box:
    """A rounded box with a text. "plain" is an outline, "group" a faint ground for other boxes with
    its text on top, "masked" a dashed outline. Raises `ValueError` for a text that doesn't fit."""
    fill, edge, ink = _look(kind)
    style = "round,pad=0,rounding_size=0.35"
    patch = FancyBboxPatch((x, y), w, h, boxstyle=style, fc=fill, ec=edge, lw=1.2, gid=kind)
    if kind == "group":
        patch.set(facecolor=(*to_rgb(GREY), 0.1), linewidth=0.8, zorder=0)
    if kind == "masked":
        patch.set(linestyle=(0, (3, 2)))
    plt.gca().add_patch(patch)
    middle = y + h / 2
    if kind == "group":
        middle = y + 0.65
    lines = [(text, None, size)] if text else []
    if shape:
        lines.append((shape, MONO, SIZES["small"]))
    gap = 0.72 + 0.2 * text.count("\n")
    for i, (line, family, points) in enumerate(lines):
        at = middle + (i - (len(lines) - 1) / 2) * gap
        written = _write(x + w / 2, at, line, ink, points, family)
        _must_fit(written, Box(x, y, w, h))
    return Box(x, y, w, h)


def arrow(
    start: Box | Point,
    end: Box | Point,
    text: str = "",
    *,
    bend: Literal["", "hv", "vh", "z", "s"] = "",  # see below
    kind: Kind = "plain",
    dashed: bool = False,
    side: Literal["above", "below", "left", "right"] | None = None,  # of the arrow: its text
) -> None:
    """An arrow between the sides of two boxes, or between points. `bend`: "" straight, "hv" first
    across, then up or down, "vh" the other way round, "z" across-down-across, "s" down-across-down.
    """
    points = _route(start, end, bend)
    colour = COLOURS.get(kind, GREY)
    patch = FancyArrowPatch(
        path=_rounded(points),
        arrowstyle="-|>,head_length=5,head_width=2.6",
        color=colour,
        lw=1.4,
        linestyle=(0, (3, 2)) if dashed else "-",
        shrinkA=0,
        shrinkB=0,
        joinstyle="round",
        gid="arrow",
    )
    plt.gca().add_patch(patch)
    if not text:
        return
    lengths = [abs(x1 - x0) + abs(y1 - y0) for (x0, y0), (x1, y1) in zip(points, points[1:])]
    longest = lengths.index(max(lengths))
    (x0, y0), (x1, y1) = points[longest : longest + 2]
    if side is None:
        side = "above" if abs(x1 - x0) >= abs(y1 - y0) else "right"
    label((x0 + x1) / 2, (y0 + y1) / 2, text, side, colour=colour)


def grid(
    x: float,
    y: float,
    values: Sequence | np.ndarray | tuple[int, int],
    kind: Kind = "weight",
    *,
    cell: float | tuple[float, float] = 1.0,  # width and height of a cell
    rows: Sequence[str] = (),  # labels on the left
    columns: Sequence[str] = (),  # labels on top
    show: str = "",  # how a cell's number is written, such as "{:.2f}"
    texts: Sequence[Sequence[str]] | None = None,  # a text for each cell, instead
    kinds: Sequence[Sequence[str]] | None = None,  # a kind for each cell; "": `kind`
    highlight: Sequence[tuple[int, int]] = (),  # cells with a thick outline
    limits: tuple[float, float] | None = None,  # the values drawn palest and darkest
    size: float = SIZES["small"],
) -> Box:
    """A tensor, mask or cache as cells. `values` is a matrix, shaded by amount (nan: left open), or
    the shape (rows, columns) of a plain one. Raises `ValueError` for a text wider than its cell."""
    is_shape = isinstance(values, tuple) and len(values) == 2 and not np.ndim(values[0])
    amounts = np.ones(values) if is_shape else np.atleast_2d(np.asarray(values, dtype=float))
    low, high = limits or (0.0, max(float(np.nanmax(amounts)), 1e-9))
    n_rows, n_columns = amounts.shape
    w, h = cell if isinstance(cell, tuple) else (cell, cell)
    whole = Box(x, y, n_columns * w, n_rows * h, n_rows, n_columns)
    for row in range(n_rows):
        for column in range(n_columns):
            place, amount = whole.cell(row, column), amounts[row, column]
            this = (kinds[row][column] if kinds else "") or kind
            if np.isnan(amount):
                this = "masked"
            fill, _, ink = _look(this)
            if not is_shape and this in COLOURS:
                fill = _shade(COLOURS[this], (amount - low) / (high - low))
                ink = _ink_on(fill)
            _cell(place, this, fill)
            text = texts[row][column] if texts else ""
            if show and not texts and this != "masked":
                text = show.format(amount)
            if text:
                _must_fit(_write(*_centre(place), text, ink, size), place)
    for row, column in highlight:
        place = whole.cell(row, column)
        frame = Rectangle((place.x, place.y), w, h, fc="none", ec="#d1242f", lw=2.2, zorder=4)
        plt.gca().add_patch(frame)
    for row, text in enumerate(rows):
        label(*whole.cell(row).left, text, "left")
    for column, text in enumerate(columns):
        label(*whole.cell(0, column).top, text, "above")
    return whole


def label(
    x: float,
    y: float,
    text: str,
    side: Literal["above", "below", "left", "right", "centre"] = "centre",
    *,
    mono: bool = False,  # for shapes and code
    colour: str = GREY,
    size: float = SIZES["small"],
    bold: bool = False,
) -> None:
    "A text beside a point."
    across = {"left": ("right", -0.3), "right": ("left", 0.3)}.get(side, ("center", 0.0))
    down = {"above": ("bottom", -0.2), "below": ("top", 0.2)}.get(side, ("center", 0.0))
    written = _write(x + across[1], y + down[1], text, colour, size, MONO if mono else None)
    written.set(ha=across[0], va=down[0], fontweight="bold" if bold else "normal")


def caption(place: Box, shape: str, side: Literal["above", "below"] = "below") -> None:
    "A tensor's shape in monospace, above or below its box or grid."
    label(*(place.top if side == "above" else place.bottom), shape, side, mono=True)


def brace(
    place: Box, text: str, side: Literal["above", "below", "left", "right"] = "below"
) -> None:
    "A curly brace along one side of a box or grid, with its text."
    length = place.w if side in ("above", "below") else place.h
    path = np.array(  # along the brace, away from the box
        [
            (0, 0),
            (0, 0.5),
            (0.25, 0.5),
            (0.5, 0.5),
            (0.5, 1),
            (0.5, 0.5),
            (0.75, 0.5),
            (1, 0.5),
            (1, 0),
        ]
    )
    along, away = path[:, 0] * length, 0.15 + path[:, 1] * 0.6
    xs, ys = {
        "above": (place.x + along, place.y - away),
        "below": (place.x + along, place.y + place.h + away),
        "left": (place.x - away, place.y + along),
        "right": (place.x + place.w + away, place.y + along),
    }[side]
    codes = [Path.MOVETO, Path.CURVE3, Path.CURVE3, Path.CURVE3, Path.CURVE3] + [Path.CURVE3] * 4
    curve = Path(np.column_stack([xs, ys]), codes)
    plt.gca().add_patch(PathPatch(curve, fc="none", ec=GREY, lw=1.2, gid="brace"))
    label(xs[4], ys[4], text, side)


def faults() -> list[str]:
    "What is wrong with the current diagram: texts that cover something, or leave it, or are small."
    ax = plt.gca()
    renderer = ax.figure.canvas.get_renderer()
    texts = [(t.get_text(), t.get_window_extent(renderer).padded(-1)) for t in ax.texts]
    found = [f"{t.get_text()!r} is below 8 points" for t in ax.texts if t.get_fontsize() < 8]
    for i, (text, place) in enumerate(texts):
        if not ax.bbox.padded(1).containsx(place.x0) or not ax.bbox.padded(1).containsx(place.x1):
            found.append(f"{text!r} leaves the canvas")
        elif not ax.bbox.padded(1).containsy(place.y0) or not ax.bbox.padded(1).containsy(place.y1):
            found.append(f"{text!r} leaves the canvas")
        found += [f"{text!r} covers {other!r}" for other, at in texts[:i] if place.overlaps(at)]
        for patch in ax.patches:
            path = patch.get_transform().transform_path(patch.get_path())
            lines = [Path(line) for line in path.to_polygons(closed_only=False)]
            if any(line.intersects_bbox(place, filled=False) for line in lines):
                found.append(f"{text!r} crosses a line of kind {patch.get_gid()!r}")
    solid = [p for p in ax.patches if p.get_gid() in (*COLOURS, "plain", "masked")]
    spots = [p.get_window_extent(renderer).padded(-2) for p in solid]
    for i, spot in enumerate(spots):
        found += [f"boxes {i} and {j} overlap" for j in range(i) if spot.overlaps(spots[j])]
    return found


# Inside ------------------------------------------------------------------------------------------


def _look(kind: str) -> tuple[object, str, str]:
    "Fill, edge and ink of a kind."
    if kind in COLOURS:
        return COLOURS[kind], COLOURS[kind], "white"
    if kind in ("plain", "group", "masked"):
        return "none", GREY, GREY
    raise ValueError(
        f"unknown kind {kind!r}; use {', '.join([*COLOURS, 'plain', 'group', 'masked'])}"
    )


def _cell(place: Box, kind: str, fill: object) -> None:
    inset = 0.05
    style = "round,pad=0,rounding_size=0.15"
    patch = FancyBboxPatch(
        (place.x + inset, place.y + inset),
        place.w - 2 * inset,
        place.h - 2 * inset,
        boxstyle=style,
        fc=fill,
        ec=GREY if kind in ("masked", "plain") else "none",
        lw=0.7,
        gid=kind,
    )
    if kind == "masked":
        patch.set(linestyle=(0, (2, 2)), alpha=0.7)
    plt.gca().add_patch(patch)


def _write(x: float, y: float, text: str, ink: str, size: float, family: str | None = None):
    return plt.gca().text(
        x, y, text, color=ink, fontsize=size, family=family, ha="center", va="center", zorder=5
    )


def _must_fit(written, place: Box) -> None:
    ax = plt.gca()
    extent = written.get_window_extent(ax.figure.canvas.get_renderer())
    needed = ax.transData.inverted().transform([(extent.x0, extent.y1), (extent.x1, extent.y0)])
    (x0, y0), (x1, y1) = needed
    inside = place.x <= x0 and x1 <= place.x + place.w and place.y <= y0 and y1 <= place.y + place.h
    if not inside:
        raise ValueError(
            f"{written.get_text()!r} needs {x1 - x0:.1f} × {y1 - y0:.1f} units and has "
            f"{place.w:.1f} × {place.h:.1f}: make the box larger or the text shorter"
        )


def _centre(place: Box) -> Point:
    return place.x + place.w / 2, place.y + place.h / 2


def _route(start: Box | Point, end: Box | Point, bend: str) -> list[Point]:
    "The corners of an arrow from one side of a box to a side of another."
    a = start if isinstance(start, Box) else Box(*start, 0, 0)
    b = end if isinstance(end, Box) else Box(*end, 0, 0)
    (ax, ay), (bx, by) = _centre(a), _centre(b)
    gap_x = max(b.x - (a.x + a.w), a.x - (b.x + b.w))
    gap_y = max(b.y - (a.y + a.h), a.y - (b.y + b.h))
    out_x = a.right if bx >= ax else a.left
    in_x = b.left if bx >= ax else b.right
    out_y = a.bottom if by >= ay else a.top
    in_y = b.top if by >= ay else b.bottom
    if bend == "hv":
        return [out_x, (in_y[0], out_x[1]), in_y]
    if bend == "vh":
        return [out_y, (out_y[0], in_x[1]), in_x]
    if bend == "z":
        middle = (out_x[0] + in_x[0]) / 2
        return [out_x, (middle, out_x[1]), (middle, in_x[1]), in_x]
    if bend == "s":
        middle = (out_y[1] + in_y[1]) / 2
        return [out_y, (out_y[0], middle), (in_y[0], middle), in_y]
    if bend:
        raise ValueError(f"unknown bend {bend!r}; use 'hv', 'vh', 'z', 's' or ''")
    if gap_x >= gap_y:  # straight across: at a height that both have, if there is one
        low, high = max(a.y, b.y), min(a.y + a.h, b.y + b.h)
        at = (low + high) / 2
        return [(out_x[0], at), (in_x[0], at)] if low <= high else [out_x, in_x]
    low, high = max(a.x, b.x), min(a.x + a.w, b.x + b.w)
    at = (low + high) / 2
    return [(at, out_y[1]), (at, in_y[1])] if low <= high else [out_y, in_y]


def _rounded(points: list[Point], radius: float = 0.3) -> Path:
    "A line through `points` with rounded corners."
    corners = np.array(points, dtype=float)
    vertices, codes = [corners[0]], [Path.MOVETO]
    for before, corner, after in zip(corners, corners[1:], corners[2:]):
        for neighbour, code in ((before, Path.LINETO), (after, Path.CURVE3)):
            length = np.linalg.norm(neighbour - corner)
            step = (neighbour - corner) / max(length, 1e-9) * min(radius, length / 2)
            if code == Path.CURVE3:
                vertices.append(corner)
                codes.append(code)
            vertices.append(corner + step)
            codes.append(code)
    return Path([*vertices, corners[-1]], [*codes, Path.LINETO])


def _mix(colour: str, other: str, share: float) -> tuple[float, float, float]:
    "`colour` with a share of `other` in it."
    share = min(max(share, 0.0), 1.0)
    mixed = (1 - share) * np.array(to_rgb(colour)) + share * np.array(to_rgb(other))
    return tuple(mixed.tolist())


def _shade(colour: str, share: float) -> tuple[float, float, float]:
    "Nearly white, over `colour`, to a darker one; quick through the mid-tones, where no ink reads."
    white = float(np.interp(share, (0, 0.4, 0.5), (0.93, 0.4, 0)))
    black = float(np.interp(share, (0.5, 1), (0, 0.4)))
    return _mix(colour, "white", white) if white else _mix(colour, "black", black)


def _ink_on(fill) -> str:
    "Black or white, whichever stands out more; white also where the two are nearly equal."
    lightness = _luminance(fill) + 0.05
    with_white, with_black = 1.05 / lightness, lightness / (_luminance(INK) + 0.05)
    return "white" if with_white > 0.9 * with_black else INK


def _luminance(colour) -> float:
    "WCAG's relative luminance, from 0 (black) to 1 (white)."
    c = np.array(to_rgb(colour))
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])
