"""Tokens a second and peak memory of training: our Trainer, and Hugging Face's.

python benchmarks/train.py                # a model of 3.5M parameters, then SmolLM2-135M's shape
python benchmarks/train.py --sizes small --repeats 5

The same architecture, rows, batch, steps, optimizer and type of the products, each run in a process
of its own, in turn. Times leave out the first two steps.
"""

from common import median, save, table  # before torch: it sets the environment

# isort: split
import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch

WIDTH = 256
SIZES = {
    "small": {
        "config": {
            "vocab_size": 2048,
            "dim": 256,
            "n_layers": 4,
            "n_heads": 4,
            "n_kv_heads": 2,
            "hidden_dim": 704,
        },
        "batches": [32],
        "steps": 12,
    },
    "SmolLM2-135M": {
        "config": {
            "vocab_size": 49_152,
            "dim": 576,
            "n_layers": 30,
            "n_heads": 9,
            "n_kv_heads": 3,
            "hidden_dim": 1536,
        },
        "batches": [4, 8],
        "steps": 5,
    },
}
PACKAGES = ("torch", "transformers", "accelerate")
SKIPPED = 2  # steps that warm up
WHAT = "training beside Hugging Face's Trainer: tokens a second, and the peak of memory"


def rows_of(size: dict, batch: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, size["config"]["vocab_size"], (batch * size["steps"], WIDTH + 1))


def ours(size: dict, batch: int, precision: str) -> list[float]:
    "When each step ended."
    from llm_course.training.batches import Rows
    from llm_course.training.trainer import TrainConfig, Trainer
    from llm_course.transformers.flash import flash_attention
    from llm_course.transformers.model import Config, Transformer

    model = Transformer(Config(context=WIDTH, **size["config"]), attend=flash_attention)
    config = TrainConfig(size["steps"], batch_size=batch, lr=1e-4, precision=precision)
    ends = []
    on_step = [lambda trainer, record: ends.append(time.perf_counter())]
    Trainer(model, Rows(list(rows_of(size, batch)), WIDTH), config, on_step=on_step).fit()
    return ends


def theirs(size: dict, batch: int, precision: str) -> list[float]:
    "When each step ended."
    from transformers import (
        LlamaConfig,
        LlamaForCausalLM,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    own = size["config"]
    config = LlamaConfig(
        vocab_size=own["vocab_size"],
        hidden_size=own["dim"],
        num_hidden_layers=own["n_layers"],
        num_attention_heads=own["n_heads"],
        num_key_value_heads=own["n_kv_heads"],
        intermediate_size=own["hidden_dim"],
        max_position_embeddings=WIDTH,
        tie_word_embeddings=True,
        use_cache=False,
    )
    rows = torch.from_numpy(rows_of(size, batch)[:, :WIDTH].copy())
    ends = []

    class Clock(TrainerCallback):
        def on_step_end(self, *args, **kwargs):
            ends.append(time.perf_counter())

    arguments = TrainingArguments(
        output_dir=tempfile.mkdtemp(),  # nothing is saved
        per_device_train_batch_size=batch,
        max_steps=size["steps"],
        learning_rate=1e-4,
        weight_decay=0.1,
        max_grad_norm=1.0,
        optim="adamw_torch_fused",
        bf16=precision == "bfloat16",
        use_cpu=True,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    data = [{"input_ids": row, "labels": row} for row in rows]
    model = LlamaForCausalLM(config)
    Trainer(model=model, args=arguments, train_dataset=data, callbacks=[Clock()]).train()
    return ends


def child(who: str, name: str, batch: int, precision: str) -> None:
    run = {"ours": ours, "theirs": theirs}[who]
    ends = run(SIZES[name], batch, precision)
    seconds = ends[-1] - ends[SKIPPED - 1]
    steps = len(ends) - SKIPPED
    print(
        json.dumps(
            {
                "tokens_per_second": steps * batch * WIDTH / seconds,
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


def measured(who: str, name: str, batch: int, precision: str) -> dict:
    what = [who, name, str(batch), precision]
    command = [sys.executable, "-W", "ignore", __file__, "--child", *what]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def compared(name: str, batch: int, precision: str, repeats: int) -> dict:
    "Both in turn, `repeats` times."
    found: dict[str, list[dict]] = {"ours": [], "theirs": []}
    for _ in range(repeats):
        for who in found:
            found[who].append(measured(who, name, batch, precision))
    speed = {who: [run["tokens_per_second"] for run in runs] for who, runs in found.items()}
    peak = {who: max(run["peak_mb"] for run in runs) for who, runs in found.items()}
    ratios = [a / b for a, b in zip(speed["ours"], speed["theirs"])]
    return {
        "model": name,
        "products": precision,
        "rows a step": batch,
        "ours tokens/s": median(speed["ours"]),
        "transformers tokens/s": median(speed["theirs"]),
        "ratio": median(ratios),
        "least": min(ratios),
        "most": max(ratios),
        "ours peak MB": peak["ours"],
        "transformers peak MB": peak["theirs"],
        "peak ratio": peak["ours"] / peak["theirs"],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--precisions", nargs="+", default=["bfloat16", "float32"])
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        who, name, batch, precision = args.child
        return child(who, name, int(batch), precision)
    rows = []
    for name in args.sizes:
        for precision in args.precisions:
            for batch in SIZES[name]["batches"]:
                rows.append(compared(name, batch, precision, args.repeats))
                print(table(rows[-1:]), flush=True)
                save("train", {"what": WHAT, "rows": rows, "repeats": args.repeats}, PACKAGES)
    print(table(rows))


if __name__ == "__main__":
    main()
