"""W&B is a view: it shows what run folders hold, once, and whatever becomes of it, the study goes on."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from PIL import Image
from records import a_study, some_runs
from short import sometimes
from waiting import SOON, eventually
from wandb_server import KEY, Server, served

from ablate import tracking
from ablate.config import BadInput, Config, DataConfig, ModelConfig, TrainConfig, WandbConfig, WandbMode
from ablate.data.cache import corpus_folder
from ablate.plan.composition import Plan
from ablate.store.folders import Store
from ablate.store.ids import RunSpec, evaluation_id, training_id
from ablate.store.record_schema import RESULT_COLUMNS
from ablate.store.run_folder import RunFolder
from ablate.store.schema import EvaluationResult, TrainingResult
from ablate.study import Claim, Study
from ablate.tracking import access
from ablate.tracking.access import MODES, resolve
from ablate.tracking.place import Place, fitting
from ablate.tracking.translations import COLUMNS, SENTENCES, in_hash_order

OFFLINE = WandbConfig(mode=WandbMode.offline)
UPDATES, EVERY, TEST = 1200, 100, 30


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What W&B does is the same on a slow machine, only later."""
    monkeypatch.setattr(tracking, "DRAIN", 120.0)
    monkeypatch.setattr(tracking, "REPORT_DRAIN", 120.0)


def two_runs() -> Plan:
    """Two variants, one seed each."""
    variants: dict[str, dict[str, Any]] = {"pre": {}, "post": {"model.norm_placement": "post"}}
    study = Study("norms", "Which?", "pre", variants, {}, "test_bleu", (), (), {})
    configs = {
        name: Config(
            model=ModelConfig(norm_placement=name),
            train=TrainConfig(updates=UPDATES),
            data=DataConfig(name="toy"),
            preset="smoke",
        )
        for name in variants
    }
    specs = [
        RunSpec(id, evaluation_id(config, id), "norms", "toy-smoke", cell, 0, config, "c")
        for cell, config in configs.items()
        for id in [training_id(config, 0, "c")]
    ]
    return Plan(
        study, study, "toy-smoke", configs["pre"], study.cells(), configs, specs, [], {configs["pre"].data: "c"}
    )


def begin(folder: RunFolder) -> None:
    folder.path.mkdir(parents=True)
    folder.append("curve.csv", ["update,loss,lr,gradient_norm,tokens,seconds"])
    folder.append("validation.csv", ["update,loss"])


def train(folder: RunFolder, first: int = 1, last: int = UPDATES) -> None:
    updates = range(first, last + 1)
    folder.append("curve.csv", (f"{u},{8 / u:.7g},0.001,{math.nan if u == 5 else 1.5},900,{u / 10}" for u in updates))
    for update in (u for u in updates if u % EVERY == 0):
        folder.append("validation.csv", [f"{update},{9 / update:.7g}"])
        norms = {"embedding": 0.5, "encoder.0.self_attention": 0.1}
        folder.append("diagnostics.jsonl", [json.dumps({"update": update, "gradient_norm": norms})])


RESULT = TrainingResult(
    status="finished",
    scorable=True,
    learned=1,
    diverged_at=None,
    updates=UPDATES,
    best_update=UPDATES,
    best_validation_loss=1.5,
    validation_loss=1.5,
    parameters=1234,
    parameter_counts={"embedding": 1234},
    flops_per_token=1e6,
    peak_memory=10**8,
    tokens_per_second=5e3,
    batch_real_share=0.9,
    micro_batches=1,
    diagnostics=[{"update": 0}],
    final_dead_units=None,
    seconds=7.0,
    provenance={},
)


def end(folder: RunFolder, spec: RunSpec) -> None:
    folder.write("result.json", RESULT)
    scores = EvaluationResult(
        test_bleu=41.5,
        test_bleu_greedy=40.0,
        test_bleu_lower=42.0,
        test_chrf=60.0,
        test_loss=1.6,
        signatures={},
        evaluation={},
        seconds=2.0,
        beam=[f"{spec.cell} beam {i}" for i in range(TEST)],
        greedy=[f"greedy {i}" for i in range(TEST)],
        loss=[],
        tokens=[],
    )
    folder.write(folder.evaluation_file(spec.evaluation).name, scores)


@pytest.fixture(autouse=True, scope="module")
def _corpus() -> None:
    """The test set of the corpus "c" is in the cache."""
    folder = corpus_folder("c")
    folder.mkdir(parents=True, exist_ok=True)
    entries = [{"source": f"source {index}", "references": [f"reference {index}", "another"]} for index in range(TEST)]
    (folder / "test.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")


