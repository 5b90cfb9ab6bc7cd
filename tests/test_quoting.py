"""Text reaches the configuration as it was typed, whatever Hydra or OmegaConf would make of it."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from corpora import composed, fixture_plan
from forks import ablate
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString
from hydra.errors import HydraException
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from short import some_of

from ablate import cli
from ablate.config import CHOICES, BadInput, Config
from ablate.data.prepare import fingerprint
from ablate.plan.arguments import OPEN, override_keys, parse
from ablate.plan.quoting import QUOTED, TEXT_KEYS, literal, quoted, text_keys, typed
from ablate.run import launching
from ablate.run.progress import Progress
from ablate.store.folders import Store
from ablate.store.ids import training_id
from ablate.store.plain import config_from, config_from_plain, config_to_plain, schema

NUMBERLIKE = ["7027e0362055", "123456789012", "2024_11_25", "12e3", "1_0", ".5", "-1", "0x10", "1:30", "007", "1e400"]
WORDS = ["null", "NULL", "None", "true", "False", "no", "off", "nan", "inf", "-inf", "~", ""]
SYNTAX = [
    *("a,b", "[1,2]", "{a: b}", "a=b", "=", "range(1,3)", "a (1)", "#", "a # b", "it's", '"', "'", "''a", "\\", "a\\"),
    *('\\"', "a\\\\'", " a ", "  ", "\u00a0", "文本", "🙂", "*", "@", "${x}", "\\${x}", "\\\\${x}", "${", "$", "$HOME"),
    *("${oc.env:HOME}", "${seeds}/x", "??", "?", "a:b", "<<", "&a", "!x", "%d", "{{7*7}}"),
]
ALL = [*NUMBERLIKE, *WORDS, *SYNTAX]
CHECKED = ("data.source", "data.target", "run")  # which, like names of components, take certain texts only
FREE = [key for key in text_keys() if key not in (*CHECKED, *CHOICES)]

characters = st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"])
texts = (st.text(characters, max_size=20) | st.text("\\\"'${}[]()a ,=#?e1_0.:~", max_size=14)).filter("???".__ne__)
keys = st.sampled_from(FREE)
parser = OverridesParser.create()


def configured(*overrides: str) -> Config:
    """What overrides make of the configuration: Hydra's grammar, OmegaConf, and the way to `Config`."""
    node = schema()
    for parsed in parser.parse_overrides(list(overrides)):
        OmegaConf.update(node, str(parsed.key_or_group), parsed.value())
    return config_from(node)


def value_of(config: Config, key: str) -> object:
    found: object = config
    for part in key.split("."):
        found = getattr(found, part)
    return found


@given(keys, texts)
def test_text_that_the_program_passes_on_arrives_unchanged(key: str, text: str) -> None:
    assert value_of(configured(f"{key}={quoted(text)}"), key) == text


@given(keys, texts)
def test_text_that_is_typed_arrives_unchanged(key: str, text: str) -> None:
    override = literal(f"{key}={text}")
    if not QUOTED.fullmatch(text):
        expected = None if text == "null" and TEXT_KEYS[key] else text
        assert value_of(configured(override), key) == expected
        assert typed(override) == f"{key}={text}"
    assert literal(override) == override
    assert literal(typed(override)) == override


@given(keys, texts)
def test_text_survives_records(key: str, text: str) -> None:
    """A worker reads its configuration from JSON, where a `${` must not come to stand for something."""
    config = configured(f"{key}={quoted(text)}")
    assert config_from_plain(json.loads(json.dumps(config_to_plain(config)))) == config


@given(st.text("\\\"'a ,", max_size=9))
def test_what_is_quoted_is_what_hydra_takes_for_quoted(value: str) -> None:
    if QUOTED.fullmatch(value):
        assert isinstance(parser.parse_override(f"x={value}")._value, QuotedString)
    elif value == value.strip():
        with contextlib.suppress(HydraException):
            assert not isinstance(parser.parse_override(f"x={value}")._value, QuotedString)


@pytest.mark.parametrize("text", ALL, ids=ascii)
def test_what_looks_like_something_else_is_text(text: str) -> None:
    config = configured(*(literal(f"{key}={text}") for key in FREE))
    for key in FREE:
        assert value_of(config, key) == (None if text == "null" and TEXT_KEYS[key] else text)


@pytest.mark.parametrize("prefix", ["+", "++"])
@pytest.mark.parametrize("text", ALL, ids=ascii)
def test_a_prefix_of_hydras_changes_no_text(text: str, prefix: str) -> None:
    for key in FREE:
        assert literal(f"{prefix}{key}={text}") == prefix + literal(f"{key}={text}")
    assert override_keys([f"{prefix}data.path={text}"]) == ["data.path"]


@pytest.mark.parametrize("text", some_of(ALL), ids=ascii)
def test_the_whole_composition_keeps_text(text: str) -> None:
    config = config_from(composed([literal(f"wandb.project={text}"), literal(f"root={text}")]))
    assert (config.wandb.project, config.root) == (None if text == "null" else text, text)


