"""The saved view and the report of one setting, as objects of wandb-workspaces. Making them needs no network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unicodedata import category
from urllib.parse import quote, urlsplit

import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws
from wandb_workspaces import expr

from ablate.analysis.metrics import metric
from ablate.publish.pages import claims, header, runs
from ablate.records.report_data import ReportData
from ablate.report.text import tables
from ablate.tracking import REPORT, access
from ablate.tracking.place import fitting

TITLE = 128  # characters that W&B accepts


@dataclass(frozen=True)
class Address:
    entity: str
    project: str

    def run(self, id: str) -> str:
        return f"{app_url()}/{quote(self.entity)}/{quote(self.project)}/runs/{id}"


def app_url() -> str:
    """The address of W&B's pages. A private server has one address for pages and programs."""
    base = access.base_url().rstrip("/")
    return "https://wandb.ai" if urlsplit(base).netloc == "api.wandb.ai" else base


def workspace(data: ReportData, root: Path, address: Address) -> ws.Workspace:
    """The saved view: curves, scores and figures; W&B adds panels for everything else that was logged."""
    columns = ["run:jobType", f"summary:{data.study.metric}", "summary:status", "summary:validation/loss.min"]
    return ws.Workspace(
        entity=address.entity,
        project=address.project,
        name="".join(":" if category(c).startswith("S") else c for c in title(data)),  # W&B refuses symbols, such as =
        sections=[
            ws.Section(
                name="Curves",
                panels=curves(data),
                is_open=True,
                panel_settings=ws.SectionPanelSettings(x_axis="update"),
            ),
            ws.Section(name="Scores", panels=scores(data), is_open=True),
            *(ws.Section(name="Report", panels=[drawn], is_open=True) for drawn in figures(data, root)),
        ],
        settings=ws.WorkspaceSettings(x_axis="update", max_runs=most(data)),
        runset_settings=ws.RunsetSettings(
            filters=in_group(data), groupby=[expr.Metric("JobType")], pinned_columns=columns
        ),
        auto_generate_panels=True,
    )


def report(data: ReportData, root: Path, address: Address) -> wr.Report:
    # run sets without entity and project belong to the report's project, and need no request to the server
    trained = wr.Runset(name="runs", filters=f"{in_group(data)} and Metric('JobType') != '{REPORT}'")
    shown = wr.Runset(name=REPORT, filters=f"{in_group(data)} and Metric('JobType') == '{REPORT}'")
    verdicts = data.verdicts
    return wr.Report(
        entity=address.entity,
        project=address.project,
        title=title(data),
        description=data.study.question,
        width="fluid",
        blocks=[
            wr.MarkdownBlock(text=header(data)),
            *(() if not verdicts else (wr.H2(text="Claims"), wr.MarkdownBlock(text=claims(verdicts)))),
            wr.H2(text="Effects"),
            wr.MarkdownBlock(text=tables.variants(data)),
            wr.H2(text="Curves"),
            wr.PanelGrid(runsets=[trained], panels=in_a_grid([*curves(data), *scores(data)])),
            *(wr.PanelGrid(runsets=[shown], panels=in_a_grid([drawn], 24, 16)) for drawn in figures(data, root)),
            wr.H2(text="Runs"),
            wr.MarkdownBlock(text=runs(data, address.run)),
        ],
    )


def plain(data: ReportData, root: Path, address: Address) -> dict[str, Any]:
    """Both as the JSON that is sent."""
    objects: dict[str, Any] = {"workspace": workspace(data, root, address), "report": report(data, root, address)}
    return {name: thing._to_model().model_dump(by_alias=True, mode="json") for name, thing in objects.items()}


def title(data: ReportData) -> str:
    return f"{data.study.name}/{data.setting}"[:TITLE]


def in_group(data: ReportData) -> str:
    """A filter for this setting's group. W&B's parser would double the = of its name, so symbols are escaped."""
    group = fitting("group", f"{data.study.name}/{data.setting}")
    return (
        "Metric('Group') == '" + "".join(c if c.isalnum() or c in "/-_." else f"\\U{ord(c):08x}" for c in group) + "'"
    )


def curves(data: ReportData) -> list[Any]:
    """A line for each variant, the mean over seeds; the band spans all seeds."""
    return [
        wr.LinePlot(
            title=name,
            x="update",
            y=[name],
            log_y=name in LOGARITHMIC,
            **by_variant(data),
        )
        for name in CURVES
    ]


def scores(data: ReportData) -> list[Any]:
    """A bar for each variant, the mean over seeds."""
    names = dict.fromkeys((data.study.metric, *SCORES))
    if data.stand_ins:
        names.pop(data.declared.metric, None)
    return [
        wr.BarPlot(
            title=metric(name).label,
            metrics=[name],
            **by_variant(data),
        )
        for name in names
    ]


def figures(data: ReportData, root: Path) -> list[Any]:
    """One panel with all figures of the report's run; none if this machine has no report."""
    drawn = sorted((root / "reports" / data.study.name / data.setting / "figures").glob("*.png"))
    return [wr.MediaBrowser(title="Figures", media_keys=[f"figures/{path.stem}" for path in drawn])] if drawn else []


def in_a_grid(panels: list[Any], width: int = 8, height: int = 6) -> list[Any]:
    """The panels side by side on W&B's grid of 24 columns."""
    across = 24 // width
    for index, panel in enumerate(panels):
        row, column = divmod(index, across)
        panel.layout = wr.Layout(x=column * width, y=row * height, w=width, h=height)
    return panels


def by_variant(data: ReportData) -> dict[str, Any]:
    """Arguments of a panel that shows each variant by its mean and range over seeds."""
    mean = {"groupby": wr.Metric("JobType"), "groupby_aggfunc": "mean", "groupby_rangefunc": "minmax"}
    return {**mean, "max_runs_to_show": most(data)}


def most(data: ReportData) -> int:
    """How many runs a panel must show; W&B's default is ten."""
    return len(data.runs) + 1


CURVES = ("validation/loss", "train/loss", "train/gradient_norm")
LOGARITHMIC = ("train/gradient_norm",)
SCORES = ("test_bleu", "test_chrf", "test_loss")
