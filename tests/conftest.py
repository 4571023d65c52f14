"""What every test run needs.

Types and shapes are checked, kernels are interpreted without a GPU, failures name their notebook's
cell, and what needs a GPU, a network, much time or a peer is skipped, with the reason.
"""

import asyncio
import inspect
import os
import re
import shutil
from pathlib import Path

# Two busy processes on two cores: don't burn time in spin locks.
os.environ.setdefault("GOMP_SPINCOUNT", "0")
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a test that wants the hub is marked `net`
os.environ.setdefault("LLM_COURSE_DEVICE", "cpu")  # the same everywhere; `gpu` tests name theirs
import torch  # noqa: E402

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # read when triton is first imported

from contextlib import contextmanager  # noqa: E402

import fastcore.test  # noqa: E402
import jaxtyping  # noqa: E402
import pytest  # noqa: E402

LIBRARY = Path(__file__).parent.parent / "llm_course"
# Triton and Numba read the source of their kernels, so nothing may be wrapped around them.
KERNELS = ("kernels", "matvec", "step", "gpu")
CHECKED = [
    ".".join(path.relative_to(LIBRARY.parent).with_suffix("").parts)
    for path in LIBRARY.rglob("[!_]*.py")
    if path.stem not in KERNELS
]
jaxtyping.install_import_hook(CHECKED, "beartype.beartype")
_expect_fail = fastcore.test.expect_fail


@contextmanager
def expect_fail(*args, **kwargs):
    "fastcore's, with the type checker silent: wrong input must reach the function's own checks."
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        with _expect_fail(*args, **kwargs):
            yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


fastcore.test.expect_fail = expect_fail


# Left out unless asked for: the mark, and how to ask.
ASKED_FOR = {
    "slow": "make test-slow",
    "net": "pytest -m net",
    "site": "make test-site",
    "lab": "make test-site",
}


def pytest_collection_modifyitems(config, items):
    no_gpu = pytest.mark.skip(reason="needs a CUDA device")
    asked = config.option.markexpr or ""
    for item in items:
        if "gpu" in item.keywords and not torch.cuda.is_available():
            item.add_marker(no_gpu)
        for mark, command in ASKED_FOR.items():
            if mark in item.keywords and mark not in asked:
                item.add_marker(pytest.mark.skip(reason=f"{mark}: ask with `{command}`"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    "Add the notebook cell of an exported test to its failure."
    report = (yield).get_result()
    if report.when != "call" or not report.failed:
        return
    code = item.function.__code__
    lines = open(code.co_filename, encoding="utf-8").read().splitlines()
    if m := re.fullmatch(r"# (\S+\.ipynb) #(\S+)", lines[code.co_firstlineno - 2]):
        place = f"{m[1]}, cell #{m[2]} (make where {m[2]} prints it); then run: make export"
        report.sections.append(("where to mend it", place))


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """Run a test that awaits, as a notebook's cell may, in an event loop of its own.

    Skip a test that imports a peer which isn't here (extra `peers` in pyproject.toml).
    """
    test = pyfuncitem.obj
    if inspect.iscoroutinefunction(test):
        pyfuncitem.obj = lambda **fixtures: asyncio.run(test(**fixtures))
    try:
        return (yield)
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package not in peers():
            raise
        pytest.skip(f"needs the peer {package}: make test installs it")
    finally:
        pyfuncitem.obj = test


def peers() -> set[str]:
    "The packages of the extra `peers`, as they are imported."
    text = (LIBRARY.parent / "pyproject.toml").read_text(encoding="utf-8")
    extra = text.split("peers = [")[1].split("\n]")[0]
    names = re.findall(r'^ +"([a-z-]+)[<>=]', extra, re.M)
    return {"google" if name == "google-adk" else name.replace("-", "_") for name in names}


# A browser for the tests that are marked `site` and `lab`.
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser():
    "Debian's Chromium, or the one that CHROMIUM names."
    from playwright.sync_api import sync_playwright

    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM)), None)
    if not path:
        pytest.fail("no Chromium found: `apt-get install chromium`, or set CHROMIUM to its path")
    with sync_playwright() as p:
        b = p.chromium.launch(executable_path=path, args=FLAGS)
        yield b
        b.close()
