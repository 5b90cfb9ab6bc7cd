"""Commands in the environments of notebooks, clusters and other people's folders."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from short import sometimes
from waiting import PATIENCE

from ablate.cli import CONF
from ablate.config import BadInput, WandbConfig
from ablate.plan.conf_files import check_files
from ablate.system.atomic import write_atomic
from ablate.system.environment import BINDING
from ablate.tracking import access
from ablate.tracking.place import LONGEST, fitting

PLAN = ["preset=smoke", "data=fixture", "dry_run=true", "seeds=4"]


def ablate(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "ablate", *arguments, f"root={cwd}"]
    return subprocess.run(
        command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, timeout=PATIENCE
    )


@pytest.mark.parametrize("name", sometimes(["datasets", "random", "tokenizers", "logging", "torch"], "datasets"))
def test_a_users_own_module_hides_none_of_ours(name: str, tmp_path: Path) -> None:
    (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')\n")
    done = ablate(*PLAN, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


BACKEND = """
import os, sys
from ablate.system.signals import command
@command
def main():
    import matplotlib
    return 0 if matplotlib.get_backend() == "agg" else 1
sys.exit(main())
"""


@pytest.mark.parametrize("backend", sometimes(["module://matplotlib_inline.backend_inline", "TkAgg", "none"], "none"))
def test_commands_draw_whatever_backend_the_environment_names(backend: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", BACKEND], cwd=tmp_path, env=os.environ | {"MPLBACKEND": backend})
    assert done.returncode == 0


AFFINITY = """
import os, sys
from ablate.system.signals import command
@command
def main():
    before = os.sched_getaffinity(0)
    import torch
    torch.ones(64, 64) @ torch.ones(64, 64)
    return 0 if os.sched_getaffinity(0) == before else 1
sys.exit(main())
"""


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system does not tell which cores may be used")
@pytest.mark.parametrize("name", sometimes(BINDING, "OMP_PROC_BIND"))
def test_importing_torch_ties_no_command_to_one_core(name: str) -> None:
    value = {"OMP_PROC_BIND": "true", "OMP_PLACES": "cores", "GOMP_CPU_AFFINITY": "0"}.get(name, "compact")
    done = subprocess.run([sys.executable, "-c", AFFINITY], env=os.environ | {name: value})
    assert done.returncode == 0


@pytest.mark.parametrize(("group", "name"), [("sweep", "activation"), ("preset", "smoke"), ("data", "tatoeba")])
def test_a_file_of_ones_own_with_the_name_of_ours_is_refused(group: str, name: str, tmp_path: Path) -> None:
    (tmp_path / group).mkdir()
    (tmp_path / group / f"{name}.yaml").write_text("seeds: 1\n")
    with pytest.raises(BadInput, match="rename it"):
        check_files([(group, name)], [tmp_path, CONF])


@pytest.mark.parametrize("name", ["my/project", "a#b", "what?", "50%", "a:b", "back\\slash", "x" * 129])
@pytest.mark.parametrize("key", ["project", "entity"])
def test_names_that_wandb_does_not_take_are_refused_before_training(key: str, name: str) -> None:
    with pytest.raises(BadInput, match=f"wandb.{key}="):
        access.check(WandbConfig(**{key: name}))


@pytest.mark.parametrize("kind", LONGEST)
def test_names_fit_what_wandb_takes_and_stay_apart(kind: str) -> None:
    names = ["short", "x" * LONGEST[kind], "x" * 300 + "a", "x" * 300 + "b"]
    fitted = [fitting(kind, name) for name in names]
    assert fitted[:2] == names[:2]
    assert all(len(name) <= LONGEST[kind] for name in fitted)
    assert len(set(fitted)) == len(names)


MODE = """
import sys
from pathlib import Path
from ablate.system.atomic import write_atomic
write_atomic(Path(sys.argv[1]), "content")
"""


@pytest.mark.parametrize("umask", [0o002, 0o022, 0o077])
def test_files_have_the_rights_that_the_umask_leaves(umask: int, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", MODE, tmp_path / "file"], check=True, umask=umask)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~umask
    write_atomic(tmp_path / "file", "again")


@pytest.mark.long
@pytest.mark.parametrize("variable", ["FORCE_COLOR", "CLICOLOR_FORCE"])
def test_what_goes_into_a_file_has_no_escape_codes(variable: str, tmp_path: Path) -> None:
    done = ablate(*PLAN, cwd=tmp_path, **{variable: "1"})
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
