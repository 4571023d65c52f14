"The site's page of benchmarks: recorded runs as tables and plots."

import io
import json
import re
from pathlib import Path

from course_tools.pictures import few_colors

# Benchmarks -------------------------------------------------------------------------------------

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
                f"![{title or run.get('what', path.stem)}: "
                f"the numbers of the table below, as a plot](/{name})",
                "",
            ]
        align = [":--" if any(isinstance(r.get(c), str) for r in rows) else "--:" for c in columns]
        out += ["| " + " | ".join(columns) + " |", "|" + "|".join(align) + "|"]
        out += ["| " + " | ".join(number(r.get(c)) for c in columns) + " |" for r in rows] + [""]
    return out


def tables_of(run: dict) -> dict[str, list[dict]]:
    "A run's tables by title: its `tables`, its `rows`, or medians of the timings that it recorded."
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
    "Bars for rows with names, lines for rows that begin with a rising number; None for others."
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