def test_a_quoted_null_is_text_and_a_bare_one_is_null() -> None:
    assert configured(literal("data.path=null")).data.path is None
    assert configured(literal("data.path='null'")).data.path == "null"
    assert configured(literal("data.name=null")).data.name == "null"


@pytest.mark.parametrize(
    "argument", ["seeds=3", "model.residual=none", "grid=[1,2]", "study={a: b}", "~data.path", "a"]
)
def test_what_holds_no_text_stays_as_it_is(argument: str) -> None:
    assert literal(argument) == argument


@pytest.mark.parametrize("key", [key for key in TEXT_KEYS if key != "run"])
def test_a_missing_value_is_no_text(key: str) -> None:
    with pytest.raises(BadInput, match=re.escape(f"{key}=???")):
        parse([f"{key}=???"])


@pytest.mark.parametrize("group", ["data", "preset", "sweep"])
@pytest.mark.parametrize("name", ["2024", "12e3", "null", "true", "1_0"])
def test_a_file_may_be_called_like_a_number(group: str, name: str) -> None:
    (parsed,) = parse([f"+{group}={name}"])
    assert parsed.value() == name


@pytest.mark.parametrize("value", ["/x/文本", "a (1)", "it's", "#1"])
def test_where_quotes_are_needed_the_message_has_them(value: str) -> None:
    for key in (f"{above}x" for above in OPEN):
        with pytest.raises(BadInput) as refused:
            parse([f"{key}={value}"])
        (advised,) = shlex.split(str(refused.value).rpartition("; as text it is ")[2])
        assert parse([advised])[0].value() == value


def test_bytes_that_are_no_text_are_named() -> None:
    with pytest.raises(BadInput, match="PYTHONUTF8=1"):
        parse(["data.path=/x/\udcc3\udca9"])


def test_every_value_of_a_plan_can_be_given_again() -> None:
    odd = ["data.name=12e3", "wandb.project=a b", "root=${x}", "data.path=null"]
    plan = fixture_plan(*odd, "seeds=1")
    assert plan.overrides[3:] == [*odd, "seeds=1"]
    assert fixture_plan(*plan.overrides).config == plan.config


def test_the_way_on_is_the_command_that_was_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given_ = ["root=/x/it's (1)", "data.name=12e3", "hydra/launcher=basic", "--config-dir", "my conf"]
    monkeypatch.setattr(sys, "argv", ["ablate", *given_])
    line = cli.so_far(fixture_plan(), Store(tmp_path))
    assert shlex.split(line.partition("to continue: ")[2]) == ["python", "-m", "ablate", *given_]


@pytest.mark.parametrize("run", ["7027e0362055", "123456789012", "0e1234567890", "abcdef012345"])
@pytest.mark.parametrize("root", ["2024_11_25", "文 (1) it's a=b, ${x} \\${y} #\\"])
def test_a_worker_is_told_the_run_and_the_root_that_are_meant(run: str, root: str, tmp_path: Path) -> None:
    plan, store, jobs = fixture_plan(), Store(tmp_path / root), []
    plan = replace(plan, runs=[replace(plan.runs[0], id=run)])
    launching.launch_all(plan, store, [run], jobs.extend, Progress(store, plan))
    config = config_from(composed(list(jobs[0])))
    assert (config.run, config.root) == (run, str(tmp_path / root))


@pytest.mark.long
def test_a_run_whose_id_is_a_number_is_trained(tmp_path: Path) -> None:
    """Through launcher and worker, in a root of every kind of character; and the recorded command does it again."""
    small = ["data=fixture", "preset=smoke", "seeds=1", "train.updates=2", "train.validations=1", "diagnostics.times=0"]
    config = fixture_plan(*small).config
    mark = fingerprint(config.data)
    rates = map(float, range(1, 5000))
    ids = ((rate, training_id(replace(config, optim=replace(config.optim, lr=rate)), 0, mark)) for rate in rates)
    rate, run = next((rate, run) for rate, run in ids if re.fullmatch(r"\d+e\d+", run))
    root = tmp_path / "2024_11_25" / "文 (1) it's a=b, ${x} \\${y} #"
    here = [f"root={root}", "wandb.mode=disabled", "cost_probe=false"]
    done = ablate(*small, f"optim.lr={rate}", "data.name=12e3", *here)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path.name for path in (root / "runs").iterdir()} == {run, ".speeds.jsonl"}
    assert [path.name for path in tmp_path.iterdir()] == ["2024_11_25"]
    (manifest,) = root.glob("experiments/baseline/*/manifest.json")
    command = shlex.split(json.loads(manifest.read_text(encoding="utf-8"))["command"])
    assert "data.name=12e3" in command
    again = ablate(*command[3:], *here, "dry_run=true")
    assert "0 runs to train" in again.stdout, again.stderr
