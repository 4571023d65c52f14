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


@pytest.mark.parametrize("keyed", ["yes", "no"])
def test_a_killed_workers_jobs_are_recovered_and_the_key_holds_bookings(keyed, tmp_path):
    pytest.importorskip("dbos", reason="a peer: make test installs it")
    ends = []

    async def processes():
        async with page.scripted_server(page.plays_job) as (url, became):
            # killed; recovered without being handed in; handed in again
            for kill, hand_in in (("yes", "yes"), ("no", "no"), ("no", "yes")):
                code = await page.in_child(tmp_path, url, keyed, kill, hand_in)
                ends.append((code, len(became), *page.counts_of(tmp_path)))

    asyncio.run(processes())
    bookings = 3 if keyed == "yes" else 4
    assert ends == [(-9, 3, 1, 1, 1), (0, 9, 4, 4, bookings), (0, 9, 4, 4, bookings)]
    for i in range(3):
        with page.EventLog(tmp_path / f"job-{i}.jsonl") as log:
            assert [event.key for event in log.events if event.kind == "done"] == [
                "all/job/find",
                "all/job/answer/0/reply",
                "all/job/check/0/reply",
                "all/job/form/0/reply",
                "all/book",
            ]
