"""Private parts of other libraries: none but those listed here is used, and each still does what ablate needs of it.

A new version of a library may change them without notice. Then a test here fails and names the use.
"""

from __future__ import annotations

import argparse
import ast
import inspect
from pathlib import Path

import pytest
import yaml

import ablate

HERE = Path(ablate.__file__).parents[1]
SOURCES = sorted(path for folder in ("ablate", "hydra_plugins") for path in (HERE / folder).rglob("*.py"))
INTERNAL = {"internal", "externals"}  # names of packages that libraries keep for themselves

ALLOWED = {  # file -> private names; none of them has a public counterpart that would do
    "ablate/plan/scalars.py": {"omegaconf._utils.get_yaml_loader"},
    "ablate/plan/shell.py": {"hydra._internal.utils._run_hydra", "hydra._internal.utils.get_args_parser"},
    "ablate/publish/objects.py": {"._to_model"},
    "ablate/publish/server.py": {
        "wandb_workspaces.workspaces.internal",
        "._internal_id",
        "._internal_name",
        "._url_query_str_to_internal_name",
    },
    "ablate/run/stopping.py": {"._exit"},  # os._exit, which Python documents
    "hydra_plugins/ablate_sweeper/__init__.py": {"joblib.externals.loky.backend.resource_tracker"},
}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


def defined(tree: ast.Module) -> set[str]:
    """Names that a file defines itself: functions, classes, variables, attributes of `self`."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            found.add(node.attr)
    return found


def private_uses(source: str) -> set[str]:
    """What a file imports from private modules, private names that it imports, and private attributes of others."""
    tree = ast.parse(source)
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if concealed(alias.name)}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] not in ("ablate", "tests"):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name for name in names if concealed(name)}
        elif isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in defined(tree):
            found.add(f".{node.attr}")
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "setattr", "hasattr", "delattr"):
            name = node.args[1]
            if isinstance(name, ast.Constant) and is_private(str(name.value)):
                found.add(f".{name.value}")
    return found


def concealed(name: str) -> bool:
    return any(is_private(part) or part in INTERNAL for part in name.split("."))


USES = {
    "import hydra._internal.utils": {"hydra._internal.utils"},
    "from hydra._internal.utils import get_args_parser": {"hydra._internal.utils.get_args_parser"},
    "from omegaconf import _utils": {"omegaconf._utils"},
    "from wandb_workspaces.workspaces import internal": {"wandb_workspaces.workspaces.internal"},
    "from joblib.externals import loky": {"joblib.externals.loky"},
    "node._get_node(1)": {"._get_node"},
    "node.child._value": {"._value"},
    "self._inherited()": {"._inherited"},
    "node._flag = 1": {"._flag"},
    "setattr(node, '_flag', 1)": {"._flag"},
    "getattr(node, '_flag')": {"._flag"},
    "class A:\n    def _own(self): self._own(); self.__dict__": set(),
    "from omegaconf import OmegaConf as _O": set(),
    "import __future__; node.__class__; _ = 1": set(),
}


@pytest.mark.parametrize("source", USES)
def test_the_scan_sees_each_kind_of_use(source: str) -> None:
    assert private_uses(source) == USES[source]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(HERE)))
def test_no_private_api_is_used_but_those_listed(path: Path) -> None:
    assert private_uses(path.read_text()) == ALLOWED.get(str(path.relative_to(HERE)), set())


def test_hydra_runs_a_command_whose_options_were_parsed_before() -> None:
    from hydra._internal.utils import _run_hydra

    names = list(inspect.signature(_run_hydra).parameters)
    assert names[:5] == ["args", "args_parser", "task_function", "config_path", "config_name"]


OPTIONS = {  # of Hydra's command line that ablate reads or refuses
    "overrides": [],
    **dict.fromkeys(("run", "multirun", "resolve", "shell_completion"), False),
    **dict.fromkeys(("cfg", "info", "config_path", "config_name", "config_dir", "experimental_rerun"), None),
}


def test_hydras_parser_knows_the_options_that_ablate_reads() -> None:
    from ablate.plan.shell import USELESS, hydra_parser

    parser = hydra_parser()
    assert isinstance(parser, argparse.ArgumentParser)
    given = vars(parser.parse_args([]))
    assert {name: given[name] or OPTIONS[name] for name in OPTIONS} == OPTIONS
    assert set(USELESS) <= set(given)
    assert parser.parse_args(["a=1", "b=2", "--cfg", "job"]).overrides == ["a=1", "b=2"]


READINGS = {  # YAML -> what Hydra makes of it
    **{"no": False, "yes": True, "null": None, "~": None, "12": 12, "1_000": 1000, "12e3": 12000.0, ".5": 0.5},
    **{"None": "None", "2024-11-25": "2024-11-25", "a:b": "a:b", "7027e03": 7027000.0, "'no'": "no"},
}


@pytest.mark.parametrize("text", READINGS)
def test_hydras_yaml_loader_reads_scalars_as_hydra_composes_them(text: str) -> None:
    from omegaconf import OmegaConf
    from omegaconf._utils import get_yaml_loader

    loader = get_yaml_loader()
    assert yaml.load(f"key: {text}", loader) == {"key": READINGS[text]}
    assert OmegaConf.to_container(OmegaConf.create(f"key: {text}")) == {"key": READINGS[text]}
    bare = loader("").resolve(yaml.ScalarNode, text, (True, False))
    value = loader("").construct_object(yaml.ScalarNode(bare, text))
    assert text.startswith("'") or value == READINGS[text]


def test_joblibs_helper_process_can_be_started_early() -> None:
    from joblib.externals.loky.backend import resource_tracker

    assert list(inspect.signature(resource_tracker.ensure_running).parameters) == []


def test_wandb_workspaces_objects_can_be_shown_and_take_the_place_of_earlier_ones() -> None:
    reports = pytest.importorskip("wandb_workspaces.reports.v2")
    workspaces = pytest.importorskip("wandb_workspaces.workspaces")
    from wandb_workspaces.workspaces import internal

    name = internal._url_query_str_to_internal_name("abc")
    assert name == "nw-abc-v"
    assert list(inspect.signature(internal.get_view_dict).parameters) == ["entity", "project", "view_name"]
    made = workspaces.Workspace(entity="us", project="ablate", name="a view", sections=[])
    made._internal_name, made._internal_id = name, "id"
    model = made._to_model()
    assert (model.name, model.id, model.display_name) == (name, "id", "a view")
    assert model.model_dump(by_alias=True, mode="json")["project"] == "ablate"
    report = reports.Report(entity="us", project="ablate", title="a report")
    assert report._to_model().model_dump(by_alias=True, mode="json")["displayName"] == "a report"
