"""What a programmer who installs the library gets: only declared dependencies, a light import, no network."""

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(
    p
    for p in (ROOT / "llm_course").rglob("*.py")
    if p.name not in ("_nbdev.py", "_nbdocs.py", "_modidx.py")
)


def declared():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return set(
        re.findall(r'^\s+"([A-Za-z_0-9]+)', text.split("dependencies = [")[1].split("]")[0], re.M)
    )


def test_the_library_imports_only_what_it_declares():
    allowed = (
        declared() | set(sys.stdlib_module_names) | {"llm_course", "triton"}
    )  # triton: only where a GPU kernel runs
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = (
                [a.name for a in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom) and not node.level
                else []
            )
            for name in names:
                assert name.split(".")[0] in allowed | {""}, f"{path.name} imports {name}"


def test_everything_declared_is_imported():
    text = "\n".join(p.read_text(encoding="utf-8") for p in MODULES)
    for name in declared():
        assert re.search(rf"^\s*(import|from) {name}\b", text, re.M), f"nothing imports {name}"


def test_importing_the_model_loads_no_heavy_package_and_opens_no_connection():
    code = """
import socket, sys
def refuse(*a, **k): raise AssertionError("an import reached for the network")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
import llm_course.transformers.model
heavy = {"transformers", "gguf", "huggingface_hub", "tokenizers", "jinja2", "matplotlib", "pandas", "IPython", "triton", "fastcore", "nbdev"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and done.stdout.strip() == "[]", done.stdout + done.stderr


def test_every_exported_function_has_a_docstring():
    for path in MODULES:
        if path.name == "__init__.py":
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{path.name}: {node.name} has no docstring"


def test_the_readmes_python_runs(tmp_path):
    (code,) = re.findall(
        r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "onjour" in done.stdout and (tmp_path / "my-model" / "model.safetensors").is_file()


def test_the_readmes_links_and_commands_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\((nbs/[^)]+)\)", text):
        assert (ROOT / target).is_file(), target
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    for command in re.findall(r"\bmake ([a-z-]+)`", text) + re.findall(
        r"^make ([a-z-]+)", text, re.M
    ):
        assert command in targets, f"make {command}"
