"""The probe that times a study's cells, its record, and the report's table of costs."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from corpora import fixture_plan
from hypothesis import given
from hypothesis import strategies as st
from records import a_study, some_runs, write_records
from results import a_result

from ablate.config import BadInput, ModelConfig
from ablate.model.flops import parameter_count
from ablate.plan.composition import Plan
from ablate.report.render import build
from ablate.report.text.cost_table import IDLE
from ablate.run import costs
from ablate.store.folders import Store
from ablate.store.plain import config_to_plain
from ablate.training import machine, probe

CPU = torch.device("cpu")

# --- what is measured -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    """A small and a large model, timed by the process that times them."""
    plan = fixture_plan()
    configs = {name: replace(plan.config, model=model) for name, model in MODELS.items()}
    asked = {
        name: {"config": config_to_plain(config), "corpus": plan.corpus, "teachers": []}
        for name, config in configs.items()
    }
    return costs.probed(asked, CPU)


MODELS = {"small": ModelConfig(d_model=32, layers=1), "large": ModelConfig(d_model=256, layers=2)}
VOCABULARY = 500


@pytest.mark.long
def test_every_cell_is_timed_in_every_round_on_the_same_batches(measured: dict[str, Any]) -> None:
    assert list(measured["cells"]) == list(MODELS)
    small, large = measured["cells"].values()
    assert small["tokens"] == large["tokens"]
    for cell in (small, large):
        assert len(cell["seconds"]) == len(cell["tokens"]) == measured["rounds"] >= probe.FEWEST_ROUNDS
        assert all(seconds > 0 for seconds in cell["seconds"])
        assert all(0 < tokens <= 256 for tokens in cell["tokens"])


@pytest.mark.long
def test_a_larger_model_costs_more(measured: dict[str, Any]) -> None:
    small, large = measured["cells"].values()
    assert (
        sorted(large["seconds"])[len(large["seconds"]) // 2] > 2 * sorted(small["seconds"])[len(small["seconds"]) // 2]
    )


@pytest.mark.skipif(sys.platform != "linux", reason="memory is told by the size of a forked process")
@pytest.mark.long
def test_memory_holds_weights_gradients_and_adams_two_moments(measured: dict[str, Any]) -> None:
    counts = [parameter_count(model, VOCABULARY) for model in MODELS.values()]
    small, large = (cell["memory"] for cell in measured["cells"].values())
    assert 0 < small < large
    assert 0.8 < (large - small) / (4 * 4 * (counts[1] - counts[0])) < 3  # four floats a parameter, and activations


@pytest.mark.long
def test_a_probe_says_on_what_it_ran(measured: dict[str, Any]) -> None:
    assert measured["provenance"]["threads"] == 1
    assert measured["provenance"]["torch"] == torch.__version__
    assert measured["others"] is None or measured["others"] >= 0


@given(st.floats(1e-4, 1e3))
def test_a_probe_keeps_to_its_budget(seconds: float) -> None:
    updates, rounds = probe.affordable(seconds)
    assert probe.FEWEST_ROUNDS <= rounds <= probe.ROUNDS
    assert 1 <= updates <= probe.MOST_UPDATES
    assert updates * rounds * seconds <= max(probe.BUDGET, probe.FEWEST_ROUNDS * seconds) * (1 + 1e-9)


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc/stat")
def test_work_of_others_is_seen() -> None:
    others = machine.work_of_others()
    busy = "import time\nwhile time.process_time() < 0.5: pass"
    subprocess.run([sys.executable, "-c", busy], check=True)
    seen = others()
    assert seen is not None
    assert seen > 0


def test_ones_own_work_is_not_that_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "work_of_all", time.process_time)
    others, end = machine.work_of_others(), time.process_time() + 0.05
    while time.process_time() < end:
        pass
    assert others() == 0


def test_where_work_cannot_be_told_it_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "work_of_all", lambda: None)
    assert machine.work_of_others()() is None


# --- when it is measured, and what becomes of faults ----------------------------------------------------------------


class Fake:
    """In place of the process: notes what it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fault: Exception | None = None) -> None:
        self.asked: list[list[str]] = []
        self.fault = fault
        monkeypatch.setattr(costs, "probed", self)

    def __call__(self, configs: dict[str, Any], device: torch.device) -> dict[str, Any]:
        self.asked.append(list(configs))
        if self.fault:
            raise self.fault
        return a_cost(list(configs))


