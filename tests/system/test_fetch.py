"""Fetching the model when no cell can try it: a kill in the middle, a write that fails."""

import hashlib
import http.server
import os
import subprocess
import sys
import threading
import zipfile

import pytest

CONTENT = b"GGUF" + os.urandom(3_000_000)
FETCH = """
import sys
from llm_course import core
core.MODELS["tiny"] = core.ModelFile(
    "tiny-model==1.0", "tiny_model/tiny.gguf", sys.argv[2], int(sys.argv[3])
)
print(core.fetch_model("tiny", sys.argv[1]))
"""


@pytest.fixture
def registry(tmp_path):
    "A registry on this machine with one wheel; `slow` makes it send 20 kB and then wait."
    shelf = tmp_path / "shelf" / "tiny-model"
    shelf.mkdir(parents=True)
    with zipfile.ZipFile(shelf / "tiny_model-1.0-py3-none-any.whl", "w") as z:
        z.writestr("tiny_model/tiny.gguf", CONTENT)
        z.writestr(
            "tiny_model-1.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n",
        )
        z.writestr(
            "tiny_model-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        z.writestr("tiny_model-1.0.dist-info/RECORD", "")

    class Handler(http.server.SimpleHTTPRequestHandler):
        slow = False
        in_the_middle = threading.Event()
        go_on = threading.Event()

        def __init__(self, *a, **k):
            super().__init__(*a, directory=str(shelf.parent), **k)

        def log_message(self, *a):
            pass

        def copyfile(self, source, out):
            if not (self.slow and self.path.endswith(".whl")):
                return super().copyfile(source, out)
            out.write(source.read(20_000))
            out.flush()
            self.in_the_middle.set()
            self.go_on.wait(60)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server, Handler
    Handler.go_on.set()
    server.shutdown()


def fetch(server, cache, **kw):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "LLM_COURSE_"))}
    env |= {
        "PIP_INDEX_URL": f"http://127.0.0.1:{server.server_port}/",
        "PIP_CONFIG_FILE": os.devnull,
        "NO_PROXY": "127.0.0.1",
        "PIP_RETRIES": "1",  # a registry that isn't there won't come
    }
    command = [
        sys.executable,
        "-c",
        FETCH,
        str(cache),
        hashlib.sha256(CONTENT).hexdigest(),
        str(len(CONTENT)),
    ]
    return subprocess.Popen(
        command,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **kw,
    )


def test_a_kill_in_the_middle_leaves_no_model_and_the_next_run_is_clean(registry, tmp_path):
    server, handler = registry
    handler.slow, cache = True, tmp_path / "cache"
    run = fetch(server, cache)
    assert handler.in_the_middle.wait(60), "the download never began"
    assert run.poll() is None
    os.killpg(run.pid, 9)
    run.communicate()
    leftovers = list(cache.iterdir())
    assert leftovers, "the kill came before the download"
    assert not (cache / "tiny.gguf").exists()
    for p in [*leftovers, *cache.rglob("*")]:
        os.utime(p, (1, 1))  # as if it had been killed some minutes ago
    handler.slow = False
    run = fetch(server, cache)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 0, err
    assert (cache / "tiny.gguf").read_bytes() == CONTENT
    assert [p.name for p in cache.iterdir()] == ["tiny.gguf"]
    assert "tiny-model" in err  # the progress bar


@pytest.mark.skipif(os.name == "nt", reason="needs resource limits")
def test_a_write_that_fails_leaves_nothing(registry, tmp_path):
    import resource

    run = fetch(
        registry[0],
        tmp_path / "cache",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000)),
    )
    _, err = run.communicate(timeout=60)
    assert run.returncode != 0
    assert "FetchError" in err
    assert list((tmp_path / "cache").iterdir()) == []


def test_no_registry_at_all_is_a_clear_error(tmp_path):
    class Nobody:
        server_port = 9  # the discard port: nothing listens

    run = fetch(Nobody, tmp_path / "cache")
    _, err = run.communicate(timeout=120)
    assert run.returncode != 0
    assert "Is there a network?" in err
    assert "copy the .whl file into" in err
    assert list((tmp_path / "cache").iterdir()) == []
