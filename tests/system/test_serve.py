"The server as its clients meet it: from another process, in crowds, rude, and told to stop."

import asyncio
import json
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

httpx = pytest.importorskip("httpx")
pytest.importorskip("fastapi", reason="needs the extra serve")

HERE = Path(__file__).parent
JSON = {"Content-Type": "application/json"}
ASK = {"model": "tiny", "messages": [{"role": "user", "content": "Say something."}]}


class Served:
    "A server in a process of its own."

    def __init__(self, *options: str):
        command = [sys.executable, str(HERE / "small_server.py"), *options]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, cwd=HERE.parents[1], **pipes)
        self.url = self.process.stdout.readline().strip()
        assert self.url, self.process.stderr.read()
        for _ in range(300):  # it listens already; this waits until it answers
            try:
                httpx.get(self.url + "/health", timeout=60)
                return
            except httpx.TransportError:
                time.sleep(0.1)

    def metrics(self) -> dict[str, float]:
        lines = httpx.get(self.url + "/metrics", timeout=60).text.splitlines()
        return {k: float(v) for k, v in (line.split() for line in lines if line[0] != "#")}

    def is_at_rest(self, seconds: float = 30) -> bool:
        "Whether, after a while, no answer is open and no block is used."
        for _ in range(int(10 * seconds)):
            m = self.metrics()
            if m["llm_open_answers"] == m["llm_blocks_used"] == m["llm_queued"] == 0:
                return True
            time.sleep(0.1)
        return False

    def stop(self) -> tuple[int, str]:
        "Its exit status, and what it wrote to stderr."
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            _, said = self.process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        return self.process.returncode, said


@pytest.fixture(scope="module")
def served():
    server = Served()
    yield server
    code, said = server.stop()
    assert code == 0 and "Traceback" not in said, said


def in_openais_form(response) -> bool:
    "Whether an error says why, in the form that clients expect."
    error = response.json()["error"]
    return set(error) == {"message", "type", "param", "code"} and len(error["message"]) > 10


# --- the official client ---------------------------------------------------------------------


def test_the_official_client_asynchronous_streaming_and_not_16_at_once(served):
    openai = pytest.importorskip("openai", reason="needs the extra peers")

    async def ask(client, i):
        given = {"max_tokens": 10, "seed": i, "temperature": 1.0, **ASK}
        if i % 2 == 0:
            answer = await client.chat.completions.create(**given)
            return answer.choices[0].message.content, answer.choices[0].finish_reason
        text, reason = "", None
        async for chunk in await client.chat.completions.create(**given, stream=True):
            text += chunk.choices[0].delta.content or ""
            reason = chunk.choices[0].finish_reason or reason
        return text, reason

    async def crowd():
        base = served.url + "/v1"
        async with openai.AsyncOpenAI(base_url=base, api_key="-", max_retries=0) as client:
            together = await asyncio.gather(*(ask(client, i) for i in range(16)))
            alone = [await ask(client, i) for i in range(16)]
        return together, alone

    together, alone = asyncio.run(crowd())
    assert together == alone  # company changes nothing
    assert len(set(together)) == 16 and {reason for _, reason in together} <= {"length", "stop"}


