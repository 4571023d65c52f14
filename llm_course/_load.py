"The programmer's door: `llm_course.load`."

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from llm_course.transformers.checkpoints import DTypeName
    from llm_course.transformers.generation import LanguageModel


def load(
    name_or_path: Path | str | None = None,
    *,
    dtype: torch.dtype | DTypeName | None = None,  # of the weights; None: as in the settings
    device: torch.device | str | None = None,  # None: as in the settings
    folder: Path | str | None = None,  # where known models are kept; None: as in the settings
    packed: bool = False,  # 4-bit layers in memory, for a CPU
) -> LanguageModel:
    """A language model, ready to use: see `llm_course.transformers.checkpoints.load`.

    With `packed` a GGUF file keeps its own 4 bits, and another model's weights are rounded to 4;
    a few tokens are computed by one compiled function, where Numba is installed. Raises
    `ValueError` for what can't be read or packed.
    """
    if packed not in (True, False):
        raise TypeError(f"packed is True or False, got {packed!r}")
    if not packed:
        from llm_course.transformers import checkpoints

        return checkpoints.load(name_or_path, dtype=dtype, device=device, folder=folder)
    wrong = [name for name, value in (("dtype", dtype), ("device", device)) if value is not None]
    if wrong:
        raise ValueError(
            f"a packed model computes in float32 on the CPU; leave out {', '.join(wrong)}"
        )
    from llm_course.compression.packed import PackedTransformer, has_kernel, load_packed

    lm = load_packed(name_or_path, folder=folder)
    if has_kernel() and isinstance(lm.model, PackedTransformer):
        from llm_course.compression.step import enable_step

        enable_step(lm.model)
    return lm
