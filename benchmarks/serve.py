"""Two servers with OpenAI's API on a CPU: ours and llama.cpp's, on the same file.

python benchmarks/serve.py [--repeats 5] [--tokens 64]

One client, and eight at once, each with a prompt of its own, over HTTP on this machine: new tokens
a second, and seconds until a client's first text. Both servers have a process of their own with as
many threads; the clients are in this one. Each prompt begins with a number that no other one has,
so that neither server finds it again. Answers that end early count with the tokens that they have.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from itertools import count

from common import in_turn, median, save, table

import torch  # isort: skip  common sets what torch reads when it is imported

import httpx

from llm_course.core import fetch_model

NAME = "SmolLM2-135M-Instruct"
CLIENTS = (1, 8)
SPINS = {"ours": "0", "llama.cpp": "300000"}  # looks of OpenMP's threads before they sleep
STORY = " Write down, in plain words and without a list, what happens on a market day in a town."
NUMBERS = count(1000)


def llama_cpp():
    "Runs llama.cpp's server in this process; prints its address, and waits for the end of stdin."
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(fetch_model(NAME))
    params.n_ctx = 1024 * max(CLIENTS)
    params.n_parallel = max(CLIENTS)
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = torch.get_num_threads()
    params.n_gpu_layers = 0
    params.port = 0
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


class Server:
    "A server in a process of its own."

    def __init__(self, spins: str, *command: str):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        environment = os.environ | {"GOMP_SPINCOUNT": spins}
        self.process = subprocess.Popen([sys.executable, *command], env=environment, **pipes)
        for line in self.process.stdout:
            if "http" in line:
                self.url = line.split()[0].rstrip("/")
                break
        self.model = httpx.get(self.url + "/v1/models", timeout=60).json()["data"][0]["id"]
        self.firsts: list[float] = []  # seconds to each client's first text
        self.written: list[int] = []  # tokens of each call

    def stop(self) -> None:
        self.process.stdin.close()
        self.process.terminate()
        self.process.wait(30)

    def call(self, clients: int, tokens: int) -> None:
        "So many clients at once, each for one answer."
        self.written.append(asyncio.run(self._all(clients, tokens)))

    async def _all(self, clients: int, tokens: int) -> int:
        async with httpx.AsyncClient(timeout=300) as http:
            return sum(await asyncio.gather(*(self._one(http, tokens) for _ in range(clients))))

    async def _one(self, http: httpx.AsyncClient, tokens: int) -> int:
        asked = {"model": self.model, "temperature": 0, "max_tokens": tokens, "stream": True}
        asked |= {"stream_options": {"include_usage": True}}
        asked["messages"] = [{"role": "user", "content": f"{next(NUMBERS)}.{STORY}"}]
        start, first, written = time.perf_counter(), None, 0
        async with http.stream("POST", self.url + "/v1/chat/completions", json=asked) as answer:
            assert answer.status_code == 200, await answer.aread()
            async for line in answer.aiter_lines():
                if not line.startswith("data: {"):
                    continue
                chunk = json.loads(line[6:])
                said = chunk["choices"] and chunk["choices"][0]["delta"].get("content")
                if said and first is None:
                    first = time.perf_counter() - start
                written = (chunk.get("usage") or {}).get("completion_tokens", written)
        assert written > 0 and first is not None
        self.firsts.append(first)
        return written


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--llama", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.llama:
        return llama_cpp()
    servers = {
        "ours": Server(SPINS["ours"], "-m", "llm_course.agents.serve", "--port", "0"),
        "llama.cpp": Server(SPINS["llama.cpp"], __file__, "--llama"),
    }
    for server in servers.values():
        server.call(max(CLIENTS), 8)  # warm
    summary = [{"server": name} for name in servers]
    runs = {}
    for n in CLIENTS:
        for server in servers.values():
            server.firsts, server.written = [], []
        calls = {name: lambda s=s: s.call(n, args.tokens) for name, s in servers.items()}
        seconds = in_turn(calls, args.repeats)
        runs[f"{n} clients"] = {"seconds": seconds}
        for row, (name, server) in zip(summary, servers.items()):
            written = server.written[-args.repeats :]  # without the warm-up
            firsts = server.firsts[-args.repeats * n :]
            speeds = [tokens / s for tokens, s in zip(written, seconds[name])]
            runs[f"{n} clients"][name] = {"tokens": written, "first": firsts}
            row[f"{n}: tokens/s"] = median(speeds)
            row[f"{n}: least"], row[f"{n}: most"] = min(speeds), max(speeds)
            row[f"{n}: first text, s"] = median(firsts)
    print(f"\nOver HTTP, {torch.get_num_threads()} threads\n{table(summary)}")
    tables = {"Clients at once over HTTP on a CPU": summary}
    results = {"model": NAME, "tokens": args.tokens, "spins": SPINS, "runs": runs}
    results |= {"summary": summary}
    save("serve", results | {"tables": tables}, ("torch", "numba", "fastapi", "xllamacpp"))
    for server in servers.values():
        server.stop()


if __name__ == "__main__":
    main()
