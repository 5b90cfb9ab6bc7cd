"""Build a model from its configuration. Names of choices are looked up here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import nn

from ablate.config import ModelConfig
from ablate.model.architecture import Architecture
from ablate.model.attention import ATTENTION_SCALES, CrossAttention, SelfAttention
from ablate.model.embedding import EMBEDDING_SCALES, TiedEmbedding
from ablate.model.feedforward import ACTIVATIONS, FeedForward
from ablate.model.initialisation import initialise
from ablate.model.lstm import Attention, Decoder, Encoder, Lstm
from ablate.model.norm import NORMS, NoNorm
from ablate.model.position import POSITIONS, Position
from ablate.model.transformer import DecoderLayer, EncoderLayer, Stack, Transformer
from ablate.model.wiring import NORM_PLACEMENTS, RESIDUALS, Wiring
from ablate.plugins import extend


def build(config: ModelConfig, vocabulary_size: int, seed: int = 0) -> Architecture:
    """A freshly initialised model. `model(source, target)` takes ids [B, S] and [B, T] to logits [B, T, V]."""
    model = assemble(config, vocabulary_size)
    initialise(model, seed)
    return model


def assemble(config: ModelConfig, vocabulary_size: int) -> Architecture:
    """A model with torch's initial values, or on torch's meta device a model without values, which costs nothing."""
    return ARCHITECTURES[config.architecture](config, vocabulary_size)


def smallest(config: ModelConfig) -> ModelConfig:
    """The same choices at a size that takes next to no memory."""
    return replace(config, layers=1, d_model=8, heads=1, head_width=4)


def transformer(config: ModelConfig, vocabulary_size: int) -> Transformer:
    d_model, dropout = config.d_model, config.dropout
    wiring, norm = NORM_PLACEMENTS[config.norm_placement], NORMS[config.norm]
    skip = RESIDUALS[config.residual]
    scale = ATTENTION_SCALES[config.attention_scale](config.d_k)
    activation = ACTIVATIONS[config.activation]
    position = POSITIONS[config.position](d_model, config.heads, config.d_k)

    def wire(sublayer: nn.Module) -> Wiring:
        return wiring(sublayer, norm(d_model), skip, dropout)

    def self_attention() -> SelfAttention:
        return SelfAttention(d_model, config.heads, config.d_k, scale, position, config.attention_dropout)

    def cross_attention() -> CrossAttention:
        return CrossAttention(d_model, config.heads, config.d_k, scale, config.attention_dropout)

    def feedforward() -> FeedForward:
        return FeedForward(d_model, config.d_ffn, activation())

    def stack(layers: list[nn.Module]) -> Stack:
        return Stack(layers, norm(d_model) if wiring.final_norm else NoNorm())

    return Transformer(
        TiedEmbedding(vocabulary_size, d_model, position, dropout, EMBEDDING_SCALES[config.embedding_scale](d_model)),
        stack([EncoderLayer(wire, self_attention(), feedforward()) for _ in range(config.layers)]),
        stack([DecoderLayer(wire, self_attention(), cross_attention(), feedforward()) for _ in range(config.layers)]),
    )


def lstm(config: ModelConfig, vocabulary_size: int) -> Lstm:
    d_model, layers, dropout = config.d_model, config.layers, config.dropout
    no_position = Position(d_model, config.heads, config.d_k)  # recurrence already encodes word order
    return Lstm(
        TiedEmbedding(vocabulary_size, d_model, no_position, dropout, EMBEDDING_SCALES["sqrt"](d_model)),
        Encoder(d_model, layers, dropout),
        Decoder(d_model, layers, dropout),
        Attention(d_model),
    )


ARCHITECTURES: dict[str, Callable[[ModelConfig, int], Architecture]] = {"encoder_decoder": transformer, "lstm": lstm}

extend("model.architecture", ARCHITECTURES)
