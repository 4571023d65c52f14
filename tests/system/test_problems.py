"The problems of two steps are what their script makes."

import json
from importlib.resources import files

from course_tools.make_problems import problems


def test_the_file_of_problems_is_what_its_script_makes():
    path = files("llm_course.prompting") / "data" / "problems.jsonl"
    made = [json.dumps(row) for name in ("sums", "stories") for row in problems(name)]
    assert path.read_text(encoding="utf-8").splitlines() == made
