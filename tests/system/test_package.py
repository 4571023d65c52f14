"""What a programmer who installs the library gets: declared dependencies, a light import."""

import ast
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(p for p in (ROOT / "llm_course").rglob("*.py") if p.name != "_modidx.py")
CHECKPOINTS = ROOT / "llm_course/transformers/checkpoints.py"
needs_load = pytest.mark.skipif(
    not CHECKPOINTS.exists(), reason="llm_course.load is in checkpoints"
)


def declared():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return set(
        re.findall(r'^\s+"([A-Za-z_0-9]+)', text.split("dependencies = [")[1].split("]")[0], re.M)
    )


EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "optional-dependencies"
]
# What a distribution brings to import, where that isn't its own name alone.
BRINGS = {
    "anywidget": {"anywidget", "traitlets"},
    "numba": {"numba", "llvmlite"},
    "fastapi": {"fastapi", "starlette"},
    "pydantic": {"pydantic", "pydantic_core"},
    "mcp": {"mcp", "mcp_types", "jsonschema", "referencing"},
    "opentelemetry-sdk": {"opentelemetry"},
    "lm-eval": {"lm_eval"},
}


def brought_by(extra):
    "The modules that an extra adds, with those of the extras in it."
    found = set()
    for requirement in EXTRAS.get(extra, ()):
        if inner := re.match(r"llm_course\[(.+)\]", requirement):
            found |= set().union(*map(brought_by, inner[1].split(",")))
            continue
        name = re.match(r"[\w-]+", requirement)[0]
        found |= BRINGS.get(name, {name})
    return found


def imported(path):
    "The top names that a module imports, wherever in it."
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]


def test_a_chapter_imports_only_what_the_library_and_its_extra_declare():
    always = declared() | set(sys.stdlib_module_names) | {"llm_course"}
    always |= {"triton"}  # where a GPU kernel runs; PyTorch's CUDA builds bring it
    for path in MODULES:
        chapter = path.relative_to(ROOT / "llm_course").parts[0]
        extra = set(imported(path)) - always - brought_by(chapter)
        assert not extra, f"{path.name} imports {extra}, which llm_course[{chapter}] doesn't bring"


def test_no_extra_of_a_chapter_brings_what_the_chapter_does_not_import():
    for folder in (p for p in (ROOT / "llm_course").iterdir() if p.is_dir()):
        names = {name for path in folder.rglob("*.py") for name in imported(path)}
        for requirement in EXTRAS.get(folder.name, ()):
            own = re.match(r"[\w-]+", requirement)[0]
            modules = brought_by(folder.name) if own == "llm_course" else BRINGS.get(own, {own})
            assert modules & names, f"nothing in {folder.name} imports what {requirement} brings"


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
heavy = {"transformers", "gguf", "huggingface_hub", "tokenizers", "jinja2", "matplotlib"}
heavy |= {"pandas", "IPython", "triton", "fastcore", "nbdev", "course_tools"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and done.stdout.strip() == "[]", done.stdout + done.stderr


def run(code, **options):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, **options
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_package_imports_no_torch():
    assert run("import sys, llm_course; print('torch' in sys.modules)") == "False"


def test_an_unknown_name_of_the_package_is_an_attribute_error():
    with pytest.raises(ImportError, match="cannot import name 'lead'"):
        from llm_course import lead  # noqa: F401


@needs_load
def test_the_package_hands_out_load_which_does_not_wait_for_pytorchs_compiler():
    code = "import sys, llm_course, llm_course._load as door; "
    code += "print(llm_course.load is door.load, 'load' in dir(llm_course)); "
    code += "llm_course.load(); print('torch._dynamo' in sys.modules)"
    assert run(code) == "True True\nFalse"


@pytest.fixture
def source(tmp_path):
    "A copy of what a wheel is built from, so that nothing is left in the checkout."
    source = tmp_path / "source"
    for name in ("llm_course", "course_tools"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    return source


def test_an_editable_install_is_a_path_that_type_checkers_follow(source, tmp_path):
    code = f"from setuptools import build_meta; build_meta.build_editable({str(tmp_path)!r})"
    done = subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as z:
        (path,) = [n for n in z.namelist() if ".dist-info/" not in n]
        assert path.endswith(".pth")
        assert z.read(path).decode().strip() == str(source)


def test_the_wheel_holds_the_library_alone(source, tmp_path):
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    built = subprocess.run([*pip, "-w", tmp_path, source], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    files = [n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n]
    held = [path for path in (source / "llm_course").rglob("*") if path.is_file()]
    assert set(files) == {path.relative_to(source).as_posix() for path in held}


def test_every_exported_function_has_a_docstring():
    for path in MODULES:
        if path.name == "__init__.py":
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
            if isinstance(node, kinds) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{path.name}: {node.name} has no docstring"


@needs_load
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
