"""A figure of a training run that is drawn anew while it goes on, for the notebooks."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
from IPython.display import display


class LossPlot:
    "Draws loss and validation loss anew every few seconds: for a trainer's `on_step`."

    def __init__(self, seconds: float = 2.0):
        self.seconds = seconds  # between two drawings
        self._last = time.monotonic()
        self._handle: Any = None

    def __call__(self, trainer: Any, record: Mapping[str, Any]) -> None:
        is_last = trainer.step == trainer.config.steps
        if time.monotonic() - self._last < self.seconds and not is_last:
            return
        self._last = time.monotonic()
        figure = draw_losses(trainer.history)
        if self._handle is None:
            self._handle = display(figure, display_id=True)
        else:
            self._handle.update(figure)
        plt.close(figure)


def draw_losses(history: Sequence[Mapping[str, Any]]) -> plt.Figure:
    "A figure of loss and validation loss by step."
    figure, axis = plt.subplots(figsize=(7.5, 3), layout="constrained")
    steps = [record["step"] for record in history]
    axis.plot(steps, [record["loss"] for record in history], linewidth=1, label="training")
    tested = [record for record in history if "validation" in record]
    if tested:
        losses = [record["validation"] for record in tested]
        axis.plot([record["step"] for record in tested], losses, "o-", label="validation")
    axis.set_xlabel("step")
    axis.set_ylabel("loss, nats a token")
    axis.legend()
    return figure
