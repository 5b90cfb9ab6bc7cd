"""Laws of the figures, over every one of the table and many kinds of records."""

from __future__ import annotations

import itertools
import json
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.figure import Figure
from records import a_run, a_study, some_runs, write_records
from short import case, each_once

from ablate.analysis.effects import comparisons
from ablate.analysis.effects import values as scores_of
from ablate.analysis.metrics import SMALLEST, metric
from ablate.analysis.statistics import mean_interval, wilson
from ablate.records.read import read_records
from ablate.records.report_data import ReportData
from ablate.report.figures import FIGURES
from ablate.report.figures.style import COLOURS, limits, looks, rendered, styled
from ablate.report.wording import estimate
from ablate.store.study_file import study_from, study_to_plain
from ablate.study import RATE, Study

DEPTHS = {1: {}, 3: {"train.updates": 0}, 8: {}, 100: {"train.updates": 0}}
D_MODEL = 64
UPDATES = (1000, 4000, 16000)
WIDTHS = (4, 16, 64)
CLAIM = {
    "id": "toy-1",
    "sentence": "They say.",
    "contrast": "post - pre",
    "metric": "test_bleu",
    "kind": "directional",
    "margin": 0.2,
}


def over_depth(**making: Any) -> tuple[Study, list[dict]]:
    """Two variants at four depths, two of which are only looked at before training; deep layers of one vanish."""
    study = a_study(
        ("add", "none"),
        factors={"depth": {level: {"model.layers": level} | more for level, more in DEPTHS.items()}},
        metric="test_loss",
    )
    runs = []
    for run in some_runs(study, **making):
        none = run["variant"].startswith("none")
        norms = {
            f"{stack}.{layer}.feedforward": 10.0 ** -(layer if none else 0.01 * layer)
            for stack in ("encoder", "decoder")
            for layer in range(run["depth"])
        }
        run["diagnostics"] = [{"update": 0, "gradient_norm": norms}]
        runs.append(untrained(run) if "train.updates" in DEPTHS[run["depth"]] else run)
    return study, runs


def deep() -> tuple[Study, list[dict]]:
    """One layer and a hundred, all trained."""
    study = a_study(("add", "none"), factors={"depth": {1: {"model.layers": 1}, 100: {"model.layers": 100}}})
    runs = some_runs(study)
    for run in runs:
        layers = [f"{stack}.{layer}" for stack in ("encoder", "decoder") for layer in range(run["depth"])]
        run["final_dead_units"] = dict.fromkeys(layers, 0.1)
        run["diagnostics"][-1]["negative_preactivations"] = dict.fromkeys(layers, 0.5)
    return study, runs