def test_the_official_client_finds_everything_where_it_looks_for_it(served):
    openai = pytest.importorskip("openai", reason="needs the extra peers")
    client = openai.OpenAI(base_url=served.url + "/v1", api_key="-", max_retries=0)
    assert [model.id for model in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").object == "model"
    given = {"max_tokens": 6, "seed": 1, **ASK}
    answer = client.chat.completions.create(**given, logprobs=True, top_logprobs=3, n=2)
    first, second = answer.choices
    assert first.message.content != second.message.content
    assert answer.usage.completion_tokens == 12
    assert len(first.logprobs.content) == 6 and len(first.logprobs.content[0].top_logprobs) == 3
    spelled = b"".join(bytes(token.bytes) for token in first.logprobs.content)
    assert spelled.decode(errors="replace") == first.message.content
    chunks = list(
        client.chat.completions.create(**given, stream=True, stream_options={"include_usage": True})
    )
    assert chunks[-1].usage.completion_tokens == 6 and not chunks[-1].choices
    plain = client.completions.create(model="tiny", prompt=["One", "Two"], max_tokens=4, logprobs=2)
    assert [choice.index for choice in plain.choices] == [0, 1]
    assert [len(choice.logprobs.tokens) for choice in plain.choices] == [4, 4]
    tool = {"type": "function", "function": {"name": "pick", "parameters": PARAMETERS}}
    answer = client.chat.completions.create(**ASK, tools=[tool], tool_choice="required", seed=3)
    (call,) = answer.choices[0].message.tool_calls
    assert call.function.name == "pick" and answer.choices[0].finish_reason == "tool_calls"
    assert json.loads(call.function.arguments)["colour"] in ("red", "blue")
    form = {"type": "json_schema", "json_schema": {"name": "pick", "schema": PARAMETERS}}
    answer = client.chat.completions.create(**ASK, response_format=form, seed=4)
    assert set(json.loads(answer.choices[0].message.content)) == {"colour"}
    with pytest.raises(openai.NotFoundError, match="no model 'gpt-5'"):
        client.chat.completions.create(**ASK | {"model": "gpt-5"})
    with pytest.raises(openai.BadRequestError, match="temperature") as caught:
        client.chat.completions.create(**ASK, temperature=3)
    assert caught.value.param == "temperature"


PARAMETERS = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "blue"]}},
    "required": ["colour"],
    "additionalProperties": False,
}


# --- a crowd, some of it rude ----------------------------------------------------------------

WRONG = [  # bodies that are refused, and with which status
    (b"{", 400),
    (b"", 400),
    (b"[1, 2]", 400),
    (b'{"model": "tiny"}', 400),
    (b'{"model": "tiny", "messages": []}', 400),
    (b'{"model": "tiny", "messages": [{"role": "user", "content": NaN}]}', 400),
    (b'{"model": "other", "messages": [{"role": "user", "content": "a"}]}', 404),
    (b'{"model": "tiny", "messages": [{"role": "user", "content": "\\ud800"}]}', 400),
    (b'{"model": "tiny", "messages": [{"role": "user", "content": "\xff"}]}', 400),
    (json.dumps(ASK | {"seed": 10**30}).encode(), 400),
    (json.dumps(ASK | {"max_tokens": 10**6}).encode(), 400),
    (json.dumps(ASK | {"n": 1000}).encode(), 400),
    (json.dumps(ASK | {"stop": [""]}).encode(), 400),
    (json.dumps(ASK | {"messages": [{"role": "user", "content": "a " * 9000}]}).encode(), 400),
    (b"[" * 50_000, 400),
    (b"x" * 1_500_000, 413),
]


