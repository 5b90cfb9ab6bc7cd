"""A study's report in W&B, as one more run of its group: figures, tables, verdicts and the HTML page."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

from ablate.store.record_schema import RESULT_COLUMNS
from ablate.store.study_file import as_level
from ablate.tracking import REPORT, SAYS, wandb_id
from ablate.tracking.follower import place_of

SENT = ("report.md", "report.html", "results.csv", "summary.json", "figures/*.png")  # files that are uploaded
UPLOAD_TIMEOUT = 40.0  # seconds; the command does not wait for them

Table = tuple[list[str], list[list[Any]]]  # columns, rows


class Showing:
    def __init__(self, description: dict[str, Any], problem: str = "") -> None:
        """`description` is that of `ablate.tracking.describe_report`; with a `problem` everything is kept offline."""
        self.description, self.problem, self.place = description, problem, place_of(description, problem)
        self.folder = Path(description["report"])
        self.id = wandb_id(description["study"], description["setting"], REPORT)

    def is_shown(self) -> bool:
        return self.place.has_shown(self.id, fingerprint(self.folder))

    def show(self) -> None:
        """Send the report as a run. Raises Unreachable if W&B fails online."""
        content = fingerprint(self.folder)  # computed first, so that a report that changes meanwhile is shown again
        with self.place.failing_online():
            url = self.send()
        self.place.mark(self.id, content)
        failed = f"online failed ({self.problem}); " if self.problem else ""
        print(f"{SAYS}{failed}report " + (f"at {url}" if url else f"offline; {self.place.upload()}"), flush=True)

    def send(self) -> str | None:
        """Create the run and return its address; None if it is offline."""
        import wandb

        summary = json.loads((self.folder / "summary.json").read_text(encoding="utf-8"))
        run = self.place.open(
            self.id,
            UPLOAD_TIMEOUT,
            group=f"{self.description['study']}/{self.description['setting']}",
            job_type=REPORT,
            name=REPORT,
            tags=self.description["tags"],
            config={key: self.description[key] for key in ("study", "setting", "question")}
            | {key: value for key, value in summary.items() if isinstance(value, str)},
        )
        figures = sorted(self.folder.glob("figures/*.png"))
        tables = {"results": results(self.folder / "results.csv"), **tables_of(summary, self.description["claims"])}
        run.log(
            {f"figures/{path.stem}": wandb.Image(str(path), caption=path.stem.replace("_", " ")) for path in figures}
            | {
                f"tables/{name}": wandb.Table(columns=[*columns], data=[*rows])
                for name, (columns, rows) in tables.items()
            }
            | {"report": wandb.Html(str(self.folder / "report.html"), inject=False)}
        )
        run.log_artifact(self.artifact(Path(run.dir)))
        run.summary.update(
            {f"verdict/{claim['id']}": claim["verdict"] or without_verdict(claim) for claim in summary["claims"]}
        )
        url = run.url if self.place.online else None
        run.finish()
        return url

    def artifact(self, into: Path) -> Any:
        """An artifact of the report's files, copied first, so that later changes do not reach the upload."""
        import wandb

        name = f"report-{self.description['study']}-{self.description['setting']}"
        artifact = wandb.Artifact(re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:128], type=REPORT)
        for path in files(self.folder):
            relative = path.relative_to(self.folder)
            (into / REPORT / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, into / REPORT / relative)
            artifact.add_file(str(into / REPORT / relative), str(relative), policy="immutable", skip_cache=True)
        return artifact


def files(folder: Path) -> list[Path]:
    return sorted(path for pattern in SENT for path in folder.glob(pattern))


def fingerprint(folder: Path) -> str:
    """A hash of everything that is sent."""
    found = hashlib.sha256()
    for path in files(folder):
        found.update(f"{path.relative_to(folder)} {path.stat().st_size}\n".encode() + path.read_bytes())
    return found.hexdigest()


def results(path: Path) -> Table:
    """The columns and rows of results.csv with numbers as numbers; missing values are None."""
    with path.open(encoding="utf-8", newline="") as file:
        columns, *rows = csv.reader(file)
    return columns, uniform([[value(name, text) for name, text in zip(columns, row)] for row in rows])


def value(column: str, text: str) -> Any:
    if not text or RESULT_COLUMNS.get(column) == "str":
        return text or None
    return float(text) if column in RESULT_COLUMNS else as_level(text)


def without_verdict(claim: dict[str, Any]) -> str:
    return "not measured here" if "unmeasured" in claim else "not tested here"


def tables_of(summary: dict[str, Any], sentences: dict[str, str]) -> dict[str, Table]:
    """Each list of summary.json as a table, with a column for each key; nested keys are joined by dots."""
    lists = {name: entries for name, entries in summary.items() if isinstance(entries, list) and entries}
    for each in lists.pop("stand_ins", []):
        inner = {name: entries for name, entries in each.items() if isinstance(entries, list) and entries}
        lists |= {f"{name}_by_{each['metric']}": entries for name, entries in inner.items()}
    if "claims" in lists:
        lists["claims"] = [{"id": each["id"], "says": sentences.get(each["id"]), **each} for each in lists["claims"]]
    tables = {}
    for name, entries in lists.items():
        flat = [flattened(entry) for entry in entries]
        keys = dict.fromkeys(key for entry in flat for key in entry)
        columns = [
            key for key in keys if not any(other.startswith(f"{key}.") for other in keys)
        ]  # without keys that hold None in one entry and a dictionary in another
        tables[name] = columns, uniform([[entry.get(column) for column in columns] for entry in flat])
    return tables


def flattened(entry: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, item in entry.items():
        flat |= flattened(item, f"{prefix}{key}.") if isinstance(item, dict) else {f"{prefix}{key}": item}
    return flat


def uniform(rows: list[list[Any]]) -> list[list[Any]]:
    """W&B refuses columns that mix numbers and words: such a column becomes words. None stays None."""
    columns = [
        column
        if all(item is None or isinstance(item, int | float) for item in column)
        else [None if item is None else str(item) for item in column]
        for column in zip(*rows)
    ]
    return [list(row) for row in zip(*columns)]
