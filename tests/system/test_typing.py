"""What a type checker tells a user of the library, who works outside of its repository."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = [ROOT / f"tests/system/{name}.py" for name in ("user_script", "user_training")]
HEAD = """
import torch
from llm_course import load
from llm_course.transformers.cache import KVCache
from llm_course.transformers.flash import flash_attention
from llm_course.transformers.generation import generate, next_logits
from llm_course.transformers.prefix import ChatSession
lm = load()
q = torch.zeros(1, 1, 1, 8)
ids = [1, 2, 3]
"""
MISTAKES = [  # that a checker notices, at the seams too
    'generate(lm.model, ids, "8")',
    "generate(lm, ids, 8)",
    "lm.chat(42)",
    'KVCache("2", devise="cpu")',
    "next_logits(lm.model, ids)",
    "ChatSession(lm)",
    "load(dtype=16)",
    "text: int = lm.chat('Hello')",
    "lm.encode('Hello').tolist()",
    "generate(lm.model, ids, 8, cache=42)",
    "generate(lm.model, ids, 8, pick=lambda: 3)",
    "generate(lm.model, ids, 8, processors=[lambda ids: ids])",
    "lm.chat('Hello', stop_id=[2])",
    'flash_attention(q, q, q, impl="fast")',
]


def errors_in(source: str, folder: Path) -> list[str]:
    "What pyright's rules say of a file in a folder of its own, in their standard mode."
    import basedpyright  # noqa: F401

    (folder / "script.py").write_text(source, encoding="utf-8")
    settings = {"typeCheckingMode": "standard", "extraPaths": [str(ROOT)]}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    command = [sys.executable, "-m", "basedpyright", "--outputjson"]
    command += ["--pythonpath", sys.executable, "script.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = json.loads(done.stdout)["generalDiagnostics"]
    return [
        f"line {d['range']['start']['line'] + 1}: {d['message']}"
        for d in found
        if d["severity"] == "error"
    ]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_users_script_is_accepted(tmp_path, script):
    assert errors_in(script.read_text(encoding="utf-8"), tmp_path) == []


def unnoticed(mistakes: list[str], folder: Path) -> list[str]:
    "The mistakes that a checker lets pass."
    said = errors_in(HEAD + "\n".join(mistakes) + "\n", folder)
    lines = {int(text.split(":")[0].removeprefix("line ")) for text in said}
    first = HEAD.count("\n") + 1
    assert min(lines, default=first) >= first, said
    return [text for n, text in enumerate(mistakes, first) if n not in lines]


def test_mistakes_are_noticed(tmp_path):
    assert unnoticed(MISTAKES, tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_users_script_runs(tmp_path, script):
    done = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.rglob("model.safetensors"))
