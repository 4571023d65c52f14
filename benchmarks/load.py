"""How long SmolLM2-135M-Instruct takes to load, here and in transformers, from one file.

python benchmarks/load.py
"""

from common import in_turn, median, save, table  # before torch: it sets the environment

# isort: split
import argparse

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from llm_course import load
from llm_course.core import fetch_model, settings
from llm_course.transformers.generation import next_logits

NAME = "SmolLM2-135M-Instruct"
PROMPT = "The capital of France is"
PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "gguf")


def ours(source, dtype: torch.dtype = torch.float32):
    return load(source, dtype=dtype, device="cpu")


def theirs(source, **options):
    AutoTokenizer.from_pretrained(source, **options)
    return AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32, **options)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peer-repeats", type=int, default=3, help="transformers takes long")
    args = parser.parse_args()
    path = fetch_model(NAME)
    load(NAME)  # converts the file, if that hasn't been done
    folder = settings.cache / NAME
    runs = {
        "ours, warm": lambda: ours(NAME),
        # now every weight has been read
        "ours, warm, and one token": lambda: next_logits(ours(NAME), PROMPT),
        "ours, warm, bfloat16": lambda: ours(NAME, torch.bfloat16),
        "ours, from GGUF": lambda: ours(path),
        "transformers, our converted folder": lambda: theirs(str(folder)),
        "transformers, from GGUF": lambda: theirs(str(path.parent), gguf_file=path.name),
    }
    fewer = {name: args.peer_repeats for name in runs if "warm" not in name}
    seconds = in_turn(runs, args.repeats, fewer, warm_up=0)
    base = median(seconds["transformers, from GGUF"])
    rows = []
    for name, s in seconds.items():
        middle = median(s)
        rows.append(
            {
                "load": name,
                "median s": middle,
                "min s": min(s),
                "max s": max(s),
                "times faster than transformers": base / middle,
            }
        )
    print(table(rows))
    save("load", {"model": NAME, "seconds": seconds}, PACKAGES)


if __name__ == "__main__":
    main()
