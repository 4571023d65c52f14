"""The reader's desk: JupyterLab as `make lab` starts it, driven in Chromium.

It works on a copy of the notebooks, with a quick budget. `make test-site` runs it.
"""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

pytestmark = pytest.mark.lab
ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60
RUN_SECONDS = 240  # a page on a busy machine

# Without windowing every cell is in the page, also far from what is on the screen.
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
# Cells that wait to run show a star, cells that ran a number: is it over?
DONE = """() => {
    const prompts = [...document.querySelectorAll('.jp-CodeCell .jp-InputArea-prompt')];
    const texts = prompts.map((p) => p.textContent);
    return texts.some((t) => /[0-9]/.test(t)) && !texts.some((t) => t.includes('*')); }"""


def free_port() -> int:
    "A port that nobody listens on."
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def write_settings(folder: Path, theme: str):
    "The reader's settings of JupyterLab, as its settings editor would store them."
    themes = {"apputils-extension/themes": {"theme": theme}}
    for name, values in (SETTINGS | themes).items():
        path = folder / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values), encoding="utf-8")


def wait_until_it_answers(url: str, server: subprocess.Popen, log: Path):
    for _ in range(START_SECONDS * 5):
        assert server.poll() is None, f"JupyterLab ended:\n{log.read_text(encoding='utf-8')}"
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"no answer in {START_SECONDS} s:\n{log.read_text(encoding='utf-8')}")


@pytest.fixture
def lab(tmp_path):
    "The address of a JupyterLab with a copy of the notebooks; {page} stands for a path in nbs."
    shutil.copytree(ROOT / "nbs", tmp_path / "course" / "nbs")
    write_settings(tmp_path / "settings", os.environ.get("LAB_THEME", "JupyterLab Light"))
    token, port, log = secrets.token_hex(16), free_port(), tmp_path / "log"
    env = os.environ | {
        "LLM_COURSE_BUDGET": "quick",
        "JUPYTERLAB_SETTINGS_DIR": str(tmp_path / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(tmp_path / "workspaces"),
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }
    env.pop("TRITON_INTERPRET", None)  # of the tests, not of the reader
    command = [
        *(sys.executable, "-m", "jupyter", "lab", "nbs/index.ipynb", "--no-browser"),
        *("--allow-root", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"),
        f"--IdentityProvider.token={token}",
    ]
    with log.open("w") as out:
        server = subprocess.Popen(
            command, cwd=tmp_path / "course", env=env, stdout=out, stderr=subprocess.STDOUT
        )
    address = f"http://127.0.0.1:{port}/"
    try:
        wait_until_it_answers(f"{address}api/status?token={token}", server, log)
        yield address + "lab/tree/{page}?token=" + token
    finally:
        server.terminate()  # and with it its kernels
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()


@pytest.fixture
def open_notebook(lab, browser):
    "A function that opens a notebook in JupyterLab on a laptop's screen."
    context = browser.new_context(viewport={"width": 1280, "height": 800})

    def open_(path: str):
        page = context.new_page()
        page.goto(lab.format(page=path))
        page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=START_SECONDS * 1000)
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=START_SECONDS * 1000)
        return page

    yield open_
    context.close()


def run_all(page):
    "What the menu's Run All Cells does, until nothing runs any more."
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.wait_for_function(DONE, timeout=RUN_SECONDS * 1000)


def assert_all_ran(page):
    "Every code cell has a number; an error stops Run All, so that none is there either."
    prompts = page.locator(".jp-CodeCell .jp-InputArea-prompt").all_text_contents()
    said = page.locator("[data-mime-type='application/vnd.jupyter.stderr']").all_inner_texts()
    assert prompts
    assert all("[ ]" not in p for p in prompts), "\n".join(said)[-3000:]


def keep_picture(page, name: str):
    "A picture for people, where LAB_PICTURES names a folder."
    if folder := os.environ.get("LAB_PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png")


def answer(page, cell, code: str) -> str:
    "Put code in place of a cell's, run it as the reader does, and give what it prints."
    from playwright.sync_api import expect

    cell.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(code)
    before = cell.locator(".jp-InputArea-prompt").inner_text()
    page.keyboard.press("Shift+Enter")
    expect(cell.locator(".jp-InputArea-prompt")).not_to_have_text(before)
    page.wait_for_function(DONE, timeout=RUN_SECONDS * 1000)
    return cell.locator(".jp-OutputArea-output").inner_text()


def test_the_tour_runs(open_notebook):
    page = open_notebook("index.ipynb")
    run_all(page)
    keep_picture(page, "tour")
    assert_all_ran(page)


def test_a_page_runs_and_its_exercise_tells_right_from_wrong(open_notebook):
    page = open_notebook("01_transformers/02_attention.ipynb")
    run_all(page)
    assert_all_ran(page)
    figures = page.locator(".jp-OutputArea-output img")
    widths = figures.evaluate_all("images => images.map((i) => i.naturalWidth)")
    assert widths, "no figure is shown"
    assert min(widths) > 0, "a figure is broken"
    figures.first.scroll_into_view_if_needed()
    keep_picture(page, "figure")
    exercises = page.locator(".jp-CodeCell", has_text="#| exercise")
    exercise = exercises.filter(has_text="def effective_keys").first
    assert "effective_keys: not yet." in exercise.locator(".jp-OutputArea-output").inner_text()

    stub = "#| exercise\ndef effective_keys(weights):\n{body}\n\n\ncheck(effective_keys)"
    wrong = stub.format(body="    return torch.special.entr(weights).sum(-1)")
    said = answer(page, exercise, wrong)
    assert said.startswith("effective_keys: not yet. This fails:"), said
    keep_picture(page, "exercise-wrong")

    right = stub.format(body="    return torch.special.entr(weights).sum(-1).exp()")
    said = answer(page, exercise, right)
    assert said.startswith("effective_keys: right."), said
    keep_picture(page, "exercise-right")


def test_two_answers_are_labelled_with_the_arrow_keys(open_notebook, tmp_path):
    nbs = tmp_path / "course" / "nbs"
    code = """\
from llm_course.training.feedback import Pair, label_widget
pairs = [Pair(f"Question {i}?", f"<b>one</b> {i}", f"two {i}") for i in range(4)]
label_widget(pairs, "labels.jsonl")"""
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "outputs": [], "execution_count": None}
    kernel = {"display_name": "python3", "language": "python", "name": "python3"}
    notebook = {"cells": [cell | {"source": code}], "metadata": {"kernelspec": kernel}}
    text = json.dumps(notebook | {"nbformat": 4, "nbformat_minor": 5})
    (nbs / "label.ipynb").write_text(text, encoding="utf-8")
    page = open_notebook("label.ipynb")
    run_all(page)
    widget = page.locator(".label-pairs")
    widget.wait_for(timeout=START_SECONDS * 1000)
    assert "<b>one</b>" in widget.inner_text(), "an answer is text, whatever it holds"
    keep_picture(page, "label")
    widget.click()
    shown = []
    for n, key in enumerate(("ArrowLeft", "ArrowRight", "Backspace", "ArrowDown")):
        shown.append(widget.inner_text())
        page.keyboard.press(key)
        labelled = (1, 2, 1, 2)[n]
        page.get_by_text(f"{labelled} of 4 labelled").wait_for(timeout=10_000)
    lines = (nbs / "labels.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    assert [r["p_a"] for r in records] == [1.0, 0.5]
    for record, text in zip(records, shown):
        assert text.index(record["a"]) < text.index(record["b"]), "a stood on the left"
    assert page.locator(".jp-Cell").count() == 1, "the keys reached the widget alone"
