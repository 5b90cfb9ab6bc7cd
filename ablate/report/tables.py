"""The tables of a report, in Markdown."""

from __future__ import annotations

import hashlib
from typing import Any

from ablate.analysis.claims import shares
from ablate.analysis.effects import compare, comparisons, values
from ablate.analysis.metrics import metric
from ablate.analysis.statistics import mean_interval, pairing
from ablate.report.answer import worded
from ablate.report.records import ReportData
from ablate.report.wording import ABSENT, escape, estimate, listed, number, short, table
from ablate.study import Cell

OTHERS = ("test_bleu", "test_bleu_greedy", "test_chrf", "test_loss", "validation_loss")


def variants(data: ReportData) -> str:
    """A row a trained cell: score, paired difference and its reading, outcomes."""
    measure = metric(data.study.metric)
    held = {found.variant: found for found in comparisons(data.study, data.runs)}
    header = [
        "variant",
        f"{measure.label} [95 %]",
        "paired difference [95 %]",
        "reading",
        "p (Holm)",
        "pairs",
        "diverged",
        "learned",
    ]
    rows = []
    for cell in data.trained_cells:
        runs, found = data.runs_of(cell.name), held.get(cell.name)
        interval = mean_interval(list(values(runs, measure).values()))
        learned, said = shares(data.runs, cell.name)
        effect = found.effect if found else None
        rows.append(
            [
                escape(cell.name),
                estimate(interval.mean, interval.low, interval.high, measure) if interval.n else ABSENT,
                estimate(effect.mean, effect.low, effect.high, measure, signed=True)
                if effect and effect.seeds
                else ABSENT,
                worded(found) if found else "baseline",
                p_value(found.p_holm) if found else ABSENT,
                str(effect.seeds) if effect else ABSENT,
                f"{sum(run['status'] == 'diverged' for run in runs)} of {len(runs)}",
                f"{learned} of {said}" if said else ABSENT,
            ]
        )
    return table(header, rows, right=[1, 2, 4, 5, 6, 7])


def others(data: ReportData) -> str:
    """Paired differences in what else was scored, a row a comparison; empty where nothing is compared."""
    names = [name for name in OTHERS if name != data.study.metric]
    rows = []
    for cell in data.trained_cells:
        if cell.baseline is not None:
            found = [compare(data.study, data.runs, name, cell.name, cell.baseline) for name in names]
            shown = [
                estimate(each.effect.mean, each.effect.low, each.effect.high, metric(each.metric), signed=True)
                if each.effect.seeds
                else ABSENT
                for each in found
            ]
            rows.append([escape(cell.name), *shown])
    header = ["variant", *(metric(name).label for name in names)]
    return table(header, rows, right=range(1, len(header))) if rows else ""


def initial(data: ReportData) -> str:
    """What the claims ask of the model before the first update, a row a cell: means over seeds; empty without."""
    parts = [part for claim in data.study.claims for part in claim.parts]
    names = [name for name in dict.fromkeys(part.metric for part in parts) if name.startswith("initial_")]
    rows = []
    for cell in data.cells:
        found = [mean_interval(list(values(data.runs_of(cell.name), metric(name)).values())) for name in names]
        shown = [
            estimate(each.mean, each.low, each.high, metric(name)) if each.n else ABSENT
            for name, each in zip(names, found)
        ]
        rows.append([escape(cell.name), *shown])
    header = ["variant", *(metric(name).label.removesuffix(" at update 0") for name in names)]
    return table(header, rows, right=range(1, len(header))) if names else ""


def inside(data: ReportData) -> str:
    """What the last look into each trained cell's model found: means over its parts, then over seeds."""
    rows = []
    for cell in data.trained_cells:
        finished = [run for run in data.runs_of(cell.name) if run["status"] == "finished" and run.get("diagnostics")]
        if finished:
            last = [run["diagnostics"][-1] for run in finished]
            means = [mean_over(last, name) for name in INSIDE]
            rows.append([escape(cell.name), *(ABSENT if mean is None else f"{mean:.3g}" for mean in means)])
    return table(["variant", *INSIDE.values()], rows, right=range(1, len(INSIDE) + 1)) if rows else ""


def mean_over(entries: list[dict[str, Any]], name: str) -> float | None:
    """Of a diagnostic, over the parts of a model and over runs; None where some run was not asked."""
    found = [list((entry.get(name) or {}).values()) for entry in entries]
    flat = [value for each in found for value in each]
    return sum(flat) / len(flat) if all(found) and None not in flat else None


INSIDE = {  # diagnostic -> what the table calls it
    "attention_entropy": "entropy of attention, nats",
    "largest_attention_weight": "largest attention weight",
    "score_variance": "variance of scores",
    "dead_units": "dead units, on one batch",
    "negative_preactivations": "negative pre-activations",
}


