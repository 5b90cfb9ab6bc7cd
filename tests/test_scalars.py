"""Files of conf/ mean what they look like: what YAML reads otherwise is refused with what to write instead."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from records import a_study, some_runs, write_records

from ablate.cli import CONF
from ablate.config import BadInput
from ablate.plan.conf_files import check_file
from ablate.plan.scalars import HydraLoader
from ablate.records.read import read_records
from ablate.report.text.tracing import read_back
from ablate.store.study_file import as_level, study_from, study_to_plain
from ablate.tracking.report_run import value

SWITCHES = ["no", "yes", "on", "off", "No", "OFF", "true", "False"]
NULLS = ["~", "null", "Null"]
DECIMALS = ["12e3", "1_0", ".5", "0.50", "1e-3", "+1"]  # which a level may be
ODD = ["0x10", "1:30", "007", "0b11", "7027e0362055", "123e4567890", ".nan", "-.inf"]  # which nothing may be
WORDS = ["None", "none", "nan", "2024-11-25", "2024-13-45", "1:30 h", "7", "0.5", "2016", "a1", "y", "12e", "文"]
MISREAD = [*SWITCHES, *NULLS, *DECIMALS, *ODD]

STUDY = """\
# @package _global_
study:
  name: {name}
  question: {question}
  baseline: {variant}
  variants:
    {variant}: {{}}
    b: {{model.residual: {choice}}}
  factors: {{{factor}: {{{level}: {{optim.warmup: 0.5}}}}}}
  claims:
    - {{id: {id}, sentence: {sentence}, contrast: b - a, metric: {metric}, kind: directional, note: {note}}}
    - {{id: several, sentence: s, kind: several, parts: [{{kind: {kind}, contrast: b - a, metric: test_bleu}}]}}
  limits: [{limit}]
  metric: test_bleu
  sizes: {{{preset}: {{seeds: {seeds}, data.column: {column}, factors: {{{factor}: {{{level}: {{}}}}}}}}}}
