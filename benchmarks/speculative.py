"""Speculative decoding with SmolLM2-135M-Instruct: ours, and transformers' assisted generation.

python benchmarks/speculative.py [--repeats 5] [--tokens 96] [--requests 3]

Greedy answers to requests that quote a text and to requests for prose (those of the page
*Who guesses?*), from the same weights: plain, with each guesser, and with the number of guesses
chosen on the way. The draft is chapter 4's: python -m llm_course.compression.draft makes it. Ours
guesses with its own small head, and packed, whatever the verifier's weights are; transformers loads
the same layers with the whole head, which is what the draft's folder holds for it.
"""

from common import in_turn, median, save, table  # before torch: it sets the environment

# isort: split
import argparse
import os
from collections.abc import Callable

import torch

from llm_course import load
from llm_course.compression.draft import read_draft
from llm_course.compression.packed import pack_
from llm_course.compression.step import enable_step
from llm_course.core import settings
from llm_course.inference.guesses import AdaptiveK, reading_costs
from llm_course.inference.proposers import EXAMPLES, DraftModel, FirstOf, PromptLookup, Recycled
from llm_course.inference.speculative import speculative_generate
from llm_course.transformers.generation import generate

NAME = "SmolLM2-135M-Instruct"
DRAFT = "SmolLM2-135M-draft"
KINDS = ("quote", "prose")
WEIGHTS = ("float32", "bfloat16", "packed")
K = 4  # guesses of a round, where they are fixed; transformers' draft is given as many
MOST = 9  # tokens of a pass whose cost is measured
LONGER = {"packed": 3}  # these weights write so many times as much: their runs are short


def our_draft():
    "The draft with its small head, packed; None where none was made."
    if not (settings.cache / DRAFT / "draft.json").is_file():
        return None
    draft = read_draft().model
    pack_(draft)
    enable_step(draft)
    return draft


def our_model(weights: str):
    "The verifier with these weights."
    if weights == "packed":
        return load(NAME, packed=True)
    return load(NAME, dtype=weights, device="cpu")


def our_guessers(lm, draft, reading: list[float]) -> dict[str, tuple[Callable, int]]:
    "By name: what makes a new proposer for each text, and its number of guesses."

    def both():
        return FirstOf([PromptLookup(), Recycled()])

    found = {
        "copies": (PromptLookup, K),
        "remembers": (Recycled, K),
        "copies or remembers": (both, K),
        "adaptive, copies or remembers": (lambda: AdaptiveK(both(), reading), MOST - 1),
    }
    if draft is not None:
        found["draft"] = (lambda: DraftModel(draft), K)
        found["adaptive, draft"] = (lambda: AdaptiveK(DraftModel(draft), reading), MOST - 1)
    if lm.model.dtype == torch.float32 and not hasattr(lm.model, "step"):
        packed = load(NAME, packed=True).model
        found["packed copy"] = (lambda: DraftModel(packed), K)
    return found


def ours(lm, ids: list[list[int]], tokens: int, proposer: Callable | None, k: int):
    "What a run writes: the answers' tokens."
    stops = lm.tokenizer.stop_ids

    def write() -> list[list[int]]:
        if proposer is None:
            return [list(generate(lm.model, row, tokens, stop_ids=stops)) for row in ids]
        texts = []
        for row in ids:
            options = dict(proposer=proposer(), k=k, stop_ids=stops)
            texts.append(list(speculative_generate(lm.model, row, tokens, **options)))
        return texts

    return write


def theirs(weights: str, ids: list[list[int]], tokens: int) -> dict[str, Callable]:
    "transformers: plain, with a lookup in the prompt, and with the draft as assistant."
    from transformers import AutoModelForCausalLM

    dtype = torch.bfloat16 if weights == "packed" else getattr(torch, weights)

    def read(name: str):
        return AutoModelForCausalLM.from_pretrained(settings.cache / name, dtype=dtype).eval()

    model = read(NAME)
    ways = {"plain": {}, "prompt lookup": {"prompt_lookup_num_tokens": K}}
    if (settings.cache / DRAFT / "config.json").is_file():
        assistant = read(DRAFT)
        assistant.generation_config.num_assistant_tokens = K
        ways["assistant"] = {"assistant_model": assistant}

    def run(more: dict) -> Callable:
        @torch.inference_mode()
        def write() -> list[list[int]]:
            texts = []
            for row in ids:
                given = torch.tensor([row])
                out = model.generate(
                    given,
                    attention_mask=torch.ones_like(given),
                    max_new_tokens=tokens,
                    do_sample=False,
                    pad_token_id=0,
                    **more,
                )
                texts.append(out[0, len(row) :].tolist())
            return texts

        return write

    return {f"transformers, {name}": run(more) for name, more in ways.items()}


def measure(weights: str, kind: str, tokens: int, requests: int, repeats: int) -> dict:
    "Tokens a second of each way, taken in turn."
    lm, draft = our_model(weights), our_draft()
    reading = reading_costs(lm.model, MOST, rounds=15)
    asked = EXAMPLES[kind][:requests]
    ids = [lm.encode([{"role": "user", "content": request}]) for request in asked]
    runs = {"ours, plain": ours(lm, ids, tokens, None, 0)}
    for name, (proposer, k) in our_guessers(lm, draft, reading).items():
        runs[f"ours, {name}"] = ours(lm, ids, tokens, proposer, k)
    if weights != "packed":
        runs |= theirs(weights, ids, tokens)
    texts: dict[str, list[list[int]]] = {}

    def kept(name: str) -> Callable:
        def call():
            texts[name] = runs[name]()

        return call

    seconds = in_turn({name: kept(name) for name in runs}, repeats)
    plain = texts["ours, plain"]
    rows = []
    for name, times in seconds.items():
        count = sum(map(len, texts[name]))
        base = "transformers, plain" if name.startswith("transformers") else "ours, plain"
        speed = count / median(times)
        beside = speed / (sum(map(len, texts[base])) / median(seconds[base]))
        same = sum(a == b for a, b in zip(texts[name], plain)) / len(plain)
        rows.append({"": name, "tokens/s": speed, "beside its plain": beside, "same texts": same})
    return {
        "weights": weights,
        "kind": kind,
        "tokens": tokens,
        "reading_ms": [1000 * s for s in reading],
        "seconds": seconds,
        "rows": rows,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--requests", type=int, default=3)
    parser.add_argument("--weights", nargs="+", choices=WEIGHTS, default=list(WEIGHTS))
    args = parser.parse_args()
    load_before = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    results = {
        "model": NAME,
        "what": "greedy answers, plain and with guesses",
        "requests": args.requests,
        "k": K,
        "load": load_before,
        "runs": [],
        "tables": {},
    }
    for weights in args.weights:
        for kind in KINDS:
            tokens = args.tokens * LONGER.get(weights, 1)
            run = measure(weights, kind, tokens, args.requests, args.repeats)
            results["runs"].append(run)
            results["tables"][f"{weights}, {kind}"] = run["rows"]
            print(f"\n{weights}, {kind}\n{table(run['rows'])}")
            save("speculative", results)  # after each: what is measured isn't lost


if __name__ == "__main__":
    main()
