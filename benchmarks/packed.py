"""4-bit weights on a CPU: ours and other engines, on the same file and as many threads.

python benchmarks/packed.py [--repeats 5] [--tokens 128]

How fast each writes and reads, and how far its next-token distributions are from those of the same
weights in float32. Each engine has a process of its own, in which OpenMP's threads wait as suits it
best: that makes a factor of two to three. OpenVINO takes part if it is installed (pip install -e
'.[engines]').
"""

import argparse
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

from common import in_turn, median, save, table, timed

import torch  # isort: skip  common sets what torch reads when it is imported
from torch import Tensor, nn

from llm_course import load
from llm_course.compression.packed import PackedLinear
from llm_course.core import fetch_model, settings
from llm_course.transformers.cache import KVCache
from llm_course.transformers.generation import generate, generate_batch

NAME = "SmolLM2-135M-Instruct"
PROMPT = 32  # tokens before those that are written
READ = 512  # tokens of the prompt that is read
BATCH = 8
KL_TOKENS = 264  # of the text whose distributions are compared, at every eighth place
VOCABULARY = 49_152


def text_ids(tokenizer, n: int) -> list[int]:
    "The first `n` ids of the Python language reference."
    from pydoc_data.topics import topics

    text = "\n".join(topics[k] for k in sorted(topics))
    return tokenizer.encode(text[: 8 * n])[:n]


# Each engine has three methods: `write(prompts, tokens)` writes so many tokens after each prompt,
# `read(ids)` computes the scores of the next token, `log_probs(ids, places)` (k v) are those of
# the tokens after the places. `fewer` says that it is slow.


class Ours:
    "This library: the file's own bits, inputs of two bytes or of one."

    def __init__(self, lm, way=None):
        self.model, self.way = lm.model, way

    def take(self, way) -> None:
        for module in self.model.modules():
            if isinstance(module, PackedLinear):
                module.way = way

    def write(self, prompts, tokens):
        self.take(self.way)
        write_with(self.model, prompts, tokens)
        self.take(None)

    @torch.inference_mode()
    def read(self, ids):
        self.model.head(self.model.hidden_states(torch.tensor([ids]), KVCache())[:, -1])

    def log_probs(self, ids, places):
        self.take(self.way or "int16")  # as for one token, whatever the length
        found = scores_of(self.model, ids, places)
        self.take(None)
        return found


def write_with(model, prompts, tokens) -> None:
    if len(prompts) == 1:
        list(generate(model, prompts[0], tokens))
    else:
        generate_batch(model, prompts, tokens)


@torch.inference_mode()
def scores_of(model, ids, places) -> Tensor:
    return model(torch.tensor([ids]))[0, places].float().log_softmax(-1)


class OurModel:
    "This library's model with PyTorch's own low-bit products."

    def __init__(self, model):
        self.model = model

    def write(self, prompts, tokens):
        write_with(self.model, prompts, tokens)

    @torch.inference_mode()
    def read(self, ids):
        self.model.head(self.model.hidden_states(torch.tensor([ids]), KVCache())[:, -1])

    def log_probs(self, ids, places):
        return scores_of(self.model, ids, places)


class Int4Pack(nn.Module):
    "PyTorch's 4-bit product for a CPU, on the file's own codes: (code − 8) · scale + zero."

    def __init__(self, codes: Tensor, scale: Tensor, low: Tensor):
        super().__init__()
        packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(codes.int(), 1)
        self.register_buffer("packed", packed)
        shared = torch.stack((scale, low + 8 * scale), -1)  # o g 2
        self.register_buffer("shared", shared.transpose(0, 1).contiguous().bfloat16())

    def forward(self, x):
        rows = x.reshape(-1, x.shape[-1])
        multiply = torch.ops.aten._weight_int4pack_mm_for_cpu
        return multiply(rows, self.packed, 32, self.shared).view(*x.shape[:-1], -1)


def int4pack_model():
    "The file's 4-bit matrices in PyTorch's layout; the rest in bfloat16."
    model = load(NAME, dtype=torch.float32).model
    for path, layer in list(model.named_modules()):
        if isinstance(layer, nn.Linear) and layer is not model.head:
            w = layer.weight.detach().unflatten(1, (-1, 32))  # o g 32
            low, high = w.aminmax(dim=-1)
            scale = (high - low) / 15
            steps = (w - low[..., None]) / scale[..., None].clamp_min(1e-30)
            model.set_submodule(path, Int4Pack(steps.round().flatten(1), scale, low))
    return OurModel(model.bfloat16())


