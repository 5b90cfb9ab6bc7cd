"""W&B is a view: it shows what run folders hold, once, and whatever becomes of it, the study goes on."""

from __future__ import annotations

import gzip
import json
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ablate import tracking
from ablate.composition import Plan
from ablate.config import BadInput, Config, DataConfig, ModelConfig, NormPlacement, TrainConfig, WandbConfig, WandbMode
from ablate.store import RunFolder, Store
from ablate.study import RunSpec, Study, evaluation_id, run_id

OFFLINE = WandbConfig(mode=WandbMode.offline)
UPDATES, EVERY = 1200, 100


def two_runs() -> Plan:
    """Two variants, one seed each."""
    variants: dict[str, dict[str, Any]] = {"pre": {}, "post": {"model.norm_placement": "post"}}
    study = Study("norms", "Which?", "pre", variants, {}, "test_bleu", (), {})
    configs = {
        name: Config(
            model=ModelConfig(norm_placement=NormPlacement[name]),
            train=TrainConfig(updates=UPDATES),
            data=DataConfig(name="toy"),
            preset="smoke",
        )
        for name in variants
    }
    specs = [
        RunSpec(run_id(config, 0, "c"), "norms", "toy-smoke", cell, 0, config, "c") for cell, config in configs.items()
    ]
    return Plan(study, study, "toy-smoke", configs["pre"], study.cells(), configs, specs, [], "c")


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


def end(folder: RunFolder, spec: RunSpec) -> None:
    result = {
        "status": "finished",
        "scorable": True,
        "diagnostics": [{"update": 0}],
        "learned": 1,
        "parameters": 1234,
        "flops_per_token": 1e6,
        "seconds": 7.0,
    }
    folder.write("result.json", result | {"validation_loss": 1.5, "tokens_per_second": 5e3, "peak_memory": 1e8})
    scores = {"test_bleu": 41.5, "test_bleu_greedy": 40.0, "test_bleu_lower": 42.0, "test_chrf": 60.0, "test_loss": 1.6}
    folder.write(f"result-{evaluation_id(spec.config)}.json", scores | {"seconds": 2.0})


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
        summary |= change["update"]
    return {
        **of["run"][0],
        "history": [record["item"] for record in of["history"]],
        "metrics": {record["glob_name"]: record["step_metric"] for record in of["metric"] if "glob_name" in record},
        "summary": summary,
        "exit_code": of["exit"][0].get("exit_code", 0),
    }


def curve(history: list[dict[str, Any]], metric: str) -> dict[int, float]:
    return {item["update"]: item[metric] for item in history if metric in item}


def eventually(condition: Callable[[], object], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


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
        assert run["metrics"] == dict.fromkeys(("train/*", "validation/*", "diagnostics/*"), "update")
        losses = curve(run["history"], "train/loss")
        assert {1, UPDATES} <= set(losses)
        assert 300 < len(losses) <= 501
        assert list(losses) == sorted(losses)
        assert all(loss == pytest.approx(8 / update, rel=1e-5) for update, loss in losses.items())
        assert set(curve(run["history"], "train/lr")) == set(losses)
        assert list(curve(run["history"], "validation/loss")) == list(range(EVERY, UPDATES + 1, EVERY))
        assert len(curve(run["history"], "diagnostics/gradient_norm/encoder.0.self_attention")) == UPDATES // EVERY
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


def test_the_same_command_again_shows_nothing_twice(tmp_path: Path) -> None:
    plan = two_runs()
    store = store_with(tmp_path, plan)
    assert tracking.start(plan, store, OFFLINE).finish() is not None
    before = shown(tmp_path)
    assert len(before) == 2
    assert tracking.start(plan, store, OFFLINE).finish() is None
    assert shown(tmp_path) == before


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
    line = tracker.finish(timeout=1.0)
    assert time.monotonic() - began < 3
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


class Server(BaseHTTPRequestHandler):
    """As much of W&B's server as a run needs."""

    protocol_version = "HTTP/1.1"
    refuses = False
    heard: list[str] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
        self.heard.append(f"{self.path} {body.decode()}")
        answer = self.answer(json.loads(body)) if self.path == "/graphql" else {}
        content = json.dumps({"data": answer}).encode()
        self.send_response(400 if self.refuses else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_PUT = do_POST

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        query, variables = asked["query"], asked.get("variables") or {}
        if "upsertBucket" in query:
            project = {"id": "p", "name": variables["project"], "entity": {"id": "e", "name": "us"}}
            bucket = {"id": "b", "name": variables["name"], "config": "{}", "historyLineCount": 0, "project": project}
            return {"upsertBucket": {"bucket": bucket, "inserted": True}}
        if "createRunFiles" in query:
            url = f"http://{self.headers['Host']}/upload/"
            files = [{"name": name, "uploadUrl": url + name} for name in variables["files"]]
            return {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": files}}
        return {"viewer": {"id": "v", "entity": "us", "username": "us", "flags": "{}", "teams": {"edges": []}}}

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Server]]:
    """A server on this machine that W&B is told to be."""

    class Fresh(Server):
        heard: list[str] = []

    http = ThreadingHTTPServer(("127.0.0.1", 0), Fresh)
    http.handle_error = lambda *_: None  # type: ignore[method-assign]  # wandb drops connections when it is through
    threading.Thread(target=http.serve_forever, daemon=True).start()
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{http.server_port}")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    yield Fresh
    http.shutdown()
    http.server_close()


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
    assert shown(tmp_path) == []


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
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_BASE_URL"):
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
    assert tracking.resolve(WandbMode.auto) is WandbMode.offline
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password secret")
    assert tracking.resolve(WandbMode.auto) is WandbMode.online
    bare.setenv("WANDB_BASE_URL", "http://wandb.here:8080")
    assert tracking.resolve(WandbMode.auto) is WandbMode.offline
    (tmp_path / "netrc").write_text("machine wandb.here:8080 login user password secret")
    assert tracking.resolve(WandbMode.auto) is WandbMode.online


@pytest.mark.parametrize("wish", ["disabled", "offline"])
def test_auto_does_what_the_environment_says(bare: pytest.MonkeyPatch, wish: str) -> None:
    bare.setenv("WANDB_API_KEY", "0" * 40)
    bare.setenv("WANDB_MODE", wish)
    assert tracking.resolve(WandbMode.auto) is WandbMode[wish]


def test_disabled_starts_nothing(tmp_path: Path) -> None:
    tracker = tracking.start(two_runs(), Store(tmp_path), WandbConfig(mode=WandbMode.disabled))
    assert tracker.process is None
    assert tracker.finish() is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("module", ["ablate.tracking", "ablate.tracking.follower"])
def test_neither_end_loads_what_it_does_not_need(module: str) -> None:
    """The command never imports wandb, the follower not before there is a run to show, and neither imports torch."""
    code = f"import sys, {module}; print({{'wandb', 'torch', 'pandas', 'datasets'}} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"
