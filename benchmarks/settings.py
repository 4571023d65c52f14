"""Validation loss after the same tokens: the course's settings, and nanoGPT's in the course's code.

python benchmarks/settings.py                      # 400 steps of 8,192 tokens, two seeds
python benchmarks/settings.py --steps 100 --seeds 1

The text, the tokenizer, the rows and their order are the same. nanoGPT's are the settings of its
config/train_shakespeare_char.py: a GPT-2 without biases, AdamW at 1e-3 with β₂ = 0.99, and a cosine
that falls to a tenth. Two of them are changed. Dropout is 0, since no text is read twice. And the
warm-up is a twentieth of the steps, as ours: its 100 steps were meant for 5,000.
"""

from common import save, table  # before torch: it sets the environment

# isort: split
import argparse
import statistics

import torch

from llm_course.core import pick_device
from llm_course.training.batches import Rows, tokenize
from llm_course.training.data import python_source, split_documents, train_tokenizer
from llm_course.training.duplicates import drop_duplicates
from llm_course.training.trainer import TrainConfig, Trainer
from llm_course.transformers.flash import flash_attention
from llm_course.transformers.model import Config, Transformer

WIDTH = 256
BATCH = 32
VOCABULARY = 2048
LLAMA = {"dim": 256, "n_layers": 4, "n_heads": 4, "n_kv_heads": 2, "hidden_dim": 704}
GPT2 = {"dim": 256, "n_layers": 4, "n_heads": 4, "hidden_dim": 1024, "architecture": "gpt2"}
GPT2 |= {"activation": "gelu"}
SETTINGS = {
    "nanoGPT's": (GPT2, {"optimizer": "adamw", "lr": 1e-3}, (0.9, 0.99)),
    "nanoGPT's, rate 3e-3": (GPT2, {"optimizer": "adamw", "lr": 3e-3}, (0.9, 0.99)),
    "ours, AdamW": (LLAMA, {"optimizer": "adamw", "lr": 3e-3}, (0.9, 0.95)),
    "ours, Muon": (LLAMA, {"optimizer": "muon", "lr": 1e-2}, (0.9, 0.95)),
}
WHAT = "validation loss after the same tokens: the course's settings, and nanoGPT's"


def corpus() -> tuple[Rows, Rows]:
    "Python's standard library as rows: to train on, and kept aside."
    documents, _ = drop_duplicates(python_source())
    to_train, to_test = split_documents(documents, 0.1)
    tokenizer = train_tokenizer(to_train, VOCABULARY)
    return tuple(Rows(tokenize(part, tokenizer), WIDTH) for part in (to_train, to_test))


def run(name: str, seed: int, steps: int, train: Rows, test: Rows) -> dict:
    sizes, options, betas = SETTINGS[name]
    model = Transformer(
        Config(VOCABULARY, context=WIDTH, **sizes),
        attend=flash_attention,
        generator=torch.Generator().manual_seed(seed),
    ).to(pick_device())
    config = TrainConfig(steps, batch_size=BATCH, validate_every=0, seed=seed, **options)
    trainer = Trainer(model, train, config, validation=test)
    for group in trainer.optimizer.param_groups:
        if "betas" in group:
            group["betas"] = betas
    records = trainer.fit()
    return {
        "loss": records[-1]["validation"],
        "tokens": sum(record["tokens"] for record in records),
        "parameters": sum(p.numel() for p in model.parameters()),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=2)
    args = parser.parse_args()
    train, test = corpus()
    found: dict[str, list[dict]] = {name: [] for name in SETTINGS}
    for seed in range(args.seeds):
        for name in SETTINGS:
            found[name].append(run(name, seed, args.steps, train, test))
            print(name, seed, found[name][-1], flush=True)
            rows = [row_of(name, runs) for name, runs in found.items() if runs]
            about = {"steps": args.steps, "rows a step": BATCH, "row": WIDTH}
            save("settings", {"what": WHAT, "rows": rows, **about}, ("torch", "numpy"))
    print(table(rows))


def row_of(name: str, runs: list[dict]) -> dict:
    losses = [run["loss"] for run in runs]
    return {
        "settings": name,
        "parameters": runs[0]["parameters"],
        "tokens": runs[0]["tokens"],
        "validation (nats a token)": statistics.mean(losses),
        "least": min(losses),
        "most": max(losses),
        "seeds": len(runs),
    }


if __name__ == "__main__":
    main()