async def rude(url: str, rng: random.Random) -> str:
    "Opens a stream and goes away: before an answer, or after its first bytes."
    host = url.removeprefix("http://")
    reader, writer = await asyncio.open_connection(*host.split(":"))
    body = json.dumps(ASK | {"stream": True, "max_tokens": 200}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode())
    writer.write(body[: rng.choice([len(body), len(body) // 2])])
    await writer.drain()
    if rng.random() < 0.5:
        await asyncio.wait_for(reader.read(100), 0.2) if rng.random() < 0.2 else None
    writer.close()
    return "left"


async def guest(client, url: str, i: int) -> str:
    "One of the crowd. What has become of it; raises for an answer that it shouldn't have got."
    rng = random.Random(i)
    chat = url + "/v1/chat/completions"
    given = ASK | {"max_tokens": rng.randint(1, 8), "seed": i}
    kind = rng.choices(["whole", "stream", "slow", "rude", "wrong", "lost"], [4, 3, 1, 2, 4, 1])[0]
    if kind == "rude":
        try:
            return await rude(url, rng)
        except (OSError, asyncio.TimeoutError):
            return "left"
    if kind == "wrong":
        body, status = rng.choice(WRONG)
        try:
            response = await client.post(chat, content=body, headers=JSON)
        except httpx.WriteError:
            assert status == 413  # it was told while it was still sending
            return "refused"
        if response.status_code == 503:  # a full house looks at nothing
            assert response.headers["retry-after"] and in_openais_form(response)
            return "told to wait"
        assert response.status_code == status and in_openais_form(response), response.text
        return "refused"
    if kind == "lost":
        response = await client.get(url + rng.choice(["/nowhere", "/v1/chat/completions"]))
        assert response.status_code in (404, 405) and in_openais_form(response)
        return "refused"
    if kind == "whole":
        response = await client.post(chat, json=given)
        if response.status_code == 503:
            assert response.headers["retry-after"] and in_openais_form(response)
            return "told to wait"
        assert response.status_code == 200, response.text
        assert response.json()["usage"]["completion_tokens"] <= given["max_tokens"]
        return "answered"
    async with client.stream("POST", chat, json=given | {"stream": True}) as response:
        if response.status_code == 503:
            return "told to wait"
        events = []
        async for line in response.aiter_lines():
            if line:
                events.append(line)
            if kind == "slow":
                await asyncio.sleep(0.05)
        assert events[-1] == "data: [DONE]", events[-1]
    return "answered"


async def crowd(url: str, n: int, at_once: int) -> list[str]:
    gate = asyncio.Semaphore(at_once)
    limits = httpx.Limits(max_connections=at_once)

    async def enter(client, i):
        async with gate:
            return await guest(client, url, i)

    async with httpx.AsyncClient(timeout=120, limits=limits) as client:
        return await asyncio.gather(*(enter(client, i) for i in range(n)))


def survives(served, n: int, at_once: int):
    "The server after a crowd: who was answered, and that it holds nothing of those who have gone."
    fates = asyncio.run(crowd(served.url, n, at_once))
    counts = {fate: fates.count(fate) for fate in sorted(set(fates))}
    assert served.is_at_rest(), served.metrics()
    assert served.process.poll() is None
    m = served.metrics()
    assert m["llm_blocks_free"] + m["llm_blocks_cached"] == 256
    assert not any('status="500"' in name for name in m), m
    return counts


def test_a_crowd_of_150_some_of_it_rude(served):
    counts = survives(served, 150, 24)
    assert counts["answered"] > 40 and counts["refused"] > 20, counts


@pytest.mark.slow
def test_a_crowd_of_2000_some_of_it_rude(served):
    counts = survives(served, 2000, 48)
    assert sum(counts.values()) == 2000 and counts["answered"] > 500, counts


def test_more_than_may_wait_are_told_to_come_later():
    server = Served("--waiting", "4", "--pause", "0.02")
    try:
        fates = asyncio.run(whole_at_once(server.url, 12))
        assert fates.count(200) >= 4 and 503 in fates and set(fates) == {200, 503}
        assert server.is_at_rest()
    finally:
        server.stop()


async def whole_at_once(url: str, n: int) -> list[int]:
    async with httpx.AsyncClient(timeout=60) as client:
        given = ASK | {"max_tokens": 20}
        asks = [client.post(url + "/v1/chat/completions", json=given) for _ in range(n)]
        return [response.status_code for response in await asyncio.gather(*asks)]


# --- what the OpenAPI document says ----------------------------------------------------------


def test_whatever_fits_or_nearly_fits_the_document_is_answered_or_refused_with_a_reason(served):
    hypothesis = pytest.importorskip("hypothesis")
    from hypothesis import strategies as st

    document = httpx.get(served.url + "/openapi.json").json()
    schemas = document["components"]["schemas"]
    junk = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
        ),
        max_leaves=5,
    )

    def fitting(schema):
        "Values that a schema of the document allows, more or less."
        if "$ref" in schema:
            return fitting(schemas[schema["$ref"].rpartition("/")[2]])
        if "anyOf" in schema:
            return st.one_of([fitting(option) for option in schema["anyOf"]])
        if "const" in schema or "enum" in schema:
            return st.sampled_from(schema.get("enum") or [schema["const"]])
        match schema.get("type"):
            case "object" if "properties" in schema:
                known = {name: fitting(part) for name, part in schema["properties"].items()}
                needed = set(schema.get("required", ()))
                rest = {name: part for name, part in known.items() if name not in needed}
                few = st.lists(st.sampled_from(sorted(rest)), max_size=2) if rest else st.just([])
                return few.flatmap(
                    lambda some: st.fixed_dictionaries(
                        {name: known[name] for name in sorted(needed | set(some))}
                    )
                )
            case "object":
                return st.dictionaries(st.text(max_size=5), junk, max_size=2)
            case "array":
                return st.lists(fitting(schema["items"]), max_size=2)
            case "string":
                pattern = schema.get("pattern")
                return st.from_regex(pattern) if pattern else st.text(max_size=10)
            case "integer":
                return st.integers(schema.get("minimum"), schema.get("maximum"))
            case "number":
                return st.floats(schema.get("minimum"), schema.get("maximum"))
            case "boolean":
                return st.booleans()
            case "null":
                return st.none()
        return junk

    paths = {
        path: fitting(what["post"]["requestBody"]["content"]["application/json"]["schema"])
        for path, what in document["paths"].items()
        if "post" in what
    }
    assert len(paths) == 2
    seen = {"right": 0, "wrong": 0}
    client = httpx.Client(timeout=60)

    @hypothesis.settings(
        max_examples=100,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(st.data())
    def tries(data):
        path = data.draw(st.sampled_from(sorted(paths)))
        body = data.draw(paths[path])
        body["model"] = data.draw(st.sampled_from(["tiny", "tiny", "tiny", body["model"]]))
        if data.draw(st.booleans()):  # a text that is certainly right, so that the rest decides
            body |= {"messages": ASK["messages"]} if "chat" in path else {"prompt": "Hi"}
        body["max_tokens"] = data.draw(st.sampled_from([1, 2, 3, None, 0, "3"]))
        body.pop("max_completion_tokens", None)
        if forms := body.get("structured_outputs"):  # one at a time
            name = data.draw(st.sampled_from(sorted(forms)))
            body["structured_outputs"] = {name: forms[name]}
        if data.draw(st.booleans()):
            body[data.draw(st.sampled_from(sorted(body)))] = data.draw(junk)
        response = client.post(served.url + path, content=json.dumps(body).encode(), headers=JSON)
        if response.status_code == 200:
            seen["right"] += 1
        else:
            assert 400 <= response.status_code < 500, (response.text, body)
            assert in_openais_form(response)
            seen["wrong"] += 1

    tries()
    assert min(seen.values()) > 5, seen
    assert served.is_at_rest()


# --- the end ---------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM there")
@pytest.mark.parametrize("grace", [20.0, 0.3])
def test_told_to_stop_in_mid_stream_it_ends_cleanly(grace):
    server = Served("--pause", "0.05", "--grace", str(grace))
    given = ASK | {"stream": True, "max_tokens": 40, "seed": 1}
    events = []
    chat = server.url + "/v1/chat/completions"
    with httpx.stream("POST", chat, json=given, timeout=60) as response:
        for line in response.iter_lines():
            if line:
                events.append(line)
            if len(events) == 5:
                server.process.send_signal(signal.SIGTERM)
    code, said = server.stop()
    assert code == 0 and "Traceback" not in said, said
    if grace > 5:  # there was time to write it all
        assert events[-1] == "data: [DONE]" and len(events) >= 40
    else:
        error = json.loads(events[-1].removeprefix("data: "))["error"]
        assert error["code"] == "shutting_down" and len(events) < 40
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url + "/health")


def test_the_command_refuses_an_open_address_without_a_token():
    command = [sys.executable, "-m", "llm_course.agents.serve", "--host", "0.0.0.0"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=HERE.parents[1])
    assert done.returncode == 1 and "give --token" in done.stderr
    assert re.search(r"^0\.0\.0\.0 can be reached", done.stderr, re.M)


def test_lm_eval_scores_through_the_server_as_without_it(served, tmp_path, monkeypatch):
    "lm-eval's `local-completions` asks for the prompt's own log-probabilities, by `echo`."
    pytest.importorskip("lm_eval")
    pytest.importorskip("transformers")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from lm_eval.models.openai_completions import LocalCompletionsAPI
    from small_harness import examine, in_short, write_tasks
    from small_server import tiny_lm
    from test_harness import assert_alike

    from llm_course.evaluation.harness import harness_model
    from llm_course.transformers.checkpoints import save_pretrained

    tasks = ("chosen", "written")
    lm = tiny_lm()
    save_pretrained(lm, tmp_path / "model")  # lm-eval takes the tokenizer from there
    write_tasks(tmp_path, 6)
    through = LocalCompletionsAPI(
        base_url=served.url + "/v1/completions",
        model="tiny",
        tokenizer=str(tmp_path / "model"),
        tokenizer_backend="huggingface",
        num_concurrent=4,
        max_retries=1,
    )
    one = in_short(examine(harness_model(lm), tmp_path, tasks), tasks)
    two = in_short(examine(through, tmp_path, tasks), tasks)
    assert len(one["items"]) == 12
    assert_alike(one, two)
    assert served.is_at_rest()
