"""The entry points within this process, so that hundreds of malformed inputs can be thrown at them, and the inputs."""

from __future__ import annotations

import contextlib
import copy
import io
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from waiting import PATIENCE, SOON

from ablate import cli
from ablate.config import Config, Device
from ablate.plan import shell
from ablate.plan.arguments import parse
from ablate.store.folders import Store
from ablate.store.plain import schema

LIMITS = {  # seconds that one command may take
    signal.SIGPROF: (signal.ITIMER_PROF, float(SOON)),  # at work
    signal.SIGALRM: (signal.ITIMER_REAL, float(PATIENCE)),  # in all
}
SHARES = {"short": 0.1, "many": 1, "thorough": 10}  # of the examples that `tried` names, by profile of hypothesis
SMOKE = ("preset=smoke", "data=fixture", "wandb.mode=disabled", "cost_probe=false")


def tried(times: int) -> settings:
    """So many examples under the profile `many`, the same ones each time; `thorough` tries new ones.

    What fails is shown as it was found: a smaller input that fails takes as long to find as many a suite.
    """
    profile = settings.get_current_profile_name()
    return settings(
        max_examples=max(3, int(times * SHARES[profile])),
        derandomize=profile != "thorough",
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


class Hangs(BaseException):
    """What nothing catches."""


@contextmanager
def patience() -> Iterator[None]:
    """Let nothing go on for longer."""

    def hang(number: int, frame: object) -> None:
        raise Hangs

    before = {number: signal.signal(number, hang) for number in LIMITS}
    for timer, seconds in LIMITS.values():
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for number, (timer, _) in LIMITS.items():
            signal.setitimer(timer, 0)
            signal.signal(number, before[number])


def said_by(main: Callable[[], int]) -> Said:
    """What a command says and returns. What it raises comes through."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    handler = signal.getsignal(signal.SIGTERM)
    with patience(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main()
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            signal.signal(signal.SIGTERM, handler)
    return Said(code, out.getvalue(), err.getvalue())


def ablate(*arguments: str) -> Said:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "argv", ["ablate", *arguments])
        return said_by(cli.main)


def reported(*arguments: str) -> Said:
    from ablate.report.__main__ import main

    return said_by(lambda: main(arguments))


def refusal(said: Said, speaker: str = "ablate") -> str:
    """The one line of a command that refuses its input."""
    assert said.code == 2, said
    assert said.err.startswith(f"{speaker}: "), said
    assert said.err.count("\n") == 1, said
    assert said.err.endswith("\n"), said
    assert said.err.isprintable() or "\n" in said.err, said
    assert "Traceback" not in said.err + said.out
    return said.err


def planned_or_refused(said: Said) -> None:
    """Of input that may make sense: a plan, or one line."""
    if said.code == 0:
        assert "to train" in said.out, said
        assert not said.err, said
    else:
        refusal(said)


@contextmanager
def quick(conf: Path) -> Iterator[None]:
    """Without Hydra's shell, which composes twice more: `cli.main` and all below it, with runs in this process."""

    def composed(overrides: list[str]) -> Any:
        return compose("config", overrides=overrides)

    def launch(jobs: Sequence[Sequence[str]], root: Path, workers: int) -> None:
        from ablate.training.member import run_member

        for job in jobs:
            run_member(Store(root).run(str(parse(job[:1])[0].value())), Device.cpu)

    def run(given: Any, task: Callable[[Any], None], conf: Path) -> None:
        ours = [argument for argument in given.overrides if not argument.lstrip("+~").startswith(("hydra.", "hydra/"))]
        sys.exit(cli.study(composed, ours, launch))  # as Hydra, which takes its own keys out

    ConfigStore.instance().store("schema", schema())
    GlobalHydra.instance().clear()
    with pytest.MonkeyPatch.context() as patched, initialize_config_dir(str(conf), version_base="1.3"):
        patched.setattr(shell, "run", run)
        patched.setattr(cli, "CONF", conf)
        yield


@contextmanager
def conf_with_studies(folder: Path) -> Iterator[Path]:
    """A conf/ of one's own, to which studies can be added."""
    shutil.copytree(cli.CONF, folder)
    with quick(folder):
        yield folder


def marks(root: Path) -> dict[str, tuple[int, int, bytes]]:
    """What tells whether a file was touched, by path."""
    found = {}
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.name != ".lock":
            stat = path.stat()
            found[os.fspath(path.relative_to(root))] = (stat.st_ino, stat.st_mtime_ns, path.read_bytes())
    return found


def keys(section: type = Config, above: str = "") -> list[str]:
    """Every dotted key of the configuration."""
    found = []
    for item in fields(section):
        inner = item.default_factory if is_dataclass(item.default_factory) else None
        found += keys(inner, f"{above}{item.name}.") if isinstance(inner, type) else [above + item.name]
    return found


NUMBERS = [
    "9" * 25,
    "9" * 5000,
    *["0", "-1", "1e400", "nan", "inf", "-inf", "1e-400", "0x10", "1_000", "½", "1e9", "2.5", "7"],
]
WORDS = [
    *("", "a b", "x" * 300, "x" * 9000, "[" * 200, "{" * 90, "(" * 90, "a\nb", "a\x00b", "\x1b[2J", "\ud800", "\u2028"),
    *[
        "null",
        "true",
        "[]",
        "{}",
        "[1,2]",
        "{a:1}",
        "{a:{b:[1]}}",
        "???",
        "'",
        '"',
        "'a",
        '"a"',
        "\\",
        "a\\",
        "=",
        "a=b",
        "1,2",
        "..",
        "../../x",
        "/etc/passwd",
        "~",
        "a/b",
    ],
    *[
        "range(1,9)",
        "choice(1,2)",
        "glob(*)",
        "shuffle(1,2)",
        "int(x)",
        "str([1])",
        "sort(3,1)",
        "interval(0,1)",
        "%s%n",
        "{{7*7}}",
        "`id`",
    ],
    *["<script>alert(1)</script>", "$(id)", "!!python/object:os.system", "é", "漢字", "'漢字'", "🙂", "\u202eabc"],
    *["pre", "none", "relu", "smoke", "fixture", "online"],
]
INTERPOLATIONS = [
    *["${oc.env:HOME}", "${oc.env:ABLATE_SENTINEL}", "${oc.env:NOT_THERE}", "${seeds}", "${model}", "${model.d_model}"],
    *[
        "${nothing}",
        "${",
        "${}",
        "${a",
        "${oc.decode:'{'}",
        "${oc.create:{a:1}}",
        "${hydra.job.name}",
        "${.}",
        "${..}",
        "${data.${seeds}}",
    ],
]
STRANGE_KEYS = [
    *("", "=", "a b", "x" * 300, "\x00"),
    *[
        "colour",
        "model.",
        ".model",
        "model..heads",
        "model.heads.x",
        "model/heads",
        "Model.heads",
        "model.heads[0]",
        "é",
        "run",
        "~",
        "+",
        "$x",
    ],
    *[
        "data@x",
        "preset@_global_",
        "data@:x",
        "hydra",
        "hydra.mode",
        "hydra.run.dir",
        "hydra/sweeper",
        "hydra/launcher",
        "hydra.launcher",
    ],
    *[
        "hydra.launcher.n_jobs",
        "hydra.job.name",
        "hydra.sweep.dir",
        "study",
        "study.name",
        "study.variants.a",
        "sweep",
        "-x",
        "--y",
    ],
    *["${seeds}", "preset", "data", "dry_run.x", "__class__", "model.__init__", "data.path.x"],
]

given_keys = st.sampled_from([key for key in keys() if key not in ("dry_run", "prepare_only")] + STRANGE_KEYS)
given_values = st.one_of(
    st.sampled_from(NUMBERS + WORDS + INTERPOLATIONS),
    st.text(max_size=12),
    st.text("{}[]()'\"\\,:=$~+ a1.", max_size=12),
)
overrides = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "", "", "+", "++", "~"]),
    given_keys,
    st.sampled_from(["=", "=", "=", "=", ""]),
    given_values,
)

