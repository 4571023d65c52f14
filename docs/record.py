"""Records what the landing page plays back: the real model's answer, with the time of each piece.

python docs/record.py
"""

import json
import time
from pathlib import Path

from llm_course import load
from llm_course.core import atomic_write
from llm_course.transformers.generation import generate, stream_text

STATIC = Path(__file__).parent / "_static"
QUESTION = "Why is the sky blue? Answer in two sentences."


def answer(lm) -> dict:
    "The model's answer to `QUESTION`, with the second at which each piece of it came."
    prompt, tokens, count = lm.encode([{"role": "user", "content": QUESTION}]), [], 0

    def counted(ids):
        nonlocal count
        for i in ids:
            count += 1
            yield i

    list(generate(lm.model, prompt, 4))  # the first pages of memory are slow
    start = time.perf_counter()
    for text in stream_text(
        lm.tokenizer, counted(generate(lm.model, prompt, 100, stop_ids=lm.tokenizer.stop_ids))
    ):
        tokens.append([text, round(time.perf_counter() - start, 3)])
    return {
        "model": "SmolLM2-135M-Instruct",
        "machine": "two CPU cores",
        "question": QUESTION,
        "tokens": tokens,
        "tokens_per_second": round(count / tokens[-1][1]),
    }


if __name__ == "__main__":
    with atomic_write(STATIC / "answer.json") as temp:
        temp.write_text(json.dumps(answer(load()), ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"wrote {STATIC.name}/answer.json")
