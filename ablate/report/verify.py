"""Check that the committed reports are those of the committed records. Nothing is written."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ablate.config import BadInput
from ablate.evaluation.scores import check_tokenizer
from ablate.records.read import read_records, settings
from ablate.records.report_data import ReportData
from ablate.report import side_by_side as compare
from ablate.report.differing import Difference, differences, versus
from ablate.report.evidence import (
    SCORES,
    Evidence,
    lacking,
    planned_seeds,
    recompute,
    sentences_near,
    strays,
    unmeasured_scores,
)
from ablate.report.index import markdown as index
from ablate.report.render import draw, pictures, texts, versions
from ablate.report.setting_names import readings
from ablate.report.wording import listed

NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
GENERATOR = re.compile(r'<meta name="generator" content="(.*?)">')
SHARED = (
    *SCORES,
    "test_loss",
    "validation_loss",
    "learned",
)  # keys that a run has with the same values in all its settings


@dataclass
class Verification:
    """What has been compared, and the differences."""

    root: Path
    differences: list[Difference] = field(default_factory=list)
    checked: Counter[str] = field(default_factory=Counter)
    undrawn: dict[str, str] = field(default_factory=dict)  # report -> the other versions that drew its figures
    without_curves: int = 0  # runs whose curves were damaged before they were recorded
    runs: dict[str, tuple[str, dict]] = field(
        default_factory=dict
    )  # scored run -> the file that had it first, and its record there

    def records(self, data: ReportData) -> None:
        """Compare the values in a setting's runs with the evidence in its records."""
        try:
            check_tokenizer(data.bleu_tokenizer)
        except BadInput as error:
            return self.fault(data.folder, f"scores cannot be recomputed: {error}")
        file = f"{path_from(self.root, data.folder)}/runs.jsonl"
        for each in (unmeasured_scores(data), planned_seeds(data), *sentences_near(data)):
            if not each.agrees:
                self.fault(data.folder / "manifest.json", versus(each.name, each.recorded, each.found))
        self.differences += [Difference(file, stray) for stray in strays(data)]
        for run in data.recorded:
            where = f"run {run['variant']}/{run['seed']}"
            if missing := lacking(data, run):
                self.differences.append(Difference(file, f"{where} cannot be recomputed: it lacks {listed(missing)}"))
                continue
            for each in recompute(data, run):
                self.checked["recorded value"] += 1
                if not each.agrees:
                    what = versus(f"{where}, {each.name}", each.recorded, each.found)
                    self.differences.append(Difference(file, what))
            first, known = self.runs.setdefault(scored_as(data, run), (file, run))
            self.differences += [
                Difference(file, f"{where}, {name}: {run[name]} is written, {known[name]} of the same run in {first}")
                for name in SHARED
                if run[name] != known[name]
            ]
        self.checked["run"] += len(data.recorded)
        self.without_curves += sum(not Evidence(data, run).has_curve for run in data.recorded)

    def report(self, folder: Path, text: Mapping[str, str], title: str, figures: Mapping[str, Figure]) -> None:
        """Compare a report's folder with its recomputed files; pictures only if the same versions drew them."""
        drawn_by = generator(folder / "report.html")
        names = {f"figures/{name}.{ending}" for name in figures for ending in ("png", "svg")} | {"report.html"}
        for name, content in text.items():
            self.text(folder / name, content)
        if drawn_by == versions():
            for name, picture in pictures(text["report.md"], title, figures).items():
                self.picture(folder / name, picture)
        elif drawn_by is not None:
            self.undrawn[path_from(self.root, folder)] = drawn_by
        for name in sorted(names):
            if not (folder / name).exists():
                self.fault(folder / name, "is missing")
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.relative_to(folder).as_posix() not in {*names, *text}:
                self.fault(path, "belongs to no record")

    def text(self, path: Path, recomputed: str) -> None:
        if not path.exists():
            return self.fault(path, "is missing")
        self.checked["number"] += len(NUMBER.findall(recomputed))
        self.differences += differences(path_from(self.root, path), path.read_text(encoding="utf-8"), recomputed)

    def picture(self, path: Path, recomputed: str | bytes) -> None:
        self.checked["picture"] += 1
        content = recomputed.encode() if isinstance(recomputed, str) else recomputed
        if path.exists() and path.read_bytes() != content:
            self.fault(path, "differs from what these versions draw from the records")

    def fault(self, path: Path, what: str) -> None:
        self.differences.append(Difference(path_from(self.root, path), what))


def verify(root: Path, studies: str | Sequence[str] = ()) -> Verification:
    """Recompute the reports of these studies, or of all and the index of them."""
    found, known = Verification(root), settings(root)
    studies = [studies] if isinstance(studies, str) else studies
    for study in studies or known:
        read: dict[str, ReportData] = {}
        for setting in known.get(study, []):
            try:
                read[setting] = read_records(root / "experiments" / study / setting)
            except BadInput as error:
                found.fault(root / "experiments" / study / setting, f"cannot be read: {error}")
        for setting, data in read.items():
            found.records(data)
            figures = draw(data)
            folder = root / "reports" / study / setting
            if folder.is_dir():
                found.report(folder, texts(data, figures), study, figures)
                found.checked["setting"] += 1
            else:
                found.fault(folder, "is missing: these records have no report")
    for folder in sorted((root / "reports").glob("*/*/")):
        study = folder.parent.name
        if folder.name not in known.get(study, []) and (not studies or study in studies):
            side_by_side(found, folder)
    if not studies:
        found.text(root / "reports" / "README.md", index(root))
    return found


def scored_as(data: ReportData, run: Mapping[str, Any]) -> str:
    """A run and how it was scored. Settings that share a run may translate or score it differently."""
    text = run["config"].get("data", {})
    size = text.get("test_sentences") if text.get("held_out") is not None else None
    evaluation = {**run["config"].get("evaluation", {}), "bleu_tokenizer": data.bleu_tokenizer}
    return json.dumps([run["run_id"], evaluation, size], sort_keys=True)


def side_by_side(found: Verification, folder: Path) -> None:
    """Compare a folder that should hold a comparison of settings."""
    study = folder.parent.name
    known = settings(found.root).get(study, [])
    names = next(readings(folder.name, "+", known), folder.name.split("+"))
    try:
        read = compare.read_settings(found.root, study, names)
    except BadInput as error:
        return found.fault(folder, f"a report without records: {error}")
    figures = compare.draw(read)
    found.report(folder, {"report.md": compare.markdown(read, figures)}, compare.title(read), figures)
    found.checked["comparison"] += 1


def generator(page: Path) -> str | None:
    """The versions that made a page; empty if the page does not name them, None if there is no page."""
    if not page.exists():
        return None
    named = GENERATOR.search(page.read_text(encoding="utf-8"))
    return named[1] if named else ""


def path_from(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()
