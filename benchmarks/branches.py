"""Agents side by side on the local model: branches of a workflow against one after another.

python benchmarks/branches.py [--repeats 5] [--tokens 32]

One, four and 64 agents, each with a question of its own, as a `ParallelAgent` and as a
`SequentialAgent` over the packed model: new tokens a second, the reading of the prompts included.
The engine takes eight rows a step, so that of 64 branches most wait for their turn. Nothing is
found again from the call before: each question begins with a number of its own.
"""

import argparse
import asyncio
from itertools import count

from common import in_turn, median, save, table

import torch  # isort: skip  common sets what torch reads when it is imported

from llm_course import load
from llm_course.agents.agent import Agent, Limits, Run
from llm_course.agents.client import LocalLLM
from llm_course.agents.text import AsyncEngine
from llm_course.agents.workflows import LlmAgent, ParallelAgent, SequentialAgent, start

NAME = "SmolLM2-135M-Instruct"
SHAPES = {"in parallel": ParallelAgent, "in sequence": SequentialAgent}
BRANCHES = {"in parallel": (1, 4, 64), "in sequence": (4,)}
NUMBERS = count(1000)


class Branches:
    "Runs so many agents in one shape, and counts the tokens they wrote."

    def __init__(self, llm: LocalLLM, tokens: int):
        self.llm = llm
        self.tokens = tokens
        self.written: dict[str, list[int]] = {}

    def run(self, name: str, shape: str, n: int) -> None:
        "One workflow of `n` agents."
        parts = []
        for i in range(n):
            agent = Agent(f"a{i}", self.llm, max_tokens=self.tokens)
            task = f"{next(NUMBERS)}. Write down, in plain words, what happens on a market day."
            parts.append(LlmAgent(agent, task, f"text{i}", may_be_cut=True))
        run = Run(limits=Limits(replies=n))
        asyncio.run(start(SHAPES[shape]("all", parts), run))
        self.written.setdefault(name, []).append(run.tokens)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=32)
    args = parser.parse_args()
    with AsyncEngine(load(NAME, packed=True), n_blocks=512, max_batch=8) as engine:
        branches = Branches(LocalLLM(engine), args.tokens)
        calls = {
            f"{n} {shape}": lambda shape=shape, n=n: branches.run(f"{n} {shape}", shape, n)
            for shape, numbers in BRANCHES.items()
            for n in numbers
        }
        seconds = in_turn(calls, args.repeats)
    tokens = {name: some[-args.repeats :] for name, some in branches.written.items()}
    summary = []
    for name in calls:
        speeds = [n / s for n, s in zip(tokens[name], seconds[name])]
        row = {"branches": name, "tokens/s": median(speeds)}
        summary.append(row | {"least": min(speeds), "most": max(speeds)})
    print(f"\n{torch.get_num_threads()} threads\n{table(summary)}")
    results = {
        "model": NAME,
        "runs": {"seconds": seconds, "tokens": tokens},
        "summary": summary,
        "tables": {"Agents side by side on a CPU": summary},
    }
    save("branches", results, ("torch", "numba"))


if __name__ == "__main__":
    main()
