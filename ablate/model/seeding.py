"""Random streams. Each purpose in a run has a generator of its own, seeded by the run's seed and the purpose's name, so
that another choice or measurement changes no other draw."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def generator(seed: int, *purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
    """A new torch generator, seeded by a hash of the seed and the purpose."""
    name = "/".join((str(seed), *purpose)).encode()
    return torch.Generator(device).manual_seed(int.from_bytes(hashlib.sha256(name).digest()[:8], "big") >> 1)


class Streams:
    """The random streams of a run by name, which are saved and restored together."""

    def __init__(self, seed: int, device: torch.device | str = "cpu") -> None:
        self.seed, self.device = seed, device
        self.generators: dict[str, torch.Generator] = {}

    def __getitem__(self, name: str) -> torch.Generator:
        if name not in self.generators:
            self.generators[name] = generator(self.seed, name, device=self.device)
        return self.generators[name]

    def state(self) -> dict[str, Tensor]:
        return {name: stream.get_state() for name, stream in self.generators.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        for name, value in state.items():
            self[name].set_state(value)
