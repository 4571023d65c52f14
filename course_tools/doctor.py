"""Say what is wrong with a machine, and what to do about it.

python3 -m course_tools.doctor

Needs Python alone, so that it also works where nothing could be installed. Each check looks at one
thing and says in one line what it found. A warning lets you go on; what is wrong doesn't.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PYTHON = (3, 10)
SPACE = 8.0  # GB that the set-up takes: CPU builds half of it, CUDA's libraries the rest
MEMORY = 4.0  # GB; the longest pages take about 3
MODEL = "SmolLM2-135M-Instruct"


class Finding(NamedTuple):
    "What a check found: `good`, `warning` or `wrong`; if not good, what to do."

    state: str
    what: str
    remedy: str = ""


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> Finding:
    name = ".".join(str(n) for n in version)
    if version[:2] >= PYTHON:
        return Finding("good", f"Python {name}")
    least = ".".join(str(n) for n in PYTHON)
    return Finding(
        "wrong",
        f"Python {name} is older than {least}",
        f"install Python {least} or later, and name it: make course PYTHON=python{least}",
    )


def check_disk(folder: Path = ROOT, needed: float = SPACE) -> Finding:
    if venv_python(folder).exists():
        needed = 1.0  # what is left to do: results that pages keep
    free = shutil.disk_usage(folder).free / 1e9
    if free >= needed:
        return Finding("good", f"disk: {free:.0f} GB free")
    return Finding(
        "wrong",
        f"disk: {free:.1f} GB free in {folder}, {needed:.0f} GB are needed",
        "make room; on a machine without a GPU, a CPU build of PyTorch takes half as much (README)",
    )


def check_memory(total: float | None = None) -> Finding:
    total = _memory() if total is None else total
    if total is None:
        return Finding("good", "memory: this system doesn't say how much it has")
    if total >= MEMORY:
        return Finding("good", f"memory: {total:.0f} GB")
    return Finding(
        "warning",
        f"memory: {total:.1f} GB, the longest pages want {MEMORY:.0f}",
        "close other programs; LLM_COURSE_BUDGET=quick makes the pages smaller",
    )


def _memory() -> float | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None


def venv_python(root: Path = ROOT) -> Path:
    "Where the project's own Python is, or would be."
    return root / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def ask(code: str, root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    "Runs a few lines in the project's own Python, in the project's folder."
    return subprocess.run(
        [str(venv_python(root)), "-c", code],
        capture_output=True,
        text=True,
        cwd=root,
        timeout=300,
        env=os.environ | {"PYTHONUTF8": "1"},
    )


def last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "no message"


def check_packages(root: Path = ROOT) -> Finding:
    if not venv_python(root).exists():
        return Finding("wrong", "packages: there is no .venv yet", "make course")
    done = ask("import torch, llm_course, jupyterlab; print(torch.__version__)", root)
    if done.returncode:
        error = last_line(done.stderr)
        return Finding(
            "wrong", f"packages: {error}", "make clean, then make course, sets it up anew"
        )
    conflicts = subprocess.run(
        [str(venv_python(root)), "-m", "pip", "check"], capture_output=True, text=True
    )
    if conflicts.returncode:
        return Finding(
            "warning",
            f"packages: {conflicts.stdout.splitlines()[0]}",
            "the tests run with the versions in constraints.txt: make clean, then make course",
        )
    return Finding("good", f"packages: torch {done.stdout.strip()} and the rest")


def check_settings(root: Path = ROOT) -> Finding:
    code = "from llm_course.core import settings as s; print(s.model, s.device, s.dtype, s.budget)"
    done = ask(code, root)
    if done.returncode:
        return Finding(
            "wrong",
            f"settings: {last_line(done.stderr)}",
            "mend settings.ini, or the variable LLM_COURSE_… that wins over it",
        )
    return Finding("good", f"settings: {done.stdout.strip()}")


_MODEL = f"""
from pathlib import Path
from llm_course.core import MODELS, check_model_file, settings
file = MODELS[{MODEL!r}]
path = Path(settings.cache).expanduser() / Path(file.member).name
print(path)
print(check_model_file(path, file) or "" if path.exists() else "it isn't there yet")
"""


def check_model(root: Path = ROOT) -> Finding:
    done = ask(_MODEL, root)
    if done.returncode:
        return Finding("wrong", f"model file: {last_line(done.stderr)}", "mend the settings first")
    path, problem = (done.stdout + "\n").split("\n")[:2]
    if not problem:
        return Finding("good", f"model file: {path}")
    return Finding(
        "warning",
        f"model file: {path}: {problem}",
        "make course fetches it (93 MB); without a network, see the end of the README's section "
        "on Windows",
    )


_GPU = """
import torch
if torch.cuda.is_available():
    (torch.ones(2, device="cuda") + 1).sum().item()
    print(torch.cuda.get_device_name())
"""


def check_gpu(root: Path = ROOT) -> Finding:
    has_driver = shutil.which("nvidia-smi") is not None
    done = ask(_GPU, root)
    name = done.stdout.strip()
    if done.returncode == 0 and name:
        return Finding("good", f"GPU: {name}")
    if has_driver:
        return Finding(
            "warning",
            f"GPU: the driver is there, PyTorch doesn't reach it: {last_line(done.stderr)}",
            "install a PyTorch built for this driver's CUDA into .venv; until then pages use the "
            "CPU",
        )
    return Finding("good", "GPU: none; nothing needs one")


def check_browser() -> Finding:
    for name in ("chromium", "google-chrome"):
        if shutil.which(name):
            return Finding("good", f"browser for make test-site: {name}")
    return Finding(
        "warning",
        "browser: neither chromium nor google-chrome, so make test-site can't run",
        "apt-get install chromium, or skip those tests: reading and make test don't need it",
    )


FIRST: tuple[Callable[[], Finding], ...] = (
    check_python,
    check_disk,
    check_memory,
    check_browser,
    check_packages,
)
IN_VENV: tuple[Callable[[], Finding], ...] = (check_settings, check_model, check_gpu)
MARKS = {"good": "ok     ", "warning": "warning", "wrong": "WRONG  "}


def report(findings: list[Finding]) -> str:
    "A line for each finding, and one under it where something is to be done."
    lines = []
    for finding in findings:
        lines.append(f"{MARKS[finding.state]}  {finding.what}")
        if finding.remedy:
            lines.append(f"         → {finding.remedy}")
    n = sum(finding.state == "wrong" for finding in findings)
    if n:
        lines.append(f"{n} {'thing is' if n == 1 else 'things are'} wrong.")
    else:
        lines.append("Nothing is wrong.")
    return "\n".join(lines)


def main() -> int:
    findings = [check() for check in FIRST]
    if venv_python().exists():
        findings += [check() for check in IN_VENV]
    print(report(findings))
    return int(any(finding.state == "wrong" for finding in findings))


if __name__ == "__main__":
    sys.exit(main())
