"""What each notebook must have, besides what it says."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "nbs").glob("[0-9]*/[0-9]*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_each_exercise_has_its_text(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    asked, is_under_exercises, n_exercises = "", False, 0
    for cell in cells:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            asked = source
            is_under_exercises |= bool(re.search(r"^## Exercises$", source, re.MULTILINE))
        elif re.search(r"^#\| exercise", source, re.MULTILINE):
            n_exercises += 1
            assert is_under_exercises, f"#{cell['id']}: no heading '## Exercises' stands before it"
            assert re.search(r"[Dd]ifficulty \d", asked), f"#{cell['id']}: no text asks for it"
            asked = ""  # the next one has its own
    assert n_exercises >= 3, f"{n_exercises} exercises"
