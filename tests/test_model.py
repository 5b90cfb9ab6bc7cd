from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from tiny import HEAD_WIDTHS, TINY, VOCABULARY, describe, every_choice, tiny_model, tiny_transformer, tokens

from ablate.config import CHOICES, BadInput, ModelConfig
from ablate.data.vocabulary import PAD
from ablate.model import build
from ablate.model.attention import ATTENTION_SCALES
from ablate.model.seeding import Streams
from ablate.store.parts import Part
from ablate.training.member import seed_dropout

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
    state = model.start(source)
    stepwise = [model.step(state, target[:, t]) for t in range(target.shape[1])]
    torch.testing.assert_close(torch.stack(stepwise, 1), model(source, target), **close)


SELECTIONS = {  # a step -> the rows that are kept before it
    "rows of their own": {3: [2, 0, 0]},
    "hypotheses of every source, then of some": {
        0: [0, 0, 1, 1, 2, 2],
        2: [1, 0, 2, 2, 5, 4],
        4: [1, 1, 5, 4],
        6: [2, 3],
    },
    "as many of each, then not": {1: [0, 0, 2, 2], 3: [1, 2, 3], 5: [2, 0, 1, 1]},
}


@pytest.mark.parametrize("selections", SELECTIONS)
@each_choice
def test_decoding_goes_on_with_the_rows_that_are_selected(config: ModelConfig, selections: str) -> None:
    model, source, target = tiny_model(config), tokens(3, 6), tokens(3, 7, seed=1)
    state, kept = model.start(source), torch.arange(3)
    for t in range(target.shape[1]):
        if t in SELECTIONS[selections]:
            rows = torch.tensor(SELECTIONS[selections][t])
            state.select(rows)
            kept = kept[rows]
        logits = model.step(state, target[kept, t])
        torch.testing.assert_close(logits, model(source[kept], target[kept, : t + 1])[:, -1], **close)


@each_choice
def test_parts_hold_every_parameter_once(config: ModelConfig) -> None:
    model = tiny_model(config)
    held = [id(parameter) for module in model.parts().values() for parameter in module.parameters()]
    assert sorted(held) == sorted(id(parameter) for parameter in model.parameters())
    assert [Part.read(str(part)) for part in model.parts()] == [*model.parts()]


@pytest.mark.parametrize("config", [*every_choice(), *RATIOS], ids=str)
def test_every_parameter_gets_a_gradient(config: ModelConfig) -> None:
    model = tiny_model(config)
    model(tokens(3, 6), tokens(3, 7, seed=1)).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        # A key's bias adds the same to all scores of a query, which the softmax takes out again.
        assert parameter.grad.abs().sum() > 0 or name.endswith("key.bias"), name


CHANGES: list[dict[str, Any]] = [
    *({key.removeprefix("model."): name} for key in CHOICES if key.startswith("model.") for name in CHOICES[key]),
    *({"ffn_ratio": ratio} for ratio in (1.0, 2.0, 4.0, 8.0)),
    {"heads": 4},
    {"head_width": 5},
    {"d_model": 32},
    {"layers": 3},
    {"dropout": 0.5},
    {"attention_dropout": 0.5},
]


def test_every_field_of_the_model_is_tried() -> None:
    assert {key for change in CHANGES for key in change} == {item.name for item in fields(ModelConfig)}


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_no_knob_is_dead(change: dict) -> None:
    config = replace(TINY, dropout=0.1, attention_dropout=0.1)
    outputs = []
    for variant in (config, replace(config, **change)):
        model = build(variant, VOCABULARY)
        seed_dropout(model, Streams(0))
        outputs.append(model.train()(tokens(3, 6), tokens(3, 7, seed=1)))
    same = replace(config, **change) == config
    assert torch.equal(*outputs) == same


@each_choice
def test_variants_share_the_initial_values_of_the_parameters_that_they_share(config: ModelConfig) -> None:
    baseline, variant = (dict(build(each, VOCABULARY, seed=3).named_parameters()) for each in (TINY, config))
    shared = [name for name in baseline if name in variant]
    assert shared
    for name in shared:
        if baseline[name].shape == variant[name].shape:  # another width has other values
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


def test_positions_have_no_end() -> None:
    model, source = tiny_transformer(), tokens(1, 600)
    assert model.encode(source).isfinite().all()


@pytest.mark.parametrize("head_width", [None, *HEAD_WIDTHS])
@pytest.mark.parametrize("scale", ATTENTION_SCALES)
def test_attention_is_softmax_of_the_scaled_products(scale: str, head_width: int | None) -> None:
    torch.manual_seed(0)
    config = replace(TINY, attention_scale=scale, head_width=head_width)
    attention = tiny_transformer(config).encoder.layers[0].self_attention.sublayer
    x, width = torch.randn(2, 5, TINY.d_model), head_width or TINY.d_model // TINY.heads
    q, k, v = (
        projection(x).reshape(2, 5, TINY.heads, width).permute(0, 2, 1, 3)
        for projection in (attention.query, attention.key, attention.value)
    )
    divisor = {"sqrt": width**0.5, "none": 1.0}[scale]
    mixed = torch.softmax(torch.einsum("bhqd,bhkd->bhqk", q, k) / divisor, dim=-1) @ v
    expected = attention.output(mixed.permute(0, 2, 1, 3).reshape(2, 5, TINY.heads * width))
    torch.testing.assert_close(attention(x, torch.ones(2, 1, 5, 5, dtype=torch.bool)), expected)


@each_choice
def test_a_head_width_of_d_model_over_heads_is_the_default(config: ModelConfig) -> None:
    if config.head_width is None:
        default, same = (build(each, VOCABULARY) for each in (config, replace(config, head_width=config.d_k)))
        torch.testing.assert_close(same.state_dict(), default.state_dict(), rtol=0, atol=0)
        arguments = tokens(3, 6), tokens(3, 7, seed=1)
        assert torch.equal(same.eval()(*arguments), default.eval()(*arguments))


@pytest.mark.parametrize("width", HEAD_WIDTHS)
def test_heads_of_a_width_of_their_own_change_the_attentions_alone(width: int) -> None:
    default, changed = (build(replace(TINY, head_width=each), VOCABULARY) for each in (None, width))
    shapes = [{name: tuple(each.shape) for name, each in model.named_parameters()} for model in (default, changed)]
    assert shapes[0].keys() == shapes[1].keys()
    for name, shape in shapes[0].items():
        inner = TINY.heads * width
        expected = {
            ("query", "weight"): (inner, TINY.d_model),
            ("key", "weight"): (inner, TINY.d_model),
            ("value", "weight"): (inner, TINY.d_model),
            ("output", "weight"): (TINY.d_model, inner),
            ("query", "bias"): (inner,),
            ("key", "bias"): (inner,),
            ("value", "bias"): (inner,),
        }.get((name.split(".")[-2], name.split(".")[-1]), shape)
        assert shapes[1][name] == expected, name


def test_heads_need_not_divide_d_model_where_they_have_a_width() -> None:
    with pytest.raises(BadInput, match=r"model\.heads=3 does not divide model\.d_model=16; it may be 1, 2, 4, 8, 16"):
        replace(TINY, heads=3)
    assert replace(TINY, heads=3, head_width=4).d_k == 4
    with pytest.raises(BadInput, match="head_width"):
        replace(TINY, head_width=0)
