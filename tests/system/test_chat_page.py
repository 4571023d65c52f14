"The chat page of the server, in Chromium: by mouse, keyboard and touch, and to be read by anyone."

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from test_serve import Served
from test_site import serious_problems

pytestmark = pytest.mark.lab
MODES = {
    "desktop-light": (1280, 800, "light"),
    "desktop-dark": (1280, 800, "dark"),
    "phone-light": (360, 740, "light"),
    "phone-dark": (360, 740, "dark"),
}


@pytest.fixture(scope="module")
def served():
    server = Served("--pause", "0.02")
    yield server
    server.stop()


@pytest.fixture
def open_chat(browser, served):
    "A function that opens the page; whatever the browser complains about fails the test."
    contexts, wrong = [], []

    def open_(mode="desktop-light"):
        width, height, theme = MODES[mode]
        size = {"width": width, "height": height}
        context = browser.new_context(viewport=size, color_scheme=theme, has_touch=width < 500)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        asked = lambda r: None if r.url.startswith(served.url) else wrong.append(r.url)
        page.on("request", asked)
        page.goto(served.url)
        page.get_by_role("heading", name="Chat with tiny").wait_for()
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not wrong, wrong


def settings(page, **numbers):
    "Moves sliders, as the keyboard would."
    page.get_by_text("Settings").click()
    for name, number in numbers.items():
        page.locator(f"#{name}").fill(str(number))
    page.get_by_text("Settings").click()


def until(passes: Callable[[], bool], seconds: float = 60):
    "Waits; Playwright's own waiting evaluates a text, which the page's policy forbids."
    for _ in range(int(20 * seconds)):
        if passes():
            return
        time.sleep(0.05)
    pytest.fail("it didn't happen")


def wait_until_it_has_ended(page):
    until(lambda: page.locator("#send").is_enabled())


def said(page) -> str:
    "The newest answer, as far as it has come."
    spans = page.locator(".turn.assistant span")
    return spans.last.text_content() if spans.count() else ""


def test_the_answer_comes_in_pieces_and_says_how_fast_it_was(open_chat):
    page = open_chat()
    settings(page, max_tokens=48, temperature=1)
    page.get_by_label("Your message").fill("Hello")
    page.get_by_label("Your message").press("Enter")
    until(lambda: said(page))
    early = said(page)
    wait_until_it_has_ended(page)
    assert 0 < len(early) < len(said(page)) and said(page).startswith(early)
    assert "tokens per second" in page.get_by_role("status").text_content()
    page.get_by_label("Your message").fill("And now?")
    with page.expect_request("**/v1/chat/completions") as sent:
        page.get_by_role("button", name="Send").click()
    body = json.loads(sent.value.post_data)
    assert [m["role"] for m in body["messages"]] == ["user", "assistant", "user"]
    assert body["max_tokens"] == 48 and body["temperature"] == 1
    wait_until_it_has_ended(page)


def test_stop_keeps_what_is_there_and_frees_the_server(open_chat, served):
    page = open_chat()
    settings(page, max_tokens=512)
    page.get_by_label("Your message").fill("Hello")
    page.get_by_role("button", name="Send").click()
    until(lambda: said(page))
    page.get_by_role("button", name="Stop").click()
    wait_until_it_has_ended(page)
    assert "Stopped." in page.get_by_role("status").text_content()
    assert said(page)
    assert served.is_at_rest()
    page.get_by_role("button", name="New chat").click()
    assert page.locator(".turn").count() == 0


def test_what_the_model_writes_is_never_run_as_html(open_chat):
    page = open_chat()
    settings(page, max_tokens=16)
    page.get_by_label("Your message").fill("<img src=x onerror=alert(1)><b>bold</b>")
    page.get_by_role("button", name="Send").click()
    wait_until_it_has_ended(page)
    assert page.locator("#log img, #log b").count() == 0


def test_an_error_is_shown_and_the_message_can_be_sent_again(open_chat):
    page = open_chat()
    settings(page, max_tokens=16)
    failed = {"error": {"message": "too much to do", "type": "server_error"}}
    event = f"data: {json.dumps(failed)}\n\n"
    page.route("**/v1/chat/completions", lambda route: route.fulfill(status=200, body=event))
    page.get_by_label("Your message").fill("Hello")
    page.get_by_role("button", name="Send").click()
    wait_until_it_has_ended(page)
    assert "too much to do" in page.get_by_role("status").text_content()
    assert page.get_by_label("Your message").input_value() == "Hello"


@pytest.mark.parametrize("mode", MODES)
def test_anyone_can_read_and_use_it(open_chat, mode, tmp_path):
    page = open_chat(mode)
    settings(page, max_tokens=32)
    page.get_by_label("Your message").fill("Hello")
    page.keyboard.press("Tab")  # from the message to the button, and press it
    page.keyboard.press("Enter")
    wait_until_it_has_ended(page)
    page.get_by_text("Settings").click()
    assert not serious_problems(page)
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0
    for button in page.get_by_role("button").all():
        assert button.bounding_box()["height"] >= 44
    page.screenshot(path=str(Path(tmp_path) / f"{mode}.png"))
