"""Random streams. Every draw in a run comes from a generator that the run's seed and the draw's purpose name alone, so
that a choice or a measurement that is switched on shifts no other draw."""

from __future__ import annotations

import hashlib

import torch


def generator(seed: int, *purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
    """A torch generator of its own for this seed and purpose."""
    name = "/".join((str(seed), *purpose)).encode()
    return torch.Generator(device).manual_seed(int.from_bytes(hashlib.sha256(name).digest()[:8], "big") >> 1)
