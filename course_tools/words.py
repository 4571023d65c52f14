"What the `#|` lines at the top of a cell say, and which cells are folded for it."

import re

LINE = re.compile(r"#\|\s*([^\s:]+)\s*:?\s?(.*)")
NUMBER = re.compile(r"^\d+_")  # what orders chapters and pages
FOLDED = {"hide", "fold", "draw", "solution"}  # words of cells whose source JupyterLab folds


def texts_of(source: str) -> dict[str, str]:
    "What stands after each word in a cell's first lines; a second line of a word goes on."
    found: dict[str, list[str]] = {}
    for line in source.lstrip().splitlines():
        if not line.startswith("#|"):
            break
        if m := LINE.fullmatch(line.strip()):
            found.setdefault(m[1], []).append(m[2].strip())
    return {word: " ".join(lines).strip() for word, lines in found.items()}


def without_number(name: str) -> str:
    "A chapter's or a page's name without the number that orders it."
    return NUMBER.sub("", name)


def words_of(cell) -> dict[str, str]:
    "A code cell's directives, whether they still stand in its source or were taken out of it."
    return cell.get("directives_") or cell.directives


def is_answer(cell) -> bool:
    "Whether a cell is an exercise's solution, or a test of one: both would give it away."
    words = words_of(cell)
    return "solution" in words or words.get("test", "").removeprefix("test_").startswith("solution")


def later_tests(cells) -> list:
    """The test cells that a first one stands for: those of each run but its first.

    Text ends a run, and so does code that the page shows.
    """
    found, in_run = [], False
    for cell in cells:
        if cell.cell_type != "code":
            in_run = False
            continue
        words = words_of(cell)
        is_test = "test" in words and not is_answer(cell)
        if is_test and in_run:
            found.append(cell)
        in_run = is_test or in_run and "hide" in words
    return found


def folded_cells(cells) -> list:
    "The code cells whose source JupyterLab shows folded."
    code = [cell for cell in cells if cell.cell_type == "code"]
    return later_tests(cells) + [c for c in code if FOLDED & words_of(c).keys() or is_answer(c)]
