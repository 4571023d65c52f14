"""Write constraints.txt: the versions that are installed, which are those the tests passed with."""

import re
from importlib.metadata import distributions

HEAD = """\
# The versions that the course was tested with (Python 3.11). Written by `make constraints`.
# torch has no local version here, so that pip may take any build of it (CPU, CUDA).
"""
# The last series that runs on Python 3.10 is older than the one tested: there pip may choose.
lines = []
for d in distributions():
    name, version = re.sub(r"[-_.]+", "-", d.metadata["Name"]).lower(), d.version.split("+")[0]
    if name in ("llm-course", "setuptools", "wheel"):
        continue
    needs = re.search(r">=\s*3\.(\d+)", d.metadata.get("Requires-Python") or "")
    lines.append(
        f"{name}=={version}"
        + (f'; python_version >= "3.{needs[1]}"' if needs and int(needs[1]) > 10 else "")
    )
open("constraints.txt", "w", encoding="utf-8").write(HEAD + "\n".join(sorted(set(lines))) + "\n")
