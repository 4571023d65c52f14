"""Exercises that check the reader's answer: `check(name)` in the notebook, and `make exercises`.

check(my_function)                          runs the page's own claims on what you wrote
python -m course_tools.exercises [FOLDER]   copies of the notebooks without the answers
"""

import ast
import contextlib
import functools
import inspect
import linecache
import os
import re
import sys
import traceback
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from course_tools.claims import Claim, failed_claim, short, with_values

ROOT = Path(__file__).resolve().parent.parent
CELL = re.compile(r"^# (\S+\.ipynb) #(\S+)$", re.M)
IS_SOLUTION = re.compile(r"^\s*#\|\s*solution\b", re.M)
PREFIX = "test_solution_"
Answer = Callable[..., object]  # a function or a class


@dataclass
class Exercise:
    "What a page's test file says about one exercise."

    name: str
    notebook: str  # path from the root of the course
    path: Path  # of the test file
    source: str
    tests: list[ast.FunctionDef] = field(default_factory=list)
    setup: list[ast.stmt] = field(
        default_factory=list
    )  # what stands outside of the tests, in order

    @property
    def page(self) -> str:
        return Path(self.notebook).stem

    def solution(self) -> ast.stmt | None:
        "The statement of the course's solution that binds the exercise's name."
        return next((s for s in self.setup if self.name in names_bound(s)), None)


# Find the exercise ------------------------------------------------------------------------------


def names_bound(statement: ast.stmt) -> set[str]:
    "The names that a statement at the top of a file binds."
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {statement.name}
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return {a.asname or a.name.split(".")[0] for a in statement.names}
    nodes = ast.walk(statement)
    return {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def names_read(statement: ast.stmt) -> set[str]:
    "The names that a statement, or anything inside it, reads."
    nodes = ast.walk(statement)
    return {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def snake(name: str) -> str:
    "`ParallelBlock` as it may stand in a test's name: `parallel_block`."
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def exercises_in(path: Path) -> dict[str, Exercise]:
    "The exercises of a test file, by name."
    source = path.read_text(encoding="utf-8")
    notebook = CELL.search(source)
    if PREFIX not in source or not notebook:
        return {}
    statements = ast.parse(source, str(path)).body
    tests, setup = [], []
    for s in statements:
        is_test = isinstance(s, ast.FunctionDef) and s.name.startswith("test_")
        (tests if is_test else setup).append(s)
    bound = set().union(*map(names_bound, setup))
    found: dict[str, Exercise] = {}
    for test in tests:
        if not test.name.startswith(PREFIX):
            continue
        rest = test.name.removeprefix(PREFIX)
        fits = [n for n in bound if rest == snake(n) or rest.startswith((n + "_", snake(n) + "_"))]
        fits += [rest] if rest in bound else []
        name = max(fits, key=len, default=rest)  # `top_p_twice` is about `top_p`, not about `top`
        if name not in found:
            found[name] = Exercise(name, notebook[1], path, source, setup=setup)
        found[name].tests.append(test)
    return found


def all_exercises(tests: Path) -> list[Exercise]:
    files = sorted(tests.glob("test_*.py"))
    return [e for path in files for e in exercises_in(path).values()]


def running_notebook(shell) -> str:
    "The notebook that this kernel runs, as its front end names it; '' if none does."
    names = shell.user_ns if shell else {}
    return os.environ.get("JPY_SESSION_NAME") or names.get("__vsc_ipynb_file__") or ""


def choose(found: list[Exercise], shell) -> Exercise | None:
    "The exercise on the page that is running: the front end names it, or its cells have been run."
    running = Path(running_notebook(shell)).name
    by_name = [e for e in found if Path(e.notebook).name == running]
    if len(by_name) == 1:
        return by_name[0]
    history = shell.user_ns.get("In", []) if shell else []
    cells_run = {text.strip() for text in history} - {""}
    scores = [len(cells_run & cells_of(ROOT / e.notebook)) for e in found]
    best = max(scores)
    winners = [e for e, score in zip(found, scores) if score == best]
    return winners[0] if len(winners) == 1 and best else None


def cells_of(notebook: Path) -> set[str]:
    from fastcore.nbio import read_nb

    if not notebook.exists():
        return set()
    return {c.source.strip() for c in read_nb(notebook).cells if c.cell_type == "code"}


def find(name: str, page: str | None, shell, tests: Path) -> Exercise:
    "The exercise of that name; raises `ValueError` where there is none, or more than one."
    everything = all_exercises(tests)
    found = [e for e in everything if e.name == name]
    if page is not None:
        found = [e for e in found if page in (e.page, re.sub(r"^\d+_", "", e.page), e.notebook)]
    if len(found) == 1:
        return found[0]
    if found:
        if chosen := choose(found, shell):
            return chosen
        pages = ", ".join(e.page for e in found)
        raise ValueError(
            f"several pages have an exercise {name}: {pages}. "
            f'Say which one: check({name}, page="{found[0].page}")'
        )
    where = f" on the page {page}" if page else ""
    known = sorted({e.name for e in everything})
    raise ValueError(f"no exercise is called {name}{where}. There are: {', '.join(known)}")


# Whose answer is it? ----------------------------------------------------------------------------


def functions_of(answer: Answer) -> Iterator[types.FunctionType]:
    "The plain functions inside an answer: itself, what its decorators hide, a class's methods."
    if isinstance(answer, type):
        for value in vars(answer).values():
            yield from functions_of(value)
        return
    if isinstance(answer, (staticmethod, classmethod)):
        answer = answer.__func__
    if isinstance(answer, property):
        answer = answer.fget
    inner = inspect.unwrap(answer) if callable(answer) else answer
    inner = getattr(inner, "fn", inner)  # a Triton kernel
    if isinstance(inner, types.FunctionType):
        yield inner


def cell_that_defines(answer: Answer, shell) -> str:
    "The whole text of the cell in which an answer was written; '' if it wasn't written in a cell."
    for function in functions_of(answer):
        lines = linecache.getlines(function.__code__.co_filename)
        if lines:
            return "".join(lines)
    for text in reversed(shell.user_ns.get("In", []) if shell else []):  # a class without methods
        with contextlib.suppress(SyntaxError):
            if any(answer.__name__ in names_bound(s) for s in ast.parse(text).body):
                return text
    return ""


def is_stub(function: types.FunctionType) -> bool:
    "Whether a function does nothing yet: its body is `...`, `pass`, or `NotImplementedError`."
    try:
        tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(function)))
    except (OSError, SyntaxError):
        return False
    body = getattr(tree.body[0], "body", None)
    return body is not None and all(map(does_nothing, body))


