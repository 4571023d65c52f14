"""Decoding and prefill of SmolLM2-135M-Instruct, here and in transformers, from the same weights: `python benchmarks/decode.py`."""

from common import in_turn, median, save, table  # before torch: it sets the environment

# isort: split
import argparse
import json
import subprocess
import sys
from pathlib import Path

import torch
from torch import nn

from llm_course.core import settings
from llm_course.transformers.attention import MultiHeadAttention, attention
from llm_course.transformers.cache import KVCache, KVPool, PagedKVCache, generate_batch
from llm_course.transformers.model import generate, load

NAME, PROMPT, PREFILL, LONG = "SmolLM2-135M-Instruct", 32, 512, 2048
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def text_ids(lm, n: int) -> list[int]:
    "The first `n` ids of the Python language reference."
    from pydoc_data.topics import topics

    return lm.tokenizer.encode("\n".join(topics[k] for k in sorted(topics))[: 8 * n])[:n]


def transformers_model(dtype: torch.dtype):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(settings.cache / NAME, dtype=dtype).eval()
    model.generation_config.eos_token_id = None  # both write all tokens
    return model


@torch.inference_mode()
def linears(model: nn.Module, batch: int, n: int):
    "The matrix products of `n` decoding steps, and nothing else: no decoder on these kernels can be faster."
    layers = [m for m in model.modules() if isinstance(m, nn.Linear)]
    inputs = {
        m.in_features: torch.ones(batch, 1, m.in_features, dtype=m.weight.dtype) for m in layers
    }
    for _ in range(n):
        for m in layers:
            m(inputs[m.in_features])


def measure(dtype: str, batch: int, tokens: int, repeats: int) -> dict:
    "Tokens a second of decoding, in turn: ours, ours in blocks, transformers, and the linears alone."
    lm, peer = load(NAME, dtype=DTYPES[dtype], device="cpu"), transformers_model(DTYPES[dtype])
    ids = text_ids(lm, PROMPT * batch)
    prompts = [ids[i * PROMPT : (i + 1) * PROMPT] for i in range(batch)]
    blocks = batch * -(-(PROMPT + tokens) // 16)
    out = {}

    def ours(cache=None):
        if batch == 1:
            return [list(generate(lm.model, prompts[0], tokens, cache=cache))]
        return generate_batch(lm.model, prompts, tokens, cache=cache)

    def theirs():
        with torch.inference_mode():
            ids = torch.tensor(prompts)
            return peer.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=tokens,
                do_sample=False,
                pad_token_id=0,
            )[:, PROMPT:].tolist()

    runs = {
        "ours": lambda: out.update(ours=ours()),
        "ours, paged": lambda: ours(PagedKVCache(KVPool(blocks), batch)),
        "transformers": lambda: out.update(theirs=theirs()),
        "linears alone": lambda: linears(lm.model, batch, tokens),
    }
    seconds = in_turn(runs, repeats)
    same = sum(a == b for x, y in zip(out["ours"], out["theirs"]) for a, b in zip(x, y)) / (
        batch * tokens
    )
    return {
        "dtype": dtype,
        "batch": batch,
        "tokens": tokens,
        "same_tokens": same,
        "seconds": seconds,
        "tokens_per_second": {k: batch * tokens / median(s) for k, s in seconds.items()},
    }


@torch.inference_mode()
def prefill(dtype: str, repeats: int) -> dict:
    "Seconds to read a prompt of 512 tokens and score the next."
    lm, peer = load(NAME, dtype=DTYPES[dtype], device="cpu"), transformers_model(DTYPES[dtype])
    ids = torch.tensor([text_ids(lm, PREFILL)])
    runs = {
        "ours": lambda: lm.model.head(lm.model.hidden(ids, KVCache(), keep=1)[:, -1]),
        "transformers": lambda: peer(ids, use_cache=True, logits_to_keep=1),
    }
    seconds = in_turn(runs, repeats, warm_up=2)
    return {
        "dtype": dtype,
        "prompt": PREFILL,
        "seconds": seconds,
        "tokens_per_second": {k: PREFILL / median(s) for k, s in seconds.items()},
    }


@torch.inference_mode()
def peak(which: str, n: int) -> int:
    "Bytes by which reading a prompt of `n` tokens raises this process's peak memory. Run in a process of its own."
    lm = load(NAME, dtype=torch.bfloat16, device="cpu")
    peer = transformers_model(torch.bfloat16) if which == "transformers" else None
    ids = torch.tensor([text_ids(lm, n)])

    def run(ids):
        if peer:
            peer(ids, use_cache=True, logits_to_keep=1)
        else:
            lm.model.head(
                lm.model.hidden(ids, KVCache() if which == "ours" else None, keep=1)[:, -1]
            )

    if which == "scores in memory":
        for m in lm.model.modules():
            if isinstance(m, MultiHeadAttention):
                m.attend = attention
    run(ids[:, :16])  # every weight has been read
    memory = lambda key: next(
        int(l.split()[1]) * 1024
        for l in Path("/proc/self/status").read_text().splitlines()
        if l.startswith(key)
    )
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from what is in use
    before = memory("VmRSS")
    run(ids)
    return memory("VmHWM") - before


def tables(results: dict) -> dict[str, list[dict]]:
    "What a reader wants to see of the measurements, by title."
    ratio = lambda r: {
        **r["tokens_per_second"],
        "ours / transformers": r["tokens_per_second"]["ours"]
        / r["tokens_per_second"]["transformers"],
    }
    found = {
        "Writing, tokens a second": [
            {"": f"{r['dtype']}, batch {r['batch']}", **ratio(r), "same tokens": r["same_tokens"]}
            for r in results["decode"]
        ],
        f"Reading {PREFILL} tokens, tokens a second": [
            {"": r["dtype"], **ratio(r)} for r in results["prefill"]
        ],
    }
    if "peak" in results:
        found["Peak memory of reading in bfloat16, over the weights, MB"] = [
            {"tokens": r["tokens"], **{k: v / 1e6 for k, v in r.items() if k != "tokens"}}
            for r in results["peak"]
        ]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peak:
        return print(peak(args.peak[0], int(args.peak[1])))
    reads = [prefill(d, 3 * args.repeats) for d in DTYPES]
    decodes = [
        measure(d, b, args.tokens, args.repeats)
        for d, b in (("bfloat16", 1), ("bfloat16", 8), ("float32", 1), ("float32", 8))
    ]
    results = {"model": NAME, "prompt": PROMPT, "decode": decodes, "prefill": reads}
    if Path("/proc/self/clear_refs").exists():
        ask = lambda which, n: int(
            subprocess.run(
                [sys.executable, __file__, "--peak", which, str(n)],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )
        results["peak"] = [
            {
                "tokens": n,
                **{which: ask(which, n) for which in ("ours", "scores in memory", "transformers")},
            }
            for n in (LONG // 4, LONG // 2, LONG)
        ]
    results["tables"] = tables(results)
    for title, rows in results["tables"].items():
        print(f"\n{title}\n{table(rows)}")
    save("decode", json.loads(json.dumps(results)))


if __name__ == "__main__":
    main()
