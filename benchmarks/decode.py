"""Writing and reading with SmolLM2-135M-Instruct, here and in transformers, from the same weights.

python benchmarks/decode.py
"""

from common import in_turn, median, save, table  # before torch: it sets the environment

# isort: split
import argparse
import os
import subprocess
import sys
from pathlib import Path

import torch
from torch import nn

from llm_course import load
from llm_course.core import settings
from llm_course.transformers.attention import attention
from llm_course.transformers.cache import KVCache, ceil_div
from llm_course.transformers.generation import generate, generate_batch
from llm_course.transformers.linear import SkinnyLinear, measured_products
from llm_course.transformers.multihead import MultiHeadAttention
from llm_course.transformers.paged import KVPool, PagedKVCache

NAME = "SmolLM2-135M-Instruct"
PROMPT = 32  # tokens before those that are written
READ = 512  # tokens of the prompt that is read
LONG = 2048  # tokens of the longest prompt whose memory is measured
BLOCK = 16  # tokens a block of the paged cache
WARM_UP = 16  # tokens read before memory is measured, so that every weight has been read
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
PEAKS = ("ours", "scores in memory", "transformers")
REFS, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def text_ids(lm, n: int) -> list[int]:
    "The first `n` ids of the Python language reference."
    from pydoc_data.topics import topics

    text = "\n".join(topics[k] for k in sorted(topics))
    return lm.tokenizer.encode(text[: 8 * n])[:n]


def transformers_model(dtype: torch.dtype):
    "transformers' model from the same weights."
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(settings.cache / NAME, dtype=dtype).eval()
    model.generation_config.eos_token_id = None  # both write all tokens
    return model


def next_scores(lm, ids: torch.Tensor, cache: KVCache | None) -> torch.Tensor:
    "The scores of the token after `ids`, and of no other."
    return lm.model.head(lm.model.hidden_states(ids, cache)[:, -1])


@torch.inference_mode()
def linears(layers: list[nn.Module], batch: int, steps: int):
    "The matrix products of some decoding steps, and nothing else: what any decoder must pay."
    inputs = {}
    for layer in layers:
        ones = torch.ones(batch, 1, layer.in_features, dtype=layer.weight.dtype)
        inputs[layer.in_features] = ones
    for _ in range(steps):
        for layer in layers:
            layer(inputs[layer.in_features])


def share_of_equal_tokens(ours: list[list[int]], theirs: list[list[int]]) -> float:
    "How many of the tokens both wrote at the same place."
    equal = total = 0
    for x, y in zip(ours, theirs):
        equal += sum(a == b for a, b in zip(x, y))
        total += len(x)
    return equal / total


def write(dtype: str, batch: int, tokens: int, repeats: int) -> dict:
    "Tokens a second of decoding: ours, ours in blocks, transformers, and the matrices alone."
    lm = load(NAME, dtype=DTYPES[dtype], device="cpu")
    peer = transformers_model(DTYPES[dtype])
    ids = text_ids(lm, PROMPT * batch)
    prompts = [ids[i * PROMPT : (i + 1) * PROMPT] for i in range(batch)]
    n_blocks = batch * ceil_div(PROMPT + tokens, BLOCK)
    layers = [m for m in lm.model.modules() if isinstance(m, nn.Linear)]
    written = {}

    def ours(cache=None) -> list[list[int]]:
        if batch == 1:
            return [list(generate(lm.model, prompts[0], tokens, cache=cache))]
        return generate_batch(lm.model, prompts, tokens, cache=cache)

    @torch.inference_mode()
    def theirs() -> list[list[int]]:
        ids = torch.tensor(prompts)
        out = peer.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=tokens,
            do_sample=False,
            pad_token_id=0,
        )
        return out[:, PROMPT:].tolist()

    runs = {
        "ours": lambda: written.update(ours=ours()),
        "ours, paged": lambda: ours(PagedKVCache(KVPool(n_blocks, BLOCK), batch)),
        "transformers": lambda: written.update(theirs=theirs()),
        "linears alone": lambda: linears(layers, batch, tokens),
    }
    seconds = in_turn(runs, repeats)
    return {
        "dtype": dtype,
        "batch": batch,
        "tokens": tokens,
        "skinny": any(isinstance(m, SkinnyLinear) for m in layers),
        "same_tokens": share_of_equal_tokens(written["ours"], written["theirs"]),
        "seconds": seconds,
        "tokens_per_second": {name: batch * tokens / median(s) for name, s in seconds.items()},
    }