def store_with(root: Path, plan: Plan) -> Store:
    """A store in which every run of the plan is done."""
    store = Store(root)
    for spec in plan.runs:
        begin(store.run(spec.id))
        train(store.run(spec.id))
        end(store.run(spec.id), spec)
    return store


def shown(root: Path) -> list[Path]:
    return sorted((root / "runs/wandb/wandb").glob("offline-run-*"))


def inspect(run: Path) -> dict[str, Any]:
    """An offline run as W&B reads it: its `run` record, its history items, its metrics, its summary and exit code."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(run)]
    out = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout
    records = [json.loads(line) for line in out.splitlines()]
    of: dict[str, list[Any]] = {}
    for record in records:
        of.setdefault(record["type"], []).append(record[record["type"]])
    summary: dict[str, Any] = {}
    for change in of["summary"]:
        summary |= change.get("update", {})
    return {
        **of["run"][0],
        "history": [record["item"] for record in of["history"]],
        "metrics": {
            record["glob_name"]: record["step_metric"] for record in of.get("metric", []) if "glob_name" in record
        },
        "least": [record["name"] for record in of.get("metric", []) if record.get("summary") == {"min": True}],
        "artifacts": [record["name"] for record in of.get("artifact", [])],
        "summary": summary,
        "exit_code": of["exit"][0].get("exit_code", 0),
    }


def table(run: Path, name: str) -> dict[str, Any]:
    """A table as W&B keeps it: `columns` and `data`."""
    (path,) = (run / "files/media/table").glob(f"{name}_*.table.json")
    return json.loads(path.read_text())


def curve(history: list[dict[str, Any]], metric: str) -> dict[int, float]:
    return {item["update"]: item[metric] for item in history if metric in item}


def stub_of_wandb(folder: Path, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another `wandb` for the follower to import."""
    (folder / "stub" / "wandb").mkdir(parents=True)
    (folder / "stub" / "wandb" / "__init__.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(folder / "stub"))


def is_gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.long
def test_runs_are_shown_as_they_go_and_from_their_record_where_they_are_done(tmp_path: Path) -> None:
    plan, store = two_runs(), Store(tmp_path)
    live, done = (store.run(spec.id) for spec in plan.runs)
    begin(done)
    train(done)
    end(done, plan.runs[1])
    begin(live)
    train(live, 1, 650)
    tracker = tracking.start(plan, store, OFFLINE)
    assert eventually(lambda: len(shown(tmp_path)) == 2)
    train(live, 651)
    end(live, plan.runs[0])
    line = tracker.finish()
    assert line is not None
    assert line.startswith("W&B: 2 runs offline; to upload: wandb sync ")

    runs = {run["job_type"]: run for run in map(inspect, shown(tmp_path))}
    assert set(runs) == {"pre", "post"}
    for spec in plan.runs:
        run = runs[spec.cell]
        assert run["run_group"] == "norms/toy-smoke"
        assert run["display_name"] == f"{spec.cell}/seed0"
        assert set(run["tags"]) == {"norms", "smoke", "toy", spec.cell}
        config = run["config"]["update"]
        assert config["model"]["norm_placement"] == spec.cell
        assert (config["seed"], config["run_id"], config["study"], config["setting"]) == (
            0,
            spec.id,
            "norms",
            "toy-smoke",
        )
        assert run["metrics"] == dict.fromkeys(("train/*", "validation/*", "diagnostics/*", "test/*"), "update")
        losses = curve(run["history"], "train/loss")
        assert {1, UPDATES} <= set(losses)
        assert 300 < len(losses) <= 501
        assert list(losses) == sorted(losses)
        assert all(loss == pytest.approx(8 / update, rel=1e-5) for update, loss in losses.items())
        assert set(curve(run["history"], "train/lr")) == set(losses)
        assert list(curve(run["history"], "validation/loss")) == list(range(EVERY, UPDATES + 1, EVERY))
        assert len(curve(run["history"], "diagnostics/gradient_norm/encoder.0.self_attention")) == UPDATES // EVERY
        assert run["least"] == ["validation/loss"]
        assert run["summary"]["validation/loss"] == {"min": pytest.approx(9 / UPDATES, rel=1e-5)}
        tested = {
            "test/bleu": 41.5,
            "test/bleu_greedy": 40.0,
            "test/bleu_lower": 42.0,
            "test/chrf": 60.0,
            "test/loss": 1.6,
        }
        assert {metric: curve(run["history"], metric) for metric in tested} == {
            metric: {UPDATES: score} for metric, score in tested.items()
        }
        expected = {
            "test_bleu": 41.5,
            "parameters": 1234,
            "seconds": 9.0,
            "status": "finished",
            "run_id": spec.id,
            "learned": 1,
        }
        assert expected.items() <= run["summary"].items()
        assert run["exit_code"] == 0
    assert sum(file.stat().st_size for file in shown(tmp_path)[0].rglob("*") if file.is_file()) < 1 << 20


@pytest.mark.long
def test_the_same_command_again_shows_nothing_twice(tmp_path: Path) -> None:
    plan = two_runs()
    store = store_with(tmp_path, plan)
    assert tracking.start(plan, store, OFFLINE).finish() is not None
    before = shown(tmp_path)
    assert len(before) == 2
    assert tracking.start(plan, store, OFFLINE).finish() is None
    assert shown(tmp_path) == before


@pytest.mark.long
def test_a_failed_run_is_shown_as_failed_until_it_succeeds(tmp_path: Path) -> None:
    plan = two_runs()
    plan.runs.pop()
    (spec,), store = plan.runs, Store(tmp_path)
    begin(store.run(spec.id))
    train(store.run(spec.id), 1, 40)
    store.run(spec.id).append("failure.txt", ["Traceback", "MemoryError"])
    tracking.start(plan, store, OFFLINE).finish()
    (failed,) = map(inspect, shown(tmp_path))
    assert failed["exit_code"] == 1
    assert failed["summary"]["status"] == "failed"

    train(store.run(spec.id), 41)
    end(store.run(spec.id), spec)
    tracking.start(plan, store, OFFLINE).finish()
    (finished,) = map(inspect, shown(tmp_path))
    assert finished["run_id"] == failed["run_id"]
    assert finished["summary"]["status"] == "finished"


def test_what_an_earlier_command_left_half_done_is_not_taken_for_a_run_in_training(tmp_path: Path) -> None:
    plan, store = two_runs(), Store(tmp_path)
    for spec in plan.runs:
        begin(store.run(spec.id))
        os.utime(store.run(spec.id).file("curve.csv"), (1e9, 1e9))
    assert tracking.start(plan, store, OFFLINE).finish() is None
    assert shown(tmp_path) == []


def test_a_wandb_that_hangs_is_ended_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = two_runs()
    store = store_with(tmp_path, plan)
    stub_of_wandb(tmp_path, "import time\ntime.sleep(600)", monkeypatch)
    tracker = tracking.start(plan, store, OFFLINE)
    began = time.monotonic()
    tracker.drain = 1.0
    line = tracker.finish()
    assert time.monotonic() - began < SOON
    assert line is not None
    assert "tracking.log" in line
    assert tracker.process is not None
    assert is_gone(tracker.process.pid)


def test_a_wandb_that_breaks_ends_nothing_but_the_view(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = two_runs()
    store = store_with(tmp_path, plan)
    stub_of_wandb(tmp_path, "raise ImportError('broken wheel')", monkeypatch)
    line = tracking.start(plan, store, OFFLINE).finish()
    assert line is not None
    assert "tracking.log" in line
    assert "broken wheel" in (tmp_path / "runs/wandb/tracking.log").read_text()


@pytest.mark.long
def test_the_follower_outlives_a_killed_command_only_to_finish_what_there_is(tmp_path: Path) -> None:
    store_with(tmp_path, two_runs())
    code = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_tracking import OFFLINE, Path, Store, tracking, two_runs
print(tracking.start(two_runs(), Store(Path({str(tmp_path)!r})), OFFLINE).process.pid, flush=True)
os._exit(9)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert eventually(lambda: is_gone(int(out)))
    assert [inspect(run)["exit_code"] for run in shown(tmp_path)] == [0, 0]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Server]]:
    with served(monkeypatch) as server:
        yield server


