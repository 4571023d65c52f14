"""A store's file, under writers that are killed for good, and under several at once."""

import random
import signal
import sqlite3
import subprocess
import sys

import numpy as np
import pytest

from llm_course.agents.memory import MemoryStore

WRITER = """
import sys
import numpy as np
from llm_course.agents.memory import MemoryStore

name, first, n = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
embed = lambda texts: np.array([[len(text), 1, 2] for text in texts], np.float32)
with MemoryStore(sys.argv[1], embed) as store:
    for i in range(first, n):
        store.add(f"{name} says {i}", key=f"{name} {i}")
        print(i, flush=True)
"""


def embed(texts):
    return np.array([[len(text), 1, 2] for text in texts], np.float32)


def writer(path, name, first, n):
    command = [sys.executable, "-c", WRITER, str(path), name, str(first), str(n)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def is_whole(path):
    database = sqlite3.connect(path)
    try:
        return database.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    finally:
        database.close()


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_what_a_killed_writer_has_said_is_there(tmp_path):
    path = tmp_path / "m.db"
    rng = random.Random(0)
    there = 0
    for kill in range(6):
        process = writer(path, "w", there, 10**6)
        after = rng.randint(1, 60)
        said = [int(next(process.stdout)) for _ in range(after)]
        process.send_signal(signal.SIGKILL)
        said += [int(line) for line in process.stdout if line.endswith("\n")]
        assert process.wait() == -signal.SIGKILL
        process.stdout.close()
        assert is_whole(path), kill
        with MemoryStore(path, embed) as store:
            now = len(store)
            keys = {memory.key for memory in store.find("x", now, by="vectors")}
        assert now - there in (len(said), len(said) + 1), "said, and not there"
        assert keys == {f"w {i}" for i in range(now)}
        there = now
    assert there > 60


def test_several_processes_write_at_once(tmp_path):
    path = tmp_path / "m.db"  # which they make, too
    writers = [writer(path, name, 0, 40) for name in "abcd"]
    for process in writers:
        assert len(process.communicate()[0].split()) == 40 and process.returncode == 0
    assert is_whole(path)
    with MemoryStore(path, embed) as store:
        assert len(store) == 160
        keys = {memory.key for memory in store.find("x", 200, by="vectors")}
        assert keys == {f"{name} {i}" for name in "abcd" for i in range(40)}