@torch.inference_mode()
def read(dtype: str, repeats: int) -> dict:
    "Tokens a second of reading a prompt and scoring what comes after it."
    lm = load(NAME, dtype=DTYPES[dtype], device="cpu")
    peer = transformers_model(DTYPES[dtype])
    ids = torch.tensor([text_ids(lm, READ)])
    runs = {
        "ours": lambda: next_scores(lm, ids, KVCache()),
        "transformers": lambda: peer(ids, use_cache=True, logits_to_keep=1),
    }
    seconds = in_turn(runs, repeats)
    return {
        "dtype": dtype,
        "prompt": READ,
        "seconds": seconds,
        "tokens_per_second": {name: READ / median(s) for name, s in seconds.items()},
    }


def load_now() -> float | None:
    "Processes that wanted a core in the last minute, those of this run included."
    return round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None


def memory(key: str) -> int:
    "Bytes that Linux counts for this process: VmRSS now, VmHWM at the most."
    for line in STATUS.read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    raise ValueError(f"{STATUS} has no {key}")


@torch.inference_mode()
def peak(which: str, n: int) -> int:
    "Bytes by which reading `n` tokens raises this process's peak: run it in one of its own."
    lm = load(NAME, dtype=torch.bfloat16, device="cpu")
    peer = transformers_model(torch.bfloat16) if which == "transformers" else None
    if which == "scores in memory":
        for module in lm.model.modules():
            if isinstance(module, MultiHeadAttention):
                module.attend = attention

    def run(ids: torch.Tensor):
        if peer:
            peer(ids, use_cache=True, logits_to_keep=1)
        else:
            next_scores(lm, ids, KVCache() if which == "ours" else None)

    ids = torch.tensor([text_ids(lm, n)])
    run(ids[:, :WARM_UP])
    REFS.write_text("5")  # the peak starts again from what is in use
    before = memory("VmRSS")
    run(ids)
    return memory("VmHWM") - before


def peak_elsewhere(which: str, n: int) -> int:
    "`peak`, measured in a new process."
    command = [sys.executable, __file__, "--peak", which, str(n)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return int(done.stdout)


def speeds(run: dict) -> dict:
    "A run's speeds, and their ratio."
    found = dict(run["tokens_per_second"])
    found["ours / transformers"] = found["ours"] / found["transformers"]
    return found


def tables(results: dict) -> dict[str, list[dict]]:
    "What a reader wants to see of the measurements, by title."
    writing = []
    for run in results["decode"]:
        label = {"": f"{run['dtype']}, batch {run['batch']}"}
        writing.append(label | speeds(run) | {"same tokens": run["same_tokens"]})
    reading = [{"": run["dtype"]} | speeds(run) for run in results["prefill"]]
    found = {
        "Writing, tokens a second": writing,
        f"Reading {READ} tokens, tokens a second": reading,
    }
    if "peak" in results:
        rows = []
        for run in results["peak"]:
            rows.append({"tokens": run["tokens"]} | {which: run[which] / 1e6 for which in PEAKS})
        found["Peak memory of reading in bfloat16, over the weights, MB"] = rows
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--no-memory", action="store_true", help="leave out the peak memory")
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peak:
        which, n = args.peak
        print(peak(which, int(n)))
        return
    load_before = load_now()
    reads = [read(dtype, 3 * args.repeats) for dtype in DTYPES]
    writes = []
    for dtype in ("bfloat16", "float32"):
        for batch in (1, 8):
            writes.append(write(dtype, batch, args.tokens, args.repeats))
    results = {
        "model": NAME,
        "prompt": PROMPT,
        "load": {"before": load_before, "after": load_now()},
        "products": measured_products(),
        "decode": writes,
        "prefill": reads,
    }
    if REFS.exists() and not args.no_memory:
        results["peak"] = []
        for n in (LONG // 4, LONG // 2, LONG):
            row = {which: peak_elsewhere(which, n) for which in PEAKS}
            results["peak"].append({"tokens": n} | row)
    results["tables"] = tables(results)
    for title, rows in results["tables"].items():
        print(f"\n{title}\n{table(rows)}")
    save("decode", results)


if __name__ == "__main__":
    main()