HOSTILE: list[Any] = [
    *(None, True, 0, -1, 3.5, float("nan"), float("inf"), 10**30, [], {}, [[]], {"a": 1}, [1, "a"]),
    *("", " ", "a", "../../x", "\n# h", "\x1b[2J", "\x00", "x" * 5000, "$x^{$", "a,b=c", "pre - post", "'", "漢字"),
    *("<script>alert(1)</script>", "](javascript:alert(1))", "| a | b |", "`", "<img src=x onerror=y>", "&lt;"),
    *("{{7*7}}", "${oc.env:ABLATE_SENTINEL}"),
]


def places(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all that a value of mappings and lists holds."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, item in inner for path in [(*above, key), *places(item, (*above, key))]]


def changed(value: Any, path: tuple[Any, ...], change: Callable[[Any, Any], None]) -> None:
    """Do something to what holds the end of this path."""
    for key in path[:-1]:
        value = value[key]
    change(value, path[-1])


def drop(holder: Any, key: Any) -> None:
    del holder[key]


def replace(new: Any, holder: Any, key: Any) -> None:
    holder[key] = new


def rename(holder: Any, key: Any) -> None:
    if isinstance(holder, dict):
        holder[f"{key}x"] = holder.pop(key)


@st.composite
def mutilated(draw: st.DrawFn, value: Any) -> Any:
    """The value with one to three of the things in it replaced, dropped or renamed."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        paths = places(value)
        if not paths:
            break
        change = draw(st.sampled_from(["replace", "replace", "replace", "drop", "rename"]))
        new = copy.deepcopy(draw(st.sampled_from(HOSTILE)))
        do = {"drop": drop, "rename": rename, "replace": lambda holder, key, new=new: holder.__setitem__(key, new)}[
            change
        ]
        changed(value, draw(st.sampled_from(paths)), do)
    return value


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Bytes cut short, with flipped bits, or others altogether."""
    place = st.integers(0, len(content) - 1)
    harm = draw(st.sampled_from(["cut", "flip", "flip", "zeros", "other", "empty", "doubled"]))
    if harm == "flip":
        flipped = bytearray(content)
        for where in draw(st.lists(place, min_size=1, max_size=4, unique=True)):
            flipped[where] ^= 1 << draw(st.integers(0, 7))
        return bytes(flipped)
    other = draw(st.binary(max_size=64)) if harm == "other" else b""
    cut = content[: draw(place)] if harm == "cut" else b""
    return {"cut": cut, "zeros": bytes(len(content)), "doubled": content + content}.get(harm, other)
