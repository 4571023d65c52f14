"""The doctor names what is wrong with a machine, and what to do about it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from course_tools import doctor

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path):
    "A folder whose own Python is the one that runs this test."
    python = doctor.venv_python(tmp_path)
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return tmp_path


def test_a_python_that_is_too_old_is_wrong():
    assert doctor.check_python((3, 10, 0)).state == "good"
    found = doctor.check_python((3, 9, 18))
    assert found.state == "wrong" and "3.9.18 is older than 3.10" in found.what
    assert "PYTHON=python3.10" in found.remedy


def test_a_full_disk_is_wrong_and_little_memory_a_warning(tmp_path):
    assert doctor.check_disk(tmp_path, needed=0.0).state == "good"
    found = doctor.check_disk(tmp_path, needed=1e9)
    assert found.state == "wrong" and str(tmp_path) in found.what
    assert doctor.check_memory(16.0).state == "good"
    assert doctor.check_memory(2.0).state == "warning"


def test_without_a_venv_the_next_step_is_make_course(tmp_path):
    found = doctor.check_packages(tmp_path)
    assert found.state == "wrong" and found.remedy == "make course"


def test_broken_packages_are_named(project):
    (project / "torch.py").write_text("raise ImportError('libcudart.so.13 is missing')\n")
    found = doctor.check_packages(project)
    assert found.state == "wrong" and "libcudart.so.13 is missing" in found.what


@pytest.mark.skipif(sys.platform == "win32", reason="the fixture's Python is a shell script")
def test_wrong_settings_and_a_damaged_model_are_named(project, monkeypatch):
    shutil.copy(ROOT / "settings.ini", project)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("LLM_COURSE_CACHE", str(project / "cache"))
    missing = doctor.check_model(project)
    assert missing.state == "warning" and "it isn't there yet" in missing.what
    cache = project / "cache"
    cache.mkdir()
    (cache / "SmolLM2-135M-Instruct.Q4_1.gguf").write_bytes(b"GGUF" + bytes(100))
    damaged = doctor.check_model(project)
    assert damaged.state == "warning" and "104" in damaged.what and "make course" in damaged.remedy
    assert doctor.check_settings(project).state == "good"
    monkeypatch.setenv("LLM_COURSE_DTYPE", "int3")
    found = doctor.check_settings(project)
    assert found.state == "wrong" and "int3" in found.what


def test_a_driver_that_pytorch_does_not_reach_is_a_warning(project, monkeypatch):
    (project / "torch.py").write_text(
        "class cuda:\n    is_available = staticmethod(lambda: False)\n"
    )
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    assert doctor.check_gpu(project).state == "good"
    monkeypatch.setattr(doctor.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    assert doctor.check_gpu(project).state == "warning"


def test_what_is_wrong_ends_in_an_error_and_the_rest_does_not(monkeypatch, capsys):
    good = doctor.Finding("good", "all there")
    warning = doctor.Finding("warning", "no browser", "install one")
    wrong = doctor.Finding("wrong", "disk: 0 GB", "make room")
    monkeypatch.setattr(doctor, "IN_VENV", ())
    monkeypatch.setattr(doctor, "FIRST", (lambda: good, lambda: warning))
    assert doctor.main() == 0
    assert capsys.readouterr().out.endswith("→ install one\nNothing is wrong.\n")
    monkeypatch.setattr(doctor, "FIRST", (lambda: good, lambda: wrong))
    assert doctor.main() == 1
    assert capsys.readouterr().out.endswith("→ make room\n1 thing is wrong.\n")


def test_it_runs_with_python_alone():
    "Without site-packages, as on a machine where nothing was installed."
    code = "import course_tools.doctor as d; print(d.check_python().what)"
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}",
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and done.stdout.startswith("Python 3."), done.stderr