@pytest.mark.long
def test_online_a_study_is_a_group_on_the_server(tmp_path: Path, server: type[Server]) -> None:
    plan = two_runs()
    line = tracking.start(plan, store_with(tmp_path, plan), WandbConfig(mode=WandbMode.online)).finish()
    assert line is not None
    assert line.startswith("W&B: 2 runs at http://127.0.0.1:")
    assert line.endswith("/us/ablate/groups/norms%2Ftoy-smoke")
    created = [said for said in server.heard if '"groupName":"norms/toy-smoke"' in said]
    assert len(created) == 2
    assert any("file_stream" in said and "train/loss" in said for said in server.heard)
    assert any("wandb-summary.json" in said and '"test_bleu":41.5' in said for said in server.heard)
    for spec in plan.runs:
        assert any("/upload/" in said and f"{spec.cell} beam 7" in said for said in server.heard)
    assert shown(tmp_path) == []
    assert KEY not in (tmp_path / "runs/wandb/tracking.log").read_text()


@pytest.mark.long
def test_what_cannot_be_shown_online_is_shown_offline(tmp_path: Path, server: type[Server]) -> None:
    server.refuses = True
    plan = two_runs()
    line = tracking.start(plan, store_with(tmp_path, plan), WandbConfig(mode=WandbMode.online)).finish()
    assert line is not None
    assert line.startswith("W&B: online failed (")
    assert "; 2 runs offline; " in line
    assert [inspect(run)["exit_code"] for run in shown(tmp_path)] == [0, 0]


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment in which nobody has heard of W&B."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    return monkeypatch


