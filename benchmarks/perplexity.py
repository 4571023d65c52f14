"""Tokens a second and peak memory of perplexity: ours, and transformers' own recipe.

python benchmarks/perplexity.py                    # 3,000 tokens, windows of 1,024, stride 512
python benchmarks/perplexity.py --tokens 6000 --repeats 5

The same weights, text, windows and stride. The recipe is the one of transformers' documentation:
each window goes through model(ids, labels=...), where the labels of what was scored before are
-100. Memory is that of a process of its own, counted after the weights were read once. Speed is
taken in one process, in turn: between two processes this machine changes by a quarter.
"""

from common import in_turn, median, save, table  # before torch: it sets the environment

# isort: split
import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

WINDOW, STRIDE = 1024, 512
WHO = ("ours", "transformers")
PACKAGES = ("torch", "transformers")
WHAT = (
    "perplexity of SmolLM2-135M-Instruct beside transformers' recipe: tokens a second, and memory"
)
WARM_UP = 64  # tokens that each reads first, so that the weights are in memory


def manual(n_tokens: int) -> tuple[str, list[int]]:
    "The first tokens of the Python reference, as text and as ids."
    from llm_course import load
    from llm_course.training.data import python_reference

    tokenizer = load(dtype=torch.float32).tokenizer
    text = "\n\n".join(document.text for document in python_reference())
    end = tokenizer.backend.encode(text[: 8 * n_tokens]).offsets[n_tokens - 1][1]
    ids = tokenizer.encode(text[:end])
    assert len(ids) == n_tokens, len(ids)
    return text[:end], ids


def memory(name: str) -> float:
    "VmRSS, the memory that this process holds, or VmHWM, the most that it held; in MB."
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no {name} in /proc/self/status: this benchmark needs Linux")


def forget_peak() -> None:
    "Lets VmHWM begin anew."
    Path("/proc/self/clear_refs").write_text("5")


def ours(text: str, ids: list[int], folder: str):
    "A function that scores the text: mean nats, and how many tokens."
    from llm_course import load
    from llm_course.evaluation.perplexity import log_likelihoods, perplexity

    lm = load(folder, dtype=torch.float32)
    log_likelihoods(lm, [(ids[:1], ids[1:WARM_UP])])

    def run():
        found = perplexity(lm, text, window=WINDOW, stride=STRIDE)
        return found.nll, found.tokens

    return run


def theirs(text: str, ids: list[int], folder: str):
    "A function that scores the text: mean nats, and how many tokens."
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    row = torch.tensor([ids])
    with torch.no_grad():
        model(row[:, :WARM_UP])

    def run():
        nats, count, before = 0.0, 0, 0
        for begin in range(0, len(ids), STRIDE):
            end = min(begin + WINDOW, len(ids))
            part = row[:, begin:end]
            labels = part.clone()
            labels[:, : before - begin] = -100
            with torch.no_grad():
                loss = model(part, labels=labels).loss
            n_scored = int((labels[:, 1:] != -100).sum())
            nats += loss.item() * n_scored
            count += n_scored
            before = end
            if end == len(ids):
                break
        return nats / count, count

    return run


def scorers(path: str, folder: str, who: tuple[str, ...]) -> dict[str, Callable]:
    given = json.loads(Path(path).read_text(encoding="utf-8"))
    make = {"ours": ours, "transformers": theirs}
    return {name: make[name](given["text"], given["ids"], folder) for name in who}


def child(who: str, path: str, folder: str) -> None:
    "Prints the score, and the memory that it took."
    run = scorers(path, folder, (who,))[who]
    loaded = memory("VmRSS")
    forget_peak()
    nll, count = run()
    peak = memory("VmHWM")
    found = {"loaded_mb": loaded, "peak_mb": peak, "above_mb": peak - loaded}
    print(json.dumps({"nats a token": nll, "tokens": count} | found))


def measured(who: str, path: Path, folder: str) -> dict:
    command = [sys.executable, "-W", "ignore", __file__, "--child", who, str(path), folder]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return {"who": who} | json.loads(done.stdout.splitlines()[-1])


def report(rows: list[dict], seconds: dict[str, list[float]]) -> None:
    "Prints and saves what was measured."
    for row in rows:
        row["tokens_per_second"] = row["tokens"] / median(seconds[row["who"]])
    us, them = rows
    faster = [b / a for a, b in zip(seconds["ours"], seconds["transformers"])]
    ratios = {
        "speed": median(faster),
        "least": min(faster),
        "most": max(faster),
        "peak above the loaded model": us["above_mb"] / them["above_mb"],
        "whole peak": us["peak_mb"] / them["peak_mb"],
        "relative difference of nats": abs(us["nats a token"] / them["nats a token"] - 1),
    }
    print(table(rows, 4))
    print(table([ratios]))
    settings = {"window": WINDOW, "stride": STRIDE, "seconds": seconds}
    save("perplexity", {"what": WHAT, "rows": rows, "ratios": ratios, **settings}, PACKAGES)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--tokens", type=int, default=3000)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        return child(*args.child)
    from llm_course import load
    from llm_course.transformers.checkpoints import save_pretrained

    with tempfile.TemporaryDirectory() as temp:
        save_pretrained(load(dtype=torch.float32), temp)
        text, ids = manual(args.tokens)
        path = Path(temp) / "text.json"
        path.write_text(json.dumps({"text": text, "ids": ids}), encoding="utf-8")
        rows = [measured(who, path, temp) for who in WHO]
        report(rows, in_turn(scorers(str(path), temp, WHO), args.repeats))


if __name__ == "__main__":
    main()
