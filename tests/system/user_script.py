"""What a user of the library writes: forty lines that a type checker must accept."""

from pathlib import Path

import torch

from llm_course import load
from llm_course.transformers.cache import KVCache
from llm_course.transformers.checkpoints import save_pretrained
from llm_course.transformers.generation import LanguageModel, generate, generate_batch, next_logits
from llm_course.transformers.paged import KVPool, PagedKVCache
from llm_course.transformers.prefix import ChatSession, PrefixCache


def main(folder: Path) -> None:
    lm: LanguageModel = load(dtype=torch.float32)
    question = [{"role": "user", "content": "Say hello in French."}]
    answer: str = lm.chat(question, 8)
    pieces: list[str] = [piece for piece in lm.generate(question, 8)]
    assert "".join(pieces) == answer

    ids: list[int] = lm.encode(question)
    cache = KVCache(device=lm.model.embed.weight.device)
    new: list[int] = list(generate(lm.model, ids, 8, cache=cache))
    paged = PagedKVCache(KVPool(64))
    assert list(generate(lm.model, ids, 8, cache=paged)) == new
    paged.free()
    both: list[list[int]] = generate_batch(lm.model, [ids, ids[:-1]], 4)
    assert both[0] == new[:4]

    scores: torch.Tensor = next_logits(lm, question)
    assert scores.argmax().item() == new[0]

    session = ChatSession(lm, PrefixCache(KVPool(64)))
    for turn in ("Say hello in French.", "And in Spanish?"):
        print("".join(session.send(turn, 8)), session.reused, session.read)

    save_pretrained(lm, folder / "copy")
    copy = load(folder / "copy")
    tokenizer = copy.tokenizer
    assert tokenizer is not None and tokenizer.decode(new) == lm.chat(question, 8)


if __name__ == "__main__":
    main(Path("."))