def test_online_without_a_key_is_bad_input(bare: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match="WANDB_API_KEY"):
        tracking.check(WandbConfig(mode=WandbMode.online))
    tracking.check(WandbConfig(mode=WandbMode.auto))
    bare.setenv("WANDB_API_KEY", "0" * 40)
    tracking.check(WandbConfig(mode=WandbMode.online))


def test_auto_goes_online_with_a_key_for_this_server(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert resolve(WandbMode.auto) is WandbMode.offline
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password secret")
    assert resolve(WandbMode.auto) is WandbMode.online
    bare.setenv("WANDB_BASE_URL", "http://wandb.here:8080")
    assert resolve(WandbMode.auto) is WandbMode.offline
    (tmp_path / "netrc").write_text("machine wandb.here:8080 login user password secret")
    assert resolve(WandbMode.auto) is WandbMode.online


@pytest.mark.parametrize("spelt", [str.lower, str.upper, str.title, " {} ".format])
@pytest.mark.parametrize("wish", [mode for mode in MODES if mode])
def test_auto_does_what_the_environment_says(bare: pytest.MonkeyPatch, wish: str, spelt: Callable[[str], str]) -> None:
    bare.setenv("WANDB_API_KEY", "0" * 40)
    bare.setenv("WANDB_MODE", spelt(wish))
    tracking.check(WandbConfig())
    assert resolve(WandbMode.auto) is MODES[wish]


@pytest.mark.parametrize("given", ["true", "True", "1", "YES"])
def test_wandb_can_be_disabled_by_the_environment(bare: pytest.MonkeyPatch, given: str) -> None:
    bare.setenv("WANDB_DISABLED", given)
    assert resolve(WandbMode.auto) is WandbMode.disabled
    assert resolve(WandbMode.offline) is WandbMode.offline


@pytest.mark.parametrize("given", ["loud", "on line", "0"])
def test_a_mode_that_there_is_not_names_the_choices_unless_the_command_line_has_one(
    bare: pytest.MonkeyPatch, given: str
) -> None:
    bare.setenv("WANDB_MODE", given)
    with pytest.raises(BadInput, match=r"online, .*offline, .*disabled"):
        tracking.check(WandbConfig())
    tracking.check(WandbConfig(mode=WandbMode.offline))


REFUSED = {  # variable -> a value that wandb does not accept, and what the line then says
    "WANDB_CONSOLE": ("loud", "'auto', 'off', 'wrap'"),
    "WANDB_SILENT": ("maybe", "boolean"),
    "WANDB_BASE_URL": ("here", "URL"),
    "WANDB_INIT_TIMEOUT": ("soon", "number"),
    "WANDB_HTTP_TIMEOUT": ("soon", "number"),
    "WANDB__DISABLE_STATS": ("?", "boolean"),
}


@pytest.mark.parametrize("name", sometimes(REFUSED, "WANDB_CONSOLE"))
def test_a_variable_that_wandb_refuses_is_one_line_before_training(bare: pytest.MonkeyPatch, name: str) -> None:
    value, choices = REFUSED[name]
    bare.setenv(name, value)
    with pytest.raises(BadInput, match=f"^{name}={re.escape(value)} is not accepted by W&B: .*{choices}") as found:
        tracking.check(OFFLINE)
    assert "\n" not in str(found.value)
    tracking.check(WandbConfig(mode=WandbMode.disabled))


def test_variables_that_wandb_accepts_are_no_problem_and_a_key_is_never_shown(bare: pytest.MonkeyPatch) -> None:
    for name, value in (("WANDB_CONSOLE", "wrap"), ("WANDB_SILENT", "true"), ("WANDB_UNKNOWN", "x")):
        bare.setenv(name, value)
    bare.setenv("WANDB_API_KEY", "not a key")
    tracking.check(OFFLINE)


def test_wandb_is_asked_about_variables_only_where_there_are_any(bare: pytest.MonkeyPatch) -> None:
    bare.setattr("subprocess.run", lambda *_, **__: pytest.fail("no process is needed"))
    bare.setenv("WANDB_API_KEY", "0" * 40)
    bare.setenv("WANDB_PROJECT", "mine")
    tracking.check(OFFLINE)


@pytest.mark.parametrize("key", ["project", "entity"])
def test_the_command_line_goes_before_the_environment(bare: pytest.MonkeyPatch, key: str) -> None:
    found = getattr(access, key)
    assert found(WandbConfig()) == {"project": "ablate", "entity": None}[key]
    bare.setenv(f"WANDB_{key.upper()}", "theirs")
    assert found(WandbConfig()) == "theirs"
    assert found(WandbConfig(**{key: "ablate"})) == "ablate"


@pytest.mark.parametrize("name", access.OWN)
def test_what_names_a_single_run_is_said_not_to_be_used_and_reaches_nobody(
    bare: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    assert tracking.notice(WandbConfig()) is None
    bare.setenv(name, "theirs")
    assert name in (tracking.notice(WandbConfig()) or "")
    assert tracking.notice(WandbConfig(mode=WandbMode.disabled)) is None
    assert name not in access.environment(tmp_path)


@pytest.mark.long
def test_a_hostile_environment_breaks_nothing_and_its_tags_are_added(tmp_path: Path, bare: pytest.MonkeyPatch) -> None:
    for name in access.OWN:
        bare.setenv(name, "theirs")
    bare.setenv("WANDB_MODE", "OFFLINE")
    bare.setenv("WANDB_TAGS", f"mine,,{'x' * 100}")
    plan = two_runs()
    line = tracking.start(plan, store_with(tmp_path, plan), WandbConfig()).finish()
    assert line is not None
    assert line.startswith("W&B: 2 runs offline; ")
    bare.undo()  # the environment, which would keep wandb from reading them
    found = [inspect(run) for run in shown(tmp_path)]
    assert {run["run_group"] for run in found} == {f"{plan.study.name}/{plan.setting}"}
    assert all({"mine", fitting("tag", "x" * 100)} < {*run["tags"]} for run in found)


def test_without_a_home_there_is_one_for_wandb(tmp_path: Path, bare: pytest.MonkeyPatch) -> None:
    bare.setattr(access, "home_folder", lambda: None)
    assert access.environment(tmp_path)["HOME"] == str(tmp_path)


def test_disabled_starts_nothing(tmp_path: Path) -> None:
    tracker = tracking.start(two_runs(), Store(tmp_path), WandbConfig(mode=WandbMode.disabled))
    assert tracker.process is None
    assert tracker.finish() is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("module", ["ablate.tracking", "ablate.tracking.follower", "ablate.tracking.report_run"])
def test_neither_end_loads_what_it_does_not_need(module: str) -> None:
    """The command never imports wandb, the follower not before there is a run to show, and neither imports torch."""
    code = f"import sys, {module}; print({{'wandb', 'torch', 'pandas', 'datasets'}} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


@pytest.mark.long
def test_every_run_has_the_same_sentences_and_its_own_translations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    plan = two_runs()
    tracking.start(plan, store_with(tmp_path, plan), OFFLINE).finish()
    seen = {inspect(run)["job_type"]: table(run, "translations") for run in shown(tmp_path)}
    assert all(found["columns"] == COLUMNS for found in seen.values())
    indices = [int(source.removeprefix("source ")) for source, *_ in seen["pre"]["data"]]
    assert len(set(indices)) == SENTENCES < TEST
    assert indices == in_hash_order([f"source {index}" for index in range(TEST)])[:SENTENCES]
    for cell, found in seen.items():
        assert found["data"] == [
            [f"source {i}", f"reference {i}\nanother", f"{cell} beam {i}", f"greedy {i}"] for i in indices
        ]
    assert not list((tmp_path / "home").rglob("artifacts"))  # they are kept with the runs, for `wandb sync`


def test_the_report_shows_the_same_first_sentences() -> None:
    from ablate.records.report_data import ReportData
    from ablate.report.text.listing import translations as of_report

    study = a_study()
    runs = tuple(some_runs(study, seeds=1))
    test = tuple({"source": f"source {index}", "references": ["r"]} for index in range(TEST))
    hypotheses = {run["run_id"]: {"beam": ["b"] * TEST} for run in runs}
    found = of_report(ReportData(Path(), study, {}, runs, {}, test, hypotheses))
    order = in_hash_order([f"source {index}" for index in range(TEST)])
    assert [each["source"] for each in found] == [f"source {index}" for index in order[: len(found)]]
    assert found


@pytest.mark.long
def test_a_run_is_shown_without_a_table_where_its_corpus_is_gone(tmp_path: Path) -> None:
    plan = two_runs()
    plan.runs[:] = [replace(spec, corpus="gone") for spec in plan.runs]
    tracking.start(plan, store_with(tmp_path, plan), OFFLINE).finish()
    for run in shown(tmp_path):
        assert inspect(run)["summary"]["test_bleu"] == 41.5
        assert not list(run.rglob("*.table.json"))


@pytest.mark.long
def test_a_run_of_another_study_done_long_ago_is_shown_whole_in_this_one(tmp_path: Path) -> None:
    plan = two_runs()
    store = store_with(tmp_path, plan)
    for path in (tmp_path / "runs").rglob("*"):
        os.utime(path, (1e9, 1e9))
    tracking.start(plan, store, OFFLINE).finish()
    other = replace(
        plan,
        study=replace(plan.study, name="again"),
        runs=[replace(spec, study="again", setting="toy-smoke") for spec in plan.runs],
    )
    assert tracking.start(other, store, OFFLINE).finish() is not None
    runs = [(run, inspect(run)) for run in shown(tmp_path)]
    for cell in ("pre", "post"):
        (first, one), (second, two) = sorted(
            ((path, run) for path, run in runs if run["job_type"] == cell), key=lambda pair: pair[1]["run_group"]
        )
        assert [one["run_group"], two["run_group"]] == ["again/toy-smoke", "norms/toy-smoke"]
        assert one["run_id"] != two["run_id"]
        for metric in ("train/loss", "validation/loss", "diagnostics/gradient_norm/embedding", "test/bleu"):
            assert curve(one["history"], metric) == curve(two["history"], metric) != {}
        assert table(first, "translations") == table(second, "translations")
        assert all(one["summary"][column] == two["summary"][column] for column in ("test_bleu", "run_id", "seconds"))


def report_of(root: Path, plan: Plan, text: str = "# Which?") -> Path:
    """A report's folder, as small as one can be."""
    folder = root / "reports" / plan.study.name / plan.setting
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    (folder / "report.md").write_text(text)
    (folder / "report.html").write_text(f"<h1>{text}</h1>")
    difference = {"mean": -2.5, "low": None, "high": None, "p_holm": None, "seeds": 1}
    variants = [
        {"variant": "pre", "factors": {}, "runs": 1, "mean": 41.5, "difference": None},
        {"variant": "post", "factors": {}, "runs": 1, "mean": 39, "difference": difference},
    ]
    claims = [{"id": "toy-1", "verdict": "supported", "effect": -2.5}, {"id": "toy-2", "verdict": None, "effect": None}]
    summary = {"study": "norms", "setting": "toy-smoke", "metric": "test_bleu", "baseline": "pre"}
    (folder / "summary.json").write_text(json.dumps(summary | {"variants": variants, "claims": claims}))
    header = ",".join(RESULT_COLUMNS)
    row = ",".join({"test_bleu": "41.5", "seed": "0", "variant": "pre"}.get(name, "") for name in RESULT_COLUMNS)
    (folder / "results.csv").write_text(f"{header},depth\n{row},none\n{row},2\n")
    Image.new("RGB", (8, 8)).save(folder / "figures" / "effects.png")
    (folder / "figures" / "effects.svg").write_text("<svg/>")
    return folder


def offline(plan: Plan, mode: WandbMode = WandbMode.offline) -> Plan:
    """The plan with W&B offline; its claims have sentences."""
    claims = tuple(Claim(id, f"What {id} says.", ()) for id in ("toy-1", "toy-2"))
    config = replace(plan.config, wandb=WandbConfig(mode=mode))
    return replace(plan, study=replace(plan.study, claims=claims), config=config)


def show_report(plan: Plan, root: Path, folder: Path) -> str | None:
    tracker = tracking.start_report(plan, Store(root), folder)
    tracker.drain = 30.0
    return tracker.finish()


def test_the_report_is_a_run_of_its_study(tmp_path: Path) -> None:
    plan = offline(two_runs())
    line = show_report(plan, tmp_path, report_of(tmp_path, plan))
    assert line is not None
    assert line.startswith("W&B: report offline; to upload: wandb sync ")
    (path,) = shown(tmp_path)
    run = inspect(path)
    assert (run["run_group"], run["job_type"], run["display_name"]) == ("norms/toy-smoke", "report", "report")
    assert run["run_id"] == tracking.wandb_id("norms", "toy-smoke", "report")
    assert run["summary"]["verdict/toy-1"] == "supported"
    assert run["summary"]["verdict/toy-2"] == "not tested here"
    (logged,) = run["history"]
    assert {key.partition("._type")[0] for key in logged if key.endswith("._type")} == {
        "figures/effects", "report", "tables/results", "tables/variants", "tables/claims",
    }  # fmt: skip
    results = table(path, "tables/results")
    rows = [dict(zip(results["columns"], row)) for row in results["data"]]
    assert [(row["variant"], row["seed"], row["test_bleu"], row["learned"], row["depth"]) for row in rows] == [
        ("pre", 0, 41.5, None, "none"),
        ("pre", 0, 41.5, None, "2"),
    ]
    nested = [f"difference.{key}" for key in ("mean", "low", "high", "p_holm", "seeds")]
    assert table(path, "tables/variants")["columns"] == ["variant", "runs", "mean", *nested]
    assert table(path, "tables/claims")["data"] == [
        ["toy-1", "What toy-1 says.", "supported", -2.5],
        ["toy-2", "What toy-2 says.", None, None],
    ]
    kept = path / "files/report"
    assert {str(file.relative_to(kept)) for file in kept.rglob("*.*")} == {
        "report.md", "report.html", "results.csv", "summary.json", "figures/effects.png",
    }  # fmt: skip
    assert "report-norms-toy-smoke" in run["artifacts"]


@pytest.mark.long
def test_a_report_is_shown_again_only_where_it_has_changed_and_then_in_its_own_place(tmp_path: Path) -> None:
    plan = offline(two_runs())
    folder = report_of(tmp_path, plan)
    assert show_report(plan, tmp_path, folder) is not None
    assert len(shown(tmp_path)) == 1
    assert tracking.start_report(plan, Store(tmp_path), folder).process is None
    for text in ("# Another", "# Which?"):  # back to what was shown once is a change as well
        assert show_report(plan, tmp_path, report_of(tmp_path, plan, text)) is not None
        (only,) = shown(tmp_path)
        assert only.name.endswith(tracking.wandb_id("norms", "toy-smoke", "report"))
        assert (only / "files/report/report.md").read_text() == text


@pytest.mark.long
def test_online_the_report_and_its_artifact_are_uploaded(tmp_path: Path, server: type[Server]) -> None:
    plan = offline(two_runs(), WandbMode.online)
    line = show_report(plan, tmp_path, report_of(tmp_path, plan))
    assert line is not None
    assert line.startswith("W&B: report at http://127.0.0.1:")
    assert line.endswith(f"/us/ablate/runs/{tracking.wandb_id('norms', 'toy-smoke', 'report')}")
    assert any('"artifactTypeName":"report"' in said for said in server.heard)
    for name in ("report.md", "report.html", "summary.json"):
        assert any(said.startswith(f"/upload/{name} ") for said in server.heard)
    assert any("/upload/media/images/figures/effects" in said for said in server.heard)
    assert any("wandb-summary.json" in said and '"verdict/toy-1":"supported"' in said for said in server.heard)
    assert shown(tmp_path) == []
    assert tracking.start_report(plan, Store(tmp_path), report_of(tmp_path, plan)).process is None


@pytest.mark.long
def test_a_report_that_cannot_go_online_is_shown_offline(tmp_path: Path, server: type[Server]) -> None:
    server.refuses = True
    plan = offline(two_runs(), WandbMode.online)
    line = show_report(plan, tmp_path, report_of(tmp_path, plan))
    assert line is not None
    assert line.startswith("W&B: online failed (")
    assert "; report offline; " in line
    assert [inspect(run)["exit_code"] for run in shown(tmp_path)] == [0]


def test_a_wandb_that_hangs_keeps_nobody_waiting_for_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "REPORT_DRAIN", 2.0)
    plan = offline(two_runs())
    stub_of_wandb(tmp_path, "import time\ntime.sleep(600)", monkeypatch)
    began = time.monotonic()
    tracker = tracking.start_report(plan, Store(tmp_path), report_of(tmp_path, plan))
    line = tracker.finish()
    assert time.monotonic() - began < SOON
    assert line is not None
    assert "sent in the background" in line
    assert tracker.process is not None
    assert tracker.process.poll() is None  # it goes on, until it ends itself
    tracker.process.kill()
    tracker.process.wait()


def test_a_report_that_cannot_be_read_is_a_line_and_no_more(tmp_path: Path) -> None:
    plan = offline(two_runs())
    folder = report_of(tmp_path, plan)
    (folder / "summary.json").write_text("{")
    line = show_report(plan, tmp_path, folder)
    assert line is not None
    assert "tracking ended with an error, which does not affect the study" in line


def test_disabled_shows_no_report(tmp_path: Path) -> None:
    plan = offline(two_runs(), WandbMode.disabled)
    folder = report_of(tmp_path, plan)
    assert tracking.start_report(plan, Store(tmp_path), folder).process is None
    assert not (tmp_path / "runs").exists()


PLACES: dict[str, dict[str, Any]] = {
    "here": {},
    "on the server": {"online": True},
    "in another project": {"project": "other"},
    "under another name": {"entity": "them"},
}


@pytest.mark.parametrize("elsewhere", PLACES)
def test_what_was_shown_in_one_place_is_shown_in_another_unless_it_is_online(tmp_path: Path, elsewhere: str) -> None:
    here = Place(tmp_path, online=False, project="ablate", entity=None)
    there = replace(here, **PLACES[elsewhere])
    there.mark("id", "content")
    assert there.has_shown("id", "content")
    assert not there.has_shown("id", "other content")
    assert not there.has_shown("other id", "content")
    assert here.has_shown("id", "content") == (elsewhere in ("here", "on the server"))
    assert not replace(there, online=True, project="third").has_shown("id", "content")


@pytest.mark.long
def test_a_run_that_has_no_scores_is_shown_without_them(tmp_path: Path) -> None:
    """A run of zero updates has been measured and nothing else; one that diverged has a curve."""
    plan, store = two_runs(), Store(tmp_path)
    untrained, diverged = plan.runs
    for spec, status, last in ((untrained, "finished", 0), (diverged, "diverged", 30)):
        folder = store.run(spec.id)
        begin(folder)
        folder.append("diagnostics.jsonl", [json.dumps({"update": 0, "gradient_norm": {"embedding": 0.5}})])
        train(folder, last=last)
        result = structs.replace(RESULT, status=status, scorable=False, updates=last, seconds=1.0)
        folder.write("result.json", result)
    tracking.start(plan, store, OFFLINE).finish()
    assert len(shown(tmp_path)) == 2
    for path in shown(tmp_path):
        run = inspect(path)
        assert curve(run["history"], "diagnostics/gradient_norm/embedding") == {0: 0.5}
        assert not [key for item in run["history"] for key in item if key.startswith("test/")]
        assert not [key for key in run["summary"] if key.startswith("test")]
        assert not list(path.rglob("*.table.json"))
    assert {inspect(path)["summary"]["status"] for path in shown(tmp_path)} == {"finished", "diverged"}


@pytest.mark.long
def test_a_study_leaves_its_runs_and_its_report_in_one_group(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ablate", "preset=smoke", "data=fixture", "seeds=1", "wandb.mode=offline"]
    for _ in range(2):
        done = subprocess.run([*command, f"root={tmp_path}"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == str(tmp_path / "reports/baseline/fixture-smoke")
        assert eventually(lambda: (tmp_path / "runs/wandb/tracked" / marker_of_report(tmp_path)).exists())
        runs = [inspect(path) for path in shown(tmp_path)]
        assert {run["run_group"] for run in runs} == {"baseline/fixture-smoke"}
        assert sorted(run["job_type"] for run in runs) == ["baseline", "report"]
    assert "report offline" not in done.stdout  # once is enough


def marker_of_report(root: Path) -> str:
    place = Place(root / "runs/wandb", online=False, project="ablate", entity=None)
    return place.marker(tracking.wandb_id("baseline", "fixture-smoke", "report")).name
