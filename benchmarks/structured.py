"""What a mask costs: ours, llguidance and xgrammar on SmolLM2's vocabulary, beside a decode step.

python benchmarks/structured.py
"""

from common import in_turn, median, save, table  # before torch: it sets the environment

# isort: split
import argparse
import json
import random

import llguidance
import torch
import xgrammar

from llm_course import load
from llm_course.prompting.structured import json_mask, regex_mask
from llm_course.transformers.cache import KVCache

PATTERNS = {
    "one of 50 words": "|".join(f"word{i}" for i in range(50)),
    "date": r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])",
    "up to 100 characters": r"[^\n]{0,100}",
}
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 30},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "tags": {"type": "array", "items": {"enum": ["new", "old", "paid"]}, "maxItems": 3},
    },
    "required": ["name", "age", "tags"],
    "additionalProperties": False,
}
JSON = '{"name": "Maria Lopez of Oslo", "age": 34, "tags": ["new", "paid"]}'
TEXTS = {
    "one of 50 words": "word42",
    "date": "2026-11-30",
    "up to 100 characters": "The train left at nine and arrived at noon, with 12 minutes of delay.",
    "JSON schema": JSON,
}
LAYOUT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
PACKAGES = ("torch", "llguidance", "xgrammar", "numba")


class Ours:
    "A text is walked through a mask that has met its states before, or a new one."

    def __init__(self, lm):
        self.tokenizer = lm.tokenizer
        regex_mask(self.tokenizer, "a")  # the vocabulary's bytes, once for all masks

    def build(self, name):
        if name == "JSON schema":
            return json_mask(self.tokenizer, SCHEMA)
        return regex_mask(self.tokenizer, PATTERNS[name])

    def walk(self, mask, ids, scores):
        text = [random.randrange(49152) for _ in range(50)]  # a prompt of its own
        for i in ids:
            mask(torch.tensor([text]), scores)
            text.append(i)


class Llguidance:
    "A matcher for each grammar; it is set back for each walk."

    def __init__(self, lm):
        stops = sorted(lm.tokenizer.stop_ids)
        text = lm.tokenizer.backend.to_str()
        self.reader = llguidance.LLTokenizer(text, n_vocab=49152, eos_token=stops)

    def build(self, name):
        if name == "JSON schema":
            grammar = llguidance.LLMatcher.grammar_from_json_schema(
                json.dumps(SCHEMA), None, LAYOUT
            )
        else:
            grammar = llguidance.LLMatcher.grammar_from_regex(PATTERNS[name])
        return llguidance.LLMatcher(self.reader, grammar)

    def walk(self, matcher, ids, scores):
        matcher.reset()
        bits = torch.empty(1, 49152 // 32, dtype=torch.int32)
        for i in ids:
            matcher.unsafe_compute_mask_ptr(bits.data_ptr(), bits.numel() * 4)
            apply_bits(bits, scores)
            matcher.consume_token(i)


class Xgrammar:
    "A compiled grammar; each walk makes a matcher of its own."

    def __init__(self, lm):
        from transformers import PreTrainedTokenizerFast

        peer = PreTrainedTokenizerFast(tokenizer_object=lm.tokenizer.backend)
        stops = sorted(lm.tokenizer.stop_ids)
        info = xgrammar.TokenizerInfo.from_huggingface(peer, stop_token_ids=stops)
        self.compiler = xgrammar.GrammarCompiler(info, max_threads=1, cache_enabled=False)

    def build(self, name):
        if name == "JSON schema":
            return self.compiler.compile_json_schema(
                json.dumps(SCHEMA), any_whitespace=False, separators=(", ", ": ")
            )
        return self.compiler.compile_regex(PATTERNS[name])

    def walk(self, compiled, ids, scores):
        matcher = xgrammar.GrammarMatcher(compiled)
        bits = xgrammar.allocate_token_bitmask(1, 49152)
        for i in ids:
            matcher.fill_next_token_bitmask(bits)
            xgrammar.apply_token_bitmask_inplace(scores, bits)
            assert matcher.accept_token(i)


def apply_bits(bits: torch.Tensor, scores: torch.Tensor) -> None:
    "What llguidance's own kernel does, which wants torch.compile: xgrammar's in C++ instead."
    xgrammar.apply_token_bitmask_inplace(scores, bits)


def decode_steps(lm, n):
    "Writes `n` tokens, one by one."
    cache = KVCache()
    ids = torch.tensor([lm.encode("The history of rain begins")])
    with torch.inference_mode():
        for _ in range(n):
            states = lm.model.hidden_states(ids, cache)
            ids = lm.model.head(states[:, -1]).argmax(-1, keepdim=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    lm = load(packed=True)
    makers = {"ours": Ours(lm), "llguidance": Llguidance(lm), "xgrammar": Xgrammar(lm)}
    builds, walks, counts = {}, {}, {}
    for task, text in TEXTS.items():
        ids = lm.tokenizer.encode(text)
        for name, maker in makers.items():
            mask = maker.build(task)
            scores = torch.zeros(1, 49152)
            builds[f"{task} · {name}"] = lambda maker=maker, task=task: maker.build(task)
            walks[f"{task} · {name}"] = lambda maker=maker, mask=mask, ids=ids, scores=scores: (
                maker.walk(mask, ids, scores)
            )
            counts[f"{task} · {name}"] = len(ids)
        ours = makers["ours"]
        walks[f"{task} · ours, first time"] = lambda task=task, ids=ids, scores=scores: ours.walk(
            ours.build(task), ids, scores
        )
        counts[f"{task} · ours, first time"] = len(ids)
    n = 20
    walks["decode step"] = lambda: decode_steps(lm, n)
    counts["decode step"] = n
    slow = {name: 2 for name in builds if "xgrammar" in name}  # up to three seconds each
    built = in_turn(builds, args.repeats, slow, progress=False)
    walked = in_turn(walks, args.repeats, progress=False)
    rows = []
    for name, seconds in walked.items():
        task, _, who = name.partition(" · ")
        row = {"task": task, "mask": who, "build ms": "", "token µs": 0.0}
        if name in built:
            row["build ms"] = 1e3 * median(built[name])
        row["token µs"] = 1e6 * median(seconds) / counts[name]
        rows.append(row)
    print(table(rows))
    results = {"tokens": counts, "build seconds": built, "walk seconds": walked, "summary": rows}
    save("structured", results, PACKAGES)


if __name__ == "__main__":
    main()