def dynamic_int8_model():
    "Weights and inputs in 8 bits, as `torch.ao.quantization.quantize_dynamic` makes them."
    model = load(NAME, dtype=torch.float32).model
    for path, layer in list(model.named_modules()):
        if isinstance(layer, nn.Linear):  # quantize_dynamic takes no subclass
            plain = nn.Linear(layer.in_features, layer.out_features, bias=False)
            plain.weight = layer.weight
            model.set_submodule(path, plain)
    made = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, torch.qint8)
    assert not any(type(module) is nn.Linear for module in made.modules())
    return OurModel(made)


class LlamaCpp:
    "llama.cpp's server in this process."

    def __init__(self):
        import xllamacpp

        threads = torch.get_num_threads()
        params = xllamacpp.CommonParams()
        params.model.path = str(fetch_model(NAME))
        params.n_ctx = 1024 * BATCH
        params.n_parallel = BATCH
        params.cpuparams.n_threads = threads
        params.cpuparams_batch.n_threads = threads
        params.n_gpu_layers = 0
        params.warmup = True
        self.server = xllamacpp.Server(params)

    def ask(self, ids: list[int], tokens: int, **more) -> dict:
        asked = {"prompt": ids, "max_tokens": tokens, "temperature": 0}
        asked |= {"ignore_eos": True, "cache_prompt": False} | more
        answer = self.server.handle_completions(asked)
        answer = json.loads(answer) if isinstance(answer, (str, bytes)) else answer
        assert answer["timings"]["predicted_n"] == tokens, answer["timings"]
        return answer

    def write(self, prompts, tokens):
        with ThreadPoolExecutor(len(prompts)) as pool:
            list(pool.map(lambda prompt: self.ask(prompt, tokens), prompts))

    def read(self, ids):
        self.ask(ids, 1)

    def log_probs(self, ids, places):
        found = torch.full((len(places), VOCABULARY), -torch.inf)
        for row, place in enumerate(places):
            answer = self.ask(ids[: place + 1], 1, n_probs=VOCABULARY, cache_prompt=True)
            for entry in answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]:
                found[row, entry["id"]] = entry["logprob"]
        return found.log_softmax(-1)


class Transformers:
    "transformers, in bfloat16."

    def __init__(self):
        from transformers import AutoModelForCausalLM

        folder = settings.cache / NAME
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
        self.model.generation_config.eos_token_id = None

    @torch.inference_mode()
    def write(self, prompts, tokens):
        given = torch.tensor(prompts)
        self.model.generate(
            given,
            attention_mask=torch.ones_like(given),
            max_new_tokens=tokens,
            do_sample=False,
            pad_token_id=0,
        )

    @torch.inference_mode()
    def read(self, ids):
        self.model(torch.tensor([ids]), use_cache=True, logits_to_keep=1)

    @torch.inference_mode()
    def log_probs(self, ids, places):
        return self.model(torch.tensor([ids])).logits[0, places].float().log_softmax(-1)


class OpenVino:
    """OpenVINO GenAI, which reads the same file. Its scores come from the model that it saves.

    Its reader rounds each group's offset to a whole zero point of 4 bits, so the weights differ.
    """

    def __init__(self):
        import openvino
        import openvino_genai

        self.genai, self.openvino = openvino_genai, openvino
        self.options = {"INFERENCE_NUM_THREADS": torch.get_num_threads()}
        self.folder = Path(tempfile.mkdtemp())
        file = self.folder / "model.gguf"
        shutil.copy(fetch_model(NAME), file)
        plan = openvino_genai.SchedulerConfig()
        plan.enable_prefix_caching = False
        self.pipe = openvino_genai.LLMPipeline(
            str(file), "CPU", enable_save_ov_model=True, scheduler_config=plan, **self.options
        )

    def write(self, prompts, tokens):
        config = self.genai.GenerationConfig()
        config.max_new_tokens = tokens
        config.do_sample = False
        config.ignore_eos = True
        ids = self.openvino.Tensor(torch.tensor(prompts).numpy())
        mask = self.openvino.Tensor(
            torch.ones(len(prompts), len(prompts[0]), dtype=torch.long).numpy()
        )
        made = self.pipe.generate(self.genai.TokenizedInputs(ids, mask), config)
        assert all(len(row) == tokens for row in made.tokens)

    def read(self, ids):
        self.write([ids], 1)

    def log_probs(self, ids, places):
        core = self.openvino.Core()
        model = core.compile_model(self.folder / "openvino_model.xml", "CPU", self.options)
        n = len(ids)
        given = {"input_ids": [ids], "attention_mask": [[1] * n], "position_ids": [[*range(n)]]}
        named = {i.get_any_name() for i in model.inputs}
        inputs = {k: torch.tensor(v).numpy() for k, v in given.items() if k in named}
        if "beam_idx" in named:
            inputs["beam_idx"] = torch.zeros(1, dtype=torch.int32).numpy()
        logits = model.create_infer_request().infer(inputs)["logits"]
        return torch.from_numpy(logits)[0, places].float().log_softmax(-1)


