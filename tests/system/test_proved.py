"""Claims beside tests: what a page's author writes, and what the site's page makes of it."""

import ast

import pytest
from fastcore.nbio import mk_cell

from course_tools.proved import EMPTY, Proved, claims_on, problem, tables, texts_of

CELL = """#| test doubling_is_exact
#| mark: gpu
#| claim: Doubling costs nothing: it is exact, for |x| < 1,
#| claim: and fast.
#| oracle: `x + x`, in float64
#| tolerance: 0
assert double(2) == 4
#| claim: a comment in the code, which is no directive"""


def claims(*sources):
    return claims_on(mk_cell(s, id=f"cell{i:04d}") for i, s in enumerate(sources))


def test_a_claim_may_hold_colons_commas_bars_and_go_on_in_a_second_line():
    (found,) = claims("x = 1", CELL, "#| test other\nassert True")
    assert found == Proved(
        claim="Doubling costs nothing: it is exact, for |x| < 1, and fast.",
        oracle="`x + x`, in float64",
        tolerance="0",
        test="doubling_is_exact",
        cell="cell0001",
        condition="on a GPU",
    )


def test_texts_are_read_from_the_first_lines_alone():
    assert texts_of("\n#| claim a\n#| test b\n\n#| oracle: c") == {"claim": "a"}
    assert texts_of("#|claim:a\n#| claims: b") == {"claim": "a"}


@pytest.mark.parametrize(
    "words, texts, message",
    [
        (["claim"], {"claim": "a"}, "`#| claim:` goes with `#| test NAME`"),
        (["given", "oracle"], {}, "`#| oracle:` goes with `#| test NAME`"),
        (["test", "tolerance"], {}, "`#| tolerance:` goes with `#| claim: TEXT`"),
        (["test", "claim"], {"claim": ""}, "`#| claim:` needs a text"),
        (["test", "claim", "oracle"], {"claim": "a"}, "`#| oracle:` needs a text"),
        (["test", "claim", "hide"], {"claim": "a"}, "can't be `#| hide`"),
        (["test", "claim"], {"claim": "a"}, ""),
        (["test", "mark"], {}, ""),
        ([], {}, ""),
    ],
)
def test_mistakes_are_named(words, texts, message):
    said = problem(words, texts)
    assert message in said and bool(message) == bool(said)


@pytest.mark.parametrize(
    "text", ["Short.", 'He said "no"', "a\\b", '"""', "It's " + "long, " * 40 + "and ends."]
)
def test_the_docstring_says_the_claim_whatever_it_holds(text):
    proved = Proved(claim=text, oracle="float64", tolerance="", test="t", cell="c")
    for docstring in (proved.docstring, Proved(text, "", "", "t", "c").docstring):
        said = ast.literal_eval(docstring)
        assert " ".join(said.split()).startswith(" ".join(text.split()))
        assert all(len(line) <= 100 for line in docstring.splitlines()) or "\\" in text
    assert "Oracle: float64" in ast.literal_eval(proved.docstring)


def test_the_page_lists_claims_by_chapter_and_page_with_a_link_to_the_cell():
    text = tables(
        {
            "First": [("Numbers", "first/numbers", claims(CELL)), ("Words", "first/words", [])],
            "Second": [("More", "second/more", [])],
        }
    )
    assert "## First\n\n### [Numbers](first/numbers.ipynb)" in text
    assert "Words" not in text and "Second" not in text
    (row,) = [line for line in text.splitlines() if line.startswith("| Doubling")]
    assert row.replace("\\|", "").count("|") == 5  # a bar in the claim opens no column
    assert 'href="first/numbers.html#cell-cell0000" title="doubling is exact">' in row
    assert "*(on a GPU)*" in row and "| `x + x`, in float64 | 0 |" in row


def test_without_claims_the_page_says_so():
    assert tables({}) == EMPTY == tables({"First": [("Numbers", "first/numbers", [])]})
    (bare,) = claims("#| test a\n#| claim: It holds.\nassert True")
    assert "| It holds. | — | — |" in tables({"First": [("Numbers", "first/numbers", [bare])]})
