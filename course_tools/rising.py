"""A task for a tiny Transformer on the pages about rewards: write digits that rise.

After `4:` it shall write four digits, each larger than the one before, and a full stop: `4:0259.`
A judge is a function of the counts asked for, the answers and their mask; it gives each a reward.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from llm_course.training.batches import IGNORE
from llm_course.training.chats import logprobs
from llm_course.transformers.model import Config, Transformer

SIGNS = "0123456789.:"  # the vocabulary: digits are their own ids
STOP, COLON = 10, 11
LENGTH = 6  # tokens of an answer, at most
Judge = Callable[[Tensor, Tensor, Tensor], Tensor]


class Batch(NamedTuple):
    "What was asked, written and earned."

    counts: Tensor  # b: digits asked for
    prompts: Tensor  # b 2: the count and a colon
    answers: Tensor  # b t
    mask: Tensor  # b t: 1 up to the stop, the stop included
    rewards: Tensor  # g n: prompts, answers to each


def prompts_for(counts: Tensor) -> Tensor:
    "The count and a colon: b 2."
    return torch.stack([counts, torch.full_like(counts, COLON)], 1)


def as_text(batch: Batch, row: int) -> str:
    "A prompt and its answer, as read."
    signs = batch.answers[row][batch.mask[row].bool()].tolist()
    return f"{int(batch.counts[row])}:" + "".join(SIGNS[sign] for sign in signs)


@torch.no_grad()
def write(model: Transformer, prompts: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    "Answers drawn from the model, token by token, and their mask."
    b = len(prompts)
    ids = prompts
    done = torch.zeros(b, dtype=torch.bool)
    answers = torch.full((b, LENGTH), STOP)
    mask = torch.zeros(b, LENGTH)
    for i in range(LENGTH):
        scores = model.head(model.hidden_states(ids)[:, -1])
        drawn = torch.multinomial(scores.softmax(-1), 1, generator=generator)[:, 0]
        token = torch.where(done, STOP, drawn)
        answers[:, i] = token
        mask[:, i] = (~done).float()
        done = done | (token == STOP)
        if done.all():
            break
        ids = torch.cat([ids, token[:, None]], 1)
    return answers, mask


def digits_and_form(answers: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    "How many digits each answer has, and whether they rise and a stop ends them."
    counted = mask.bool()
    digit = (answers < STOP) & counted
    both = digit[:, 1:] & digit[:, :-1]
    falls = (both & (answers[:, 1:] <= answers[:, :-1])).any(1)
    ends = ((answers == STOP) & counted).any(1)
    strange = ((answers == COLON) & counted).any(1)
    return digit.sum(1), ends & ~falls & ~strange


def right(counts: Tensor, answers: Tensor, mask: Tensor) -> Tensor:
    "The judge: 1 for as many digits as were asked for, rising, with a stop; else 0."
    n, good = digits_and_form(answers, mask)
    return (good & (n == counts)).float()


def play(
    model: Transformer,
    generator: torch.Generator,
    judge: Judge = right,
    prompts: int = 8,
    answers_each: int = 8,
) -> Batch:
    "A batch: drawn and judged. Each prompt asks for two to five digits."
    counts = torch.randint(2, 6, (prompts,), generator=generator)
    counts = counts.repeat_interleave(answers_each)
    answers, mask = write(model, prompts_for(counts), generator)
    rewards = judge(counts, answers, mask).view(prompts, answers_each)
    return Batch(counts, prompts_for(counts), answers, mask, rewards)


def logprobs_of(model: Transformer, batch: Batch) -> Tensor:
    "The log-probability of each token of the answers: b t; 0 where the mask is."
    ids = torch.cat([batch.prompts, batch.answers], 1)
    answered = batch.answers.masked_fill(batch.mask == 0, IGNORE)
    first = torch.full_like(batch.prompts[:, :1], IGNORE)  # the colon is given, not written
    targets = torch.cat([first, answered], 1)
    return logprobs(model, ids[:, :-1], targets)[:, 1:]


def hidden_of(model: Transformer, batch: Batch) -> Tensor:
    "What the model knows before each token of the answers: b t c."
    ids = torch.cat([batch.prompts, batch.answers], 1)
    hidden = model.hidden_states(ids[:, :-1])  # nothing is asked of the last token
    return hidden[:, 1:]  # place 1 is the colon: it predicts the answer's first token


def first_model(steps: int) -> Transformer:
    "It has learnt the form from random digits, as many as asked for. They rise by chance only."
    generator = torch.Generator().manual_seed(0)
    config = Config(len(SIGNS), 32, 2, 2, 64, context=16)
    model = Transformer(config, generator=generator)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    places = torch.arange(LENGTH)
    for _ in range(steps):
        counts = torch.randint(2, 6, (128,), generator=generator)
        answers = torch.randint(0, 10, (128, LENGTH), generator=generator)
        answers[torch.arange(128), counts] = STOP
        mask = (places <= counts[:, None]).float()
        batch = Batch(counts, prompts_for(counts), answers, mask, counts)
        loss = -(logprobs_of(model, batch) * mask).sum() / mask.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model
