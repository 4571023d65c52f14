"""Run notebooks, each in a process of its own that has imported beforehand what nearly all need.

python -m course_tools.notebooks nbs/00_core.ipynb nbs/01_transformers/01_tokens.ipynb

Importing takes as long as some pages run. So it is done once, and a copy of the process (a fork)
goes on with each notebook. Triton isn't imported: it decides once a process how to run.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from pathlib import Path

PROCESSES = 2


def import_what_all_need() -> None:
    import IPython.display  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    import pandas  # noqa: F401
    import torch  # noqa: F401

    assert "triton" not in sys.modules, "triton was imported: it would run alike in all notebooks"


def run(path: Path) -> tuple[Path, bool, float]:
    "Whether a notebook ran to its end, and in how many seconds; prints its error otherwise."
    from nbdev.config import get_config
    from nbdev.test import test_nb

    config = get_config(path)
    passed, seconds = test_nb(
        path,
        skip_flags=config.tst_flags.split(),
        basepath=config.config_path,
        cell_timeout=int(config.cell_timeout),
    )
    return path, passed, seconds


def main(names: list[str]) -> None:
    paths = [Path(name).absolute() for name in names]
    import_what_all_need()
    start = time.perf_counter()
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    with context.Pool(PROCESSES, maxtasksperchild=1) as pool:
        results = list(pool.imap_unordered(run, paths, chunksize=1))
    slowest = sorted(results, key=lambda result: -result[2])[:5]
    print(f"{len(results)} notebooks in {time.perf_counter() - start:.0f} s; the slowest:")
    for path, _, seconds in slowest:
        print(f"  {seconds:5.1f} s  {path.name}")
    failed = [path.name for path, passed, _ in results if not passed]
    if failed:
        sys.exit(f"failed: {', '.join(sorted(failed))}")


if __name__ == "__main__":
    main(sys.argv[1:])
