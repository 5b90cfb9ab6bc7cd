"""Write a report's folder from the records of a setting."""

from __future__ import annotations

import csv
import html
import io
import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure

from ablate.analysis.metrics import metric
from ablate.analysis.robust import RESAMPLES
from ablate.config import LEARNED_BELOW, BadInput
from ablate.records.looks import rules_of
from ablate.records.read import EARLIER, read_records
from ablate.records.report_data import ReportData
from ablate.report.figures import FIGURES
from ablate.report.figures.style import rendered, styled
from ablate.report.text import (
    cost_table,
    listing,
    sentences,
    tables,
    taken,
    tracing,
    training_budget,
    tuned,
    twins,
    uncertainty,
)
from ablate.report.text.answer import answer, effect_lines
from ablate.report.text.calibration import calibration
from ablate.report.text.caveats import needs, qualifications
from ablate.report.text.claim_tables import overview
from ablate.report.text.claims import blocks
from ablate.report.text.explanation import explanation
from ablate.report.text.limits import limits
from ablate.report.text.published import published
from ablate.report.text.summary import summary
from ablate.report.web_page import body
from ablate.report.wording import code_block, escape, spoken
from ablate.store.record_schema import EarlierRecord, EarlierSummary
from ablate.store.schema import Damaged, decoded, to_plain
from ablate.study import Pairs
from ablate.system.atomic import sweep, write_atomic

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
TEMPLATES.filters |= {"escape": escape, "code_block": code_block}


def build(root: Path, study: str, setting: str) -> Path:
    """Write `reports/<study>/<setting>/` from the records, each file whole or not at all, and return the folder.

    report.md, results.csv and summary.json are the same bytes wherever they are rebuilt. Raises BadInput.
    """
    data = keep_earlier(read_records(root / "experiments" / study / setting), root / "reports" / study / setting)
    figures = draw(data)
    written = texts(data, figures)
    files = pictures(written["report.md"], data.study.name, figures) | written
    folder = root / "reports" / study / setting
    sweep(folder)
    sweep(folder / "figures")
    for name, content in files.items():
        write_atomic(folder / name, content)
    for path in (folder / "figures").glob("*.*"):
        if f"figures/{path.name}" not in files:
            path.unlink()  # drawn from earlier records
    return folder