def a_cost(cells: list[str], others: float | None = 0.0, memory: int | None = 10**8) -> dict[str, Any]:
    """What the probe gives; cell number i takes i + 1 times as long as the first."""
    rounds = [0.1, 0.11, 0.12]
    return {
        "provenance": {"device": "cpu", "device_name": "Some | CPU", "threads": 1, "torch": "2.13.0"},
        "rounds": 3,
        "updates_a_round": 5,
        "others": others,
        "cells": {
            cell: {
                "seconds": [(number + 1) * each for each in rounds],
                "tokens": [1000.0, 990.0, 1010.0],
                "memory": memory,
            }
            for number, cell in enumerate(cells)
        },
    }


def a_store(root: Path, plan: Plan, device: str = "cpu") -> Store:
    """With a result for every run of the plan."""
    store = Store(root)
    for spec in plan.runs:
        store.run(spec.id).write("result.json", a_result(provenance={"device": device}))
    return store


def measure(plan: Plan, store: Store) -> tuple[dict[str, Any] | None, list[str]]:
    """The record, and what was said."""
    said: list[str] = []
    costs.measure(plan, store, CPU, said.append)
    path = store.root / "experiments" / plan.study.name / plan.setting / costs.NAME
    return (json.loads(path.read_text()) if path.exists() else None), said


def test_what_was_measured_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, fake = fixture_plan("+sweep=norm_placement"), Fake(monkeypatch)
    store = a_store(tmp_path, plan)
    first, said = measure(plan, store)
    assert first is not None
    assert not said
    assert list(first["cells"]) == ["pre", "post"]
    assert measure(plan, store) == (first, [])
    assert measure(plan.with_seeds(1), store) == (first, [])
    assert len(fake.asked) == 1