def over_width(**making: Any) -> tuple[Study, list[dict]]:
    """Two ways to scale scores at three widths of a head, one of which is only looked at before training."""
    study = a_study(("sqrt", "none"), factors={"d_k": {width: {"model.heads": D_MODEL // width} for width in WIDTHS}})
    runs = []
    for run in some_runs(study, **making):
        scale = run["variant"].partition(",")[0]
        run["config"] = {"model": {"heads": D_MODEL // run["d_k"], "d_model": D_MODEL, "attention_scale": scale}}
        measured = {
            "score_variance": 1.0 if scale == "sqrt" else float(run["d_k"]),
            "largest_attention_weight": 0.4,
            "softmax_slope": 0.5,
            "query_key_gradient_norm": 0.01,
        }
        for entry in run["diagnostics"]:
            entry.update({name: {"encoder.0.self_attention": value} for name, value in measured.items()})
        runs.append(untrained(run) if run["d_k"] == WIDTHS[1] else run)
    return study, runs


def recurrent(made: tuple[Study, list[dict]]) -> tuple[Study, list[dict]]:
    """The last variant is of an architecture that has neither feed-forward networks nor multi-head attention."""
    study, runs = made
    return study, [without_parts(run) if run["variant"].startswith(list(study.variants)[-1]) else run for run in runs]


def without_parts(run: dict) -> dict:
    empty = {name: {} for entry in run["diagnostics"] for name in entry if name != "update"}
    norms = {"embedding": 1.0, "encoder.0.forwards": 0.5, "decoder.bridge": 0.1, "decoder.0.forwards": 0.7}
    looks = [{"update": entry["update"], **empty, "gradient_norm": norms} for entry in run["diagnostics"]]
    model = {"model": {"layers": 1, "d_model": 64, "heads": 4, "attention_scale": "sqrt", "architecture": "lstm"}}
    return run | {"diagnostics": looks, "final_dead_units": {} if run["final_dead_units"] else None, "config": model}


def untrained(run: dict) -> dict:
    """What a run of zero updates leaves: what was measured at update 0."""
    nothing = dict.fromkeys(("test_bleu", "test_bleu_greedy", "test_bleu_lower", "test_chrf", "test_loss", "learned"))
    return run | nothing | {"status": "finished", "updates": 0, "diagnostics": run["diagnostics"][:1]}


def toy(variants: tuple[str, ...] = ("pre", "post"), **making: Any) -> tuple[Study, list[dict]]:
    study = a_study(variants, claims=[CLAIM] if "post" in variants else [])
    return study, some_runs(study, **making)


def crossed(*factors: str, **making: Any) -> tuple[Study, list[dict]]:
    levels = {"optim.warmup": (0, 0.02, 0.15), "optim.lr": (0.001, 0.004)}
    study = a_study(
        factors={name: {level: {f"optim.{name}": level} for level in levels[f"optim.{name}"]} for name in factors}
    )
    return study, some_runs(study, **making)


def over_updates(**making: Any) -> tuple[Study, list[dict]]:
    """Two variants after three budgets."""
    levels = {updates: {"train.updates": updates} for updates in UPDATES}
    study = a_study(factors={"train.updates": levels})
    return study, [run | {"updates": run["train.updates"]} for run in some_runs(study, **making)]


def grid(**making: Any) -> tuple[Study, list[dict]]:
    """Four variants over seven learning rates."""
    levels = {0.001 * 2**step: {"optim.lr": 0.001 * 2**step} for step in range(7)}
    study = a_study(tuple(f"ratio{1 + index}" for index in range(4)), factors={"lr": levels})
    return study, some_runs(study, **making)


def changed(**changes: Any) -> tuple[Study, list[dict]]:
    study, runs = toy()
    return study, [run | changes for run in runs]


def every(variants: tuple[str, ...], factor: str, *levels: Any) -> list[tuple[str, int]]:
    """All three seeds of these variants at these levels."""
    return [(f"{name},{factor}={level}", seed) for name in variants for level in levels for seed in range(3)]


TWO = ("pre", "post")
UNUSUAL = {"encoder.0": None, "encoder.1": 0.0, "decoder.0": None, "decoder.1": 2.0}
WITHOUT_NUMBERS = {"update": 0, "gradient_norm": {f"{layer}.feedforward": norm for layer, norm in UNUSUAL.items()}}
KINDS = {
    "two variants": lambda: toy(),
    "one seed": lambda: toy(seeds=1),
    "no runs": lambda: toy(seeds=0),
    "one variant": lambda: toy(("baseline",)),
    "nine variants": lambda: toy(tuple(f"ratio{1 + index}" for index in range(9))),
    "one run diverged": lambda: toy(diverged=[("post", 1)]),
    "all of one diverged": lambda: toy(diverged=[("post", seed) for seed in range(3)]),
    "all diverged": lambda: toy(diverged=[(name, seed) for name in TWO for seed in range(3)]),
    "failed": lambda: changed(status="failed", learned=None, updates=120, test_bleu=None, final_dead_units=None),
    "no diagnostics": lambda: changed(diagnostics=[], final_dead_units=None),
    "no number": lambda: changed(
        test_bleu=None, parameters=None, diagnostics=[WITHOUT_NUMBERS], final_dead_units={"encoder.0": None}
    ),
    "over warmup": lambda: crossed("warmup"),
    "over warmup, one seed": lambda: crossed("warmup", seeds=1),
    "over warmup, a level diverged": lambda: crossed("warmup", diverged=every(TWO, "warmup", 0)),
    "over two factors": lambda: crossed("warmup", "lr"),
    "over updates": lambda: over_updates(),
    "over updates, one run diverged": lambda: over_updates(diverged=[("post,train.updates=4000", 1)]),
    "over a grid": lambda: grid(),
    "over a grid, highest diverged": lambda: grid(diverged=every(("ratio1",), "lr", 0.064)),
    "over depth": lambda: over_depth(),
    "over depth, one seed": lambda: over_depth(seeds=1),
    "over depth, all diverged": lambda: over_depth(diverged=every(("add", "none"), "depth", *DEPTHS)),
    "one layer and a hundred": lambda: deep(),
    "over width": lambda: over_width(),
    "another architecture": lambda: recurrent(toy()),
    "another architecture over depth": lambda: recurrent(over_depth()),
    "another architecture over width": lambda: recurrent(over_width()),
    "no Transformer": lambda: recurrent(toy(("lstm",))),
}  # fmt: skip
MEASURED_AFTER = (
    "over_budget",
    "interaction",
    "effects",
    "over_factor",
    "quality_and_cost",
    "scores",
    "learning_curves",
    "dead_units",
)


def read(root: Path, made: tuple[Study, list[dict]]) -> ReportData:
    """What a study leaves; learning rates as a factor are those of tune=lr."""
    study, runs = made
    rates = list(study.factors.get(RATE, ()))
    tuned = {"grid": rates, "config": {"optim": {"lr": rates[0]}}} if rates else {}
    return read_records(write_records(root, study, runs, **tuned))


WHOLE = ("over warmup", "over depth", "over width")  # which have nearly every figure among them


def pairs() -> list[Any]:
    """Every figure of every kind of records. Short are all figures of three kinds, and one of each other kind."""
    names = list(FIGURES)
    some = {(kind, names[number % len(names)]) for number, kind in enumerate(KINDS)}
    return [case((kind, name), short=kind in WHOLE or (kind, name) in some) for kind in KINDS for name in names]


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ReportData]:
    return cache(lambda kind: read(tmp_path_factory.mktemp("records"), KINDS[kind]()))


@pytest.fixture(params=pairs(), ids=" of ".join, scope="module")
def shown(request: pytest.FixtureRequest, kinds: Callable[[str], ReportData]) -> tuple[ReportData, Figure | None]:
    """Records, and a figure of them; drawing it must not warn."""
    kind, name = request.param
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return kinds(kind), drawn(kinds(kind), name)


@pytest.fixture
def figure(shown: tuple[ReportData, Figure | None]) -> Figure | None:
    return shown[1]


def drawn(data: ReportData, name: str) -> Figure | None:
    with styled():
        figure = FIGURES[name].draw(data)
        if figure is not None:
            figure.canvas.draw()
    return figure


def figure_of(data: ReportData, name: str) -> Figure:
    figure = drawn(data, name)
    assert figure is not None
    return figure


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in shown_texts(figure)]


def shown_texts(figure: Figure) -> list[Any]:
    """Of panels that are shown; ticks that lie outside the axis are not drawn."""
    found = [text for legend in figure.legends for text in legend.get_texts()]
    for panel in figure.axes:
        if panel.get_visible():
            found += [panel.title, panel.xaxis.label, panel.yaxis.label, *panel.texts]
            for axis in (panel.xaxis, panel.yaxis):
                low, high = sorted(axis.get_view_interval())
                found += [
                    label
                    for tick in axis.get_major_ticks()
                    if low <= tick.get_loc() <= high
                    for label in (tick.label1,)
                ]
    return [text for text in found if text.get_visible() and text.get_text()]


def marks(panel: Axes) -> np.ndarray:
    """Every finite point of every line and scatter, [point, 2]; ends of intervals, which may lie outside, left out."""
    lines = [
        line.get_xydata()
        for line in panel.lines
        if line.get_marker() not in ("_", "None", None) and line.get_transform() == panel.transData
    ]
    scatters = [
        np.ma.filled(marks.get_offsets(), np.nan) for marks in panel.collections if isinstance(marks, PathCollection)
    ]
    points = np.concatenate([np.empty((0, 2)), *lines, *scatters]).astype(float)
    return points[np.isfinite(points).all(axis=1)]


def test_no_text_of_a_figure_leaves_it_or_lies_over_another(figure: Figure | None) -> None:
    if figure is None:
        return
    width, height = figure.canvas.get_width_height()
    boxes = [(text.get_text(), text.get_window_extent()) for text in shown_texts(figure)]
    for text, box in boxes:
        assert box.x0 > -3, text
        assert box.y0 > -3, text
        assert box.x1 < width + 3, text
        assert box.y1 < height + 3, text
    for (first, one), (second, other) in itertools.combinations(boxes, 2):
        across, along = min(one.x1, other.x1) - max(one.x0, other.x0), min(one.y1, other.y1) - max(one.y0, other.y0)
        assert across < 2 or along < 2, f"{first!r} lies over {second!r}"


def test_no_mark_of_a_figure_lies_outside_its_panel(figure: Figure | None) -> None:
    for panel in figure.axes if figure else ():
        (left, right), (bottom, top) = panel.get_xlim(), sorted(panel.get_ylim())
        for x, y in marks(panel):
            assert left <= x <= right, panel.get_title()
            assert bottom <= y <= top, panel.get_title()


def test_every_figure_names_every_variant(shown: tuple[ReportData, Figure | None]) -> None:
    data, figure = shown
    if figure is not None:
        said = "\n".join(texts(figure))
        for variant in data.study.variants:
            assert variant in said


INSIDE = ("gradient_norms", "dead_units", "score_variance", "saturation", "initial_gradients")


@pytest.mark.parametrize(
    ("kind", "name"), each_once([kind for kind in KINDS if kind.startswith("another architecture")], INSIDE)
)
def test_a_figure_says_none_of_a_variant_that_has_no_such_parts(kind: str, name: str, tmp_path: Path) -> None:
    data = read(tmp_path, KINDS[kind]())
    figure = drawn(data, name)
    last = list(data.study.variants)[-1]
    if figure is not None and name == "initial_gradients":
        of_last = [panel for panel in figure.axes if panel.get_title().startswith(last)]
        assert [text.get_text() for panel in of_last for text in panel.texts if text.get_text() == "none"] == [
            "none"
        ] * 2
    elif figure is not None:
        said = [text.get_text() for text in figure.legends[0].get_texts()]
        assert [label for label in said if label.endswith(": none")] == [f"{last}: none"]


@pytest.mark.parametrize("name", INSIDE)
def test_a_study_without_such_parts_has_no_such_figure(name: str, tmp_path: Path) -> None:
    assert drawn(read(tmp_path, KINDS["no Transformer"]()), name) is None


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn_of_some_records_and_renders_to_the_same_bytes(
    name: str, kinds: Callable[[str], ReportData]
) -> None:
    for kind in ("two variants", "over depth", "over width", "over warmup", "over a grid", "over updates"):
        with styled():
            figures = [FIGURES[name].draw(kinds(kind)) for _ in range(2)]
        if figures[0] is not None and figures[1] is not None:
            assert rendered(figures[0]) == rendered(figures[1])
            return
    raise AssertionError(f"{name} was drawn of no records")


def test_a_legend_names_what_begins_with_an_underscore(tmp_path: Path) -> None:
    study = a_study(("a", "_under"))
    runs = [a_run(study, cell, seed, 30.0 + seed) for cell in ("a", "_under") for seed in range(3)]
    (legend,) = figure_of(read(tmp_path, (study, runs)), "learning_curves").legends
    assert "_under" in [text.get_text().strip() for text in legend.get_texts()]


OWN_SETTINGS = [{"text.usetex": True}, {"savefig.dpi": 40, "font.size": 30}, {"axes.facecolor": "black"}]


@pytest.mark.parametrize("settings", OWN_SETTINGS, ids=str)
def test_a_users_own_settings_of_matplotlib_change_no_figure(settings: dict, tmp_path: Path) -> None:
    data = read(tmp_path, KINDS["two variants"]())
    expected = rendered(figure_of(data, "effects"))
    with matplotlib.rc_context(settings):
        assert rendered(figure_of(data, "effects")) == expected


@pytest.mark.parametrize("name", FIGURES)
def test_every_caption_says_what_to_see(name: str) -> None:
    entry = FIGURES[name]
    assert entry.caption.startswith("What to see: ")
    assert entry.place in ("evidence", "detail")


def test_a_detail_that_a_claim_speaks_of_is_evidence() -> None:
    claim = CLAIM | {"contrast": "post", "metric": "dead_unit_share", "kind": "in_range", "range": [0, 0.5]}
    claim.pop("margin")
    assert FIGURES["dead_units"].place_in(a_study()) == "detail"
    assert FIGURES["dead_units"].place_in(a_study(claims=[claim])) == "evidence"


@pytest.mark.parametrize("kind", ["over warmup", "over depth", "over width"])
def test_a_variant_looks_the_same_at_every_level(kind: str, tmp_path: Path) -> None:
    data = read(tmp_path, KINDS[kind]())
    assert list(looks(data)) == list(data.study.variants)
    for name in ("over_factor", "learning_curves"):
        colours = {line.get_color() for panel in figure_of(data, name).axes for line in panel.lines}
        assert colours & set(COLOURS) == {look.color for look in looks(data).values()}
        assert not {cell.name for cell in data.cells} & set(texts(figure_of(data, name)))


@pytest.mark.parametrize(("making", "name"), each_once([over_depth, over_width], MEASURED_AFTER))
def test_runs_of_zero_updates_are_in_no_figure_of_outcomes(name: str, making: Any, tmp_path: Path) -> None:
    study, runs = making()
    poison = {
        "test_bleu": 9999.0,
        "test_loss": 9999.0,
        "validation_loss": 9999.0,
        "final_dead_units": {"encoder.0": 9999.0},
    }
    data = read(tmp_path, (study, [run | poison if run["updates"] == 0 else run for run in runs]))
    for run in data.runs:
        if run["updates"] == 0:
            data.curves[run["run_id"]]["validation"] = {"update": [1, 9999], "loss": [9999.0, 9999.0]}
    figure = drawn(data, name)
    if figure is not None:
        for panel in figure.axes:
            assert not np.any(np.isclose(marks(panel), 9999))
            assert max(*panel.get_xlim(), *panel.get_ylim()) < 5000
        idle = {(factor, run[factor]) for run in data.runs if run["updates"] == 0 for factor in study.factors}
        said = {line for text in texts(figure) for line in text.split("\n")}
        assert not said & {f"{factor}={level}" for factor, level in idle}
        if name == "over_factor":
            assert not said & {str(level) for _, level in idle}


def test_theorys_lines_are_d_k_and_one(tmp_path: Path) -> None:
    panel = figure_of(read(tmp_path, over_width()), "score_variance").axes[0]
    lines = {str(line.get_label()): line for line in panel.lines}
    unscaled, scaled = lines["theory: d_k"], lines["theory: 1, divided by √d_k"]
    widths, expected = np.asarray(unscaled.get_xdata(), float), np.asarray(unscaled.get_ydata(), float)
    assert np.array_equal(widths, expected)
    assert set(np.asarray(scaled.get_ydata(), float)) == {1.0}
    assert widths.min() <= min(WIDTHS)
    assert widths.max() >= max(WIDTHS)
    assert panel.get_xscale() == panel.get_yscale() == "log"


def test_score_variance_has_every_width_that_was_only_looked_at(tmp_path: Path) -> None:
    panel = figure_of(read(tmp_path, over_width()), "score_variance").axes[0]
    assert [list(line.get_xdata()) for line in panel.lines if len(line.get_xdata()) == 3] == [list(WIDTHS)] * 2


def test_saturation_at_the_end_has_only_what_was_trained(tmp_path: Path) -> None:
    figure = figure_of(read(tmp_path, over_width()), "saturation")
    for row in range(3):
        start, end = figure.axes[2 * row : 2 * row + 2]
        assert {tuple(line.get_xdata()) for line in start.lines if len(line.get_xdata())} == {WIDTHS}
        assert {tuple(line.get_xdata()) for line in end.lines if len(line.get_xdata())} == {(WIDTHS[0], WIDTHS[-1])}


def test_every_layer_of_a_hundred_is_drawn_once(tmp_path: Path) -> None:
    figure = figure_of(read(tmp_path, over_depth()), "initial_gradients")
    lowest = min(panel.get_ylim()[0] for panel in figure.axes)
    for panel in figure.axes:
        marks = [line for line in panel.lines if len(line.get_xdata()) and line.get_linestyle() != ":"]
        deepest = [line for line in marks if line.get_color() == max(marks, key=reach).get_color()]
        lines = [line for line in deepest if line.get_linestyle() == "-"]
        below = [line for line in deepest if line.get_marker() == "|"]
        assert len(lines) == 1
        sized = np.asarray(lines[0].get_xdata())[np.isfinite(lines[0].get_ydata())]
        gone = np.concatenate([np.asarray(line.get_xdata()) for line in below] or [np.empty(0)])
        assert sorted([*sized, *gone]) == list(range(1, 101))
        assert all(np.all((lowest < line.get_ydata()) & (line.get_ydata() < SMALLEST)) for line in below)
        assert len(gone) == (62 if panel.get_title().startswith("none") else 0)  # 10 ** -38 and below


def reach(line: Any) -> float:
    return float(max(line.get_xdata()))


def test_depth_as_the_question_replaces_the_general_figure(tmp_path: Path) -> None:
    data = read(tmp_path, over_depth())
    assert drawn(data, "gradient_norms") is None
    assert drawn(read(tmp_path / "other", over_width()), "initial_gradients") is None


def test_over_a_factor_are_the_mean_the_interval_and_every_seed(tmp_path: Path) -> None:
    data = read(tmp_path, crossed("warmup", seeds=4))
    panel = figure_of(data, "over_factor").axes[0]
    for cell in data.cells:
        scores = [run["test_bleu"] for run in data.runs_of(cell.name)]
        interval = mean_interval(scores)
        assert any(np.isclose(line.get_ydata(), interval.mean).any() for line in panel.lines)
        assert any(np.allclose(line.get_ydata(), [interval.low, interval.high]) for line in bars(panel))
        assert any(np.allclose(marks.get_offsets()[:, 1], scores) for marks in panel.collections)
    assert [label.get_text() for label in panel.get_xticklabels()] == ["0", "0.02", "0.15"]


@pytest.mark.parametrize("kind", ["over warmup", "over two factors", "over depth", "over a grid"])
def test_the_map_has_every_mean_and_every_difference(kind: str, tmp_path: Path) -> None:
    data = read(tmp_path, KINDS[kind]())
    upper, lower = figure_of(data, "interaction").axes
    measure = metric(data.study.metric)
    means = [mean_interval(list(scores_of(data.runs_of(cell.name), measure).values())) for cell in data.trained_cells]
    trained = {cell.name for cell in data.trained_cells}
    held = [each.effect for each in comparisons(data.study, data.runs, data.estimator) if each.variant in trained]
    for panel, found, signed in ((upper, means, False), (lower, held, True)):
        said = [text.get_text().split("\n")[0] for text in panel.texts]
        wanted = [estimate(each, measure, signed).split(" ")[0] for each in found]
        assert sorted(said) == sorted(wanted)
        assert sorted(panel.collections[0].get_array().ravel()) == pytest.approx(sorted(each.mean for each in found))
    low, high = lower.collections[0].get_clim()
    assert low == -high  # so that no difference is pale, whichever way


def bars(panel: Axes) -> list[Any]:
    return [line for line in panel.lines if line.get_marker() == "_"]


def test_the_share_that_learned_is_shown_where_some_did_not(tmp_path: Path) -> None:
    lost = [("post,warmup=0", seed) for seed in range(4)]
    panel = figure_of(read(tmp_path, crossed("warmup", seeds=4, diverged=lost)), "over_factor").axes[0]
    assert panel.get_ylabel() == "share that learned"
    assert [tuple(line.get_ydata()) for line in panel.lines if len(line.get_ydata()) == 3] == [(1, 1, 1), (0, 1, 1)]
    none = wilson(0, 4)
    assert any(np.allclose(line.get_ydata(), [none.low, none.high]) for line in bars(panel))
    all_learned = figure_of(read(tmp_path / "all", crossed("warmup", seeds=4)), "over_factor")
    assert "share that learned" not in texts(all_learned)


def test_quality_stands_against_time_with_a_mark_for_each_seed(tmp_path: Path) -> None:
    study = a_study(("ratio1", "ratio2", "ratio4"))
    runs = [a_run(study, cell, seed, 40.0 + seed, seconds=60.0 * size + seed)
            for size, cell in enumerate(study.variants, start=1) for seed in range(3)]  # fmt: skip
    (panel,) = figure_of(read(tmp_path, (study, runs)), "quality_and_cost").axes
    assert panel.get_xlim()[0] == 0
    seeds = {
        (round(60 * (x - 0.01 * 182 / 60)), y)
        for marks in panel.collections
        for x, y in np.asarray(marks.get_offsets())
    }
    assert seeds == {(60 * size + seed, 40.0 + seed) for size in (1, 2, 3) for seed in range(3)}
    (means,) = [line for line in panel.lines if len(line.get_xdata()) == 3]
    assert np.asarray(means.get_xdata()) == pytest.approx([61 / 60, 121 / 60, 181 / 60])
    assert panel.get_xlabel().endswith("of runs side by side")


def test_time_is_that_of_the_probe_where_there_is_one(tmp_path: Path) -> None:
    study = a_study(("ratio1", "ratio2"))
    folder = write_records(tmp_path, study, some_runs(study))
    cells = {cell: {"seconds": [pace, pace], "tokens": [9, 9], "memory": None} for cell, pace in
             (("ratio1", 0.06), ("ratio2", 0.12))}  # fmt: skip
    where = {"threads": 1, "device": "cpu", "device_name": "x"}
    cost = {"cells": cells, "rounds": 2, "updates_a_round": 5, "others": 0.0, "provenance": where}
    (folder / "cost.json").write_text(json.dumps(cost))
    (panel,) = figure_of(read_records(folder), "quality_and_cost").axes
    times = {round(x - 0.008, 6) for marks in panel.collections for x, _ in np.asarray(marks.get_offsets())}
    assert times == {0.4, 0.8}  # minutes, of 400 updates


def test_cost_is_a_question_only_where_variants_differ_in_it(tmp_path: Path) -> None:
    study = a_study()
    plain = study_from(study_to_plain(study) | {"variants": {"pre": {"model.norm": "layer"}, "post": {}}})
    alike, unlike = ([run | {"flops_per_token": count} if run["variant"] == "post" else run for run in some_runs(study)]
                     for count in (8_400_000, 9_400_000))  # fmt: skip
    assert drawn(read(tmp_path / "alike", (plain, alike)), "quality_and_cost") is None
    assert drawn(read(tmp_path / "unlike", (plain, unlike)), "quality_and_cost") is not None


def test_rows_of_another_order_of_size_have_an_axis_of_their_own(tmp_path: Path) -> None:
    study = a_study(("a", "b", "c", "d"))
    lift = {"a": 0, "b": -40, "c": -30, "d": -1}
    runs = [a_run(study, cell, seed, 50.0 + lift[cell] + 0.1 * seed * len(cell + str(lift[cell])))
            for cell in study.variants for seed in range(3)]  # fmt: skip
    figure = figure_of(read(tmp_path, (study, runs)), "effects")
    rows = [[label.get_text().split("\n")[0] for label in panel.get_yticklabels()] for panel in figure.axes]
    assert rows == [["b", "c"], ["d"]]
    assert figure.axes[1].get_xlim()[0] > -4
    assert all(panel.get_xlim()[0] < 0 < panel.get_xlim()[1] for panel in figure.axes)


def test_legends_say_what_a_seed_is(kinds: Callable[[str], ReportData]) -> None:
    assert "a line is a seed" in texts(figure_of(kinds("two variants"), "scores"))
    assert "small mark: a seed" in texts(figure_of(kinds("two variants"), "effects"))


def test_differences_of_curves_are_within_a_seed(tmp_path: Path) -> None:
    data = read(tmp_path, toy(seeds=4))
    losses, gaps = figure_of(data, "learning_curves").axes
    assert losses.get_yscale() == "log"
    curves = [data.curves[run["run_id"]]["validation"]["loss"] for run in data.runs]
    expected = np.mean(np.array(curves[4:]) - np.array(curves[:4]), axis=0)
    (line,) = [line for line in gaps.lines if len(line.get_xdata()) > 2]
    updates = np.asarray(line.get_xdata())
    assert updates.min() == 100  # a quarter of 400
    assert np.asarray(line.get_ydata()) == pytest.approx(expected[updates // 20 - 1])


def test_what_no_level_changes_is_drawn_once(tmp_path: Path) -> None:
    study, runs = crossed("warmup")
    first = {(run["variant"].split(",")[0], run["seed"]): run["diagnostics"][0] for run in runs}
    for run in runs:
        run["diagnostics"][0] = first[run["variant"].split(",")[0], run["seed"]]
    shown = [panel for panel in figure_of(read(tmp_path, (study, runs)), "gradient_norms").axes if panel.get_visible()]
    assert [panel.get_title() for panel in shown] == ["every warmup", "warmup=0", "warmup=0.02", "warmup=0.15"]


def test_details_are_drawn_where_a_claim_or_a_finding_needs_them(tmp_path: Path) -> None:
    few, many = changed(final_dead_units={"encoder.0": 0.01}), changed(final_dead_units={"encoder.0": 0.2})
    entry = FIGURES["dead_units"]
    with styled():
        assert entry.of(read(tmp_path / "few", few)) is None
        assert entry.of(read(tmp_path / "many", many)) is not None
    norms = {f"decoder.{layer}.feedforward": 10.0 ** -(2 * layer) for layer in range(2)}
    uneven = changed(diagnostics=[{"update": 0, "gradient_norm": norms}])
    even = changed(diagnostics=[{"update": 0, "gradient_norm": dict.fromkeys(norms, 1.0)}])
    with styled():
        assert FIGURES["gradient_norms"].of(read(tmp_path / "even", even)) is None
        assert FIGURES["gradient_norms"].of(read(tmp_path / "uneven", uneven)) is not None


def test_what_does_not_vanish_has_a_scale_of_its_own(tmp_path: Path) -> None:
    panels = {panel.get_title(): panel for panel in figure_of(read(tmp_path, over_depth()), "initial_gradients").axes}
    ends = {title: panel.get_ylim() for title, panel in panels.items()}
    assert ends["add, encoder"] == ends["add, decoder"]
    assert ends["add, decoder"][0] > 0.05
    assert ends["none, decoder"][0] < SMALLEST


def test_the_difference_over_budgets_has_each_mean_the_margin_and_zero(tmp_path: Path) -> None:
    data = read(tmp_path, over_updates())
    (panel,) = figure_of(data, "over_budget").axes
    (found,) = data.over_budgets
    assert panel.get_xscale() == "log"
    (line,) = [line for line in panel.lines if len(line.get_xdata()) == 3]
    assert list(line.get_ydata()) == [each.effect.mean for each in found.differences]
    assert [label.get_text() for label in panel.get_xticklabels()] == ["1,000", "4,000", "16,000"]
    for each in found.differences:
        assert any(np.allclose(one.get_ydata(), [each.effect.low, each.effect.high]) for one in bars(panel))
    assert "pre: the line at 0" in texts(figure_of(data, "over_budget"))


@pytest.mark.parametrize("name", ["over_factor", "sensitivity", "quality_and_cost"])
def test_no_interval_of_scores_reaches_below_zero(name: str, tmp_path: Path) -> None:
    study, runs = grid() if name == "sensitivity" else crossed("warmup") if name == "over_factor" else toy()
    low = [run | {"test_bleu": 3.0 * (run["seed"] == 0)} for run in runs]
    data = read(tmp_path, (study, low))
    figure = figure_of(data, name)
    panel = next(panel for panel in figure.axes if panel.get_ylabel() == "BLEU")
    ends = [end for line in bars(panel) for end in line.get_ydata()]
    bands = [band for band in panel.collections if isinstance(band, PolyCollection)]
    ends += [y for band in bands for path in band.get_paths() for _, y in path.vertices]
    assert ends
    assert min(ends) == 0


def test_the_margin_of_a_claim_is_told_from_the_tables(tmp_path: Path) -> None:
    said = texts(figure_of(read(tmp_path, toy()), "effects"))
    assert "margin ±0.5" in said
    assert "margin of claim toy-1 ±0.2" in said


def test_no_panel_ends_between_its_points() -> None:
    low, high = limits([1, 2], [-100, 100])
    assert low < 1 < 2 < high
    assert high - low < 4
    assert limits([1, 2], [-100, 100], floor=0)[0] > -0.5
