"""What is published says what the records say, of this study and setting alone, and is renewed where it was made."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from records import a_study, some_runs, write_records
from wandb_server import KEY, Server, served

from ablate.publish.__main__ import main
from ablate.records.read import read_records
from ablate.records.report_data import ReportData
from ablate.tracking import wandb_id

pytest.importorskip("wandb_workspaces")

from ablate.publish import objects, server

CLAIMS = [
    {"id": "toy-1", "sentence": "Pre is better.", "contrast": "pre - post", "metric": "test_bleu",
     "kind": "directional", "direction": "higher"},
    {"id": "toy-2", "sentence": "Depth decides.", "command": "python -m ablate +sweep=toy preset=paper"},
]  # fmt: skip
OURS = objects.Address("us", "ablate")


@pytest.fixture(autouse=True)
def _nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is logged in."""
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_BASE_URL", "WANDB_ENTITY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def made(root: Path, preset: str = "laptop") -> ReportData:
    study = a_study(claims=CLAIMS)
    data = read_records(write_records(root, study, some_runs(study), preset))
    figures = root / "reports" / study.name / data.setting / "figures"
    figures.mkdir(parents=True)
    (figures / "effects.png").write_bytes(b"")
    return data


def inside(value: Any) -> Iterator[dict[str, Any]]:
    """Every object within a JSON value."""
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from inside(item)


def filters(thing: Any) -> list[dict[tuple[str, str], str]]:
    """Of each run set: (run's attribute, operator) -> value."""
    found = [each["filters"]["filters"] for each in inside(thing) if "filterFormat" in (each.get("filters") or {})]
    return [{(each["key"]["name"], each["op"]): each["value"] for each in entries} for entries in found]


def markdown(thing: Any) -> str:
    return "\n\n".join(each["content"] for each in inside(thing) if each.get("type") == "markdown-block")


@pytest.mark.parametrize("name", ["workspace", "report"])
@pytest.mark.parametrize("setting", ["synthetic-laptop", "toy-laptop-d_model=256,lr=0.1", "it's <odd> & \\x"])
def test_only_runs_of_this_study_and_setting_are_shown(tmp_path: Path, name: str, setting: str) -> None:
    data = made(tmp_path)
    data = replace(data, manifest=data.manifest | {"setting": setting})
    found = filters(objects.plain(data, tmp_path, OURS)[name])
    assert found
    assert {each["group", "="] for each in found} == {f"toy/{setting}"}


def test_the_curves_leave_the_reports_own_run_out_and_the_figures_show_nothing_else(tmp_path: Path) -> None:
    curves, figures = filters(objects.plain(made(tmp_path), tmp_path, OURS)["report"])
    assert curves["jobType", "!="] == "report"
    assert figures["jobType", "="] == "report"


def test_what_has_no_figures_is_published_without(tmp_path: Path) -> None:
    data = made(tmp_path)
    found = objects.plain(data, tmp_path / "elsewhere", OURS)
    assert not [each for each in inside(found) if each.get("viewType") == "Media Browser"]
    assert len(filters(found["report"])) == 1


@pytest.mark.parametrize("name", ["workspace", "report"])
def test_curves_are_lines_a_variant_over_updates_with_its_seeds_as_a_band(tmp_path: Path, name: str) -> None:
    data = made(tmp_path)
    found = objects.plain(data, tmp_path, OURS)[name]
    plots = [each["config"] for each in inside(found) if each.get("viewType") == "Run History Line Plot"]
    assert [plot["metrics"] for plot in plots] == [[metric] for metric in objects.CURVES]
    for plot in plots:
        assert plot["xAxis"] == "update"
        assert (plot["groupBy"], plot["groupAgg"], plot["groupArea"]) == ("jobType", "mean", "minmax")
        assert plot["limit"] > len(data.runs)
    corners = [(each["layout"]["x"], each["layout"]["y"]) for each in inside(found) if "viewType" in each]
    assert name == "workspace" or len(set(corners[:6])) == 6  # in a report nothing lies on another
    shown = {metric for each in inside(found) if "metrics" in each for metric in each["metrics"]}
    assert data.study.metric in shown
    assert [each["mediaKeys"] for each in inside(found) if each.get("mediaKeys")] == [["figures/effects"]]


def test_the_report_says_the_answer_the_effects_and_each_verdict(tmp_path: Path) -> None:
    text = markdown(objects.plain(made(tmp_path), tmp_path, OURS)["report"])
    assert "**`post` is worse than `pre`" in text
    assert "| toy-1 | Pre is better. | **supported** |" in text
    assert re.search(r"\| toy-2 \| Depth decides\. \| not tested here \| .*preset=paper", text)
    assert re.search(r"\| `post` \|.*\| worse \|", text)