@pytest.mark.parametrize("change", ["cells", "torch", "device", "damage"])
def test_other_cells_versions_or_devices_are_measured_anew(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, fake = fixture_plan("+sweep=norm_placement"), Fake(monkeypatch)
    store = a_store(tmp_path, plan)
    measure(plan, store)
    if change == "cells":
        wider = {
            name: replace(config, model=replace(config.model, d_model=64)) for name, config in plan.configs.items()
        }
        plan = replace(plan, configs=wider)
    elif change == "torch":
        monkeypatch.setattr(torch, "__version__", "9.9")
    elif change == "device":
        monkeypatch.setattr(costs, "device_name", lambda device: "another")
    else:
        (store.root / "experiments" / plan.study.name / plan.setting / costs.NAME).write_text("{")
    assert measure(plan, store)[0] is not None
    assert len(fake.asked) == 2


def test_cells_that_cost_alike_are_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, fake = fixture_plan("+sweep=warmup"), Fake(monkeypatch)
    record, _ = measure(plan, a_store(tmp_path, plan))
    assert record is not None
    assert list(record["cells"]) == [cell.name for cell in plan.cells]
    assert len(fake.asked[0]) == 2  # pre and post
    seconds = {cell.variant: record["cells"][cell.name] for cell in plan.cells}
    assert all(record["cells"][cell.name] == seconds[cell.variant] for cell in plan.cells)


def test_cells_that_train_nothing_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, _ = fixture_plan("+sweep=attention_scale"), Fake(monkeypatch)
    record, _ = measure(plan, a_store(tmp_path, plan))
    assert record is not None
    assert set(record["cells"]) == {name for name, config in plan.configs.items() if config.train.updates}
    assert len(record["cells"]) < len(plan.cells)


@pytest.mark.parametrize(
    "fault",
    [
        subprocess.CalledProcessError(1, "probe", stderr="Traceback\nMemoryError: too much"),
        subprocess.TimeoutExpired("probe", 3),
        OSError("no such file"),
        json.JSONDecodeError("Expecting value", "", 0),
        KeyError("cells"),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_a_probe_that_fails_stops_nothing(fault: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, _ = fixture_plan("+sweep=norm_placement"), Fake(monkeypatch, fault)
    record, [line] = measure(plan, a_store(tmp_path, plan))
    assert record is None
    assert "\n" not in line
    if isinstance(fault, subprocess.CalledProcessError):
        assert "MemoryError: too much" in line


def test_the_fault_of_the_process_itself_is_said(tmp_path: Path) -> None:
    plan = fixture_plan("+sweep=norm_placement")
    plan = replace(plan, corpora=dict.fromkeys(plan.corpora, "0" * 12))
    record, [line] = measure(plan, a_store(tmp_path, plan))
    assert record is None
    assert "corpus 000000000000" in line


def test_costs_of_one_device_are_not_given_for_runs_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, fake = fixture_plan("+sweep=norm_placement"), Fake(monkeypatch)
    record, [line] = measure(plan, a_store(tmp_path, plan, device="cuda"))
    assert record is None
    assert "cuda" in line
    assert not fake.asked


# --- the table ------------------------------------------------------------------------------------------------------


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any] | None], tuple[str, str]]:
    """The part of a report that speaks of costs, and the rest, where the probe left this record."""
    monkeypatch.setattr("ablate.report.render.FIGURES", {})
    study = a_study()
    folder = write_records(tmp_path, study, some_runs(study))

    def parts(cost: dict[str, Any] | None) -> tuple[str, str]:
        if cost is not None:
            (folder / costs.NAME).write_text(json.dumps(cost))
        built = [(build(tmp_path, study.name, folder.name) / "report.md").read_bytes() for _ in range(2)]
        assert built[0] == built[1]
        before, _, after = built[0].decode().partition("### What it costs")
        table, _, rest = after.partition("\n## ")
        return table, before + rest

    return parts


def test_the_table_has_speed_time_and_memory(report: Callable) -> None:
    text, _ = report(a_cost(["pre", "post"]))
    assert re.search(r"variant .* tokens/s .* time of an update .* memory of training", text)
    assert re.search(r"`pre` .* 9\.00 k .* — .* 100 MB", text)
    assert re.search(r"`post` .* 4\.50 k .* 2\.00 .* 100 MB", text)
    assert "3 rounds over all variants in turn, 5 updates of each" in text
    assert r"on Some \| CPU, 1 thread" in text
    assert "The machine did nothing else" in text


def test_the_table_can_be_followed_to_the_probe(report: Callable) -> None:
    assert "cost.json" not in report(None)[1]
    assert "cost.json" in report(a_cost(["pre", "post"]))[1]


def test_without_a_probe_there_is_no_speed(report: Callable) -> None:
    text, _ = report(None)
    assert "tokens/s" not in text
    assert "Speeds are not compared" in text
    assert "peak memory of the process" in text


@pytest.mark.parametrize(
    ("others", "says"), [(2 * IDLE, "was not idle"), (None, "is not known"), (IDLE / 2, "did nothing else")]
)
def test_a_table_says_whether_the_machine_was_idle(others: float | None, says: str, report: Callable) -> None:
    assert says in report(a_cost(["pre", "post"], others=others))[0]


def test_where_memory_could_not_be_told_it_is_that_of_the_process(report: Callable) -> None:
    text, _ = report(a_cost(["pre", "post"], memory=None))
    assert "peak memory of the process" in text
    assert "tokens/s" in text


def test_a_cell_that_was_not_measured_has_no_numbers(report: Callable) -> None:
    assert re.search(r"`post` .* — .* — .* — ", report(a_cost(["pre"]))[0])


@pytest.mark.parametrize("damage", ["{", "[]", "{}", '{"cells": {}}'])
def test_a_damaged_record_is_bad_input_that_names_it(damage: str, tmp_path: Path) -> None:
    study = a_study()
    folder = write_records(tmp_path, study, some_runs(study))
    (folder / costs.NAME).write_text(damage)
    with pytest.raises(BadInput, match=r"cost\.json"):
        build(tmp_path, study.name, folder.name)