def keep_earlier(data: ReportData, report: Path) -> ReportData:
    """The records with the summary of their last report under earlier rules, which is copied to them from there."""
    path = report / "summary.json"
    if not data.earlier or data.kept or not path.exists():
        return data
    try:
        decoded(path.read_bytes(), EarlierSummary)
    except Damaged as error:
        raise BadInput(f"{path}, whose verdicts are to be kept, is damaged: {error}") from None
    kept = json.loads(path.read_text(encoding="utf-8"))
    record = to_plain(EarlierRecord(rules=rules_of(data.looks, data.seeds), summary=kept))
    write_atomic(data.folder / EARLIER, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    return replace(data, kept=kept)


def draw(data: ReportData) -> dict[str, Figure]:
    """The figures by name, without those for which there are no data."""
    with styled():
        drawn = {name: entry.of(seen_by(name, data)) for name, entry in FIGURES.items()}
    return {name: figure for name, figure in drawn.items() if figure is not None}


def seen_by(figure: str, data: ReportData) -> ReportData:
    """The records that a figure shows: `ReportData.shown`, but all of a grid in the figure that is about it."""
    return data if figure == "sensitivity" else data.shown


def texts(data: ReportData, figures: Iterable[str]) -> dict[str, str]:
    """File name -> content, of the files that are the same bytes wherever they are rebuilt."""
    return {
        "results.csv": results_csv(data),
        "summary.json": json.dumps(summary(data), indent=1, ensure_ascii=False, allow_nan=False) + "\n",
        "report.md": markdown(data, figures),
    }


def pictures(text: str, title: str, figures: Mapping[str, Figure]) -> dict[str, str | bytes]:
    """File name -> content, of the files that are the same bytes under the same `versions`: figures and page."""
    drawn = {name: rendered(figure) for name, figure in figures.items()}
    found: dict[str, str | bytes] = {
        f"figures/{name}.{ending}": content for name, endings in drawn.items() for ending, content in endings.items()
    }
    return found | {"report.html": page(text, title, drawn)}


def versions() -> str:
    """The versions of the libraries that draw figures and make pages. report.html has them."""
    return ", ".join([*(f"{name} {version(name)}" for name in DRAWN_BY), platform.machine()])


GUARDED = (
    "95 % t interval over seeds; that of a difference is the wider of the paired t interval and the moderated one "
    "(Smyth 2004), whose variance is shrunk towards those of other contrasts in the records"
)
MOST_LINES = 4  # of effects before the claims; the table of variants has more
DRAWN_BY = ("matplotlib", "seaborn", "pillow", "numpy", "scipy", "markdown-it-py", "jinja2")


def results_csv(data: ReportData) -> str:
    """A row for each run; a value that does not exist is empty."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(data.columns)
    writer.writerows([run[column] for column in data.columns] for run in data.recorded)
    return buffer.getvalue()


def markdown(data: ReportData, figures: Iterable[str]) -> str:
    verdicts, shown = data.verdicts, data.shown
    need, command = needs(data, verdicts)
    drawn = [(name, FIGURES[name]) for name in figures]
    evidence = [(name, figure) for name, figure in drawn if figure.place_in(data.study) == "evidence"]
    readme, effects = data.folder.parent / "README.md", effect_lines(shown)
    return TEMPLATES.get_template("report.md.j2").render(
        data=data,
        shown=shown,
        seen_by=seen_by,
        study=data.study,
        setting=data.setting,
        manifest=data.manifest,
        corpus=data.manifest["corpus"],
        answer=answer(data),
        length=training_budget.length(data),
        effects=effects if len(effects) <= MOST_LINES else [],
        qualifications=qualifications(shown),
        needs=need,
        needs_command=command,
        why=explanation(readme),
        claims=overview(verdicts),
        details=blocks(verdicts),
        calibration=calibration(shown),
        published=published(data),
        limits=limits(data, verdicts),
        variants=tables.variants(shown),
        beside=tables.beside(shown),
        changes=tables.changes(shown),
        courses=training_budget.courses(data),
        others=tables.others(shown),
        twins=twins.sections(shown),
        own_rates=tuned.own_rates(data.tuning) if data.tuning else "",
        rate_losses=tuned.losses(data.tuning) if data.tuning else "",
        edges=tuned.edges(data.tuning) if data.tuning else [],
        correction=data.estimator.correction,
        first_seed=data.first_seed,
        rates_from=tuned.fixed_at(data),
        refined=tuned.refined(data),
        tuned=tuned.together(data.study.searched) if data.tuning else "",
        point=tuned.noun(data.study.searched) if data.tuning else "",
        taken=taken.values(data),
        taken_from=taken.origin(data),
        intervals="95 % confidence sequence, which is valid however often one looks"
        if data.sequential
        else GUARDED
        if data.noise.spreads
        else "95 % t interval over seeds",
        looks=uncertainty.looks(data),
        initial=tables.initial(shown),
        inside=tables.inside(shown),
        margin=margin(shown),
        learned=learned(data),
        costs=cost_table.costs(shown),
        costs_from=cost_table.origin(shown),
        where=where(data),
        budget=budget(data),
        regularised=regularised(data),
        notes=readme.exists(),
        first=evidence[:1],
        evidence=evidence[1:],
        detail=[(name, figure) for name, figure in drawn if figure.place_in(data.study) == "detail"],
        pairs=tables.pairs(shown),
        halves=data.study.pairs is Pairs.halves,
        robust=uncertainty.robust(shown),
        resamples=RESAMPLES,
        sentences=sentences.seeds_and_sentences(shown),
        nearness=sentences.nearness(shown),
        near_and_far=sentences.near_and_far(shown),
        translations=listing.translations(shown),
        runs=listing.runs(data),
        provenance=listing.provenance(data),
        recipes=tracing.recipes(data),
        snippet=tracing.snippet(data),
        seeds=max((len(data.runs_of(cell.name)) for cell in data.cells), default=0),
    )


def margin(data: ReportData) -> str:
    """The margin of the table of variants, with its unit; none if nothing is compared."""
    found, measure = data.comparisons, metric(data.study.metric)
    margins = sorted({each.margin for each in found if each.arms.seeds and each.margin})
    ends = list(dict.fromkeys(f"{each:.2g}" for each in (margins[0], margins[-1]))) if margins else []
    share = f" ({100 * measure.margin:g} % of the baseline's)" if measure.relative else ""
    return f"{' to '.join(ends)} {measure.unit}{share} either way" if margins else ""


def learned(data: ReportData) -> str:
    """The condition for a run to count as having learned."""
    unigram = data.unigram
    if unigram is None:
        return ""
    return (
        f"A run learned when its best validation loss fell below {LEARNED_BELOW * unigram:.2f} nats a token, "
        f"{100 * (1 - LEARNED_BELOW):.0f} % under what the tokens' frequencies alone give."
    )


def where(data: ReportData) -> str:
    """The corpus and the baseline's model, in a clause."""
    corpus, model = data.manifest["corpus"], data.manifest["config"].get("model", {})
    text = escape(corpus.get("name", "an unnamed corpus"))
    if {"source", "target", "train_pairs"} <= corpus.keys():
        text += f" ({escape(corpus['source'])} to {escape(corpus['target'])}, {corpus['train_pairs']:,} training pairs)"
    if {"layers", "d_model", "heads"} <= model.keys():
        layers = "" if "model.layers" in data.study.varied() else f"{model['layers']} + {model['layers']} "
        text += f"; the baseline has {layers}layers of width {model['d_model']}"
    return text


def budget(data: ReportData) -> str:
    """How long the baseline trains, and the values that replace these; empty if the records do not have them."""
    config, across = data.manifest["config"], data.manifest.get("across") or {}
    try:
        train, optim = config["train"], config["optim"]
        warmup = f"{round(optim['warmup'] * train['updates']):,}"
        grid = {name: [f"{value:g}" for value in data.study.factors[name]] for name in data.study.searched}
        shares = f"shares of {spoken(grid['warmup'])}" if "warmup" in grid else warmup
        rates = f"peak learning rates of {spoken(grid['lr'])}" if "lr" in grid else ""
        rates = rates or f"a peak learning rate of {optim['lr']:g}"
        rates += ", except where a variant takes its own" * ("rates" in data.manifest)
        crossed = [f"{escape(key)} is {spoken(list(map(escape, map(str, at))))}" for key, at in across.items()]
        return (
            f"It trains for {train['updates']:,} updates of {train['batch_tokens']:,} target positions, "
            f"{shares} of them warmup, at {rates}."
            + (f" With `across=`, {spoken(crossed)} in turn." if crossed else "")
        )
    except KeyError:
        return ""


def regularised(data: ReportData) -> str:
    """Dropout, label smoothing and clipping of the baseline, but for what the study varies; empty if none is known."""
    config, varied = data.manifest["config"], data.study.varied()
    values = {
        words: config.get(section, {}).get(key)
        for words, (section, key) in REGULARISED.items()
        if f"{section}.{key}" not in varied
    }
    known = [words.format(f"{value:g}") for words, value in values.items() if value is not None]
    return f"All runs have {spoken(known)}." if known else ""


REGULARISED = {  # words -> the section and key of their value
    "dropout {}": ("model", "dropout"),
    "label smoothing {}": ("train", "label_smoothing"),
    "gradients clipped at norm {}": ("optim", "clip"),
}


def page(text: str, title: str, figures: Mapping[str, Mapping[str, bytes]]) -> str:
    """The same report as one HTML file with its figures inside."""
    return TEMPLATES.get_template("page.html.j2").render(
        title=html.escape(title), generator=versions(), body=body(text, figures)
    )
