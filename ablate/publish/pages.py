"""Text and tables of a published report, in Markdown, made by the functions that write the study's report."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ablate.analysis.judging import ClaimVerdict
from ablate.analysis.metrics import metric
from ablate.records.report_data import ReportData
from ablate.report.text.answer import answer
from ablate.report.text.caveats import qualifications
from ablate.report.text.claims import ledger_row
from ablate.report.wording import ABSENT, escape, number, table
from ablate.tracking import REPORT, wandb_id


def header(data: ReportData) -> str:
    lines = [
        f"*{escape(data.study.question)}*",
        f"**{answer(data)}**",
        f"Study {escape(data.study.name)}, setting {escape(data.setting)}. Differences are variant minus baseline "
        f"within a seed; brackets hold the 95 % {data.estimator.name} over seeds. Made from the study's records by:",
        f"    python -m ablate.publish {data.study.name} setting={data.setting}",
    ]
    return "\n\n".join([*lines, *qualifications(data)])


def claims(found: Sequence[ClaimVerdict]) -> str:
    """A row for each claim: its sentence, its verdict, the evidence."""
    return table(["claim", "says", "verdict", "evidence"], [ledger_row(each) for each in found])


def runs(data: ReportData, address: Callable[[str], str]) -> str:
    """A row for each run with its link. `address` maps an id in W&B to a URL. The report's run comes last."""
    measure = metric(data.study.metric)
    rows = []
    for run in data.runs:
        score = measure.value(run) if run["status"] == "finished" else None
        rows.append(
            [
                link(f"{run['variant']}/seed{run['seed']}", address(id_in_wandb(data, run["run_id"]))),
                escape(run["run_id"]),
                escape(run["status"]),
                ABSENT if score is None else number(score, measure.digits),
            ]
        )
    rows.append([link(REPORT, address(id_in_wandb(data, REPORT))), "", "", ""])
    return table(["run", "run id", "outcome", measure.label], rows, right=[3])


def id_in_wandb(data: ReportData, run_id: str) -> str:
    return wandb_id(data.study.name, data.setting, run_id)


def link(text: str, url: str) -> str:
    return f"[{escape(text)}]({url})"
