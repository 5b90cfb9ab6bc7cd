"""The limits of a setting's results. Markdown lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ablate.analysis.judging import ClaimVerdict
from ablate.analysis.metrics import metric
from ablate.config import DataConfig
from ablate.data.lengths import describe_too_long
from ablate.data.unknown import describe_unknown, much
from ablate.records.report_data import ReportData
from ablate.report.wording import decimals_for, escape, number, plural, spoken
from ablate.study import RATE, RATE_KEY, TWINS, Pairs


def limits(data: ReportData, verdicts: Sequence[ClaimVerdict]) -> Iterator[str]:
    unmeasured = [escape(each.claim.id) for each in verdicts if not each.measured]
    if unmeasured:
        yield f"Not measured here: {spoken(unmeasured)}. A metric that is used instead decides no claim."
    untested = [escape(each.claim.id) for each in verdicts if each.verdict is None and each.measured]
    if untested:
        yield f"Not tested here: {spoken(untested)}. A claim is judged only by runs of the variants that it names."
    rates = data.manifest.get("rates", {"cells": {}})["cells"].values()
    rates_differ = RATE_KEY in data.study.varied() or any(RATE in each for each in rates)
    if not rates_differ and len(data.cells) > 1 and data.study.pairs is Pairs.seeds:
        lr = data.manifest["config"].get("optim", {}).get("lr")
        yield (
            f"One peak learning rate{f' ({lr:g})' if lr else ''} for all variants: a difference between them may be an "
            "artefact of tuning. A variant with another best rate may look worse than it is."
        )
    if data.tuning:
        yield (
            "The seeds that chose each variant's own best point also test it, which favours a variant with many points "
            "that are nearly best. `rates=STUDY/SETTING` with another `first_seed=` tests the choice on fresh seeds."
        )
    yield from map(escape, data.study.limits)
    yield from too_small_to_see(data)
    corpus = data.manifest["corpus"]
    size = f", {corpus['train_pairs']:,} training pairs" if "train_pairs" in corpus else ""
    test = f", and one test set of {corpus['test_sentences']:,} sentences" if "test_sentences" in corpus else ""
    test += f" (the test loss is over {len(data.test) + len(data.rest):,})" if data.rest else ""
    yield (
        f"One corpus, {escape(corpus.get('name', 'unnamed'))}{size}{test}. Intervals cover the choice of seed, not the "
        "choice of sentences or corpus: every result is conditional on this test set."
    )
    yield from too_long(data)
    yield from blank_sentences(data)
    yield from unknown_text(data)
    yield from one_size(data)
    if different_sizes(data):
        twins = [f"in {'FLOPs' if kind == 'flops' else kind}" for kind in TWINS if data.twins(kind)]
        matched = f"only twins are matched {spoken(twins)}" if twins else "they are not matched in either"
        yield f"Variants of different size or cost are compared after equally many updates: {matched}."
    yield "A run's time and memory were measured while other runs used the same machine."


def too_long(data: ReportData) -> Iterator[str]:
    """What was dropped from training or cut for its length, where anything was."""
    longest = data.manifest["config"].get("data", {}).get("max_tokens", DataConfig().max_tokens)
    parts = describe_too_long(data.manifest["corpus"].get("too_long") or {}, longest)
    if parts:
        yield f"Sentences of more than {longest:,} tokens are not seen whole: {spoken(parts)}."


def blank_sentences(data: ReportData) -> Iterator[str]:
    """How many pairs of official sets have a side without a word, where there are any."""
    counts = data.manifest["corpus"].get("blank") or {}
    parts = [f"{count:,} in {name}" for name, count in counts.items() if count]
    if parts:
        yield f"Pairs with a side that has no word, kept as published and scored: {spoken(parts)}."


def too_small_to_see(data: ReportData) -> Iterator[str]:
    """The size of the effects that this many seeds can show, at the spread seen."""
    measure = metric(data.study.metric)
    halves = [
        (found.effect.high - found.effect.low) / 2
        for found in data.comparisons
        if found.effect.seeds > 1 and found.effect.high > found.effect.low
    ]
    if halves:
        ends = list(
            dict.fromkeys(number(half, decimals_for(half, half, measure.digits)) for half in (min(halves), max(halves)))
        )
        seeds = plural(max(len(data.runs_of(cell.name)) for cell in data.cells), "seed")
        yield (
            f"With {seeds} a variant the intervals reach {' to '.join(ends)} {measure.unit} to either side: "
            "a true difference of that size is missed about half the time, a much smaller one nearly always."
        )


def unknown_text(data: ReportData) -> Iterator[str]:
    """How much of the text is outside the vocabulary, where that was counted and there is any."""
    shares = data.manifest["corpus"].get("unknown") or {}
    if parts := describe_unknown(shares):
        remedy = (
            " No model here can read or write that text. A larger `data.vocabulary_size` or `data.byte_fallback=true` "
            "makes it known."
        )
        yield f"Tokens outside the vocabulary (`<unk>`): {escape(parts)}.{remedy if much(shares) else ''}"


def one_size(data: ReportData) -> Iterator[str]:
    config = data.manifest["config"]
    model, train = config.get("model", {}), config.get("train", {})
    if {"model", "train"} & {key.split(".")[0] for key in data.manifest.get("across") or ()}:
        yield "No more sizes than those of its levels: models that are larger or trained for longer may differ."
    elif "layers" in model and {"updates", "batch_tokens"} <= train.keys():
        layers = sorted({run["config"]["model"]["layers"] for run in data.runs if "config" in run}) or [model["layers"]]
        stacks = f"{model['layers']} + {model['layers']}" if len(layers) < 2 else f"{layers[0]} to {layers[-1]}"
        yield (
            f"One size: {stacks} layers of width {model['d_model']}, {train['updates']:,} updates of "
            f"{train['batch_tokens']:,} target positions. Larger models trained longer may differ"
            + (", and a run that has not learned by then might learn later." if unlearned(data) else ".")
        )


def unlearned(data: ReportData) -> bool:
    return any(run["learned"] == 0 and run["status"] == "finished" for run in data.runs)


def different_sizes(data: ReportData) -> bool:
    """Whether some variant has another number of operations than its baseline."""
    for cell in data.trained_cells:
        if cell.baseline is not None:
            mine, base = ({run["flops_per_token"] for run in data.runs_of(name)} for name in (cell.name, cell.baseline))
            if mine != base:
                return True
    return False
