"""An agent's process, killed for good at random times, and started again on its log."""

import asyncio
import json
import multiprocessing
import os
import random
import signal
import sys
import time
from itertools import repeat

import pytest

from llm_course.agents.agent import Agent, EventLog, Run, step_key
from llm_course.agents.client import Reply, ScriptedLLM, ToolCall, Usage
from llm_course.agents.tools import tool

N_CALLS = 12


def note(folder, name, text):
    "The world outside: files that are only added to."
    with (folder / name).open("a") as file:
        file.write(text + "\n")


def model(request):
    "Pays and sends in turn, and then answers."
    turn = sum(message["role"] == "assistant" for message in request.messages)
    if turn == N_CALLS:
        return "done"
    name = "pay" if turn % 2 else "send"
    call = ToolCall(str(turn), name, json.dumps({"number": turn}))
    return Reply("", (call,), "tool_calls", Usage(1, 1))


def work(folder):
    "One process of the run."

    @tool(repeatable=True)
    def pay(number: int) -> str:
        "Pays."
        note(folder, "paid", f"{step_key()} {number}")
        return "paid"

    @tool
    def send(number: int) -> str:
        "Sends."
        note(folder, "sent", str(number))
        return "sent"

    async def answer():
        agent = Agent("a", ScriptedLLM(repeat(model)), tools=[pay, send], max_turns=20)
        with EventLog(folder / "run.jsonl") as log:
            return await agent.answer(Run(log), "go")

    said = asyncio.run(answer())
    (folder / "answer").write_text(said.text)
    os._exit(0)


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
@pytest.mark.filterwarnings("ignore")
def test_a_killed_process_goes_on_and_repeats_no_effect(tmp_path):
    context = multiprocessing.get_context("fork")
    rng = random.Random(0)

    def start(folder):
        process = context.Process(target=work, args=(folder,))
        process.start()
        return process

    def size(folder):
        log = folder / "run.jsonl"
        return log.stat().st_size if log.exists() else 0

    (tmp_path / "whole").mkdir()
    start(tmp_path / "whole").join()
    whole = size(tmp_path / "whole")  # bytes of a log that nobody interrupts
    kills = 0
    for i in range(30):
        folder = tmp_path / str(i)
        folder.mkdir()
        while True:
            # Places are drawn in the log, not in time: then a slow machine is killed as often.
            place = rng.uniform(size(folder), 1.2 * whole)
            process = start(folder)
            while process.is_alive() and size(folder) < place:
                time.sleep(0.0002)
            if process.is_alive():
                time.sleep(rng.choice([0, 0.0002, 0.001]))
            process.kill()
            process.join()
            if process.exitcode == 0:
                break
            kills += 1
            assert process.exitcode == -signal.SIGKILL, process.exitcode
            assert kills < 3000, "it doesn't get on"
        assert (folder / "answer").read_text() == "done"
        payments = (folder / "paid").read_text().split("\n")[:-1]
        numbers = {line.rsplit(" ", 1)[1] for line in payments}
        assert numbers == {str(n) for n in range(1, N_CALLS, 2)}
        assert len(set(payments)) == len(numbers), "a payment was repeated under another key"
        sent = (folder / "sent").read_text().split()
        assert len(sent) == len(set(sent)), "a letter was sent twice"
        if kills >= 20:
            return
    raise AssertionError(f"only {kills} kills: too few to show anything")
