"""What somebody who trains writes: forty lines that a type checker must accept."""

from pathlib import Path

import torch

from llm_course import load
from llm_course.training.batches import Rows, tokenize
from llm_course.training.chats import chat_rows, encode_chat, logprobs
from llm_course.training.data import python_reference, split_documents, train_tokenizer
from llm_course.training.feedback import Preference, RuleJudge, short_and_named, topic_question
from llm_course.training.finetune import add_lora, load_adapter, merge_lora, save_adapter
from llm_course.training.judges import examine
from llm_course.training.ppo import group_advantages, policy_loss
from llm_course.training.trainer import TrainConfig, Trainer, checkpoints, read_log
from llm_course.transformers.checkpoints import save_pretrained
from llm_course.transformers.generation import LanguageModel
from llm_course.transformers.model import Config, Transformer


def from_nothing(folder: Path) -> LanguageModel:
    to_train, to_test = split_documents(python_reference())
    tokenizer = train_tokenizer(to_train, 512)
    rows = Rows(tokenize(to_train, tokenizer), 64)
    model = Transformer(Config(512, dim=32, n_layers=2, n_heads=2, hidden_dim=64, context=64))
    config = TrainConfig(steps=20, batch_size=8, optimizer="muon", lr=0.01, save_every=10)
    validation = Rows(tokenize(to_test, tokenizer), 64)
    trainer = Trainer(model, rows, config, validation=validation, folder=folder / "run")
    losses: list[float] = [record["loss"] for record in trainer.fit()]
    print(
        losses[-1], trainer.validate(), checkpoints(folder / "run"), len(read_log(folder / "run"))
    )
    lm = LanguageModel(model, tokenizer)
    save_pretrained(lm, folder / "model")
    return lm


def from_a_model(folder: Path) -> None:
    lm = load(dtype=torch.float32)
    question, answer = topic_question("river"), "A river is water that flows."
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    assert lm.tokenizer is not None
    chat = encode_chat(messages, lm.tokenizer)
    add_lora(lm.model, rank=4, targets=["q_proj", "v_proj"])
    Trainer(lm.model, chat_rows([chat], 64), TrainConfig(steps=2, batch_size=1)).fit()
    save_adapter(lm.model, folder / "adapter")
    merge_lora(lm.model)
    load_adapter(load(dtype=torch.float32).model, folder / "adapter")
    ids = torch.tensor(chat.ids[None, :-1].tolist())
    now: torch.Tensor = logprobs(lm.model, ids, torch.tensor(chat.ids[None, 1:].tolist()))
    advantages = group_advantages(torch.tensor([[1.0, 0.0]])).flatten()
    loss = policy_loss(now, now.detach(), advantages[:1], torch.ones_like(now))
    judge = RuleJudge(short_and_named)
    pair = Preference(question, answer, "It is large.", p_a=1.0, judge="me")
    print(loss.item(), examine(judge, [pair], [True]))


if __name__ == "__main__":
    from_nothing(Path("."))
    from_a_model(Path("."))
