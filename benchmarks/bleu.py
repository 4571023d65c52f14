"""Seconds and peak memory of BLEU and chrF: ours, and sacreBLEU's.

python benchmarks/bleu.py                 # 10,000 pairs of about 25 words
python benchmarks/bleu.py --pairs 2000 --repeats 3

The pairs are made of the course's texts by seeded edits. Times are taken in one process, in turn.
Memory is the peak of what Python allocates, at the full number of pairs and at half of it.
"""

from common import in_turn, median, save, table  # before torch: it sets the environment

# isort: split
import argparse
import gc
import tracemalloc
from collections.abc import Callable

import numpy as np

WORDS = 25
PACKAGES = ("numpy", "sacrebleu")
WHAT = "BLEU and chrF beside sacreBLEU: seconds for all pairs on one core, and the peak of memory"


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


def runs_on(outputs: list[str], references: list[str]) -> dict:
    "name of the score -> who -> a call that returns it."
    import sacrebleu

    from llm_course.evaluation.bleu import corpus_bleu
    from llm_course.evaluation.chrf import corpus_chrf

    found = {}
    for name, ours, theirs in (
        ("BLEU", corpus_bleu, sacrebleu.corpus_bleu),
        ("chrF", corpus_chrf, sacrebleu.corpus_chrf),
    ):
        found[name] = {
            "ours": lambda score=ours: score(outputs, [references]).score,
            "sacrebleu": lambda score=theirs: score(outputs, [references]).score,
        }
    return found


def peak_of(run: Callable[[], float]) -> float:
    "Megabytes that a call allocates at its peak."
    gc.collect()
    tracemalloc.start()
    run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--scores", nargs="+", default=["BLEU", "chrF"], choices=["BLEU", "chrF"])
    args = parser.parse_args()
    outputs, references = pairs_of(args.pairs)
    half = runs_on(outputs[: args.pairs // 2], references[: args.pairs // 2])
    rows = []
    for name, runs in runs_on(outputs, references).items():
        if name not in args.scores:
            continue
        scores = {who: run() for who, run in runs.items()}
        if abs(scores["ours"] - scores["sacrebleu"]) > 1e-9:
            raise SystemExit(f"{name}: the scores differ, {scores}")
        seconds = in_turn(runs, args.repeats, warm_up=0)  # each has run once, for its score
        ratios = [b / a for a, b in zip(seconds["ours"], seconds["sacrebleu"])]
        row = {
            "score": name,
            "pairs": args.pairs,
            "value": scores["ours"],
            "ours s": median(seconds["ours"]),
            "sacrebleu s": median(seconds["sacrebleu"]),
            "times as fast": median(ratios),
            "least": min(ratios),
            "most": max(ratios),
        }
        for who in runs:
            row[f"{who} peak MB"] = peak_of(runs[who])
            row[f"{who} peak MB, half the pairs"] = peak_of(half[name][who])
        rows.append(row)
        print(table(rows[-1:]), flush=True)
        save("bleu", {"what": WHAT, "rows": rows, "repeats": args.repeats}, PACKAGES)


if __name__ == "__main__":
    main()
