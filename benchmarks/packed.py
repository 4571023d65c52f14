"""4-bit weights on a CPU: ours, llama.cpp with the same file and threads, transformers in bfloat16.

python benchmarks/packed.py [--repeats 5] [--tokens 128]
"""

import argparse
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor

from common import in_turn, median, save, table

import torch  # isort: skip  common sets what torch reads when it is imported

from llm_course import load
from llm_course.compression.packed import PackedLinear
from llm_course.core import fetch_model, settings
from llm_course.transformers.cache import KVCache
from llm_course.transformers.generation import generate, generate_batch

NAME = "SmolLM2-135M-Instruct"
PROMPT = 32  # tokens before those that are written
READ = 512  # tokens of the prompt that is read
BATCH = 8


def text_ids(lm, n: int) -> list[int]:
    "The first `n` ids of the Python language reference."
    from pydoc_data.topics import topics

    text = "\n".join(topics[k] for k in sorted(topics))
    return lm.tokenizer.encode(text[: 8 * n])[:n]


class LlamaCpp:
    "llama.cpp's server in this process, on the same file, with as many threads."

    def __init__(self):
        import xllamacpp

        threads = torch.get_num_threads()
        params = xllamacpp.CommonParams()
        params.model.path = str(fetch_model(NAME))
        params.n_ctx = 1024 * BATCH
        params.n_parallel = BATCH
        params.cpuparams.n_threads = threads
        params.cpuparams_batch.n_threads = threads
        params.n_gpu_layers = 0
        params.warmup = True
        self.server = xllamacpp.Server(params)

    def write(self, ids: list[int], tokens: int) -> dict:
        "What the server says of its own times, in milliseconds."
        asked = {"prompt": ids, "max_tokens": tokens, "temperature": 0}
        asked |= {"ignore_eos": True, "cache_prompt": False}
        answer = self.server.handle_completions(asked)
        answer = json.loads(answer) if isinstance(answer, (str, bytes)) else answer
        found = answer["timings"]
        assert found["predicted_n"] == tokens, found
        return found


def transformers_model():
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(settings.cache / NAME, dtype=torch.bfloat16)
    model.generation_config.eos_token_id = None
    return model.eval()


def take(lm, way) -> None:
    for module in lm.model.modules():
        if isinstance(module, PackedLinear):
            module.way = way


def writing(batch: int, tokens: int, repeats: int, lm, llama, peer) -> dict:
    "Seconds to write `tokens` after a prompt, the prompt included, for each of `batch` texts."
    ids = text_ids(lm, PROMPT * batch)
    prompts = [ids[i * PROMPT : (i + 1) * PROMPT] for i in range(batch)]

    def ours(way=None):
        take(lm, way)
        if batch == 1:
            list(generate(lm.model, prompts[0], tokens))
        else:
            generate_batch(lm.model, prompts, tokens)
        take(lm, None)

    def theirs():
        with ThreadPoolExecutor(batch) as pool:
            list(pool.map(lambda prompt: llama.write(prompt, tokens), prompts))

    @torch.inference_mode()
    def hf():
        given = torch.tensor(prompts)
        peer.generate(
            given,
            attention_mask=torch.ones_like(given),
            max_new_tokens=tokens,
            do_sample=False,
            pad_token_id=0,
        )

    runs = {"ours": ours, "ours, 8-bit inputs": lambda: ours("int8"), "llama.cpp": theirs}
    runs["transformers bf16"] = hf
    seconds = in_turn(runs, repeats, fewer={"transformers bf16": max(2, repeats // 2)})
    return {"batch": batch, "tokens": tokens, "seconds": seconds}


@torch.inference_mode()
def reading(repeats: int, lm, llama, peer) -> dict:
    ids = text_ids(lm, READ)
    given = torch.tensor([ids])
    runs = {
        "ours": lambda: lm.model.head(lm.model.hidden_states(given, KVCache())[:, -1]),
        "llama.cpp": lambda: llama.write(ids, 1),
        "transformers bf16": lambda: peer(given, use_cache=True, logits_to_keep=1),
    }
    return {"prompt": READ, "seconds": in_turn(runs, repeats)}


def rates(seconds: dict, n: int) -> dict:
    return {name: n / median(s) for name, s in seconds.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=128)
    args = parser.parse_args()
    lm = load(NAME, packed=True)
    peer = transformers_model()
    llama = LlamaCpp()
    runs = [writing(b, args.tokens, args.repeats, lm, llama, peer) for b in (1, BATCH)]
    read = reading(args.repeats, lm, llama, peer)
    summary = []
    for run in runs:
        tokens_a_second = rates(run["seconds"], run["batch"] * run["tokens"])
        summary.append({"what": f"write, batch {run['batch']}"} | tokens_a_second)
    summary.append({"what": f"read {READ}"} | rates(read["seconds"], READ))
    for row in summary:
        row["ours / llama.cpp"] = row["ours"] / row["llama.cpp"]
        row["ours / transformers"] = row["ours"] / row["transformers bf16"]
    print(f"\nTokens a second\n{table(summary)}")
    results = {"model": NAME, "runs": runs, "read": read, "summary": summary}
    save("packed", results, ("torch", "numba", "transformers", "xllamacpp"))
    sys.stdout.flush()
    os._exit(0)  # llama.cpp's server has threads of its own


if __name__ == "__main__":
    main()