def ours(way=None):
    return Ours(load(NAME, packed=True), way)


ENGINES: dict[str, Callable] = {
    "ours": ours,
    "ours, 8-bit inputs": lambda: ours("int8"),
    "llama.cpp": LlamaCpp,
    "transformers bf16": Transformers,
    "torch int4pack": int4pack_model,
    "torch dynamic int8": dynamic_int8_model,
    "OpenVINO": OpenVino,
}
SPINS = ("0", "300000")  # looks of OpenMP's threads before they sleep: none, and GNU's default


class Process:
    "An engine in a process of its own, so that OpenMP can wait there as suits it best."

    def __init__(self, name: str, spins: str):
        self.spins = spins
        os.environ["GOMP_SPINCOUNT"] = spins
        context = multiprocessing.get_context("spawn")
        self.pipe, far = context.Pipe()
        self.process = context.Process(target=serve, args=(name, far), daemon=True)
        self.process.start()
        far.close()
        assert self.pipe.recv() == "ready"

    def __getattr__(self, method: str) -> Callable:
        def call(*given):
            self.pipe.send((method, *given))
            return self.pipe.recv()

        return call

    def stop(self) -> None:
        self.process.kill()
        self.process.join()


def serve(name: str, pipe) -> None:
    "Does what comes through the pipe."
    engine = ENGINES[name]()
    pipe.send("ready")
    while True:
        method, *given = pipe.recv()
        pipe.send(getattr(engine, method)(*given))


def best_process(name: str, prompts: list) -> Process:
    "The engine with the way of waiting that lets it write faster."
    found = []
    for spins in SPINS:
        process = Process(name, spins)
        process.write(prompts, 16)
        seconds = min(timed(lambda: process.write(prompts, 48)) for _ in range(3))
        print(f"  {name}, {spins} looks: {48 / seconds:.0f} tokens/s", file=sys.stderr)
        found.append((seconds, process))
    found.sort(key=lambda pair: pair[0])
    for _, slower in found[1:]:
        slower.stop()
    return found[0][1]


def divergences(ids: list[int], engines: dict) -> dict[str, float]:
    "Mean KL, in nats, of the next token's distribution from that of the weights in float32."
    exact = load(NAME, dtype=torch.float32).model
    places = list(range(7, len(ids), 8))
    p = scores_of(exact, ids, places).double()
    found = {}
    for name, engine in engines.items():
        q = engine.log_probs(ids, places).double()
        found[name] = (p.exp() * (p - q)).sum(-1).mean().item()
        print(f"  KL of {name}: {found[name]:.2g} ({len(places)} places)", file=sys.stderr)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=128)
    args = parser.parse_args()
    ids = text_ids(load(NAME).tokenizer, READ)
    names = [name for name in ENGINES if name != "OpenVINO" or find_spec("openvino_genai")]
    made = {name: best_process(name, [ids[:PROMPT]]) for name in names}
    slow = dict.fromkeys(("transformers bf16", "torch dynamic int8"), max(2, args.repeats // 2))
    runs = {}
    for batch in (1, BATCH):
        prompts = [ids[i * PROMPT : (i + 1) * PROMPT] for i in range(batch)]
        calls = {n: lambda e=e: e.write(prompts, args.tokens) for n, e in made.items()}
        seconds = in_turn(calls, args.repeats, fewer=slow)
        runs[f"write, batch {batch}"] = {"tokens": batch * args.tokens, "seconds": seconds}
    calls = {
        name: lambda e=e: e.read(ids) for name, e in made.items() if name != "ours, 8-bit inputs"
    }
    runs[f"read {READ}"] = {"tokens": READ, "seconds": in_turn(calls, args.repeats)}
    kl = divergences(ids[:KL_TOKENS], made)
    summary = []
    for name in made:
        row = {"engine": name}
        for what, run in runs.items():
            if name in run["seconds"]:
                row[what] = run["tokens"] / median(run["seconds"][name])
        summary.append(row | {"KL": kl[name]})
    print(f"\nTokens a second\n{table(summary)}")
    spins = {name: process.spins for name, process in made.items()}
    results = {"model": NAME, "spins": spins, "runs": runs, "kl": kl, "summary": summary}
    results["tables"] = {"4-bit weights on a CPU, tokens a second": summary}
    packages = ("torch", "numba", "transformers", "xllamacpp", "openvino-genai")
    save("packed", results, packages)
    for process in made.values():
        process.stop()


if __name__ == "__main__":
    main()