def does_nothing(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Pass):
        return True
    if isinstance(statement, ast.Raise):
        return "NotImplementedError" in ast.unparse(statement)
    if isinstance(statement, (ast.Expr, ast.Return)):
        value = statement.value
        if isinstance(statement, ast.Expr):  # a docstring or `...`
            return isinstance(value, ast.Constant)
        return value is None or isinstance(value, ast.Constant) and value.value in (None, ...)
    return False


def gives_nothing(answer: Answer) -> bool:
    "Whether an answer is still the page's stub."
    functions = list(functions_of(answer))
    if isinstance(answer, type):
        own = [f for f in functions if f.__qualname__.startswith(answer.__qualname__ + ".")]
        return all(map(is_stub, own))
    return bool(functions) and all(map(is_stub, functions))


def returns_something(statement: ast.stmt | None) -> bool:
    "Whether a solution returns a value, so that None can't be right."
    if not isinstance(statement, ast.FunctionDef):
        return False
    nodes = list(ast.walk(statement))
    return any(isinstance(n, ast.Return) and n.value is not None for n in nodes)


# Run the claims ---------------------------------------------------------------------------------


@dataclass
class Recorder:
    "The reader's function, with a note of what it returned."

    function: types.FunctionType
    returned: list[object] = field(default_factory=list)

    def wrapped(self) -> Answer:
        @functools.wraps(self.function)
        def call(*args, **kwargs):
            value = self.function(*args, **kwargs)
            self.returned.append(None if value is None or value is ... else True)
            return value

        return call

    @property
    def only_none(self) -> bool:
        return bool(self.returned) and not any(self.returned)


def only_binds(statement: ast.stmt) -> bool:
    "Whether a statement does nothing but give a value to names."
    if isinstance(statement, ast.Assign):
        targets = [t for target in statement.targets for t in getattr(target, "elts", [target])]
        return all(isinstance(t, ast.Name) for t in targets)
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    kinds = (*functions, ast.Import, ast.ImportFrom, ast.AnnAssign)
    return isinstance(statement, kinds)


def needed(exercise: Exercise) -> list[ast.stmt]:
    "The set-up that an exercise's tests need, so that a check doesn't load a model for nothing."
    wanted = set().union(*map(names_read, exercise.tests)) | {exercise.name}
    kept: list[ast.stmt] = []
    for statement in reversed(exercise.setup):
        bound = names_bound(statement)
        if not only_binds(statement):  # `torch.set_num_threads(1)`, `numbers[0] = 2`
            bound |= names_read(statement)
        if bound & wanted:
            wanted |= names_read(statement)
            kept.insert(0, statement)
    return kept


def prepare(exercise: Exercise, answer: Answer) -> dict[str, object]:
    "A namespace with the tests' set-up, in which the reader's answer stands in place of ours."
    names: dict[str, object] = {"__name__": "exercise", "__file__": str(exercise.path)}
    for statement in needed(exercise):
        if isinstance(statement, ast.FunctionDef):
            statement = with_values(statement)
        run(statement, exercise, names)
        if exercise.name in names_bound(statement):
            names[exercise.name] = answer  # at once: what follows may use it
    return names


