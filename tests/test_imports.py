"""Who may import whom: each room only what stands below it, and nobody anything heavy before it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import ablate

PACKAGE = Path(ablate.__file__).parent
MODULES = sorted(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in PACKAGE.rglob("*.py"))

# Rooms from the top down; those on one line may not import each other.
FLOORS = [
    ["ablate.__main__", "ablate.benchmark"],  # which measures the doors below
    ["ablate.cli", "ablate.api", "ablate.merge", "ablate.publish"],
    ["ablate.run"],
    ["ablate.tracking", "ablate.report"],
    ["ablate.records"],
    ["ablate.plan", "ablate.analysis"],
    ["ablate.training"],
    ["ablate.evaluation", "ablate.diagnostics"],
    ["ablate.model"],
    ["ablate.data"],
    ["ablate.store"],
    ["ablate.study", "ablate.system", "ablate.plugins"],
    ["ablate.config"],
    ["ablate"],
]
TRAINERS = ("plugins", "training", "evaluation", "diagnostics", "model", "store", "system", "study", "config")
HEAVY = {"pandas", "wandb", "datasets", "matplotlib", "seaborn", "scipy", "statsmodels"}


def imports(module: str) -> set[str]:
    """Modules that a module names in its imports, wherever in it they stand; those for type checkers alone left out."""
    path = PACKAGE.parent.joinpath(*module.split("."))
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    found: set[str] = set()
    tree = ast.parse(source.read_text())
    skipped = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in names}
    return found


def floor(module: str) -> tuple[int, str]:
    """The number of a module's floor, counted from the top, and its room there."""
    rooms = [(number, room) for number, rooms in enumerate(FLOORS) for room in rooms]
    inside = [(len(room), number, room) for number, room in rooms if module == room or module.startswith(room + ".")]
    inside = [entry for entry in inside if module == entry[2] or entry[2] != "ablate"]
    assert inside, f"{module} stands on no floor"
    _, number, room = max(inside)
    return number, room


MODULE_NAMES = [name.removesuffix(".__init__") for name in MODULES]


@pytest.mark.parametrize("module", MODULE_NAMES)
def test_imports_point_down(module: str) -> None:
    number, room = floor(module)
    for imported in imports(module):
        if imported.split(".")[0] == "ablate":
            below, other = floor(imported)
            assert below > number or other == room, f"{module} imports {imported}"


def test_words_and_figures_of_reports_do_not_know_each_other() -> None:
    for one, other in (("text", "figures"), ("figures", "text")):
        for module in MODULE_NAMES:
            if module.startswith(f"ablate.report.{one}"):
                assert not {name for name in imports(module) if name.startswith(f"ablate.report.{other}")}, module


def test_no_two_modules_share_a_name() -> None:
    names = Counter(name.rpartition(".")[2] for name in MODULE_NAMES)
    assert [name for name, count in names.items() if count > 1] == ["__main__"]


@pytest.mark.parametrize(
    "module", [name for name in MODULE_NAMES if name.split(".")[1:2] and name.split(".")[1] in TRAINERS]
)
def test_what_trains_imports_nothing_heavy_but_torch(module: str) -> None:
    assert not {name.split(".")[0] for name in imports(module)} & HEAVY


@pytest.mark.parametrize(
    "module", [name for name in MODULE_NAMES if name.startswith(("ablate.analysis", "ablate.report"))]
)
def test_what_reports_does_not_import_torch(module: str) -> None:
    assert "torch" not in {name.split(".")[0] for name in imports(module)}


def loaded_by(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after running the code."""
    script = f"{code}\nimport sys\nprint('LOADED', *{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("LOADED")[2].split())


def test_help_loads_nothing_heavy() -> None:
    loaded = loaded_by("import sys; sys.argv = ['ablate', '--help']\nfrom ablate.cli import main\nmain()")
    assert not loaded & (HEAVY | {"torch", "hydra", "numpy", "rich"})


def test_a_plan_loads_nothing_heavy_but_torch(tmp_path: Path) -> None:
    """Where there are no records; what they say of the plan takes statistics."""
    code = (
        f"import sys; sys.argv = ['ablate', '+sweep=norm_placement', 'dry_run=true', 'root={tmp_path}']\n"
        "from ablate.cli import main\ntry:\n    main()\nexcept SystemExit as done:\n    assert done.code == 0"
    )
    assert not loaded_by(code) & HEAVY


def test_a_worker_loads_nothing_heavy_but_torch() -> None:
    assert not loaded_by("import ablate.training.member") & HEAVY


def test_a_benchmark_measures_with_nothing_heavy_but_torch() -> None:
    assert not loaded_by("import ablate.benchmark.command") & HEAVY


def test_reports_do_not_load_torch() -> None:
    assert "torch" not in loaded_by("import ablate.report.__main__")


def test_a_study_needs_nothing_heavy_but_torch_until_its_report(tmp_path: Path) -> None:
    """As on a machine with a GPU and little else: it trains, and leaves records of which another machine reports."""
    code = (
        f"import sys\nsys.modules |= dict.fromkeys({sorted(HEAVY)})\n"
        "from ablate.cli import main\nraise SystemExit(main())"
    )
    words = ("preset=smoke", "data=fixture", "seeds=1", "cost_probe=false", "wandb.mode=disabled", f"root={tmp_path}")
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "python -m ablate.report baseline" in done.stderr
    again = subprocess.run(
        [sys.executable, "-m", "ablate.report", "baseline", f"root={tmp_path}"], capture_output=True, text=True
    )
    assert again.returncode == 0, again.stderr
