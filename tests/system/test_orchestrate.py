"""One job on three frameworks against a server with a tiny model, and a queue's worker killed.

The jobs and the worker are the page's own, from its test file.
"""

import asyncio
import importlib
import sys
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")
sys.path.insert(0, str(Path(__file__).parents[1]))
page = importlib.import_module("test_agents_orchestrate")
QUESTION = "What does the nonlocal statement do?"


@pytest.fixture(scope="module")
def base():
    "The address of a server with a tiny model."
    with page.served(page.tiny_lm()) as address:
        yield address


@pytest.mark.parametrize(
    "job, packages",
    [
        ("with_ours", ()),
        ("with_adk", ("google.adk", "openai")),
        ("with_langgraph", ("langgraph", "langchain_openai")),
    ],
)
def test_each_framework_does_the_job_against_our_server(base, job, packages):
    for package in packages:
        pytest.importorskip(package, reason="a peer: make test installs it")
    before = page.counted(base)
    state = dict(asyncio.run(getattr(page, job)(f"{base}/v1", page.MODEL, QUESTION)))
    after = page.counted(base)
    assert "nonlocal" in state["passage"] and isinstance(state["answer"], str)
    assert state["check"]["supported"] in (True, False), "held to the form"
    assert set(state["form"]) == {"topic", "answer"} and len(state["form"]["answer"]) <= 150
    assert after["responses"] - before["responses"] == 3 + 1, "three answers, and the counts"
    assert after["completion_tokens"] > before["completion_tokens"]


@pytest.mark.parametrize("kill", ["answer", "book"])
def test_a_killed_worker_repeats_one_step_and_no_booking(base, kill, tmp_path):
    pytest.importorskip("dbos", reason="a peer: make test installs it")

    async def killed_and_resumed():
        first, _ = await page.in_child(tmp_path, f"{base}/v1", page.MODEL, kill)
        half, _ = page.ledger_of(tmp_path)
        second, _ = await page.in_child(tmp_path, f"{base}/v1", page.MODEL, "")
        return first, half, second

    first, half, second = asyncio.run(killed_and_resumed())
    assert (first, second) == (-9, 0) and half[kill] == 1, "killed in the first job"
    ran, booked = page.ledger_of(tmp_path)
    assert ran == {name: 3 + (name == kill) for name in ("find", "answer", "book")}
    assert booked == ["job-0", "job-1", "job-2"]
