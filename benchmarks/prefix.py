"""Time to the first token of an answer, turn by turn: with the prefix cache, without it, and in transformers.

python benchmarks/prefix.py    # writes benchmarks/results/<machine>/prefix.json
"""

import common
import torch

from llm_course.core import settings
from llm_course.transformers.cache import KVCache, KVPool, PagedKVCache
from llm_course.transformers.model import generate, load
from llm_course.transformers.prefix import PrefixCache

ROUNDS, DTYPE = 7, torch.bfloat16
SYSTEM = (
    "You are the voice of a museum of natural history. You speak to visitors of every age, and you answer in one or two short sentences. "
    "You know the halls: minerals, early life, dinosaurs, early mammals, the oceans, and people. If you are asked for the way, you name the next hall. "
    "If you don't know, you say so, and send the visitor to the desk at the entrance. You never speak of prices or of politics. "
) * 3
QUESTIONS = [
    "What is the oldest fossil?",
    "How do we know its age?",
    "And the largest dinosaur?",
    "Could it swim?",
    "Thank you. What should I look at next?",
]
ANSWER = 80  # tokens at most


@torch.inference_mode()
def main():
    from transformers import AutoModelForCausalLM

    lm = load(dtype=DTYPE)
    theirs = AutoModelForCausalLM.from_pretrained(
        settings.cache / "SmolLM2-135M-Instruct", dtype=DTYPE
    ).eval()
    chat = [{"role": "system", "content": SYSTEM}]
    prompts, spoken = [], []  # what the model reads at each turn; the same with its answer
    for question in QUESTIONS:
        chat.append({"role": "user", "content": question})
        prompts.append(lm.encode(chat))
        chat.append({"role": "assistant", "content": lm.chat(chat, ANSWER)})
        spoken.append(
            lm.tokenizer.encode(lm.tokenizer.apply_chat_template(chat, add_generation_prompt=False))
        )
    seconds = {
        name: [[] for _ in QUESTIONS]
        for name in ("prefix cache", "no prefix cache", "transformers")
    }
    reused = [0] * len(QUESTIONS)
    for round_ in range(ROUNDS + 1):  # the first one warms up
        prefix = PrefixCache(KVPool(256))
        for turn, ids in enumerate(prompts):
            first, held = {}, []

            def cached():
                cache = PagedKVCache(prefix.pool)
                known = prefix.match(ids[:-1])
                cache.adopt(0, known, len(known) * prefix.pool.block_size)
                reused[turn] = int(cache.lengths[0])
                first["prefix cache"] = next(generate(lm.model, ids, 1, cache=cache))
                prefix.insert(ids, cache.blocks(0))  # counted: it is part of the price
                held.append(cache)

            def plain():
                first["no prefix cache"] = next(generate(lm.model, ids, 1, cache=KVCache()))

            def peer():
                first["transformers"] = int(
                    theirs(torch.tensor([ids]), logits_to_keep=1).logits[0, -1].argmax()
                )

            runs = {"prefix cache": cached, "no prefix cache": plain, "transformers": peer}
            for name in list(runs)[round_ % 3 :] + list(runs)[: round_ % 3]:
                t = common.timed(runs[name])
                if round_:
                    seconds[name][turn].append(t)
            (cache,) = held  # the answer is written, as in a chat, before the next turn comes
            lm.model.hidden(torch.tensor([spoken[turn][int(cache.lengths[0]) :]]), cache)
            prefix.insert(spoken[turn], cache.blocks(0))
            cache.free()
            assert first["prefix cache"] == first["no prefix cache"], f"turn {turn + 1}: {first}"
    rows = [
        {
            "turn": i + 1,
            "tokens": len(p),
            "reused": reused[i],
            **{name: common.median(s[i]) for name, s in seconds.items()},
        }
        for i, p in enumerate(prompts)
    ]
    for r in rows:
        r["speed-up"] = r["no prefix cache"] / r["prefix cache"]
    print(common.table(rows))
    common.save(
        "prefix",
        {
            "what": "seconds to the first token by turn, median",
            "dtype": str(DTYPE),
            "rounds": ROUNDS,
            "rows": rows,
            "seconds": seconds,
        },
    )


if __name__ == "__main__":
    main()
