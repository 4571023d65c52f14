"""The course's speed in one table, from the recorded runs of the benchmarks.

python -m course_tools.numbers          # prints it
python -m course_tools.numbers --write  # puts it into the README

Each row compares ours with one peer in one recorded run, in which both took turns. The ratio is
taken round by round, so that a slow minute of the machine hits both; above 1 we are faster.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from llm_course.core import atomic_write

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks/results"
BEGIN, END = "<!-- numbers -->", "<!-- end of numbers -->"


class Row(NamedTuple):
    "One comparison of one recorded run."

    what: str
    unit: str
    ours: float
    peer: str
    theirs: float
    ratios: tuple[float, ...]  # of each round, or median, least and most; above 1: we are faster
    limit: float | None = None  # what the machine allows, in the same unit, where it was measured
    when: str = ""


def rates(
    what: str,
    seconds: Mapping[str, Sequence[float]],  # of each round, by name
    amount: float,  # tokens a round
    peer: str,
    *,
    ours: str = "ours",
    limit: str | None = None,  # the name of the run that is the limit
) -> Row:
    "A row of tokens a second, from rounds in turn."
    pairs = list(zip(seconds[ours], seconds[peer]))
    return Row(
        what,
        "tokens/s",
        amount / median(seconds[ours]),
        peer,
        amount / median(seconds[peer]),
        tuple(theirs / mine for mine, theirs in pairs),
        amount / median(seconds[limit]) if limit else None,
    )


def decode(run: dict[str, Any]) -> Iterator[Row]:
    for part in run["decode"]:
        what = f"writing, {part['dtype']}, batch {part['batch']}"
        amount = part["tokens"] * part["batch"]
        yield rates(what, part["seconds"], amount, "transformers", limit="linears alone")
    for part in run["prefill"]:
        what = f"reading {part['prompt']} tokens, {part['dtype']}"
        yield rates(what, part["seconds"], part["prompt"], "transformers")


def packed(run: dict[str, Any]) -> Iterator[Row]:
    for name, part in run["runs"].items():
        what = f"4-bit weights: {name.replace('write', 'writing').replace('read', 'reading')}"
        for peer in ("llama.cpp", "transformers bf16"):
            yield rates(what, part["seconds"], part["tokens"], peer)


def engine(run: dict[str, Any]) -> Iterator[Row]:
    for name, part in run["runs"].items():
        what = f"engine, 4-bit weights: {name}"
        yield rates(what, part["seconds"], part["tokens"], "llama.cpp", ours="engine")


def serve(run: dict[str, Any]) -> Iterator[Row]:
    "Answers may end early: each round has its own number of tokens."
    for name, part in run["runs"].items():
        speeds = {
            who: [n / s for n, s in zip(part[who]["tokens"], part["seconds"][who])]
            for who in ("ours", "llama.cpp")
        }
        ours, theirs = speeds.values()
        ratios = tuple(a / b for a, b in zip(ours, theirs))
        what = f"server, 4-bit weights: {name.replace('1 clients', '1 client')}"
        yield Row(what, "tokens/s", median(ours), "llama.cpp's", median(theirs), ratios)


def branches(run: dict[str, Any]) -> Iterator[Row]:
    "Agents side by side, beside four one after another."
    tokens, seconds = run["runs"]["tokens"], run["runs"]["seconds"]
    speeds = {name: [n / s for n, s in zip(tokens[name], seconds[name])] for name in seconds}
    for name in ("4 in parallel", "64 in parallel"):
        ours, theirs = speeds[name], speeds["4 in sequence"]
        ratios = tuple(a / b for a, b in zip(ours, theirs))
        what = f"agents, 4-bit weights: {name}"
        yield Row(what, "tokens/s", median(ours), "4 in sequence", median(theirs), ratios)


def speculative(run: dict[str, Any]) -> Iterator[Row]:
    "Speculation beside plain writing with the same weights."
    best = "ours, adaptive, copies or remembers"
    amount = run["tokens"] * run["requests"]
    for part in run["runs"]:
        what = f"speculation, {part['weights']}: {part['kind']}"
        row = rates(what, part["seconds"], amount, "ours, plain", ours=best)
        yield row._replace(peer="ours without")


def sampling(run: dict[str, Any]) -> Iterator[Row]:
    for part in run["runs"]:
        for change in ("top-p 0.9", "typical 0.9"):
            ours, theirs = (part["seconds"][f"{who}, {change}"] for who in ("ours", "theirs"))
            calls = run["calls"]
            yield Row(
                f"{change}, {part['kind']} scores, {part['rows']} at once",
                "ms",
                1e3 * median(ours) / calls,
                "transformers",
                1e3 * median(theirs) / calls,
                tuple(b / a for a, b in zip(ours, theirs)),
            )


def bleu(run: dict[str, Any]) -> Iterator[Row]:
    for row in run["rows"]:
        ratios = (row["times as fast"], row["least"], row["most"])
        what = f"{row['score']} of {row['pairs']:,} pairs"
        yield Row(what, "s", row["ours s"], "sacreBLEU", row["sacrebleu s"], ratios)


def rouge(run: dict[str, Any]) -> Iterator[Row]:
    for row in run["rows"]:
        ratios = (row["ratio"], row["least"], row["most"])
        stems = ", stemming" if row["stemming"] else ""
        what = f"ROUGE of {row['pairs']:,} {row['texts']}{stems}"
        yield Row(what, "s", row["ours s"], "rouge-score", row["rouge-score s"], ratios)


def perplexity(run: dict[str, Any]) -> Iterator[Row]:
    speed = {row["who"]: row["tokens_per_second"] for row in run["rows"]}
    ratios = tuple(b / a for a, b in zip(run["seconds"]["ours"], run["seconds"]["transformers"]))
    ours, theirs = speed["ours"], speed["transformers"]
    yield Row("perplexity", "tokens/s", ours, "transformers", theirs, ratios)


def train(run: dict[str, Any]) -> Iterator[Row]:
    for row in run["rows"]:
        what = f"training, {row['model']}, {row['products']}, {row['rows a step']} rows a step"
        ratios = (row["ratio"], row["least"], row["most"])
        ours, theirs = row["ours tokens/s"], row["transformers tokens/s"]
        yield Row(what, "tokens/s", ours, "transformers", theirs, ratios)


def prefix(run: dict[str, Any]) -> Iterator[Row]:
    row, turn = run["rows"][-1], len(run["rows"]) - 1
    ours, theirs = (run["seconds"][who][turn] for who in ("prefix cache", "transformers"))
    what = f"first token of turn {row['turn']}, {row['reused']} of {row['tokens']} tokens kept"
    ratios = tuple(b / a for a, b in zip(ours, theirs))
    yield Row(what, "s", median(ours), "transformers", median(theirs), ratios)


def load(run: dict[str, Any]) -> Iterator[Row]:
    ours, theirs = run["seconds"]["ours, from GGUF"], run["seconds"]["transformers, from GGUF"]
    ratios = tuple(b / a for a, b in zip(ours, theirs))
    what = "loading the GGUF file for the first time"
    yield Row(what, "s", median(ours), "transformers", median(theirs), ratios)


READERS = {
    f.__name__: f
    for f in (
        *(load, decode, prefix, train, perplexity, bleu, rouge),
        *(packed, speculative, engine, sampling, serve, branches),
    )
}
# The rows of the README: the beginning of `what`, and the peer.
CHOSEN = (
    ("writing, float32, batch 8", "transformers"),
    ("reading 512 tokens, float32", "transformers"),
    ("first token of turn 5", "transformers"),
    ("training, small, bfloat16", "transformers"),
    ("BLEU", "sacreBLEU"),
    ("ROUGE of 200 summaries, stemming", "rouge-score"),
    ("4-bit weights: writing, batch 1", "llama.cpp"),
    ("4-bit weights: writing, batch 1", "transformers bf16"),
    ("4-bit weights: writing, batch 8", "llama.cpp"),
    ("4-bit weights: reading 512", "transformers bf16"),
    ("speculation, float32: quote", "ours without"),
    ("speculation, packed: prose", "ours without"),
    ("top-p 0.9, open scores, 1 at once", "transformers"),
    ("server, 4-bit weights: 8 clients", "llama.cpp's"),
)


def rows(results: Path = RESULTS) -> dict[str, list[Row]]:
    "The comparisons of all recorded runs on CPUs, by machine, in the order of the chapters."
    found: dict[str, list[Row]] = {}
    for folder in sorted(p for p in results.iterdir() if p.is_dir()):
        for name, read in READERS.items():
            path = folder / f"{name}.json"
            if not path.exists():
                continue
            run = json.loads(path.read_text(encoding="utf-8"))
            if run["machine"].get("gpu"):
                continue
            made = [row._replace(when=run["when"][:10]) for row in read(run)]
            found.setdefault(folder.name, []).extend(made)
    return found


def markdown(some: Sequence[tuple[str, Row]]) -> str:
    "Rows, each with its machine, as a table."
    lines = ["| what | ours | peer | its | limit | times as fast | machine, day |"]
    lines.append("|---|--:|---|--:|--:|:--|---|")
    for machine, row in some:
        middle, least, most = median(row.ratios), min(row.ratios), max(row.ratios)
        limit = number(row.limit) if row.limit else ""
        cells = (
            row.what,
            f"{number(row.ours)} {row.unit}",
            row.peer,
            number(row.theirs),
            limit,
            f"{middle:.2f} [{least:.2f}, {most:.2f}]",
            f"{short(machine)}, {row.when}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def short(machine: str) -> str:
    "A machine's name without what all of them share."
    words = [w for w in machine.split("-") if w not in ("processor", "2", "cores")]
    return " ".join(w.upper() if w in ("amd", "epyc", "amx") else w.capitalize() for w in words)


def number(x: float) -> str:
    return f"{x:,.0f}" if x >= 100 else f"{x:.3g}"


def all_rows(results: Path = RESULTS) -> str:
    "Every comparison, as a table."
    return markdown([(machine, row) for machine, some in rows(results).items() for row in some])


def chosen(found: Mapping[str, Sequence[Row]]) -> list[tuple[str, Row]]:
    "The README's rows: each comparison from its newest run. Raises `ValueError` if one is missing."
    picked = []
    for what, peer in CHOSEN:
        fitting = [
            (machine, row)
            for machine, rows_ in found.items()
            for row in rows_
            if row.what.startswith(what) and row.peer == peer
        ]
        if not fitting:
            raise ValueError(f"no recorded run has {what!r} beside {peer}: run make bench")
        picked.append(max(fitting, key=lambda pair: pair[1].when))
    return picked


def with_table(readme: str, table: str) -> str:
    "The README with this table between the two marks. Raises `ValueError` without them."
    pattern = re.escape(BEGIN) + r"\n.*?" + re.escape(END)
    if len(re.findall(pattern, readme, re.S)) != 1:
        raise ValueError(f"README.md has no place for the table: {BEGIN} and {END}")
    return re.sub(pattern, lambda _: f"{BEGIN}\n{table}{END}", readme, flags=re.S)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put the table into the README")
    args = parser.parse_args()
    table = markdown(chosen(rows()))
    if not args.write:
        print(table)
        return
    path = ROOT / "README.md"
    text = with_table(path.read_text(encoding="utf-8"), table)
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
