"""The training curve of a run, and the test whether the run diverges."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

FLUSH_EVERY = 25  # updates between reads of the loss; each read waits for the GPU
DIVERGED_OVER = 50  # updates whose mean loss is compared with the initial loss
DIVERGED_BY = 1.0  # nats

Row = tuple[int, float, float, float, int, float]
COLUMNS = ("update", "loss", "lr", "gradient_norm", "tokens", "seconds")


class Meter:
    """Collects the measurements of each update and writes them as rows, several updates at a time.

    A row: update, label-smoothed loss (nats per target token), learning rate, gradient norm before clipping, target
    tokens of the update, seconds of training until the row was written, without pauses.
    """

    def __init__(self, write: Callable[[list[Row]], None]) -> None:
        self.write = write
        self.diverged_at: int | None = None
        self.tokens = 0
        self.seconds = 0.0
        self.waiting: list[tuple[int, float, Tensor]] = []
        self.first_loss: float | None = None
        self.losses: deque[float] = deque(maxlen=DIVERGED_OVER)
        self.began = time.perf_counter()

    def add(self, update: int, lr: float, measured: Tensor) -> None:
        """`measured` is [loss, gradient norm, target tokens], on any device."""
        self.waiting.append((update, lr, measured))
        if len(self.waiting) == FLUSH_EVERY:
            self.flush()

    def flush(self) -> None:
        """Write the collected rows. This waits for the device, so the clock is read here."""
        if not self.waiting:
            return
        values = torch.stack([measured for _, _, measured in self.waiting]).tolist()
        self.seconds += time.perf_counter() - self.began
        rows: list[Row] = []
        for (update, lr, _), (loss, norm, tokens) in zip(self.waiting, values):
            rows.append((update, loss, lr, norm, int(tokens), self.seconds))
            self.tokens += int(tokens)
            if self._diverged(loss):
                self.diverged_at = update
                break
        self.write(rows)
        self.waiting = []
        self.resume()

    def resume(self) -> None:
        """Start the clock again after a pause."""
        self.began = time.perf_counter()

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps. Call it after `flush`."""
        return {
            "tokens": self.tokens,
            "seconds": self.seconds,
            "first_loss": self.first_loss,
            "losses": list(self.losses),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.tokens, self.seconds, self.first_loss = state["tokens"], state["seconds"], state["first_loss"]
        self.losses = deque(state["losses"], maxlen=DIVERGED_OVER)

    @property
    def tokens_per_second(self) -> float | None:
        return self.tokens / self.seconds if self.seconds else None

    def _diverged(self, loss: float) -> bool:
        """Whether the loss is not finite, or its mean over the last updates lies a nat above the first loss."""
        self.first_loss = loss if self.first_loss is None else self.first_loss
        self.losses.append(loss)
        mean = sum(self.losses) / len(self.losses)
        full = len(self.losses) == DIVERGED_OVER
        return not math.isfinite(loss) or (full and mean > self.first_loss + DIVERGED_BY)
