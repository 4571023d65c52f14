"A server with a tiny model, for `test_serve.py`: prints its address, then serves."

import argparse
import signal
import time

import torch

from llm_course.agents.api import Limits
from llm_course.agents.serve import Server, listen, make_app
from llm_course.agents.text import AsyncEngine
from llm_course.core import fetch_model
from llm_course.transformers.generation import LanguageModel
from llm_course.transformers.model import Config, Transformer
from llm_course.transformers.tokens import Tokenizer


def tiny_lm(context: int = 2048) -> LanguageModel:
    "A model that says nothing sensible, fast, with the tokenizer of the real one."
    tokenizer = Tokenizer.from_gguf(fetch_model("SmolLM2-135M-Instruct"))
    sizes = dict(dim=16, n_layers=1, n_heads=2, n_kv_heads=1, hidden_dim=16, context=context)
    config = Config(vocab_size=tokenizer.vocab_size, **sizes)
    model = Transformer(config, generator=torch.Generator().manual_seed(0)).eval()
    return LanguageModel(model, tokenizer)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--pause", type=float, default=0.0, help="seconds, before each pass")
    parser.add_argument("--grace", type=float, default=10.0)
    parser.add_argument("--waiting", type=int, default=64)
    options = parser.parse_args()
    lm = tiny_lm()
    read = lm.model.hidden_states
    if options.pause:
        lm.model.hidden_states = lambda *given: (time.sleep(options.pause), read(*given))[1]
    limits = Limits(tokens=512, grace=options.grace, waiting=options.waiting)
    app = make_app(AsyncEngine(lm, n_blocks=256, max_batch=8), "tiny", limits=limits)
    signal.signal(signal.SIGTERM, lambda *_: None)
    listener = listen("127.0.0.1", 0)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    Server(app).run(sockets=[listener])
