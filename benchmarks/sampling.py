"""Sampling on a vocabulary of 49,152: ours, and transformers' logits processors.

python benchmarks/sampling.py [--repeats 9] [--calls 20]

Scores of SmolLM2-135M-Instruct after a prompt that leaves no doubt and after one that leaves much,
and random ones that are nearly flat, for 1 and 8 rows. Each processor alone, and a whole pick:
temperature, filters, softmax, draw. Every result is compared before it is timed.
"""

from common import in_turn, median, save, table  # before torch: it sets the environment

# isort: split
import argparse
import os
from collections.abc import Callable

import torch
from transformers.generation import logits_process as peers

from llm_course import load
from llm_course.prompting.sampling import Sampler, apply_temperature, min_p, top_k, top_p, typical
from llm_course.transformers.generation import next_logits

PROMPTS = {"sure": "The capital of France is", "open": "Once upon a time, there was a"}
ROWS = (1, 8)
PICK = {"temperature": 0.8, "top_k": 50, "top_p": 0.95, "min_p": 0.05}

Change = Callable[[torch.Tensor], torch.Tensor]
PAIRS: dict[str, tuple[Change, Callable]] = {  # ours, and theirs
    "temperature 0.7": (lambda z: apply_temperature(z, 0.7), peers.TemperatureLogitsWarper(0.7)),
    "top-k 50": (lambda z: top_k(z, 50), peers.TopKLogitsWarper(50)),
    "top-p 0.9": (lambda z: top_p(z, 0.9), peers.TopPLogitsWarper(0.9)),
    "top-p 0.99": (lambda z: top_p(z, 0.99), peers.TopPLogitsWarper(0.99)),
    "min-p 0.1": (lambda z: min_p(z, 0.1), peers.MinPLogitsWarper(0.1)),
    "typical 0.9": (lambda z: typical(z, 0.9), peers.TypicalLogitsWarper(0.9)),
}


def scores() -> dict[str, torch.Tensor]:
    "A row of each kind."
    lm = load(dtype="float32", device="cpu")
    found = {name: next_logits(lm, prompt) for name, prompt in PROMPTS.items()}
    size = found["sure"].shape
    return found | {"flat": torch.randn(size, generator=torch.Generator().manual_seed(0))}


def their_pick() -> Callable[[torch.Tensor], torch.Tensor]:
    "What transformers' generate does to the scores, and its draw."
    chain = (
        peers.TemperatureLogitsWarper(PICK["temperature"]),
        peers.TopKLogitsWarper(PICK["top_k"]),
        peers.TopPLogitsWarper(PICK["top_p"]),
        peers.MinPLogitsWarper(PICK["min_p"]),
    )

    def choose(z: torch.Tensor) -> torch.Tensor:
        for process in chain:
            z = process(None, z)
        return torch.multinomial(z.softmax(-1), num_samples=1).squeeze(1)

    return choose


def in_a_row(f: Change, z: torch.Tensor, calls: int) -> Callable[[], None]:
    def run() -> None:
        for _ in range(calls):
            f(z)

    return run


def different(ours: torch.Tensor, theirs: torch.Tensor, z: torch.Tensor) -> float:
    "The probability of the tokens that only one of them leaves, in the row where it is largest."
    return float((z.softmax(-1) * (ours.isfinite() != theirs.isfinite())).sum(-1).max())


def measure(kind: str, z: torch.Tensor, repeats: int, calls: int) -> dict:
    "Milliseconds of each, taken in turn."
    runs: dict[str, Callable[[], None]] = {}
    apart = {}
    for name, (ours, peer) in PAIRS.items():
        apart[name] = different(ours(z), peer(None, z), z)
        runs[f"ours, {name}"] = in_a_row(ours, z, calls)
        runs[f"theirs, {name}"] = in_a_row(lambda z, peer=peer: peer(None, z), z, calls)
    runs["ours, whole pick"] = in_a_row(Sampler(**PICK), z, calls)
    runs["theirs, whole pick"] = in_a_row(their_pick(), z, calls)
    seconds = in_turn(runs, repeats, progress=False)
    rows = []
    for name in [*PAIRS, "whole pick"]:
        ours, theirs = seconds[f"ours, {name}"], seconds[f"theirs, {name}"]
        ratios = sorted(b / a for a, b in zip(ours, theirs))
        rows.append(
            {
                "": name,
                "ours ms": 1000 * median(ours) / calls,
                "theirs ms": 1000 * median(theirs) / calls,
                "times as fast": median(ratios),
                "least": ratios[0],
                "most": ratios[-1],
                "probability apart": apart.get(name, ""),
            }
        )
    return {"kind": kind, "rows": len(z), "seconds": seconds, "table": rows}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--calls", type=int, default=20)
    args = parser.parse_args()
    load_before = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    results = {
        "what": "each change of the scores, and a whole pick, beside transformers' processors",
        "vocabulary": 49_152,
        "calls": args.calls,
        "pick": PICK,
        "load": load_before,
        "runs": [],
        "tables": {},
    }
    for kind, row in scores().items():
        for n in ROWS:
            run = measure(kind, row.expand(n, -1).contiguous(), args.repeats, args.calls)
            title = f"{kind}, {n} row{'s' if n > 1 else ''}"
            print(f"\n{title}\n{table(run['table'])}", flush=True)
            results["runs"].append(run)
            results["tables"][title] = run["table"]
            save("sampling", results)


if __name__ == "__main__":
    main()
