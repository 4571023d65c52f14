"""Records what the site plays back, on the real model: the landing page's answer, and the weights of the attention explorer.

    python docs/record.py answer explorer
"""
import base64
import json
import sys
import time
from pathlib import Path

import torch

from llm_course.core import atomic_write
from llm_course.transformers.attention import record_attention
from llm_course.transformers.model import generate, load, stream_text

STATIC = Path(__file__).parent/"_static"
QUESTION = "Why is the sky blue? Answer in two sentences."
SENTENCES = {  # with the token that is pointed at first
    "The dog chased the cat because it was hungry, and the cat ran up the tree because it was afraid.": " it",
    "Alice gave Bob the key, and Bob gave Alice the key back.": " back",
    "def area(width, height):\n    return width * height": " height",
    "One, two, three, four, one, two, three, four, one, two,": " four",
}


def answer(lm) -> dict:
    "The model's answer to `QUESTION`, with the second at which each piece of it came."
    prompt, tokens, count = lm.encode([{"role": "user", "content": QUESTION}]), [], 0

    def counted(ids):
        nonlocal count
        for i in ids: count += 1; yield i
    list(generate(lm.model, prompt, 4))  # the first pages of memory are slow
    start = time.perf_counter()
    for text in stream_text(lm.tokenizer, counted(generate(lm.model, prompt, 100, stop_ids=lm.tokenizer.stop_ids))):
        tokens.append([text, round(time.perf_counter() - start, 3)])
    return {"model": "SmolLM2-135M-Instruct", "machine": "two CPU cores", "question": QUESTION, "tokens": tokens, "tokens_per_second": round(count / tokens[-1][1])}


def explorer(lm) -> dict:
    """For each sentence its tokens, and the weights of every layer, head, query and key up to the query, as bytes (255 is 1), in base64."""
    recorded = []
    for sentence, start in SENTENCES.items():
        ids = lm.encode(sentence)
        tokens = [lm.tokenizer.decode([i]) for i in ids]
        weights = torch.stack([w[0] for w in record_attention(lm.model, torch.tensor([ids]))])  # layer, head, query, key
        rows, columns = torch.tril_indices(len(ids), len(ids))
        data = (weights[:, :, rows, columns] * 255).round().to(torch.uint8).numpy().tobytes()
        recorded.append({"tokens": tokens, "start": tokens.index(start), "layers": weights.shape[0], "heads": weights.shape[1],
                         "weights": base64.b64encode(data).decode()})
    return {"model": "SmolLM2-135M-Instruct", "sentences": recorded}


def write(name: str, recorded: dict):
    with atomic_write(STATIC/name) as temp: temp.write_text(json.dumps(recorded, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{STATIC.name}/{name}: {(STATIC/name).stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    wanted, lm = sys.argv[1:] or ["answer", "explorer"], load()
    if "answer" in wanted: write("answer.json", answer(lm))
    if "explorer" in wanted: write("explorer/attention.json", explorer(lm))
