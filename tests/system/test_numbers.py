"""The README's table of speed says what the recorded runs say."""

import json
from pathlib import Path

import pytest

from course_tools import numbers

ROOT = Path(__file__).resolve().parents[2]


def test_the_readme_has_the_table_of_the_recorded_runs():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = numbers.markdown(numbers.chosen(numbers.rows()))
    assert numbers.with_table(readme, table) == readme, (
        "the README's table is old: python -m course_tools.numbers --write"
    )
    assert table.count("\n") == 2 + len(numbers.CHOSEN)


def test_every_benchmark_with_a_peer_on_a_cpu_has_rows():
    "Attention's peer is ours in part, and masks are compared with a decoding step on their page."
    without = {"attention", "structured", "settings", "gpu_linear"}
    for path in (ROOT / "benchmarks/results").rglob("*.json"):
        assert path.stem in numbers.READERS.keys() | without, path.name


def test_ratios_are_taken_round_by_round():
    seconds = {"ours": [1.0, 2.0, 4.0], "theirs": [2.0, 2.0, 12.0], "linears alone": [0.5, 1, 2]}
    row = numbers.rates("writing", seconds, 10, "theirs", limit="linears alone")
    assert row.ratios == (2.0, 1.0, 3.0)
    assert (row.ours, row.theirs, row.limit) == (5.0, 5.0, 10.0)
    table = numbers.markdown([("a-2-cores", row)])
    assert "2.00 [1.00, 3.00]" in table and "| 5 tokens/s | theirs | 5 | 10 |" in table


def test_a_server_that_ends_early_is_counted_by_its_own_tokens():
    run = {
        "runs": {
            "1 clients": {
                "seconds": {"ours": [1.0, 1.0], "llama.cpp": [1.0, 1.0]},
                "ours": {"tokens": [60, 60]},
                "llama.cpp": {"tokens": [30, 20]},
            }
        }
    }
    (row,) = numbers.serve(run)
    assert row.ratios == (2.0, 3.0)


def test_the_newest_run_is_chosen_and_a_missing_one_is_named(monkeypatch):
    row = numbers.Row("BLEU of 10", "s", 1.0, "sacreBLEU", 2.0, (2.0,), when="2026-02-01")
    older = row._replace(ours=0.5, when="2026-01-01")
    monkeypatch.setattr(numbers, "CHOSEN", (("BLEU", "sacreBLEU"),))
    assert numbers.chosen({"a": [older], "b": [row], "c": [older]}) == [("b", row)]
    with pytest.raises(ValueError, match="no recorded run has 'BLEU' beside sacreBLEU"):
        numbers.chosen({"a": [row._replace(peer="another")]})


def test_runs_on_a_gpu_are_left_out(tmp_path):
    (tmp_path / "gpu").mkdir()
    run = {"machine": {"gpu": "H200"}, "when": "2026-01-01T00:00", "rows": []}
    (tmp_path / "gpu/bleu.json").write_text(json.dumps(run))
    assert numbers.rows(tmp_path) == {}


def test_a_readme_without_its_place_is_an_error():
    with pytest.raises(ValueError, match="no place for the table"):
        numbers.with_table("# llm_course\n", "| a |\n")
