"""What every benchmark needs: the machine, timings taken in turn, a table, a result file.

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
CPUINFO = Path("/proc/cpuinfo")
# What decides which kernels a CPU can run, as Linux names it (x86, then Arm).
CPU_FEATURES = (
    *("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni"),
    *("amx_tile", "amx_int8", "amx_bf16"),
    *("asimd", "asimddp", "bf16", "i8mm", "sve"),
)


def machine() -> dict:
    "What this machine is: `name` is also the name of its folder of results."
    import torch

    cpu = _cpuinfo("model name") or platform.processor() or platform.machine()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    features = cpu_features()
    matrices = " amx" if "amx_tile" in features else ""  # virtual machines may hide it, or not
    found = {
        "name": _slug(gpu or f"{cpu} {cores} cores{matrices}"),
        "cpu": cpu,
        "cores": cores,
        "features": features,
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    if hasattr(os, "sysconf"):
        found["memory_gb"] = _gigabytes(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    if gpu:
        found["gpu"] = gpu
        found["gpu_memory_gb"] = _gigabytes(torch.cuda.get_device_properties(0).total_memory)
        found["cuda"] = torch.version.cuda
    return found


def cpu_features() -> list[str]:
    "Those of `CPU_FEATURES` that this CPU has; empty where the system doesn't say."
    flags = (_cpuinfo("flags") or _cpuinfo("Features") or "").split()
    return [name for name in CPU_FEATURES if name in flags]


def _cpuinfo(key: str) -> str | None:
    "What Linux says of the first core under `key`."
    if not CPUINFO.exists():
        return None
    for line in CPUINFO.read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return None


def _gigabytes(n_bytes: int) -> float:
    return round(n_bytes / 2**30, 1)


def _slug(text: str) -> str:
    "A text as a folder's name."
    plain = text.lower().replace("(r)", "").replace("(tm)", "")
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


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
    """Seconds of each run, taken in turn.

    Round after round, each in another order, so that a slow minute of the machine hits all alike.
    """
    fewer = fewer or {}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(warm_up):
        for f in runs.values():
            f()
    for i in range(repeats):
        for name in rotated(list(runs), i):
            if len(seconds[name]) >= fewer.get(name, repeats):
                continue
            s = timed(runs[name])
            seconds[name].append(s)
            if progress:
                print(f"  round {i + 1}/{repeats}  {name}: {s:.4g} s", file=sys.stderr)
    return seconds


def rotated(items: list, n: int) -> list:
    "The items, beginning with the n-th."
    first = n % len(items)
    return items[first:] + items[:first]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def table(rows: Sequence[Mapping], digits: int = 3) -> str:
    "The rows as aligned text."

    def show(value) -> str:
        return f"{value:.{digits}g}" if isinstance(value, float) else str(value)

    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [columns]
    for row in rows:
        cells.append([show(row.get(column, "")) for column in columns])
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = []
    for first, *others in cells:
        right = [text.rjust(width) for text, width in zip(others, widths[1:])]
        lines.append("  ".join([first.ljust(widths[0]), *right]))
    return "\n".join(lines)


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
