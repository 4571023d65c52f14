"""Makes `problems.jsonl`: sums and stories of two steps, the same file on every machine.

python -m course_tools.make_problems > llm_course/prompting/data/problems.jsonl
"""

import itertools
import json
import random
from collections.abc import Iterator
from typing import Any

NAMES = ["Ana", "Ben", "Carla", "David", "Emma", "Felix", "Greta", "Hugo", "Ida", "Jonas"]
THINGS = ["apples", "pens", "cards", "books", "stamps", "coins", "eggs", "cups", "shells", "keys"]
STORIES = {  # by the signs of the two steps
    "++": [
        "{A} has {a} {t}, finds {b} more, and then buys {c} more. How many {t} does {A} have now?",
        "There are {a} people in a bus. At two stops {b} and then {c} people get on. "
        "How many people are in the bus now?",
    ],
    "+-": [
        "{A} has {a} {t}, buys {b} more, and then gives {c} away. How many {t} does {A} have now?",
        "{A} has {a} {t} and {B} has {b}. Together they lose {c}. How many {t} are left?",
    ],
    "-+": [
        "{A} has {a} {t}, loses {b} of them, and then gets {c} new ones. "
        "How many {t} does {A} have now?",
        "There are {a} people in a bus. At a stop {b} get off and {c} get on. "
        "How many people are in the bus now?",
    ],
    "--": [
        "{A} has {a} {t}, sells {b} of them, and then gives {c} away. "
        "How many {t} does {A} have left?",
        "There are {a} {t} on a table. {A} takes {b} of them, and {B} takes {c}. "
        "How many {t} are left on the table?",
    ],
}
PRINCIPLES = {
    "sums": "Work from left to right: take the first two numbers, then the third.",
    "stories": "Start with what is there, add what comes, and subtract what goes.",
}


def two_steps() -> Iterator[tuple[tuple[int, int, int], str, list[str], int]]:
    "All a ± b ± c of 2 to 7 whose result is above 0, and neither given nor met on the way."
    for a, b, c in itertools.product(range(2, 8), repeat=3):
        for first, second in itertools.product("+-", repeat=2):
            half = a + b if first == "+" else a - b
            result = half + c if second == "+" else half - c
            if min(half, result) > 0 and result not in (a, b, c, half):
                steps = [f"{a} {first} {b} = {half}", f"{half} {second} {c} = {result}"]
                yield (a, b, c), first + second, steps, result


def problems(task: str) -> Iterator[dict[str, Any]]:
    "144 problems, in an order that chance has made once."
    rng = random.Random(task)
    every = list(two_steps())
    for number, ((a, b, c), signs, steps, result) in enumerate(rng.sample(every, 144), 1):
        if task == "sums":
            given = f"{a} {signs[0]} {b} {signs[1]} {c}"
        else:
            (first, second), thing = rng.sample(NAMES, 2), rng.choice(THINGS)
            told = rng.choice(STORIES[signs])
            given = told.format(A=first, B=second, t=thing, a=a, b=b, c=c)
        half = steps[0].split()[-1]
        other = str(a + b + c)  # who adds all
        wrong = [half, str(result + 1), other if other != str(result) else str(result - 1)]
        yield {
            "id": f"{task}-{number:03}",
            "task": task,
            "use": "shot" if number <= 24 else "test",
            "given": given,
            "accepted": [str(result)],
            "wrong": list(dict.fromkeys(wrong)),
            "steps": steps,
            "principle": PRINCIPLES[task],
        }


if __name__ == "__main__":
    for row in itertools.chain(problems("sums"), problems("stories")):
        print(json.dumps(row))
