"""The model, its loss and its positions against what others have of them: torch, and the paper's formulas."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tiny import TINY, VOCABULARY, describe, tiny_transformer, tokens
from torch import Tensor, nn

from ablate.config import CHOICES, ModelConfig
from ablate.data.vocabulary import PAD
from ablate.model.feedforward import ACTIVATIONS
from ablate.model.position import sinusoids
from ablate.model.token_loss import token_loss
from ablate.model.transformer import Transformer, causal_mask

SAME_IN_TORCH = [  # what torch's layers can be told
    replace(TINY, norm_placement=placement, activation=activation)
    for placement in CHOICES["model.norm_placement"]
    for activation in CHOICES["model.activation"]
]
exact = {"rtol": 1e-9, "atol": 1e-9}  # in float64, so that a difference is one of arithmetic and not of rounding


# --- the model ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", SAME_IN_TORCH, ids=describe)
def test_logits_and_gradients_equal_those_of_torch(config: ModelConfig) -> None:
    model = tiny_transformer(config).double()
    encoder, decoder, names = torch_stacks(model, config)
    source, target = tokens(3, 6), tokens(3, 7, seed=1)
    source[0, 4:] = source[2, 1:] = PAD
    target[1, 5:] = target[2, 2:] = PAD
    memory = encoder(model.embedding(source), src_key_padding_mask=source == PAD)
    decoded = decoder(
        model.embedding(target),
        memory,
        tgt_mask=causal_mask(0, target) < 0,
        tgt_key_padding_mask=target == PAD,
        memory_key_padding_mask=source == PAD,
    )
    real = target != PAD
    logits, expected = model(source, target)[real], model.embedding.logits(decoded)[real]
    torch.testing.assert_close(logits, expected, **exact)

    weights = torch.randn(logits.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    own = dict(model.named_parameters())
    gradients = dict(zip(own, torch.autograd.grad((logits * weights).sum(), list(own.values()))))
    theirs = [*names, own["embedding.table.weight"]]
    references = torch.autograd.grad((expected * weights).sum(), theirs)
    parts = [*names.values(), ["embedding.table.weight"]]
    assert sorted(name for each in parts for name in each) == sorted(own)
    for each, reference in zip(parts, references):
        torch.testing.assert_close(torch.cat([gradients[name] for name in each]), reference, **exact)


Names = dict[nn.Parameter, list[str]]  # each of torch's parameters -> the names of ours that it is made of


def torch_stacks(model: Transformer, config: ModelConfig) -> tuple[nn.TransformerEncoder, nn.TransformerDecoder, Names]:
    """torch's own encoder and decoder with the model's weights."""
    pre = config.norm_placement == "pre"
    own = ACTIVATIONS[config.activation]().forward  # torch loses an activation that is a module when it copies a layer
    settings: dict[str, Any] = {
        "d_model": config.d_model,
        "nhead": config.heads,
        "dim_feedforward": config.d_ffn,
        "dropout": 0.0,
        "activation": vars(F).get(config.activation, own),
        "batch_first": True,
        "norm_first": pre,
        "dtype": torch.float64,
    }
    final = [nn.LayerNorm(config.d_model, dtype=torch.float64) if pre else None for _ in range(2)]
    encoder = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(**settings), config.layers, final[0], enable_nested_tensor=False
    )
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(**settings), config.layers, final[1])
    own = dict(model.named_parameters())
    names = {
        parameter: [f"{stack}.{part}" for part in our_names(name, stack)]
        for stack, theirs in (("encoder", encoder), ("decoder", decoder))
        for name, parameter in theirs.named_parameters()
    }
    with torch.no_grad():
        for parameter, parts in names.items():
            parameter.copy_(torch.cat([own[part] for part in parts]))
    return encoder, decoder, names


def our_names(theirs: str, stack: str) -> list[str]:
    """Of the parameters that make up one of torch's, within the stack."""
    if theirs.startswith("norm."):
        return [f"final_{theirs}"]
    _, number, module, *rest = theirs.split(".")
    layer, leaf = f"layers.{number}", rest[-1]
    if module.startswith("norm"):
        return [f"{layer}.{SUBLAYERS[stack][int(module[-1]) - 1]}.norm.{leaf}"]
    if module in LINEAR:
        return [f"{layer}.feedforward.sublayer.{LINEAR[module]}.{leaf}"]
    attention = f"{layer}.{ATTENTIONS[module]}.sublayer"
    if leaf.startswith("in_proj_"):
        return [f"{attention}.{each}.{leaf.removeprefix('in_proj_')}" for each in ("query", "key", "value")]
    return [f"{attention}.output.{leaf}"]


SUBLAYERS = {
    "encoder": ["self_attention", "feedforward"],
    "decoder": ["self_attention", "cross_attention", "feedforward"],
}
ATTENTIONS = {"self_attn": "self_attention", "multihead_attn": "cross_attention"}
LINEAR = {"linear1": "inner", "linear2": "outer"}


# --- the loss -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.3])
def test_the_loss_and_its_gradient_are_those_of_a_smoothed_reference(smoothing: float) -> None:
    """By torch's cross-entropy, and by the definition (Szegedy et al. 2016): q = (1 - e) onehot + e / V."""
    logits = torch.randn(3, 5, VOCABULARY, generator=torch.Generator().manual_seed(0)).requires_grad_()
    labels = tokens(3, 5)
    labels[0, 3:] = labels[2, 1:] = PAD
    real = labels != PAD
    by_torch = F.cross_entropy(logits.transpose(1, 2), labels, ignore_index=PAD, label_smoothing=smoothing)
    q = (1 - smoothing) * F.one_hot(labels, VOCABULARY) + smoothing / VOCABULARY
    by_definition = -(q * torch.log_softmax(logits, -1)).sum(-1)[real].mean()
    loss = token_loss(logits, labels, smoothing)
    [gradient] = torch.autograd.grad(loss, logits)
    for expected in (by_torch, by_definition):
        torch.testing.assert_close(loss, expected)
        torch.testing.assert_close(gradient, *torch.autograd.grad(expected, logits))
    closed_form = (torch.softmax(logits, -1) - q) * real[..., None] / real.sum()
    torch.testing.assert_close(gradient, closed_form.detach())


# --- positions ------------------------------------------------------------------------------------------------------


def paper(position: int, d_model: int) -> list[float]:
    """PE(pos, 2i) = sin(pos / 10000^(2i / d_model)), PE(pos, 2i + 1) the cosine.  Vaswani et al. 2017, section 3.5."""
    angles = [position / 10000 ** (2 * i / d_model) for i in range(d_model // 2)]
    return [wave(angle) for angle in angles for wave in (math.sin, math.cos)]


@pytest.mark.parametrize("d_model", [2, 12, 128, 512])
def test_sinusoids_are_those_of_the_paper(d_model: int) -> None:
    table = sinusoids(600, d_model)
    assert table.dtype == torch.float64
    for position in (0, 1, 2, 17, 100, 599):
        assert table[position].tolist() == pytest.approx(paper(position, d_model), rel=0, abs=1e-12)


@pytest.mark.parametrize("start", [0, 3, 700])
def test_what_enters_the_model_is_the_scaled_embedding_plus_the_position(start: int) -> None:
    embedding, ids = tiny_transformer().embedding, tokens(2, 5)
    positions = Tensor([paper(start + t, TINY.d_model) for t in range(5)])
    expected = math.sqrt(TINY.d_model) * embedding.table.weight[ids] + positions
    torch.testing.assert_close(embedding(ids, start), expected)
