"""What every test run needs: types and shapes checked, kernels interpreted without a GPU, failures that name their notebook cell."""

import os
import re
from pathlib import Path

os.environ.setdefault(
    "GOMP_SPINCOUNT", "0"
)  # two busy processes on two cores: don't burn time in spin locks
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a test that wants the hub is marked `net`
import torch  # noqa: E402

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # read when triton is first imported

from contextlib import contextmanager  # noqa: E402

import fastcore.test  # noqa: E402
import jaxtyping  # noqa: E402
import pytest  # noqa: E402

LIBRARY = Path(__file__).parent.parent / "llm_course"
# Triton reads the source of its kernels, so nothing may be wrapped around them.
CHECKED = [
    ".".join(path.relative_to(LIBRARY.parent).with_suffix("").parts)
    for path in LIBRARY.rglob("[!_]*.py")
    if path.stem != "kernels"
]
jaxtyping.install_import_hook(CHECKED, "beartype.beartype")
_expect_fail = fastcore.test.expect_fail


@contextmanager
def expect_fail(*args, **kwargs):
    "fastcore's, with the type checker silent: wrong input on purpose must reach the function's own checks."
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        with _expect_fail(*args, **kwargs):
            yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


fastcore.test.expect_fail = expect_fail


def pytest_collection_modifyitems(config, items):
    no_gpu = pytest.mark.skip(reason="needs a CUDA device")
    asked = config.option.markexpr or ""
    for item in items:
        if "gpu" in item.keywords and not torch.cuda.is_available():
            item.add_marker(no_gpu)
        for mark in ("net", "site"):
            if mark in item.keywords and mark not in asked:
                item.add_marker(pytest.mark.skip(reason=f"asked for with -m {mark}"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    "Add the notebook cell of an exported test to its failure."
    report = (yield).get_result()
    if report.when != "call" or not report.failed:
        return
    code = item.function.__code__
    lines = open(code.co_filename, encoding="utf-8").read().splitlines()
    if m := re.fullmatch(r"# (\S+\.ipynb) #(\S+)", lines[code.co_firstlineno - 2]):
        report.sections.append(("where to mend it", f"{m[1]}, cell #{m[2]}; then run: make export"))
