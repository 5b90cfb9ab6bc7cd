"""How near a training step comes to the hardware's limit: its operations a second, beside the largest matrix product's.

Steps and products take turns in one process. Operations are those of matrix products, as torch counts them while it
computes (padding counts), and by formula those of real tokens alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from ablate.benchmark.subjects.own import Answer, Asked, Measure, config_of, serve
from ablate.config import ModelConfig
from ablate.data.batches import Batch, Batches
from ablate.data.corpus import Corpus
from ablate.data.vocabulary import PAD
from ablate.model.flops import flops_per_token
from ablate.training import machine
from ablate.training.loop import TrainState, step
from ablate.training.member import initial_state

SQUARES = {"cpu": (512, 1024, 2048), "cuda": (2048, 4096, 8192)}  # rows of the matrices that are multiplied
COPIED = {"cpu": 2**26, "cuda": 2**30}  # bytes, far beyond any cache
PRODUCTS = ("mm", "bmm", "addmm", "baddbmm", "linear", "scaled_dot_product", "matmul")
VISITS = 9  # of each parameter, in float32, that an update cannot avoid: forward, backward, gradient, Adam's moments


def prepare(asked: Asked) -> Measure:
    machine.keep_freed_memory()
    machine.use_one_thread()
    device = torch.device(asked["device"])
    config, corpus = config_of(asked), Corpus.load(asked["corpus"])
    size = corpus.metadata["vocabulary_size"]
    batches = Batches(corpus.train, config.train.batch_tokens, device)
    state = initial_state(config, size, 0, device)
    dtype = torch.bfloat16 if config.precision.name == "bf16" else torch.float32
    weights = useful_weights(config.model, size)
    chosen = [batches.at(update, seed=0) for update in range(asked["updates"])]
    machine.reset_peak_memory(device)
    steps(state, chosen[: asked["warmup"]])

    def measure() -> Answer:
        matrices = {n: torch.randn(n, n, device=device, dtype=dtype) for n in squares(asked)}
        seconds, products = [], []
        for _ in range(asked["rounds"]):
            seconds.append(timed(lambda: steps(state, chosen), device, tries=1) / len(chosen))
            products.append({str(n): 2 * n**3 / timed(product(matrix), device) for n, matrix in matrices.items()})
        memory = machine.peak_memory(device)
        parameters = sum(each.numel() for each in state.model.parameters())
        return {
            "seconds": seconds,
            "products": products,  # operations a second of each size, by round
            "operations": counted(state, chosen) / len(chosen),
            "useful": sum(useful(weights, batch) for batch in chosen) / len(chosen),
            "share": share_in_products(state, chosen[:10], device),
            "bandwidth": bandwidth(device),
            "bytes": 4 * VISITS * parameters,
            "memory": memory,
            "device_name": machine.device_name(device),
        }

    return measure


def squares(asked: Asked) -> tuple[int, ...]:
    return (64, 128) if asked["quick"] else SQUARES[asked["device"]]


def steps(state: TrainState, batches: list[Batch]) -> None:
    for batch in batches:
        step(state, batch)


def product(matrix: torch.Tensor) -> Callable[[], Any]:
    return lambda: matrix @ matrix


def timed(work: Callable[[], Any], device: torch.device, tries: int = 3) -> float:
    """Seconds of the fastest try. For a limit there are several: the first may load code, and any may be disturbed."""
    found = []
    for _ in range(tries):
        wait(device)
        began = time.perf_counter()
        work()
        wait(device)
        found.append(time.perf_counter() - began)
    return min(found)


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def counted(state: TrainState, batches: list[Batch]) -> float:
    """By attention's plain kernel, since torch does not count the fused one of CPUs."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        steps(state, batches)
    return float(counter.get_total_flops())


def useful_weights(config: ModelConfig, vocabulary_size: int) -> np.ndarray:
    """Operations of one pair without padding are a quadratic in its two lengths: the weights of `terms`."""
    points = [(4, 4), (4, 8), (8, 4), (8, 8), (12, 8), (8, 12)]
    found = [flops_per_token(config, vocabulary_size, source, target) * target for source, target in points]
    return np.linalg.solve(terms(np.array(points)), np.array(found))


def useful(weights: np.ndarray, batch: Batch) -> float:
    """Operations of the real tokens of a batch."""
    lengths = torch.stack([(batch.source != PAD).sum(1), (batch.target[:, 1:] != PAD).sum(1)], dim=1)
    return float((terms(lengths.cpu().numpy()) @ weights).sum())


def terms(lengths: np.ndarray) -> np.ndarray:  # [N, 2] -> [N, 6]
    s, t = lengths[:, 0].astype(float), lengths[:, 1].astype(float)
    return np.stack([np.ones_like(s), s, t, s * s, s * t, t * t], axis=1)


def share_in_products(state: TrainState, batches: list[Batch], device: torch.device) -> float:
    """Share of a step's time that torch's profiler finds in matrix products, attention's own among them."""
    cuda = device.type == "cuda"
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]) as seen:
        steps(state, batches)
        wait(device)
    name = "self_device_time_total" if cuda else "self_cpu_time_total"
    times = {event.key: getattr(event, name) for event in seen.key_averages()}
    inside = sum(time for key, time in times.items() if is_product(key))
    return float(inside / sum(times.values()))


def is_product(name: str) -> bool:
    bare = name.removeprefix("aten::").removeprefix("_")
    return bare.startswith(PRODUCTS) or "gemm" in bare


def bandwidth(device: torch.device) -> float:
    """Bytes a second that a copy reads and writes."""
    tensor = torch.ones(COPIED[device.type] // 4, device=device)
    target = torch.empty_like(tensor)
    return 2 * COPIED[device.type] / timed(lambda: target.copy_(tensor), device)


if __name__ == "__main__":
    serve(prepare)
