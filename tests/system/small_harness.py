"""What `test_harness.py` runs on one process and on two: three tasks and a tiny model."""

import json
import logging
from pathlib import Path

import torch

from llm_course.core import fetch_model
from llm_course.transformers.generation import LanguageModel
from llm_course.transformers.model import Config, Transformer
from llm_course.transformers.tokens import Tokenizer

TASKS = ["chosen", "written", "whole"]
COMMON = """
dataset_path: json
dataset_kwargs:
  data_files: {test: FOLDER/items.jsonl}
  cache_dir: FOLDER/cache
test_split: test
doc_to_text: "{{text}}"
"""
OWN = {
    "chosen": """
output_type: multiple_choice
doc_to_choice: options
doc_to_target: answer
metric_list: [{metric: acc}, {metric: acc_norm}]
""",
    "written": """
output_type: generate_until
doc_to_target: "{{options[answer]}}"
generation_kwargs: {until: ["e", "."], max_gen_toks: 6}
metric_list: [{metric: exact_match}]
""",
    "whole": """
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list: [{metric: word_perplexity}, {metric: bits_per_byte}]
""",
}


def write_tasks(folder: Path, n: int) -> None:
    "Items of several lengths; their texts are longer than the window now and then."
    items = []
    for i in range(n):
        text = f"{i} is a number, and {i * i} is its square. " * (1 + i % 4)
        options = [f"the {i}", "a longer option", str(i * i), "none"]
        items.append({"text": text + "Next:", "options": options, "answer": i % 4})
    (folder / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    for name, own in OWN.items():
        text = f"task: {name}\n" + COMMON.replace("FOLDER", str(folder)) + own
        text = text.replace('doc_to_text: "{{text}}"\n', "", 1) if name == "whole" else text
        (folder / f"{name}.yaml").write_text(text)


def model() -> LanguageModel:
    tokenizer = Tokenizer.from_gguf(fetch_model())
    config = Config(tokenizer.vocab_size, 16, 2, 2, 32, context=48)
    found = Transformer(config, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found.embed.weight.mul_(20)  # so that it has opinions
    return LanguageModel(found, tokenizer)


def examine(adapter, folder: Path, tasks=tuple(TASKS)):
    "lm-eval's results; None in all processes but the first."
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    return simple_evaluate(adapter, tasks=list(tasks), task_manager=manager, bootstrap_iters=0)


def in_short(results, tasks=tuple(TASKS)) -> dict:
    "Scores, and each item's responses, by task and item."
    items = {}
    for name in tasks:
        for sample in results["samples"][name]:
            key = f"{name} {sample['doc_id']}"
            assert key not in items, f"{key} is there twice"
            # lm-eval fills the smaller share up with its last request, and notes its answers too
            items[key] = sample["filtered_resps"]
    return {"scores": results["results"], "items": items}
