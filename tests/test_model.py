from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tiny import TINY, VOCABULARY, describe, every_choice, tiny_model, tokens
from torch import nn

from ablate.config import AttentionScale, ModelConfig
from ablate.model import build
from ablate.model.attention import ATTENTION_SCALES
from ablate.model.cache import DecoderCache
from ablate.model.cost import parameter_count
from ablate.model.position import sinusoids
from ablate.model.transformer import Transformer, causal_mask
from ablate.training.member import seed_dropout
from ablate.vocabulary import PAD

each_choice = pytest.mark.parametrize("config", every_choice(), ids=describe)
RATIOS = [replace(TINY, ffn_ratio=ratio) for ratio in (1.0, 2.0, 4.0, 8.0, 8 / 3)]
# Without the skip or with unscaled attention activations may be large, and so may be rounding.
close = {"rtol": 1e-4, "atol": 1e-4}


@each_choice
def test_decoder_cannot_see_the_future(config: ModelConfig) -> None:
    model, source, target = tiny_model(config), tokens(3, 6), tokens(3, 7, seed=1)
    changed = target.clone()
    changed[:, -1] = (changed[:, -1] - 3) % (VOCABULARY - 4) + 4
    before, after = model(source, target), model(source, changed)
    torch.testing.assert_close(before[:, :-1], after[:, :-1])
    assert not torch.equal(before[:, -1], after[:, -1])


@each_choice
def test_padding_changes_nothing(config: ModelConfig) -> None:
    model, source, target = tiny_model(config), tokens(3, 6), tokens(3, 7, seed=1)
    padding = torch.full((3, 4), PAD)
    wide = model(torch.cat([source, padding], 1), torch.cat([target, padding], 1))[:, :7]
    torch.testing.assert_close(wide, model(source, target), **close)


@each_choice
def test_a_pair_scores_the_same_alone_and_in_a_batch(config: ModelConfig) -> None:
    model, source, target = tiny_model(config), tokens(4, 6), tokens(4, 7, seed=1)
    together = model(source, target)
    for row in range(4):
        torch.testing.assert_close(model(source[row : row + 1], target[row : row + 1])[0], together[row], **close)


@each_choice
def test_decoding_with_a_cache_equals_decoding_without(config: ModelConfig) -> None:
    model, source, target = tiny_model(config), tokens(3, 6), tokens(3, 7, seed=1)
    memory, cache = model.encode(source), DecoderCache(config.layers)
    stepwise = [model.decode(target[:, t : t + 1], memory, source, cache) for t in range(target.shape[1])]
    torch.testing.assert_close(torch.cat(stepwise, 1), model(source, target), **close)


@pytest.mark.parametrize("config", [*every_choice(), *RATIOS], ids=str)
def test_every_parameter_gets_a_gradient(config: ModelConfig) -> None:
    model = tiny_model(config)
    model(tokens(3, 6), tokens(3, 7, seed=1)).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        # A key's bias adds the same to all scores of a query, which the softmax takes out again.
        assert parameter.grad.abs().sum() > 0 or name.endswith("key.bias"), name


@pytest.mark.parametrize(
    "change",
    [
        *({"norm_placement": member} for member in type(TINY.norm_placement)),
        *({"residual": member} for member in type(TINY.residual)),
        *({"attention_scale": member} for member in type(TINY.attention_scale)),
        *({"activation": member} for member in type(TINY.activation)),
        *({"ffn_ratio": ratio} for ratio in (1.0, 2.0, 4.0, 8.0)),
        {"heads": 4},
        {"d_model": 32},
        {"layers": 3},
        {"dropout": 0.5},
        {"attention_dropout": 0.5},
    ],
    ids=str,
)
def test_no_knob_is_dead(change: dict) -> None:
    config = replace(TINY, dropout=0.1, attention_dropout=0.1)
    outputs = []
    for variant in (config, replace(config, **change)):
        model = build(variant, VOCABULARY)
        seed_dropout(model, 0, torch.device("cpu"))
        outputs.append(model.train()(tokens(3, 6), tokens(3, 7, seed=1)))
    same = replace(config, **change) == config
    assert torch.equal(*outputs) == same


@each_choice
def test_variants_share_the_initial_values_of_the_parameters_that_they_share(config: ModelConfig) -> None:
    baseline, variant = (dict(build(each, VOCABULARY, seed=3).named_parameters()) for each in (TINY, config))
    shared = [name for name in baseline if name in variant]
    assert len(shared) > 0.9 * len(baseline)
    for name in shared:
        assert torch.equal(baseline[name], variant[name]), name


def test_a_seed_gives_a_model_of_its_own() -> None:
    first, second, again = (build(TINY, VOCABULARY, seed).embedding.table.weight for seed in (0, 1, 0))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_queries_keys_and_values_start_as_xavier_matrices_of_their_own() -> None:
    config = replace(TINY, d_model=256)
    attention = build(config, VOCABULARY).encoder.layers[0].self_attention.sublayer
    for projection in (attention.query, attention.key, attention.value):
        assert projection.weight.std().item() == pytest.approx((2 / (256 + 256)) ** 0.5, rel=0.02)
    assert not torch.equal(attention.query.weight, attention.key.weight)


def test_embeddings_have_unit_variance_once_scaled() -> None:
    embedding = build(replace(TINY, d_model=64), 1000).embedding
    scaled = embedding.scale * embedding.table.weight
    assert scaled.std().item() == pytest.approx(1, rel=0.02)


def test_the_output_layer_is_the_embedding() -> None:
    model = build(TINY, VOCABULARY)
    assert [tuple(p.shape) for p in model.parameters()].count((VOCABULARY, TINY.d_model)) == 1


