"""Plugins: files that add members to the package's tables, and whose source is part of the ids of what uses them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from corpora import composed, fixture_plan
from forks import ablate
from short import sometimes
from test_imports import HEAVY, loaded_by

import ablate as package
from ablate import plugins
from ablate.cli import CONF, load_plugins
from ablate.config import CHOICES, READ_BY, READS, BadInput, Config, DataConfig, ModelConfig, TrainConfig, reads
from ablate.data.prepare import fingerprint_of
from ablate.model.feedforward import ACTIVATIONS
from ablate.plan.composition import plan
from ablate.plan.quoting import literal
from ablate.plugins import TABLES, Member, used
from ablate.store import plugin_files
from ablate.store.ids import training_id
from ablate.store.plain import config_from_plain, config_to_plain
from ablate.store.plugin_files import described, load, load_described, recalled

README = Path(__file__).parents[1] / "README.md"
DETAILS = {
    "metric": 'label="m", unit="m", higher_is_better=None, digits=1',
    "figure": 'title="t", caption="c"',
    "model.architecture": 'reads={"d_model", "layers"}',
}


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """What a test registers is gone after it."""
    members, loaded = plugins.members(), plugin_files.loaded()
    yield
    plugins.restore(members)
    plugin_files._loaded.clear()
    plugin_files._loaded.update(loaded)


def a_plugin(folder: Path, key: str = "model.activation", name: str = "mine", rest: str = "") -> Path:
    details = f", {DETAILS[key]}" if key in DETAILS else ""
    path = folder / f"{name}.py"
    path.write_text(
        f"from ablate.plugins import register\n\n@register({key!r}, {name!r}{details})\ndef member(*given): ...\n{rest}"
    )
    return path


def of_readme(folder: Path) -> Path:
    """The plugin that README shows, in a file."""
    (block,) = re.findall(r"```python\n(# snake\.py\n.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    path = folder / "snake.py"
    path.write_text(block)
    return path


@pytest.mark.parametrize("key", TABLES)
def test_a_plugin_adds_to_every_table(key: str, tmp_path: Path) -> None:
    table = getattr(import_module(TABLES[key].module), TABLES[key].name)
    load([a_plugin(tmp_path, key)])
    assert "mine" in table
    assert "mine" in CHOICES.get(key, ["mine"])
    assert READS.get("mine") == ({"architecture", "d_model", "layers"} if key == "model.architecture" else None)


@pytest.mark.parametrize("key", sometimes(TABLES, "model.activation", "metric"))
def test_a_table_that_is_imported_later_takes_what_was_registered_before(key: str, tmp_path: Path) -> None:
    path, table = a_plugin(tmp_path, key), TABLES[key]
    code = (
        f"import sys\nfrom ablate.store.plugin_files import load\nload([{str(path)!r}])\n"
        f"assert {table.module!r} not in sys.modules and 'torch' not in sys.modules\n"
        f"from {table.module} import {table.name}\nassert 'mine' in {table.name}"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_every_choice_of_the_configuration_has_a_table_that_plugins_may_add_to() -> None:
    assert set(CHOICES) < set(TABLES)
    for key, table in TABLES.items():
        assert plugins._tables[key] is getattr(import_module(table.module), table.name)


@pytest.mark.parametrize("key", TABLES)
def test_a_plugin_replaces_no_member(key: str, tmp_path: Path) -> None:
    table = getattr(import_module(TABLES[key].module), TABLES[key].name)
    before = dict(table)
    name = next(iter(table))
    with pytest.raises(BadInput, match=rf"{name}\.py, line 3: {key} already has a member {name}"):
        load([a_plugin(tmp_path, key, name)])
    assert table == before


@pytest.mark.long
@pytest.mark.parametrize("key", ["metric", "figure", "data.loader", "diagnostic"])
def test_a_name_that_exists_in_a_table_which_is_not_imported_yet_is_refused_before_anything_is_trained(
    key: str, tmp_path: Path
) -> None:
    table = getattr(import_module(TABLES[key].module), TABLES[key].name)
    path = a_plugin(tmp_path, key, next(iter(table)))
    command = ablate(f"plugins=[{path}]", "preset=smoke", "data=fixture", f"root={tmp_path / 'root'}")
    assert command.returncode == 2
    assert command.stderr.count("\n") == 1
    assert "already" in command.stderr
    assert not (tmp_path / "root").exists()


BROKEN = {
    "x = 1\n1 / 0\n": r"broken\.py, line 2: ZeroDivisionError: division by zero",
    "def f(:\n": r"broken\.py, line 1: SyntaxError",
    "import no_such_module_at_all\n": r"line 1: ModuleNotFoundError: No module named 'no_such_module_at_all'",
    "raise SystemExit(0)\n": "line 1: SystemExit",
    "x = 1\n": "registers nothing",
    "": "registers nothing",
    "\0": r"broken\.py",
    "from ablate.plugins import register\nregister('model.colour', 'red')(print)\n":
        r"line 2: there is no table model\.colour to register red in; there are model\.architecture, ",
    "from ablate.plugins import register\nregister('model.norm', '../x')(print)\n": "model.norm=../x names a folder",
    "from ablate.plugins import register\nregister('model.norm', 'x', colour=1)(print)\n": "takes no colour here",
    "from ablate.plugins import register\nregister('metric', 'x', colour=1)(print)\n": "does not fit: .*colour",
    "from ablate.plugins import register\nregister('train.objective', 'x', reads={'lr'})(print)\n":
        "train.objective=x reads lr: it may read teacher, teacher_share, temperature",
    "from ablate.plugins import register\nregister('model.architecture', 'x', reads={'lr'})(print)\n":
        "x reads lr: it may read activation, ",
    "from ablate.plugins import register\nregister('model.norm', 'x', reads={'heads'})(print)\n":
        "x reads heads: members of model.norm take no reads=",
}  # fmt: skip


@pytest.mark.parametrize("source", BROKEN, ids=repr)
def test_a_plugin_that_does_not_work_is_named_in_a_line_and_leaves_nothing(source: str, tmp_path: Path) -> None:
    path, before = tmp_path / "broken.py", {key: list(names) for key, names in CHOICES.items()}
    path.write_text(source)
    import_module("ablate.model.norm")
    import_module("ablate.analysis.metrics")
    with pytest.raises(BadInput, match=BROKEN[source]) as error:
        load([path])
    assert "\n" not in str(error.value)
    assert before == CHOICES
    assert not plugins.members()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"plugins: .*none\.py cannot be read: No such file"):
        load([tmp_path / "none.py"])
    command = ablate(f"plugins=[{tmp_path / 'none.py'}]", "dry_run=true")
    assert (command.returncode, command.stderr.count("\n")) == (2, 1)


def test_register_works_in_plugins_alone() -> None:
    with pytest.raises(BadInput, match="plugins="):
        plugins.register("model.norm", "mine")


def ids(config: Config) -> tuple[str, str]:
    return training_id(config, 0, "abc"), fingerprint_of(config.data, "a hash")


SECTIONS = {key: key.split(".")[0] for key in TABLES if "." in key}


@pytest.mark.parametrize("key", SECTIONS)
def test_the_source_is_part_of_the_ids_of_what_uses_it_and_of_no_other(key: str, tmp_path: Path) -> None:
    baseline = Config(data=DataConfig(loader="fixture"))
    before, members = ids(baseline), plugins.members()
    found = []
    for rest in ("", "# changed\n"):
        load([a_plugin(tmp_path, key, rest=rest)])
        section, name = key.split(".")
        chosen = replace(baseline, **{section: replace(getattr(baseline, section), **{name: "mine"})})
        assert ids(baseline) == before
        assert not described(baseline)
        (entry,) = described(chosen)
        assert (entry.key, entry.name, entry.file) == (key, "mine", "mine.py")
        assert entry.path is None
        made = ids(chosen)
        found.append(made)
        plugins.restore(members)
        plugin_files._loaded.clear()
        with recalled([entry]):  # as records have it, without the file
            assert training_id(chosen, 0, "abc") == made[0]
            assert config_from_plain(config_to_plain(chosen)) == chosen
        assert not plugins.members()
    index = 1 if section == "data" else 0
    assert found[0][index] != found[1][index]
    assert found[0][1 - index] == found[1][1 - index]


def test_a_key_that_the_architecture_does_not_read_uses_no_plugin(tmp_path: Path) -> None:
    load([a_plugin(tmp_path)])
    assert used(model=ModelConfig(activation="mine"))
    assert not used(model=ModelConfig(architecture="lstm", activation="mine"))


def test_an_objective_reads_the_keys_of_train_that_it_names(tmp_path: Path) -> None:
    path, before = tmp_path / "mine.py", dict(READ_BY)
    path.write_text(
        "from ablate.plugins import register\n\n"
        "@register('train.objective', 'mine', reads={'teacher'})\ndef member(*given): ...\n"
    )
    load([path])
    taught = TrainConfig(objective="mine", teacher="pre")
    assert reads(taught, "train", "teacher")
    assert not reads(taught, "train", "temperature")
    with pytest.raises(BadInput, match=r"train\.objective=mine needs a train\.teacher"):
        TrainConfig(objective="mine")
    (entry,) = described(replace(Config(), train=taught))
    plugins.restore({})
    assert before == READ_BY
    with recalled([entry]):
        assert reads(taught, "train", "teacher")
    assert before == READ_BY


def test_records_of_a_plugin_whose_member_the_package_has_now_leave_that_in_place() -> None:
    table = ACTIVATIONS
    choices, members, now = list(CHOICES["model.activation"]), dict(table), training_id(Config(), 0, "abc")
    with recalled([{"key": "model.activation", "name": "relu", "file": "relu.py", "sha256": "0" * 64}]):
        assert training_id(Config(), 0, "abc") != now
        assert (CHOICES["model.activation"], table) == (choices, members)
    assert training_id(Config(), 0, "abc") == now
    assert (CHOICES["model.activation"], table) == (choices, members)


def test_a_run_whose_plugin_has_changed_or_is_gone_is_refused(tmp_path: Path) -> None:
    path = a_plugin(tmp_path)
    load([path])
    config = replace(Config(), model=ModelConfig(activation="mine"))
    entries = described(config, paths=True)
    load_described(entries)
    plugins.restore({})
    plugin_files._loaded.clear()
    load_described(entries)  # finds the file where it was
    assert plugins.members()
    path.write_text(path.read_text() + "# changed\n")
    with pytest.raises(BadInput, match="has changed since this process imported it"):
        load([path])
    plugins.restore({})
    plugin_files._loaded.clear()
    with pytest.raises(BadInput, match=r"mine\.py, the plugin that adds model\.activation=mine .*has changed"):
        load_described(entries)
    load([path])
    with pytest.raises(BadInput, match="has changed"):
        load_described(entries)
    plugins.restore({})
    path.unlink()
    with pytest.raises(BadInput, match="is missing: give its path with plugins="):
        load_described(entries)


def test_a_file_in_another_place_is_the_same_plugin(tmp_path: Path) -> None:
    path = a_plugin(tmp_path)
    load([path])
    (tmp_path / "copy.py").write_text(path.read_text())
    load([tmp_path / "copy.py"])
    assert list(plugins.members()) == [("model.activation", "mine")]


def test_paths_are_taken_as_they_are_typed() -> None:
    for paths in ("[a b.py,/x/文本.py]", "a.py", "[~/x.py]", "[2024.py]", "null"):
        typed = f"plugins={paths}"
        once = literal(typed)
        assert literal(once) == once
        composed_paths = plan(composed, [once, "data=fixture", "preset=smoke"]).config.plugins
        assert composed_paths == (None if paths == "null" else paths.strip("[]").split(","))


@pytest.mark.parametrize("value", ["[1]", "{a: b}", "[[a.py]]", "['']"])
def test_plugins_that_are_no_list_of_files_are_refused(value: str) -> None:
    with pytest.raises(BadInput, match="plugins="):
        Config(plugins=__import__("yaml").safe_load(value))


def a_study_file(folder: Path, named: str) -> list[Path]:
    sweep = folder / "sweep"
    sweep.mkdir(parents=True)
    (sweep / "own.yaml").write_text(
        f"# @package _global_\nplugins: [{named}]\nstudy:\n  name: own\n  question: Snake?\n  baseline: relu\n"
        "  variants: {relu: {}, mine: {model.activation: mine}}\n"
    )
    return [folder, CONF]


def test_a_study_names_plugins_that_lie_beside_it(tmp_path: Path) -> None:
    folders = a_study_file(tmp_path, "mine.py")
    a_plugin(tmp_path / "sweep")
    load_plugins(["+sweep=own"], folders)
    assert "mine" in CHOICES["model.activation"]


@pytest.mark.parametrize("named", ["../mine.py", "/{}/mine.py", "link.py"])
def test_a_study_names_no_plugin_that_lies_elsewhere(named: str, tmp_path: Path) -> None:
    folders = a_study_file(tmp_path / "conf", named.format(tmp_path))
    a_plugin(tmp_path / "conf")
    a_plugin(tmp_path)
    (tmp_path / "conf" / "sweep" / "link.py").symlink_to(tmp_path / "mine.py")
    with pytest.raises(BadInput, match="not in the folder of this file, or below it"):
        load_plugins(["+sweep=own"], folders)
    assert not plugins.members()


def test_help_lists_what_plugins_add_and_loads_nothing_heavy_for_it(tmp_path: Path) -> None:
    path = a_plugin(tmp_path)
    shown = ablate("--help", f"plugins=[{path}]")
    assert shown.returncode == 0
    assert re.search(r"model\.activation=relu .*silu, squared_relu, mine", shown.stdout)
    code = f"import sys; sys.argv = ['ablate', '--help', 'plugins=[{path}]']\nfrom ablate.cli import main\nmain()"
    assert not loaded_by(code) & (HEAVY | {"torch"})


def test_two_variants_differ_by_a_plugin_s_member(tmp_path: Path) -> None:
    load([of_readme(tmp_path)])
    planned = fixture_plan("+sweep=activation")
    snake = fixture_plan("model.activation=snake")
    assert {run.id for run in snake.runs}.isdisjoint(run.id for run in planned.runs)
    assert snake.setting == "fixture-smoke-activation=snake"


def test_the_plugin_of_the_readme_runs_and_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path, root = of_readme(tmp_path), tmp_path / "root"
    run = ["model.activation=snake", "preset=smoke", "data=fixture", "seeds=1", "cost_probe=false", f"root={root}"]
    command = ablate("plugins=[snake.py]", *run)
    assert command.returncode == 0, command.stderr
    assert "finished" in command.stdout
    (folder,) = root.glob("runs/*/run.json")
    (entry,) = json.loads(folder.read_text())["plugins"]
    assert (entry["name"], entry["path"]) == ("snake", str(path))
    records = "".join(file.read_text() for file in root.glob("experiments/*/*/*.json*") if file.suffix != ".gz")
    assert entry["sha256"] in records
    assert str(tmp_path) not in records
    verified = ablate("--verify", f"root={root}", module="ablate.report")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    merged = ablate(str(root), f"root={tmp_path / 'other'}", module="ablate.merge")
    assert merged.returncode == 0, merged.stderr
    (taken,) = (tmp_path / "other").glob("runs/*/run.json")
    assert "path" not in json.loads(taken.read_text())["plugins"][0]  # nothing is executed since a merged file says so
    assert json.loads(taken.read_text())["plugins"][0]["sha256"] == entry["sha256"]
    loaded = package.load_run(folder.parent.name, root)
    assert isinstance(loaded.translate("We are late."), str)

    path.write_text(path.read_text() + "# changed\n")
    again = ablate("plugins=[snake.py]", *run, "dry_run=true")
    assert "0 of 1" not in again.stdout
    assert "1 run to train" in again.stdout  # another source is another run
    plugins.restore({})
    plugin_files._loaded.clear()
    with pytest.raises(BadInput, match="has changed"):
        package.load_run(folder.parent.name, root)


def test_a_worker_refuses_a_run_that_was_planned_with_another_source(tmp_path: Path) -> None:
    from ablate.store.folders import Store
    from ablate.training.member import run_member

    path = of_readme(tmp_path)
    load([path])
    planned, store = fixture_plan("model.activation=snake", "seeds=1"), Store(tmp_path / "root")
    store.freeze(planned.runs)
    plugins.restore({})
    plugin_files._loaded.clear()
    path.write_text(path.read_text() + "# changed\n")
    load([path])
    folder = store.run(planned.runs[0].id)
    run_member(folder, planned.config.device)
    assert folder.result() is None
    assert "has changed: its sha256 was" in str(folder.failure())


def test_members_of_records_give_way_to_what_was_there_before(tmp_path: Path) -> None:
    load([a_plugin(tmp_path)])
    (mine,) = plugins.members().values()
    entry = {"key": mine.key, "name": mine.name, "file": "mine.py", "sha256": "0" * 64}
    with recalled([entry]):
        assert plugins.members()[mine.key, mine.name] == Member(mine.key, mine.name, "mine.py", "0" * 64)
    assert list(plugins.members().values()) == [mine]
    assert plugins._tables["model.activation"]["mine"] is mine.value
