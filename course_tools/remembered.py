"Results of long experiments, kept on disk by their settings, so that a page runs again quickly."

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from llm_course.core import atomic_write, settings


def remembered(name: str, make: Callable[..., Any], **given: Any) -> Any:
    """What `make(**given)` returned in an earlier run with the same settings, or returns now.

    The result is what JSON can hold. Other settings give another result; a change of the function
    isn't seen, so its version belongs in them. A quick run computes anew and keeps nothing.
    """
    if settings.budget != "full":
        return make(**given)
    words = json.dumps(given, sort_keys=True)
    digest = hashlib.blake2b(words.encode(), digest_size=6).hexdigest()
    path = settings.cache / "runs" / f"{name}-{digest}.json"
    if path.is_file():
        return json.loads(path.read_text(encoding="utf-8"))["result"]
    result = make(**given)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temp:
        temp.write_text(json.dumps({"settings": given, "result": result}), encoding="utf-8")
    return json.loads(json.dumps(result))