@pytest.mark.parametrize("config", [*every_choice(), *RATIOS], ids=str)
def test_counting_parameters_needs_no_model(config: ModelConfig) -> None:
    assert parameter_count(config, VOCABULARY) == sum(p.numel() for p in build(config, VOCABULARY).parameters())


def test_sinusoids_are_those_of_the_paper() -> None:
    table = sinusoids(40, 12)
    for position in range(40):
        for i in range(6):
            angle = torch.tensor(position / 10000 ** (2 * i / 12), dtype=torch.float64)
            assert table[position, 2 * i] == pytest.approx(angle.sin().item(), abs=1e-12)
            assert table[position, 2 * i + 1] == pytest.approx(angle.cos().item(), abs=1e-12)


def test_positions_have_no_end() -> None:
    model, source = tiny_model(), tokens(1, 600)
    assert model.encode(source).isfinite().all()


@pytest.mark.parametrize("scale", ATTENTION_SCALES)
def test_attention_is_softmax_of_the_scaled_products(scale: str) -> None:
    torch.manual_seed(0)
    attention = (
        tiny_model(replace(TINY, attention_scale=AttentionScale[scale])).encoder.layers[0].self_attention.sublayer
    )
    x, d_model, heads = torch.randn(2, 5, attention.query.in_features), attention.query.in_features, attention.heads
    q, k, v = (
        projection(x).reshape(2, 5, heads, d_model // heads).permute(0, 2, 1, 3)
        for projection in (attention.query, attention.key, attention.value)
    )
    divisor = {"sqrt": (d_model // heads) ** 0.5, "none": 1.0}[scale]
    mixed = torch.softmax(torch.einsum("bhqd,bhkd->bhqk", q, k) / divisor, dim=-1) @ v
    expected = attention.output(mixed.permute(0, 2, 1, 3).reshape(2, 5, d_model))
    torch.testing.assert_close(attention(x, torch.ones(2, 1, 5, 5, dtype=torch.bool)), expected)


def torch_stacks(model: Transformer, config: ModelConfig) -> tuple[nn.TransformerEncoder, nn.TransformerDecoder]:
    """torch's own encoder and decoder with the model's weights."""
    pre = config.norm_placement.name == "pre"
    settings: dict[str, Any] = {
        "d_model": config.d_model,
        "nhead": config.heads,
        "dim_feedforward": config.d_ffn,
        "dropout": 0.0,
        "activation": vars(F)[config.activation.name],
        "batch_first": True,
        "norm_first": pre,
    }
    final = [nn.LayerNorm(config.d_model) if pre else None for _ in range(2)]
    encoder = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(**settings), config.layers, final[0], enable_nested_tensor=False
    )
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(**settings), config.layers, final[1])
    sublayers = {"self_attention": "self_attn", "cross_attention": "multihead_attn"}
    for ours, theirs in ((model.encoder, encoder), (model.decoder, decoder)):
        if pre:
            theirs.norm.load_state_dict(ours.final_norm.state_dict())
        for layer, reference in zip(ours.layers, theirs.layers):
            names = [name for name, _ in layer.named_children()]
            for number, name in enumerate(names, start=1):
                wiring = getattr(layer, name)
                getattr(reference, f"norm{number}").load_state_dict(wiring.norm.state_dict())
                if name == "feedforward":
                    reference.linear1.load_state_dict(wiring.sublayer.inner.state_dict())
                    reference.linear2.load_state_dict(wiring.sublayer.outer.state_dict())
                else:
                    port_attention(wiring.sublayer, getattr(reference, sublayers[name]))
    return encoder, decoder


@torch.no_grad()
def port_attention(ours: nn.Module, theirs: nn.MultiheadAttention) -> None:
    projections = (ours.query, ours.key, ours.value)
    theirs.in_proj_weight.copy_(torch.cat([projection.weight for projection in projections]))
    theirs.in_proj_bias.copy_(torch.cat([projection.bias for projection in projections]))
    theirs.out_proj.load_state_dict(ours.output.state_dict())


@pytest.mark.parametrize(
    "config",
    [c for c in every_choice() if c.residual.name == "add" and c.attention_scale.name == "sqrt"],
    ids=describe,
)
def test_logits_and_gradients_equal_those_of_torch(config: ModelConfig) -> None:
    model = tiny_model(config)
    encoder, decoder = torch_stacks(model, config)
    for module in (model, encoder, decoder):
        module.double()  # so that a difference is one of arithmetic, not of rounding
    source, target = tokens(3, 6), tokens(3, 7, seed=1)
    source[0, 4:] = PAD
    target[1, 5:] = PAD
    padding = source == PAD
    memory = encoder(model.embedding(source), src_key_padding_mask=padding)
    decoded = decoder(
        model.embedding(target), memory, tgt_mask=~causal_mask(0, target), memory_key_padding_mask=padding
    )
    expected, logits = model.embedding.logits(decoded), model(source, target)
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)

    table = model.embedding.table.weight
    weights = torch.randn(logits.shape, generator=torch.Generator().manual_seed(2)).double()
    pairs = [
        (table, table),
        (model.encoder.layers[0].feedforward.sublayer.inner.weight, encoder.layers[0].linear1.weight),
        (
            model.decoder.layers[1].cross_attention.sublayer.output.weight,
            decoder.layers[1].multihead_attn.out_proj.weight,
        ),
        (model.decoder.layers[0].self_attention.norm.weight, decoder.layers[0].norm1.weight),
    ]
    ours = torch.autograd.grad((logits * weights).sum(), [pair[0] for pair in pairs])
    theirs = torch.autograd.grad((expected * weights).sum(), [pair[1] for pair in pairs])
    for mine, reference in zip(ours, theirs):
        torch.testing.assert_close(mine, reference, rtol=1e-5, atol=1e-5)
