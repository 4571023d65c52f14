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
RUNNING = """() => {
    const notebook = document.querySelector('.jp-NotebookPanel:not(.lm-mod-hidden)');
    const prompts = [...notebook.querySelectorAll('.jp-CodeCell .jp-InputArea-prompt')];
    return prompts.filter((p) => p.textContent.includes('*')).length; }"""
FIGURE_WIDTHS = """() => {
    const figures = [...document.querySelectorAll('.jp-OutputArea-output img')];
    return figures.map((i) => i.naturalWidth); }"""


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
    "The address of a running JupyterLab with a copy of the notebooks; {page} stands for a path in nbs."
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
        kernel = page.locator(".jp-NotebookPanel-toolbar [data-status='idle']")
        kernel.first.wait_for(timeout=START_SECONDS * 1000)
        return page

    yield open_
    context.close()


def run_all(page):
    "What the menu's Run All Cells does, until nothing runs any more."
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.wait_for_function(f"({RUNNING})() > 0")
    page.wait_for_function(f"({RUNNING})() === 0", timeout=RUN_SECONDS * 1000)


def errors(page) -> list[str]:
    "The errors among the outputs."
    kind = "[data-mime-type='application/vnd.jupyter.error']"
    return page.locator(f".jp-OutputArea-output{kind}").all_inner_texts()


def not_run(page) -> int:
    "How many code cells have no number, so were never run."
    prompts = page.locator(".jp-CodeCell .jp-InputArea-prompt").all_text_contents()
    assert prompts
    return sum(p.strip() == "[ ]:" for p in prompts)


def keep_picture(page, name: str):
    "A picture for people, where LAB_PICTURES names a folder."
    if folder := os.environ.get("LAB_PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png")


def assert_ran_clean(page):
    assert errors(page) == []
    assert not_run(page) == 0
    widths = page.evaluate(FIGURE_WIDTHS)
    assert widths, "no figure is shown"
    assert min(widths) > 0, "a figure is broken"


def answer(page, cell, code: str) -> str:
    "Put code in place of a cell's, run it as the reader does, and give what it prints."
    cell.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(code)
    page.keyboard.press("Shift+Enter")
    page.wait_for_function(f"({RUNNING})() === 0", timeout=RUN_SECONDS * 1000)
    assert errors(page) == []
    return cell.locator(".jp-OutputArea-output").inner_text()


def test_the_tour_runs(open_notebook):
    page = open_notebook("index.ipynb")
    run_all(page)
    keep_picture(page, "tour")
    assert_ran_clean(page)


def test_a_page_runs_and_its_exercise_tells_right_from_wrong(open_notebook):
    page = open_notebook("01_transformers/02_attention.ipynb")
    run_all(page)
    assert_ran_clean(page)
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
