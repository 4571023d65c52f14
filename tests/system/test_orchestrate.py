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


@pytest.mark.parametrize("kill, keyed", [("answer", "yes"), ("book", "yes"), ("book", "no")])
def test_a_killed_workers_jobs_are_recovered_and_the_key_holds_bookings(
    base, kill, keyed, tmp_path
):
    pytest.importorskip("dbos", reason="a peer: make test installs it")

    async def process(kill, hand_in):
        code, _ = await page.in_child(tmp_path, f"{base}/v1", page.MODEL, kill, keyed, hand_in)
        return code, *page.ledger_of(tmp_path)

    code, half, _ = asyncio.run(process(kill, "yes"))
    assert code == -9 and half[kill] == 1, "killed in the first job"
    expected = {name: 3 + (name == kill) for name in ("find", "answer", "book")}
    for hand_in in ("no", "yes"):  # recovered without being handed in, and then handed in again
        code, ran, booked = asyncio.run(process("", hand_in))
        assert code == 0 and ran == expected
        assert len(booked) == 3 + (keyed == "no")
        assert keyed == "no" or booked == ["job-0", "job-1", "job-2"]
