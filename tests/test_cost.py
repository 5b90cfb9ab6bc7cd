"""What a model costs, against formulas and against torch's counter."""

from dataclasses import replace

import pytest
import torch
from tiny import TINY, VOCABULARY, describe, every_choice, tokens
from torch.utils.flop_counter import FlopCounterMode

from ablate.config import CHOICES, ModelConfig
from ablate.model import build, smallest
from ablate.model.flops import flops_per_token, parameter_count
from ablate.model.token_loss import token_loss

SOURCE, TARGET = 7, 5  # tokens
SIZES = [
    *(replace(TINY, ffn_ratio=ratio) for ratio in (1.0, 2.0, 4.0, 8.0, 8 / 3)),
    replace(TINY, layers=3),
    replace(TINY, heads=8),
    replace(TINY, d_model=20, head_width=8),
    replace(TINY, attention_dropout=0.1),
]
MODELS = [*every_choice(), *SIZES]
each_model = pytest.mark.parametrize("config", MODELS, ids=describe)


@each_model
def test_counting_parameters_needs_no_model(config: ModelConfig) -> None:
    counted = parameter_count(config, VOCABULARY)
    assert counted == sum(parameter.numel() for parameter in build(config, VOCABULARY).parameters())


@each_model
def test_the_smallest_model_of_a_kind_takes_next_to_no_memory(config: ModelConfig) -> None:
    small = smallest(config)
    assert small.architecture == config.architecture
    assert parameter_count(small, VOCABULARY) < 10_000


@pytest.mark.parametrize("architecture", CHOICES["model.architecture"])
def test_a_model_that_fits_no_memory_is_counted(architecture: str) -> None:
    assert parameter_count(ModelConfig(architecture=architecture, d_model=16384, layers=100), 10**6) > 10**11


@each_model
def test_flops_are_those_of_the_matrix_products(config: ModelConfig) -> None:
    """A product [a, b] [b, c] takes 2abc operations, and its backward pass twice that, a product for each factor."""
    forward, rel = FORWARD[config.architecture](config)
    assert flops_per_token(config, VOCABULARY, SOURCE, TARGET) == pytest.approx(3 * forward / TARGET, rel=rel)


def of_transformer(config: ModelConfig) -> tuple[float, float]:
    """Operations of a forward pass, and by how much three of them may differ from training."""
    d, inner, ffn = config.d_model, config.heads * config.d_k, config.d_ffn

    def attention(queries: int, keys: int) -> int:
        projections = 2 * queries * d * inner + 2 * keys * d * inner  # queries and output, keys and values
        return 2 * projections + 2 * (2 * queries * keys * inner)  # scores, and the mix of values

    encoder = attention(SOURCE, SOURCE) + 2 * (2 * SOURCE * d * ffn)
    decoder = attention(TARGET, TARGET) + attention(TARGET, SOURCE) + 2 * (2 * TARGET * d * ffn)
    return config.layers * (encoder + decoder) + 2 * TARGET * d * VOCABULARY, 1e-6


def of_lstm(config: ModelConfig) -> tuple[float, float]:
    """No gradient goes to the state before an encoder's first token, which is a constant."""
    d, half = config.d_model, config.d_model // 2
    encoder = 2 * (2 * SOURCE * (d + half) * 4 * half)  # two directions; four gates of input and state
    decoder = 2 * TARGET * (d + d) * 4 * d
    bridge = 2 * d * 2 * d * config.layers
    attention = 2 * TARGET * d * d + 2 * (2 * TARGET * SOURCE * d) + 2 * TARGET * 2 * d * d
    return config.layers * (encoder + decoder) + bridge + attention + 2 * TARGET * d * VOCABULARY, 0.05


FORWARD = {"encoder_decoder": of_transformer, "lstm": of_lstm}


@each_model
def test_flops_are_what_torch_counts_while_a_model_learns(config: ModelConfig) -> None:
    model, labels = build(config, VOCABULARY).train(), tokens(1, TARGET, seed=2)
    unfused = torch.nn.attention.sdpa_kernel(MATH), torch.backends.mkldnn.flags(enabled=False)  # LSTMs, the second
    with FlopCounterMode(display=False) as counter, unfused[0], unfused[1]:
        token_loss(model(tokens(1, SOURCE), tokens(1, TARGET, seed=1)), labels, 0.1).backward()
    assert flops_per_token(config, VOCABULARY, SOURCE, TARGET) == counter.get_total_flops() / TARGET


MATH = torch.nn.attention.SDPBackend.MATH  # fused kernels compute the scores again on the way back
