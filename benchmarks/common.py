"""What every benchmark needs: the machine and the versions, timings taken in turn, a table, and a result file that is whole or absent.

from common import in_turn, save, table
seconds = in_turn({"ours": f, "theirs": g}, repeats=5)
save("name", {"seconds": seconds})
"""

import datetime
import gc
import importlib.metadata
import json
import os
import platform
import re
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "0")  # on two cores, spinning threads slow each other down
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

RESULTS = Path(__file__).parent / "results"


def machine() -> dict:
    "What this machine is: `name` is also the name of its folder of results."
    import torch

    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    cpu = next(
        (l.split(":")[1].strip() for l in lines if l.startswith("model name")),
        platform.processor() or platform.machine(),
    )
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = {
        "name": _slug(gpu or f"{cpu} {cores} cores"),
        "cpu": cpu,
        "cores": cores,
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    if hasattr(os, "sysconf"):
        found["memory_gb"] = round(
            os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1
        )
    if gpu:
        found |= {
            "gpu": gpu,
            "gpu_memory_gb": round(torch.cuda.get_device_properties(0).total_memory / 2**30, 1),
            "cuda": torch.version.cuda,
        }
    return found


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower().replace("(r)", "").replace("(tm)", "")).strip(
        "-"
    )


def versions(*packages: str) -> dict[str, str | None]:
    "Python's version and those of `packages`; None for one that isn't installed."

    def version(p):
        try:
            return importlib.metadata.version(p)
        except importlib.metadata.PackageNotFoundError:
            return None

    return {"python": platform.python_version()} | {p: version(p) for p in packages}


def synchronize():
    "Wait for the GPU, if there is one: its work is only queued when a call returns."
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def timed(f: Callable) -> float:
    "Seconds that one call takes, with garbage collected before and switched off meanwhile."
    gc.collect()
    gc.disable()
    try:
        synchronize()
        start = time.perf_counter()
        f()
        synchronize()
        return time.perf_counter() - start
    finally:
        gc.enable()


def in_turn(
    runs: Mapping[str, Callable],  # name -> what to time
    repeats: int = 5,
    fewer: Mapping[str, int] | None = None,  # name -> repeats, for slow ones
    warm_up: int = 1,  # untimed calls of each
    *,
    progress: bool = True,
) -> dict[str, list[float]]:  # name -> seconds of each call
    "Seconds of each run, taken in turn: round after round, each round in another order, so that a slow minute of the machine hits all alike."
    seconds = {name: [] for name in runs}
    for _ in range(warm_up):
        for f in runs.values():
            f()
    for i in range(repeats):
        names = list(runs)[i % len(runs) :] + list(runs)[: i % len(runs)]
        for name in names:
            if len(seconds[name]) >= (fewer or {}).get(name, repeats):
                continue
            seconds[name].append(timed(runs[name]))
            if progress:
                print(
                    f"  round {i + 1}/{repeats}  {name}: {seconds[name][-1]:.4g} s", file=sys.stderr
                )
    return seconds


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def table(rows: Sequence[Mapping], digits: int = 3) -> str:
    "The rows as aligned text."
    show = lambda v: f"{v:.{digits}g}" if isinstance(v, float) else str(v)
    head = list(dict.fromkeys(k for r in rows for k in r))
    cells = [head] + [[show(r.get(k, "")) for k in head] for r in rows]
    widths = [max(len(c[i]) for c in cells) for i in range(len(head))]
    return "\n".join(
        "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths)))
        for row in cells
    )


def save(
    name: str,  # of the benchmark, as in "decode"
    results: Mapping,
    packages: Sequence[str] = ("torch", "transformers"),  # whose versions to record
) -> Path:
    "Writes benchmarks/results/<machine>/<name>.json, stamped with machine, versions and time."
    from llm_course.core import atomic_write

    m = machine()
    path = RESULTS / m["name"] / f"{name}.json"
    stamp = {
        "benchmark": name,
        "machine": m,
        "versions": versions(*packages),
        "when": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }
    with atomic_write(path) as temp:
        temp.write_text(json.dumps(stamp | dict(results), indent=1) + "\n", encoding="utf-8")
    print(f"wrote {path.relative_to(RESULTS.parent.parent)}", file=sys.stderr)
    return path
