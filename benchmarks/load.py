"""How long it takes to load SmolLM2-135M-Instruct, here and in transformers, from the same file: `python benchmarks/load.py`."""

from common import in_turn, median, save, table  # before torch: it sets the environment

# isort: split
import argparse

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from llm_course.core import fetch_model, settings
from llm_course.transformers.checkpoints import load, next_logits


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peer-repeats", type=int, default=3, help="transformers takes long")
    args = parser.parse_args()
    name = "SmolLM2-135M-Instruct"
    path = fetch_model(name)
    load(name)  # converts the file, if that hasn't been done
    folder = settings.cache / name

    def peer(source, **kw):
        AutoTokenizer.from_pretrained(source, **kw)
        return AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32, **kw)

    runs = {
        "ours, warm": lambda: load(name, dtype=torch.float32, device="cpu"),
        "ours, warm, and one token": lambda: next_logits(
            load(name, dtype=torch.float32, device="cpu"), "The capital of France is"
        ),  # now every weight has been read
        "ours, warm, bfloat16": lambda: load(name, dtype=torch.bfloat16, device="cpu"),
        "ours, from GGUF": lambda: load(path, dtype=torch.float32, device="cpu"),
        "transformers, our converted folder": lambda: peer(str(folder)),
        "transformers, from GGUF": lambda: peer(str(path.parent), gguf_file=path.name),
    }
    fewer = {n: args.peer_repeats for n in runs if "warm" not in n}
    seconds = in_turn(runs, args.repeats, fewer, warm_up=0)
    base = median(seconds["transformers, from GGUF"])
    print(
        table(
            [
                {
                    "load": n,
                    "median s": median(s),
                    "min s": min(s),
                    "max s": max(s),
                    "times faster than transformers": base / median(s),
                }
                for n, s in seconds.items()
            ]
        )
    )
    save(
        "load",
        {"model": name, "seconds": seconds},
        ("torch", "transformers", "tokenizers", "safetensors", "gguf"),
    )


if __name__ == "__main__":
    main()