def costs(data: ReportData) -> str:
    """A row a trained cell: means over its runs, sizes also as multiples of the baseline's."""
    rows = []
    for cell in data.trained_cells:
        runs = data.runs_of(cell.name)
        sizes = [multiple(data, cell, name) for name in ("parameters", "flops_per_token")]
        memory = short(average(runs, "peak_memory"), "B")
        speeds = [short(average(runs, "tokens_per_second")), short(average(runs, "seconds"), "s")]
        rows.append([escape(cell.name), *sizes, memory, *speeds])
    header = ["variant", "parameters", "FLOPs/token", "peak memory", "tokens/s, in training", "time of a run"]
    return table(header, rows, right=range(1, 6))


def multiple(data: ReportData, cell: Cell, name: str) -> str:
    """A count, and how many times the baseline's it is where it differs."""
    mine = average(data.runs_of(cell.name), name)
    base = average(data.runs_of(cell.baseline), name) if cell.baseline else None
    times = f" ({mine / base:.2f} times)" if mine and base and mine != base else ""
    return short(mine) + times


def average(runs: list[dict[str, Any]], name: str) -> float | None:
    found = list(values(runs, metric(name)).values())
    return sum(found) / len(found) if found else None


def pairs(data: ReportData) -> list[str]:
    """What the pairing bought, a line a variant."""
    lines = []
    for found in comparisons(data.study, data.runs):
        bought = pairing(found.arms.baseline, found.arms.variant)
        if bought.correlation == bought.correlation:
            correlation, ratio = number(bought.correlation, 2, signed=True), number(bought.variance_ratio, 2)
            lines.append(
                f"{escape(found.variant)}: correlation {correlation} over {bought.n} pairs; "
                f"the variance of the difference is {ratio} times that between unrelated runs."
            )
    return lines


def translations(data: ReportData, sentences: int = 3) -> list[dict[str, Any]]:
    """The same few test sentences by each variant at its lowest seed, chosen by a hash; empty without any."""
    lowest = [min(data.runs_of(cell.name), key=lambda run: run["seed"], default=None) for cell in data.trained_cells]
    runs = [run for run in lowest if run is not None]
    if not any(run["run_id"] in data.hypotheses for run in runs):
        return []
    order = sorted(range(len(data.test)), key=lambda index: digest(data.test[index]["source"]))
    shown = []
    for index in order[:sentences]:
        references = [escape(reference) for reference in data.test[index]["references"]]
        shown.append(
            {
                "source": escape(data.test[index]["source"]),
                "references": references[:5],
                "more": max(0, len(references) - 5),
                "table": table(
                    ["variant", "translation"],
                    [[escape(run["variant"]), translation(data, run, index)] for run in runs],
                ),
            }
        )
    return shown


def translation(data: ReportData, run: dict[str, Any], index: int) -> str:
    """What a run made of a test sentence by beam search."""
    found = data.hypotheses.get(run["run_id"])
    if found is None:
        return f"*(none: {escape(run['status'])})*"
    return escape(found["beam"][index]) or "*(empty)*"


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def runs(data: ReportData) -> str:
    """Every run, by its id."""
    measure = metric(data.study.metric)
    header = [
        "variant",
        "seed",
        "run id",
        "outcome",
        "learned",
        measure.label,
        "validation loss",
        "best update",
        "updates",
        "time",
    ]
    rows = []
    for run in data.runs:
        at = f" at update {run['diverged_at']}" if run.get("diverged_at") is not None else ""
        score = measure.value(run) if run["status"] == "finished" else None
        loss = metric("validation_loss").value(run)
        rows.append(
            [
                escape(run["variant"]),
                str(run["seed"]),
                escape(run["run_id"]),
                escape(run["status"]) + at,
                {1: "yes", 0: "no"}.get(run["learned"], ABSENT),
                ABSENT if score is None else number(score, measure.digits),
                ABSENT if loss is None else number(loss, 3),
                or_absent(run.get("best_update")),
                or_absent(run.get("updates")),
                ABSENT if run["seconds"] is None else f"{run['seconds']:,.0f} s",
            ]
        )
    return table(header, rows, right=[1, 5, 6, 7, 8, 9])


def p_value(p: float) -> str:
    return ABSENT if p != p else "< 0.001" if p < 0.001 else f"{p:.3f}"


def or_absent(value: Any) -> str:
    return ABSENT if value is None else escape(value)


def provenance(data: ReportData) -> str:
    """What made these numbers; where runs differ, every value."""
    rows = []
    found = [run.get("provenance") or {} for run in data.runs]
    for key in dict.fromkeys(key for each in found for key in each):
        if key != "finished_at":
            values = dict.fromkeys(str(each[key]) for each in found if each.get(key) is not None)
            rows.append([escape(key), escape(listed(list(values))) or ABSENT])
    for key, value in data.manifest["corpus"].items():
        if isinstance(value, (str, int, float)):
            text = f"{value:.4g}" if isinstance(value, float) else value
            rows.append([f"corpus: {escape(key.replace('_', ' '))}", escape(text)])
    for key in ("bleu_signature", "chrf_signature"):
        rows.append([escape(key.replace("_", " ")), or_absent(data.manifest.get(key))])
    return table(["", ""], rows)