"""
SOUND = {
    "name": "mine", "question": "q", "variant": "a", "choice": "none", "factor": "warmup", "level": "0.5", "id": "c1",
    "sentence": "s", "metric": "test_bleu", "note": "n", "kind": "directional", "limit": "l", "preset": "smoke",
    "seeds": "2", "column": "null",
}  # fmt: skip
OPTIONAL = ("note", "column", "metric", "kind")
TEXTS = [place for place in SOUND if place not in ("level", "seeds")]


def checked(path: Path, **changes: str) -> dict[str, Any]:
    """The study as Hydra reads it, if it passes."""
    path.write_text(STUDY.format(**SOUND | changes), encoding="utf-8")
    check_file(path, "sweep")
    return dict(yaml.load(path.read_text(encoding="utf-8"), HydraLoader)["study"])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mine.yaml"


def refused(file: Path, **changes: str) -> str:
    with pytest.raises(BadInput) as refusal:
        checked(file, **changes)
    (number,) = re.findall(r"line (\d+): ", str(refusal.value))
    ((_, written),) = changes.items()
    assert written in file.read_text(encoding="utf-8").splitlines()[int(number) - 1]
    return str(refusal.value)


@pytest.mark.parametrize("written", MISREAD)
@pytest.mark.parametrize("place", TEXTS)
def test_what_yaml_does_not_read_as_text_is_refused_where_text_belongs(place: str, written: str, file: Path) -> None:
    if written in NULLS and place in OPTIONAL:
        checked(file, **{place: written})
        return
    said = refused(file, **{place: written})
    assert f"reads {written} as " in said
    assert f"'{written}', in quotes" in said
    checked(file, **{place: f"'{written}'"})  # the advice is good


@pytest.mark.parametrize("written", WORDS)
@pytest.mark.parametrize("place", [place for place in TEXTS if place not in OPTIONAL])
def test_what_reads_back_as_it_was_typed_may_stand(place: str, written: str, file: Path) -> None:
    study = checked(file, **{place: written})
    names = {"name": study["name"], "variant": study["baseline"], "id": study["claims"][0]["id"]}
    assert str(names.get(place, written)) == written


@pytest.mark.parametrize("place", ["note", "column", "metric", "kind"])
def test_none_is_not_taken_for_null(place: str, file: Path) -> None:
    assert "null for no value" in refused(file, **{place: "None"})
    checked(file, **{place: "'None'"})
    checked(file, **{place: "null"})


@pytest.mark.parametrize("written", [*DECIMALS, "0.5", "4", "-1", "1_000", "2e-4"])
def test_a_level_that_is_a_number_stays_one(written: str, file: Path) -> None:
    (level,) = checked(file, level=written)["factors"]["warmup"]
    assert isinstance(level, int | float)
    assert level == float(written)


@pytest.mark.parametrize("written", [*SWITCHES, *NULLS, *ODD])
def test_a_level_that_is_no_decimal_number_is_refused(written: str, file: Path) -> None:
    assert f"'{written}', in quotes, for the name" in refused(file, level=written)
    (level,) = checked(file, level=f"'{written}'")["factors"]["warmup"]
    assert as_level(level) == written


@pytest.mark.parametrize("written", ["0x10", "1:30", "007", "0b11"])
def test_a_number_that_is_not_decimal_is_refused(written: str, file: Path) -> None:
    assert re.search(r"as the number (\d+): write \1$", refused(file, seeds=written))


@pytest.mark.parametrize("name", ["<<", "="])
def test_marks_with_a_meaning_are_refused(name: str, file: Path) -> None:
    with pytest.raises(BadInput):
        checked(file, variant=name)
    checked(file, variant=f"'{name}'")


@pytest.mark.parametrize("place", ["name", "question", "id"])
def test_an_empty_place_is_named(place: str, file: Path) -> None:
    with pytest.raises(BadInput, match=r"line \d+: a (name|text) is missing"):
        checked(file, **{place: ""})


@pytest.mark.parametrize(
    ("group", "line", "bad"),
    [
        ("data", "name: {}", "12e3"),
        ("data", "column: {}", "off"),
        ("data", "column: {}", "None"),
        ("data", "train_pairs: {}", "None"),
        ("data", "max_words: {}", "1:30"),
        ("preset", "model: {{residual: {}}}", "off"),
        ("preset", "train: {{updates: {}}}", "0100"),
        ("preset", "wandb: {{project: {}}}", "1_0"),
        ("preset", "until: {}", "no"),
        ("preset", "preset: {}", "1e3"),
    ],
)
def test_presets_and_corpora_are_held_to_it_too(group: str, line: str, bad: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    header = "# @package _global_\n" if group == "preset" else "loader: files\n"
    path.write_text(header + line.format(bad) + "\n", encoding="utf-8")
    with pytest.raises(BadInput, match=f"line 2: YAML reads {bad} as .*write "):
        check_file(path, group)


@pytest.mark.parametrize("path", sorted(CONF.glob("*/*.yaml")), ids=lambda path: path.stem)
def test_the_files_of_ablate_pass(path: Path) -> None:
    check_file(path, path.parent.name)


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**17), 10**17))
def test_a_number_among_the_levels_survives_json_and_csv(level: float) -> None:
    (key,) = json.loads(json.dumps({level: 0}))
    for again in (as_level(key), as_level(level), value("factor", str(level))):
        assert (again, type(again)) == (level, type(level))


@pytest.mark.parametrize("level", [*MISREAD, "nan", "inf", "Infinity", "1e5", "\uff17", "1e400", "NA", "1,5"])
def test_a_word_among_the_levels_survives_json_and_csv(level: str) -> None:
    study = a_study(factors={"f": {level: {"optim.warmup": 0.5}, "other": {}}})
    assert [*study.factors["f"]] == [level, "other"]
    assert study_from(json.loads(json.dumps(study_to_plain(study)))) == study
    assert value("f", level) == level


@pytest.mark.parametrize("names", [("null", "NA"), ("1e5", "007"), ("nan", "inf"), ("123456789012", "7027e0362055")])
def test_names_like_numbers_stay_names_in_tables(names: tuple[str, str], tmp_path: Path) -> None:
    study = a_study(names)
    data = read_records(write_records(tmp_path, study, some_runs(study)))
    assert list(dict.fromkeys(data.frame["variant"])) == list(names)


@pytest.mark.parametrize(
    ("names", "kept"), [(["1", "2"], False), (["1e5", "007"], False), (["pre", "1"], True), (["null", "NA"], True)]
)
def test_what_pandas_makes_of_names_is_known(names: list[str], kept: bool) -> None:
    assert (read_back(names) == names) is kept