def test_a_score_that_measures_nothing_is_neither_drawn_nor_judged(tmp_path: Path) -> None:
    study = a_study(claims=CLAIMS)
    runs = [run | {"test_bleu": 0.0, "test_chrf": run["test_bleu"]} for run in some_runs(study)]
    data = read_records(write_records(tmp_path, study, runs))
    found = objects.plain(data, tmp_path, OURS)
    for name in ("workspace", "report"):
        shown = {metric for each in inside(found[name]) if "metrics" in each for metric in each["metrics"]}
        assert "test_chrf" in shown
        assert "test_bleu" not in shown
    text = markdown(found["report"])
    assert "BLEU is not measured here, because it is 0 in every run: chrF and test loss stand in for it." in text
    assert "| toy-1 | Pre is better. | not measured here | BLEU: it is 0 in every run |" in text


def test_every_run_has_one_link_and_so_has_the_report(tmp_path: Path) -> None:
    data = made(tmp_path)
    text = markdown(objects.plain(data, tmp_path, OURS)["report"])
    links = re.findall(r"\]\(https://wandb\.ai/us/ablate/runs/(\w+)\)", text)
    ids = [wandb_id("toy", "synthetic-laptop", name) for name in [*(run["run_id"] for run in data.runs), "report"]]
    assert links == ids
    assert all(text.count(id) == 1 for id in ids)


def test_links_lead_to_the_server_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://wandb.here:8080/")
    assert objects.Address("a team", "p").run("id") == "http://wandb.here:8080/a%20team/p/runs/id"


def test_a_dry_run_prints_both_as_json_without_key_network_or_entity(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path)
    made(tmp_path, "smoke")
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("no network"))
    assert main(["toy", f"root={tmp_path}", "dry_run=true"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"toy/synthetic-laptop"}
    assert set(found["toy/synthetic-laptop"]) == {"workspace", "report"}
    assert main(["toy", f"root={tmp_path}", "dry_run=true", "setting=synthetic-smoke", "entity=me", "project=p"]) == 0
    found = json.loads(capsys.readouterr().out)["toy/synthetic-smoke"]
    assert (found["workspace"]["entity"], found["workspace"]["project"]) == ("me", "p")
    assert "https://wandb.ai/me/p/runs/" in markdown(found["report"])


BAD = {
    "no name": ([], "it takes NAME"),
    "two names": (["toy", "other"], "it takes NAME"),
    "an option that is none": (
        ["toy", "metric=x"],
        "[root=DIR] [project=NAME] [entity=NAME] [dry_run=true]",
    ),
    "neither true nor false": (["toy", "dry_run=maybe"], "true or false"),
    "an unknown study": (["nope"], "these have: toy"),
    "an unknown setting": (["toy", "setting=nope"], "it has: synthetic-laptop"),
    "no key": (["toy"], "WANDB_API_KEY or run `wandb login`; dry_run=true"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_that_names_the_way_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    made(tmp_path)
    arguments, said = BAD[name]
    assert main([*arguments, f"root={tmp_path}"]) == 2
    out = capsys.readouterr()
    assert said in out.err
    assert out.err.count("\n") == 1
    assert out.out == ""


def test_without_the_extra_a_line_says_how_to_get_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["toy", f"root={tmp_path}", "dry_run=true"]) == 2
    assert 'pip install "ablate[publish]"' in capsys.readouterr().err


def refused_address() -> str:
    """An address on which nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}"


def test_without_a_server_a_line_says_so_and_the_key_stays_unsaid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", refused_address())
    assert main(["toy", f"root={tmp_path}"]) == 2
    said = capsys.readouterr().err
    assert "cannot be reached" in said
    assert said.count("\n") == 1
    assert KEY not in said


def test_a_server_that_does_not_answer_is_given_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setattr(server, "ANSWERS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert main(["toy", f"root={tmp_path}"]) == 2
    assert "cannot be reached" in capsys.readouterr().err


@pytest.mark.long
def test_online_both_are_made_once_and_then_renewed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path)
    with served(monkeypatch) as http:
        assert main(["toy", f"root={tmp_path}"]) == 0
        first = capsys.readouterr()
        assert {view["type"] for view in http.views.values()} == {"runs", "project-view"}
        assert main(["toy", f"root={tmp_path}"]) == 0
        assert capsys.readouterr().out == first.out
        assert_both(http, first.out)
        assert KEY not in first.out + first.err


def assert_both(http: type[Server], printed: str) -> None:
    """One view and one report, whole, at the printed addresses."""
    by_type = {view["type"]: view for view in http.views.values()}
    assert len(http.views) == 2
    report, view = by_type["runs"], by_type["project-view"]
    assert report["displayName"] == view["displayName"] == "toy/synthetic-laptop"
    assert filters(json.loads(view["spec"]))[0]["group", "="] == "toy/synthetic-laptop"
    assert "| toy-1 | Pre is better. | **supported** |" in markdown(json.loads(report["spec"]))
    to_report, to_view = printed.splitlines()
    assert to_report.endswith(f"--{report['id']}")
    assert view["name"].removeprefix("nw-").removesuffix("-v") in to_view


def test_a_server_that_refuses_is_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path)
    with served(monkeypatch) as http:
        http.refuses = True
        assert main(["toy", f"root={tmp_path}"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert KEY not in said
