"A small training that the pages on optimizers try things on: same seed, same weights, same text."

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from llm_course.core import seed_everything
from llm_course.training.data import Document, python_source, split_documents, train_tokenizer
from llm_course.transformers.model import Config, Transformer
from llm_course.transformers.tokens import Tokenizer

WIDTH = 128  # tokens of a row
CONFIG = Config(2048, dim=128, n_layers=4, n_heads=4, hidden_dim=512, context=WIDTH)


class TrialText:
    "Files of Python's library as tokens: most to train on, the rest kept aside."

    def __init__(self, full: bool = True):  # False: a few files, for quick tests
        to_train, to_test = split_documents(python_source())
        to_train = to_train[: 120 if full else 4]
        to_test = to_test if full else to_test[:2]
        tokenizer = train_tokenizer(to_train, CONFIG.vocab_size if full else 512)
        self.train_ids = as_ids(to_train, tokenizer)
        self.test_ids = as_ids(to_test, tokenizer)
        self.test_rows = windows(self.test_ids, 32 if full else 4, seed_everything(100))
        self.about = f"{len(self.train_ids)} tokens of Python {platform.python_version()}"


class Trial:
    """A model in training. `deepcopy` makes another that goes on from the same point.

    The batch of a step depends on the seed and the step alone, so that two trials of one seed start
    from the same weights and read the same text, whatever else is different.
    """

    def __init__(
        self,
        text: TrialText,
        seed: int,
        make: Callable[[nn.Module], Any],  # an optimizer for the model
    ):
        self.text = text
        self.seed = seed
        self.step = 0  # steps taken; the page's loop counts
        self.model = Transformer(CONFIG, generator=seed_everything(seed))
        self.optimizer = make(self.model)

    def read(self) -> Tensor:
        "The rows of this step, each of 128 tokens and the next one: 8 129."
        gen = torch.Generator().manual_seed(10_000 * self.seed + self.step)
        return windows(self.text.train_ids, 8, gen)

    def loss(self, rows: Tensor) -> Tensor:
        "The mean loss of all tokens in these rows."
        logits = self.model(rows[:, :-1])
        return cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())

    @torch.no_grad()
    def test_loss(self) -> float:
        "The mean loss on rows that were kept aside, in nats a token."
        return self.loss(self.text.test_rows).item()


def as_ids(documents: list[Document], tokenizer: Tokenizer) -> Tensor:
    "The tokens of all documents, one after the other, with a sign at each end."
    ids: list[int] = []
    for document in documents:
        ids += tokenizer.encode(document.text) + [tokenizer.eos_id]
    return torch.tensor(ids)


def windows(ids: Tensor, n: int, gen: torch.Generator) -> Tensor:
    "Places drawn at random, each with its tokens and the next one: n 129."
    starts = torch.randint(len(ids) - WIDTH, (n,), generator=gen)
    return ids[starts[:, None] + torch.arange(WIDTH + 1)]
