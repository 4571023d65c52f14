"""Seconds and memory of ROUGE-1, -2, -L and -Lsum: ours, and rouge-score's, on one core.

python benchmarks/rouge.py                    # 10,000 pairs of sentences, 200 of summaries
python benchmarks/rouge.py --repeats 5 --texts summaries

Pairs are made from the Python reference by seeded edits. Each run is a process of its own, in turn,
and every score of the one is compared with the other's. Times leave out imports and making texts,
and are the processor's: both run on one core, and other programs don't count.
"""

from common import median, save, table  # before torch: it sets the environment

# isort: split
import argparse
import hashlib
import json
import random
import re
import resource
import subprocess
import sys
import time
import warnings

TYPES = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
COUNTS = {"sentences": 10_000, "summaries": 200}
WORDS = 400  # of a summary
PACKAGES = ("numpy", "nltk", "rouge-score")
WHAT = "ROUGE-1, -2, -L and -Lsum beside rouge-score: seconds, and megabytes more than before"


def sentences() -> list[str]:
    "The sentences of the Python reference that have eight words or more."
    from llm_course.training.data import python_reference

    text = " ".join(" ".join(document.text for document in python_reference()).split())
    found = re.split(r"(?<=[.!?])\s+(?=[A-Z])", text)
    return [sentence for sentence in found if 8 <= len(sentence.split()) <= 60]


def edited(sentence: str, vocabulary: list[str], rng: random.Random) -> str:
    "One word in ten is left out, one in ten exchanged, one in twenty changes places."
    words = []
    for word in sentence.split():
        chance = rng.random()
        if chance >= 0.1:
            words.append(rng.choice(vocabulary) if chance < 0.2 else word)
    for i in range(len(words) - 1):
        if rng.random() < 0.05:
            words[i], words[i + 1] = words[i + 1], words[i]
    return " ".join(words)


def pairs_of(texts: str, n: int) -> tuple[list[str], list[str]]:
    "Predictions and targets."
    rng = random.Random(0)
    every = sentences()
    vocabulary = " ".join(every).split()
    predictions, targets = [], []
    while len(targets) < n:
        lines = [rng.choice(every)]
        if texts == "summaries":
            while sum(len(line.split()) for line in lines) < WORDS:
                lines.append(rng.choice(every))
        targets.append("\n".join(lines))
        ours = [edited(line, vocabulary, rng) for line in lines]
        rng.shuffle(ours)
        predictions.append("\n".join(ours))
    return predictions, targets


def ours(predictions: list[str], targets: list[str], use_stemmer: bool) -> list[list[float]]:
    "Precision, recall and F of each pair and type."
    from llm_course.evaluation.rouge import corpus_rouge

    items = corpus_rouge(predictions, targets, TYPES, use_stemmer).items
    rows = zip(*(items[kind].tolist() for kind in TYPES))
    return [[number for score in row for number in score] for row in rows]


def theirs(predictions: list[str], targets: list[str], use_stemmer: bool) -> list[list[float]]:
    "Precision, recall and F of each pair and type."
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(TYPES, use_stemmer=use_stemmer)
    rows = []
    for prediction, target in zip(predictions, targets):
        scores = scorer.score(target, prediction)
        rows.append([float(number) for kind in TYPES for number in scores[kind]])
    return rows


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def child(who: str, texts: str, n: int, use_stemmer: bool) -> None:
    score = {"ours": ours, "theirs": theirs}[who]
    warnings.simplefilter("ignore")
    predictions, targets = pairs_of(texts, n)
    score(["one word"], ["one word"], use_stemmer)  # imports
    before = peak_mb()
    start = time.process_time()
    rows = score(predictions, targets, use_stemmer)
    found = {
        "seconds": time.process_time() - start,
        "more_mb": peak_mb() - before,
        "scores": hashlib.sha256(json.dumps(rows).encode()).hexdigest(),
        "words": sum(len(target.split()) for target in targets) / n,
    }
    print(json.dumps(found))


def measured(who: str, texts: str, n: int, use_stemmer: bool) -> dict:
    options = [who, texts, str(n), str(int(use_stemmer))]
    command = [sys.executable, "-W", "ignore", __file__, "--child", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--texts", nargs="+", default=list(COUNTS), choices=list(COUNTS))
    parser.add_argument("--share", type=float, default=1.0, help="of the pairs, for a quick look")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        who, texts, n, use_stemmer = args.child
        return child(who, texts, int(n), bool(int(use_stemmer)))
    rows = []
    for texts in args.texts:
        n = max(1, round(COUNTS[texts] * args.share))
        for use_stemmer in (True, False):
            found = {"ours": [], "theirs": []}
            for _ in range(args.repeats):
                for who in found:
                    found[who].append(measured(who, texts, n, use_stemmer))
            assert len({run["scores"] for runs in found.values() for run in runs}) == 1, "equal"
            seconds = {who: [run["seconds"] for run in runs] for who, runs in found.items()}
            ratios = [b / a for a, b in zip(seconds["ours"], seconds["theirs"])]
            rows.append(
                {
                    "texts": texts,
                    "pairs": n,
                    "words": found["ours"][0]["words"],
                    "stemming": use_stemmer,
                    "ours s": median(seconds["ours"]),
                    "rouge-score s": median(seconds["theirs"]),
                    "ratio": median(ratios),
                    "least": min(ratios),
                    "most": max(ratios),
                    "ours MB": max(run["more_mb"] for run in found["ours"]),
                    "rouge-score MB": max(run["more_mb"] for run in found["theirs"]),
                }
            )
            print(table(rows[-1:]), flush=True)
    print(table(rows))
    if args.share == 1:
        save("rouge", {"what": WHAT, "rows": rows, "repeats": args.repeats}, PACKAGES)


if __name__ == "__main__":
    main()
