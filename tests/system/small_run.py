"""The run that `test_distributed.py` starts on one process and on two."""

import numpy as np
import torch

from llm_course.training.batches import Rows
from llm_course.training.trainer import TrainConfig, Trainer
from llm_course.transformers.model import Config, Transformer


def rows(seed: int = 0) -> Rows:
    "Rows of unequal numbers of targets: 32 in some, 21 in others. Their number is odd."
    rng = np.random.default_rng(seed)
    documents = [rng.integers(0, 64, n) for n in rng.permutation([33] * 30 + [22] * 31)]
    return Rows(documents, 32)


def model(seed: int = 0) -> Transformer:
    generator = torch.Generator().manual_seed(seed)
    return Transformer(Config(64, 32, 2, 4, 64), generator=generator)


def trainer(folder, optimizer="adamw", **options) -> Trainer:
    plan = {"steps": 10, "batch_size": 8, "lr": 0.01, "precision": "float32", "save_every": 5}
    plan |= {"validate_every": 4, "optimizer": optimizer} | options
    config = TrainConfig(**plan)
    return Trainer(model(), rows(), config, validation=rows(1), folder=folder)
