"""Processes that torchrun has started, and that run the code that a page gives them.

two = Processes(2)
two.run("print(rank)")        # prints what each one printed
two.values("torch.rand(1)")   # what the expression is in each
two.close()
"""

from __future__ import annotations

import ast
import inspect
import json
import linecache
import os
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WORKER = """
import contextlib, io, os, time, traceback
from pathlib import Path
import torch
import torch.distributed as dist

torch.set_num_threads(1)
dist.init_process_group("gloo")
rank, world_size = dist.get_rank(), dist.get_world_size()
place, parent = Path(os.environ["PLACE"]), int(os.environ["PARENT"])
names = {"dist": dist, "torch": torch, "rank": rank, "world_size": world_size}
number = 0
while True:
    task = place / f"{number}.py"
    try:
        os.kill(parent, 0)  # is the notebook still there?
    except OSError:
        break
    if not task.exists():
        time.sleep(0.01)
        continue
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
            exec(task.read_text(), names)
    except SystemExit:
        break
    except Exception:
        said.write(traceback.format_exc())
    (place / f"{number}.{rank}.part").write_text(said.getvalue())
    os.replace(place / f"{number}.{rank}.part", place / f"{number}.{rank}.txt")
    number += 1
dist.destroy_process_group()
"""


class Processes:
    "Each has one thread, joins the others by gloo, and waits for code until `close`."

    def __init__(self, n: int):
        self.n = n
        self.number = 0
        self.place = Path(tempfile.mkdtemp())
        (self.place / "worker.py").write_text(WORKER)
        torchrun = [sys.executable, "-m", "torch.distributed.run"]  # also where PATH lacks it
        command = [*torchrun, "--standalone", "--nproc-per-node", str(n), "worker.py"]
        own = {"PLACE": str(self.place), "PARENT": str(os.getpid()), "OMP_NUM_THREADS": "1"}
        with open(self.place / "log", "w") as log:
            self.process = subprocess.Popen(
                command, cwd=self.place, env=os.environ | own, stdout=log, stderr=log
            )

    def give(self, code: str) -> None:
        "A file that is whole when it has its name."
        (self.place / "task").write_text(textwrap.dedent(code))
        os.replace(self.place / "task", self.place / f"{self.number}.py")

    def ask(self, code: str, seconds: float = 300) -> list[str]:
        "What each process printed."
        self.give(code)
        files = [self.place / f"{self.number}.{rank}.txt" for rank in range(self.n)]
        end = time.time() + seconds
        while not all(file.exists() for file in files):
            if time.time() > end or self.process.poll() is not None:
                self.process.terminate()
                raise RuntimeError((self.place / "log").read_text()[-2000:])
            time.sleep(0.01)
        self.number += 1
        texts = [file.read_text() for file in files]
        if any("Traceback" in text for text in texts):
            raise RuntimeError("\n".join(texts))
        return texts

    def run(self, code: str) -> None:
        for rank, text in enumerate(self.ask(code)):
            for line in text.splitlines():
                print(f"process {rank}:  {line}")

    def values(self, expression: str) -> list[Any]:
        "What the expression is in each process."
        return [json.loads(t) for t in self.ask(f"import json\nprint(json.dumps({expression}))")]

    def define(self, *things: Callable[..., Any]) -> None:
        "Functions and classes of this page, in each process, too."
        self.ask("\n\n".join(source_of(thing) for thing in things))

    def close(self) -> None:
        self.give("raise SystemExit")
        self.process.wait(60)


def source_of(thing: Callable[..., Any]) -> str:
    "The source of a function, or of a class, also of one that a notebook's cell defines."
    if not inspect.isclass(thing):
        return inspect.getsource(thing)
    own = [member for member in vars(thing).values() if inspect.isfunction(member)]
    file = own[0].__code__.co_filename  # a notebook's class doesn't know its cell
    source = "".join(linecache.getlines(file))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef) and node.name == thing.__name__:
            return ast.get_source_segment(source, node) or ""
    raise OSError(f"the source of {thing.__name__} isn't in {file}")
