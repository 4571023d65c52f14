"""Seconds and peak memory of BLEU, chrF and TER: ours, and sacreBLEU's.

python benchmarks/bleu.py                 # 10,000 pairs of about 25 words; TER 1,000
python benchmarks/bleu.py --pairs 2000 --repeats 3
python benchmarks/bleu.py --scores TER    # the other rows of the result file stay

The pairs are made of the course's texts by seeded edits. For TER, which is slow, a tenth of them,
and one block of up to four words moves in each. Times are taken in one process, in turn.
Memory is the peak of what Python allocates, at the full number of pairs and at half of it.
"""

# before torch: it sets the environment
from common import RESULTS, in_turn, machine, median, save, table

# isort: split
import argparse
import gc
import json
import tracemalloc
from collections.abc import Callable

import numpy as np

WORDS = 25
SCORES = ["BLEU", "chrF", "TER"]
PACKAGES = ("numpy", "sacrebleu")
WHAT = "BLEU, chrF and TER beside sacreBLEU: seconds on one core, and the peak of memory"


def pairs_of(n: int) -> tuple[list[str], list[str]]:
    "Outputs with errors, and references of 25 words."
    from llm_course.training.data import docstrings, python_reference

    rng = np.random.default_rng(0)
    documents = python_reference() + docstrings()
    words = " ".join(document.text for document in documents).split()
    if len(words) < n * WORDS:
        raise SystemExit(f"the texts are enough for {len(words) // WORDS:,} pairs, not for {n:,}")
    outputs = []
    references = []
    for i in range(n):
        right = words[i * WORDS : (i + 1) * WORDS]
        references.append(" ".join(right))
        written = []
        for word, chance in zip(right, rng.random(WORDS)):
            if chance < 0.12:  # another word
                written.append(words[rng.integers(len(words))])
            elif chance > 0.05 + 0.12:  # else: dropped
                written.append(word)
        outputs.append(" ".join(written))
    return outputs, references


def with_moved_blocks(texts: list[str]) -> list[str]:
    "The texts, in each of them a block of one to four words at another place."
    rng = np.random.default_rng(1)
    found = []
    for text in texts:
        words = text.split()
        start = rng.integers(len(words))
        end = start + rng.integers(1, 5)
        others = words[:start] + words[end:]
        place = rng.integers(len(others) + 1)
        found.append(" ".join(others[:place] + words[start:end] + others[place:]))
    return found


def runs_on(name: str, outputs: list[str], references: list[str]) -> dict:
    "who -> a call that returns the score of this name."
    import sacrebleu

    from llm_course.evaluation.bleu import corpus_bleu
    from llm_course.evaluation.chrf import corpus_chrf
    from llm_course.evaluation.ter import corpus_ter

    ours, theirs = {
        "BLEU": (corpus_bleu, sacrebleu.corpus_bleu),
        "chrF": (corpus_chrf, sacrebleu.corpus_chrf),
        "TER": (corpus_ter, sacrebleu.corpus_ter),
    }[name]
    return {
        "ours": lambda: ours(outputs, [references]).score,
        "sacrebleu": lambda: theirs(outputs, [references]).score,
    }


def peak_of(run: Callable[[], float]) -> float:
    "Megabytes that a call allocates at its peak."
    gc.collect()
    tracemalloc.start()
    run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def rows_before() -> list[dict]:
    "The rows of this machine's result file, if there is one."
    path = RESULTS / machine()["name"] / "bleu.json"
    return json.loads(path.read_text())["rows"] if path.exists() else []


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--scores", nargs="+", default=SCORES, choices=SCORES)
    args = parser.parse_args()
    outputs, references = pairs_of(args.pairs)
    moved = with_moved_blocks(outputs)
    rows = []
    for name in args.scores:
        n = max(2, args.pairs // 10) if name == "TER" else args.pairs
        texts = moved if name == "TER" else outputs
        runs = runs_on(name, texts[:n], references[:n])
        half = runs_on(name, texts[: n // 2], references[: n // 2])
        scores = {who: run() for who, run in runs.items()}
        if abs(scores["ours"] - scores["sacrebleu"]) > 1e-9:
            raise SystemExit(f"{name}: the scores differ, {scores}")
        seconds = in_turn(runs, args.repeats, warm_up=0)  # each has run once, for its score
        ratios = [b / a for a, b in zip(seconds["ours"], seconds["sacrebleu"])]
        row = {
            "score": name,
            "pairs": n,
            "value": scores["ours"],
            "ours s": median(seconds["ours"]),
            "sacrebleu s": median(seconds["sacrebleu"]),
            "times as fast": median(ratios),
            "least": min(ratios),
            "most": max(ratios),
        }
        for who in runs if name != "TER" else ():  # TER works pair by pair, and keeps two numbers
            row[f"{who} peak MB"] = peak_of(runs[who])
            row[f"{who} peak MB, half the pairs"] = peak_of(half[who])
        rows.append(row)
        print(table(rows[-1:]), flush=True)
        kept = [row for row in rows_before() if row["score"] not in args.scores]
        save("bleu", {"what": WHAT, "rows": kept + rows, "repeats": args.repeats}, PACKAGES)


if __name__ == "__main__":
    main()
