"""Many answers at once on a CPU: our engine and llama.cpp's server, on the same file.

python benchmarks/engine.py [--repeats 5] [--tokens 64]

One request, and eight that come together, each with a prompt of its own: tokens a second, the
reading of the prompts included. Both engines schedule as they like, keep no prompt from the last
call, and have a process of their own with as many threads. `generate` and `generate_batch` stand
beside them: the same model without a scheduler, whose requests must come together and end together.
"""

import argparse
from itertools import count

from common import in_turn, median, save, table
from packed import BATCH, ENGINES, NAME, PROMPT, best_process, text_ids

import torch  # isort: skip  common sets what torch reads when it is imported

from llm_course import load
from llm_course.inference.engine import Engine


class OurEngine:
    "This library's engine over the packed model."

    def __init__(self):
        self.engine = Engine(load(NAME, packed=True), n_blocks=512, max_batch=BATCH)
        self.salts = count()

    def write(self, prompts, tokens):
        salt = str(next(self.salts))  # nothing is found again from the last call
        streams = [self.engine.submit(ids, tokens, salt=salt) for ids in prompts]
        assert all(len(list(stream)) == tokens for stream in streams)


ENGINES["engine"] = OurEngine
SHOWN = {"engine": "our engine", "ours": "generate, generate_batch", "llama.cpp": "llama.cpp"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=64)
    args = parser.parse_args()
    ids = text_ids(load(NAME).tokenizer, BATCH * PROMPT)
    made = {name: best_process(name, [ids[:PROMPT]]) for name in SHOWN}
    runs = {}
    for n in (1, BATCH):
        prompts = [ids[i * PROMPT : (i + 1) * PROMPT] for i in range(n)]
        calls = {name: lambda e=e: e.write(prompts, args.tokens) for name, e in made.items()}
        runs[n] = {"tokens": n * args.tokens, "seconds": in_turn(calls, args.repeats)}
    summary = []
    for name, shown in SHOWN.items():
        row = {"engine": shown}
        speeds = {}
        for n, run in runs.items():
            seconds = run["seconds"][name]
            speeds[n] = run["tokens"] / median(seconds)
            row[f"{n} at once"] = speeds[n]
            row[f"{n}, least"] = run["tokens"] / max(seconds)
            row[f"{n}, most"] = run["tokens"] / min(seconds)
        summary.append(row | {"gain": speeds[BATCH] / speeds[1]})
    print(f"\nTokens a second, {torch.get_num_threads()} threads\n{table(summary)}")
    results = {
        "model": NAME,
        "prompt": PROMPT,
        "spins": {name: process.spins for name, process in made.items()},
        "runs": {f"{n} at once": run for n, run in runs.items()},
        "summary": summary,
        "tables": {"Requests at once on a CPU, tokens a second": summary},
    }
    save("engine", results, ("torch", "numba", "xllamacpp"))
    for process in made.values():
        process.stop()


if __name__ == "__main__":
    main()