def run(statement: ast.stmt, exercise: Exercise, names: dict[str, object]) -> None:
    module = ast.fix_missing_locations(ast.Module([statement], []))
    exec(compile(module, str(exercise.path), "exec"), names)  # noqa: S102


def marks_of(test: ast.FunctionDef) -> set[str]:
    return {d.attr for d in test.decorator_list if isinstance(d, ast.Attribute)}


@contextlib.contextmanager
def random_numbers_as_before() -> Iterator[None]:
    "A check leaves the page's random numbers where they were."
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    with torch.random.fork_rng(devices=[]):
        yield


def claims_of(exercise: Exercise) -> list[Claim]:
    return [c for test in exercise.tests for c in Claim.all_in(test, exercise.source)]


def verdict(exercise: Exercise, answer: Answer) -> str:
    "What a check says after the exercise's name."
    claims = claims_of(exercise)
    if gives_nothing(answer):
        first = f" First it must hold that {claims[0].text}" if claims else ""
        return f"not yet.{first}"
    if "gpu" in set().union(*map(marks_of, exercise.tests)):
        import torch

        if not torch.cuda.is_available():
            return "its claims need a GPU, and this machine has none."
    plain = isinstance(answer, types.FunctionType)
    recorder = Recorder(answer) if plain else None
    try:
        with random_numbers_as_before():
            names = prepare(exercise, recorder.wrapped() if recorder else answer)
            for test in exercise.tests:
                rewritten = with_values(test)
                rewritten.decorator_list = []
                run(rewritten, exercise, names)
                names[test.name]()
    except Exception as error:
        if recorder and recorder.only_none and returns_something(exercise.solution()):
            return "not yet. It returned None each time: does it end with `return`?"
        return what_failed(error, exercise, answer)
    noun = "claim holds" if len(claims) == 1 else "claims hold"
    return f"right. {len(claims)} {noun}."


def what_failed(error: Exception, exercise: Exercise, answer: Answer) -> str:
    "The claim that failed, or the line of the reader's code that raised."
    frames = list(traceback.walk_tb(error.__traceback__))
    message = " ".join(str(error).split())
    said = type(error).__name__ + (f": {message}" if message else "")
    own = {f.__code__.co_filename for f in functions_of(answer)}
    in_tests = [(f, n) for f, n in frames if f.f_code.co_filename == str(exercise.path)]
    last = frames[-1][0].f_code.co_filename if frames else ""
    if isinstance(error, AssertionError) and last not in own and in_tests:
        frame, line = in_tests[-1]
        return f"not yet. This fails: {failed_claim(frame, line, exercise.source, message)}"
    theirs = [(f, n) for f, n in frames if f.f_code.co_filename in own]
    if theirs:
        frame, line = theirs[-1]
        text = linecache.getline(frame.f_code.co_filename, line).strip()
        return f"not yet. Line {line} of your cell, `{text}`, raised {short(said, 160)}"
    if in_tests:
        text = exercise.source.splitlines()[in_tests[-1][1] - 1].strip()
        return f"not yet. `{short(text, 100)}` raised {short(said, 160)}"
    return f"not yet. It raised {short(said, 160)}"


def check(answer: Answer, *, page: str | None = None) -> None:
    """Print whether `answer`, your function or class, keeps the claims of the page's own solution.

    `page` says which page's exercise is meant, where several have one of that name.
    Raises `TypeError` for what is no function or class, `ValueError` for an unknown exercise.
    """
    name = getattr(answer, "__name__", None)
    if not callable(answer) or not isinstance(name, str) or not name.isidentifier():
        raise TypeError(
            "check takes the function or the class that you wrote, by its name, "
            f"as in check(my_function); got {short(answer, 60)} ({type(answer).__name__})"
        )
    from IPython import get_ipython

    shell = get_ipython()
    exercise = find(name, page, shell, ROOT / "tests")
    if IS_SOLUTION.search(cell_that_defines(answer, shell)):
        text = (
            "this is the course's solution. To check your own, run the cell that you wrote it in."
        )
    else:
        text = verdict(exercise, answer)
    print(f"{name}: {text}")


# The command ------------------------------------------------------------------------------------


def main(arguments: list[str]) -> None:
    "Write the notebooks without their solutions into a folder, and say what was done."
    if len(arguments) > 1 or any(a.startswith("-") for a in arguments):
        raise SystemExit("usage: python -m course_tools.exercises [FOLDER]   (default: exercises)")
    from course_tools.copies import told, write_copies

    folder = Path(arguments[0] if arguments else "exercises")
    try:
        report = write_copies(folder, ROOT / "nbs")
    except ValueError as error:
        raise SystemExit(str(error)) from None
    print(told(report, folder))


if __name__ == "__main__":
    main(sys.argv[1:])
