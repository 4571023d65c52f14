"""Language models, built page by page: tokens, attention, caches, kernels, and what follows."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llm_course._load import load

__version__ = "0.1.0"
__all__ = ["load"]


def __getattr__(name: str) -> object:
    "`load`, imported when somebody asks for it: `import llm_course` alone imports no torch."
    if name == "load":
        from llm_course._load import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(globals().keys() | {"load"})
