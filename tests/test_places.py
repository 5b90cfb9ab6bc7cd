"""Whatever folders a process finds missing, a line says so, and nothing else does."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from forks import ablate

from ablate.config import BadInput, DataConfig
from ablate.store.folders import Store
from ablate.system.places import cache_folder, expanded

NOBODY = "~no-such-user/x"
BASE = ["preset=smoke", "dry_run=true", "wandb.mode=disabled"]
NAMED = {  # what names a path, with the commands that read it
    "root": ["ablate", *BASE, "data=fixture", f'root="{NOBODY}"'],
    "data.path": ["ablate", *BASE, "data=files", f'data.path="{NOBODY}"'],
    "data.path of multi30k": ["ablate", *BASE, "data=multi30k", "data.target=de", f'data.path="{NOBODY}"'],
    "--config-dir": ["ablate", *BASE, "data=fixture", "--config-dir", NOBODY],
    "report": ["ablate.report", f"root={NOBODY}"],
    "publish": ["ablate.publish", "study", f"root={NOBODY}"],
    "merge into": ["ablate.merge", ".", f"root={NOBODY}"],
    "merge from": ["ablate.merge", NOBODY],
}


@pytest.mark.long
@pytest.mark.parametrize("name", NAMED)
def test_a_user_without_a_home_is_named_in_one_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module, *arguments = NAMED[name]
    done = ablate(*arguments, module=module)
    assert done.returncode == 2, done
    assert len(done.stderr.splitlines()) == 1
    assert "~no-such-user has no home folder" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_home_is_put_in_for_its_sign(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expanded("~/x", "root") == tmp_path / "x"
    monkeypatch.setenv("ABLATE_CACHE", "~/cache")
    assert cache_folder() == tmp_path / "cache"
    assert DataConfig(loader="files", path="~").label == tmp_path.name
    assert DataConfig(loader="files", path=NOBODY).label == "x"


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """No HOME, and a user that the system does not know."""

    def unknown(user: int) -> None:
        raise KeyError(user)

    for name in ("HOME", "ABLATE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return monkeypatch


def test_without_a_home_the_cache_is_a_private_folder(homeless: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_folder().parent == tmp_path
    assert cache_folder().stat().st_mode & 0o777 == 0o700
    homeless.setenv("XDG_CACHE_HOME", "/caches")
    assert cache_folder() == Path("/caches/ablate")
    homeless.setenv("ABLATE_CACHE", "/cache")
    assert cache_folder() == Path("/cache")


@pytest.mark.parametrize("obstacle", ["a file", "somebody else's"])
def test_a_folder_that_others_could_have_put_there_is_refused(
    homeless: pytest.MonkeyPatch, tmp_path: Path, obstacle: str
) -> None:
    place = tmp_path / f"ablate-{os.getuid()}"
    if obstacle == "a file":
        place.touch()
    else:
        place.mkdir()
        other = os.getuid() + 1
        homeless.setattr(os, "getuid", lambda: other)
        place.rename(tmp_path / f"ablate-{other}")
    with pytest.raises(BadInput, match="set ABLATE_CACHE"):
        cache_folder()


GIVEN_IN_A_FOLDER_THAT_IS_GONE = """
import os, sys
os.chdir(sys.argv.pop(1))
os.rmdir(os.getcwd())
from ablate.cli import main
sys.exit(main())
"""


def test_a_current_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    words = [str(tmp_path / "gone"), *BASE, "data=fixture"]
    done = subprocess.run(
        [sys.executable, "-c", GIVEN_IN_A_FOLDER_THAT_IS_GONE, *words], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "the current folder" in done.stderr


MODULES = [
    "cli",
    "run.costs",
    "plan.help",
    "merge.joining",
    "run.progress",
    "report.render",
    "tracking",
    "training.member",
]


@pytest.mark.long
def test_modules_are_imported_without_what_only_unix_has() -> None:
    code = f"""
import importlib, os, signal, sys
import torch, pandas, matplotlib.pyplot  # which have their own ways
for name in ("fcntl", "resource"):
    sys.modules[name] = None
for thing, names in ((os, ("killpg", "getpgid", "nice")), (signal, ("SIGHUP", "SIGKILL"))):
    for name in names:
        delattr(thing, name)
for name in {MODULES}:
    importlib.import_module("ablate." + name)
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("put", ["a file", "a broken link"])
@pytest.mark.parametrize("name", [".", "runs", "experiments", "reports"])
def test_what_is_no_folder_is_named_itself(name: str, put: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = (tmp_path / "in" / "root" / name).absolute()
    path = Path(os.path.normpath(path))
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine") if put == "a file" else path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(BadInput, match=f"^{re.escape(str(path))} is not a folder.*root=DIR"):
        Store(tmp_path / "in" / "root").check_writable()
    assert path.is_symlink() or path.read_text() == "mine"
