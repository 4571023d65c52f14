"""Time to the first token of an answer, turn by turn: with the prefix cache, without, transformers.

python benchmarks/prefix.py
"""

import common  # before torch: it sets the environment

# isort: split
import argparse

import torch

from llm_course import load
from llm_course.core import settings
from llm_course.transformers.cache import KVCache
from llm_course.transformers.generation import generate
from llm_course.transformers.paged import KVPool, PagedKVCache
from llm_course.transformers.prefix import PrefixCache

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
BLOCKS = 256  # of the pool
ANSWER = 80  # tokens at most
SYSTEM = (
    "You are the voice of a museum of natural history. You speak to visitors of every age, and "
    "you answer in one or two short sentences. You know the halls: minerals, early life, "
    "dinosaurs, early mammals, the oceans, and people. If you are asked for the way, you name the "
    "next hall. If you don't know, you say so, and send the visitor to the desk at the entrance. "
    "You never speak of prices or of politics. "
) * 3
QUESTIONS = [
    "What is the oldest fossil?",
    "How do we know its age?",
    "And the largest dinosaur?",
    "Could it swim?",
    "Thank you. What should I look at next?",
]
WAYS = ("prefix cache", "no prefix cache", "transformers")


def conversation(lm) -> tuple[list[list[int]], list[list[int]]]:
    "What the model reads at each turn, and the same with its answer."
    chat = [{"role": "system", "content": SYSTEM}]
    prompts, spoken = [], []
    for question in QUESTIONS:
        chat.append({"role": "user", "content": question})
        prompts.append(lm.encode(chat))
        chat.append({"role": "assistant", "content": lm.chat(chat, ANSWER)})
        text = lm.tokenizer.apply_chat_template(chat, add_generation_prompt=False)
        spoken.append(lm.tokenizer.encode(text))
    return prompts, spoken


def read_with_prefix(lm, prefix: PrefixCache, ids: list[int]) -> tuple[PagedKVCache, int, int]:
    "The cache after reading `ids`, how many tokens it had already, and the next token."
    cache = PagedKVCache(prefix.pool)
    known = prefix.match(ids[:-1])
    cache.adopt(0, known, len(known) * prefix.pool.block_size)
    reused = cache.lengths[0]
    token = next(generate(lm.model, ids, 1, cache=cache))
    prefix.insert(ids, cache.blocks(0))  # counted: it is part of the price
    return cache, reused, token


def one_turn(lm, peer, prefix: PrefixCache, ids: list[int], first: int) -> tuple:
    "Seconds of each way, beginning with the `first`; the filled cache; the tokens it reused."
    found, tokens = {}, {}

    def with_prefix():
        found["cache"], found["reused"], tokens["prefix cache"] = read_with_prefix(lm, prefix, ids)

    def without():
        tokens["no prefix cache"] = next(generate(lm.model, ids, 1, cache=KVCache()))

    def theirs():
        logits = peer(torch.tensor([ids]), logits_to_keep=1).logits
        tokens["transformers"] = int(logits[0, -1].argmax())

    runs = dict(zip(WAYS, (with_prefix, without, theirs)))
    seconds = {name: common.timed(runs[name]) for name in common.rotated(list(WAYS), first)}
    assert tokens["prefix cache"] == tokens["no prefix cache"], tokens
    return seconds, found["cache"], found["reused"]


@torch.inference_mode()
def measure(rounds: int, dtype: torch.dtype) -> list[dict]:
    "A row for each turn: its tokens, those reused, and the seconds of each way in each round."
    from transformers import AutoModelForCausalLM

    lm = load(dtype=dtype)
    folder = settings.cache / "SmolLM2-135M-Instruct"
    peer = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    prompts, spoken = conversation(lm)
    rows = [{"tokens": len(ids), "seconds": {way: [] for way in WAYS}} for ids in prompts]
    for round_ in range(rounds + 1):  # the first one warms up
        prefix = PrefixCache(KVPool(BLOCKS))
        for turn, ids in enumerate(prompts):
            seconds, cache, reused = one_turn(lm, peer, prefix, ids, round_)
            rows[turn]["reused"] = reused
            if round_:
                for way in WAYS:
                    rows[turn]["seconds"][way].append(seconds[way])
            # the answer is written, as in a chat, before the next turn comes
            answer = spoken[turn][cache.lengths[0] :]
            lm.model.hidden_states(torch.tensor([answer]), cache)
            prefix.insert(spoken[turn], cache.blocks(0))
            cache.free()
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    args = parser.parse_args()
    measured = measure(args.rounds, DTYPES[args.dtype])
    rows = []
    for turn, run in enumerate(measured, 1):
        medians = {way: common.median(run["seconds"][way]) for way in WAYS}
        row = {"turn": turn, "tokens": run["tokens"], "reused": run["reused"]} | medians
        row["speed-up"] = row["no prefix cache"] / row["prefix cache"]
        rows.append(row)
    print(common.table(rows))
    results = {
        "what": "seconds to the first token by turn, median",
        "dtype": args.dtype,
        "rounds": args.rounds,
        "rows": rows,
        "seconds": {way: [run["seconds"][way] for run in measured] for way in WAYS},
    }
    common.save("prefix", results)


if __name__ == "__main__":
    main()
