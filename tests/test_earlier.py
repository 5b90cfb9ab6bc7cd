"""Settings that were judged under earlier rules: their verdicts are copied, and no new rule touches them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from corpora import fixture_plan
from records import a_study, some_runs, write_records

from ablate.analysis.verdicts import Reading
from ablate.config import BadInput
from ablate.data.corpus import Corpus
from ablate.records.collect import collect
from ablate.records.looks import Look, rules_of, with_look
from ablate.records.read import EARLIER, read_records, settings
from ablate.report.index import ledger
from ablate.report.render import build
from ablate.report.verify import verify
from ablate.run.until import open_questions
from ablate.store.folders import Store
from ablate.store.schema import RULES

REPOSITORY = Path(__file__).parent.parent
CLAIM = {"id": "c", "sentence": "s", "contrast": "pre - post", "metric": "test_bleu", "kind": "directional"}
KEPT = {"study": "toy", "setting": "synthetic-laptop", "variants": [], "claims": [{"id": "c", "verdict": "equivalent"}]}


def earlier_records(root: Path, step: float = 8.0, kept: Any = KEPT, **more: Any) -> Path:
    """A setting that the present rules would find supported, and its report under earlier ones."""
    study = a_study(claims=[CLAIM])
    folder = write_records(root, study, some_runs(study, 5, step), looks=None, **more)
    report = root / "reports" / "toy" / folder.name
    report.mkdir(parents=True)
    if kept is not None:
        (report / "summary.json").write_text(json.dumps(kept))
    return folder


def test_the_verdict_is_that_of_the_report_then(tmp_path: Path) -> None:
    folder = earlier_records(tmp_path)
    report = build(tmp_path, "toy", folder.name)
    assert json.loads((report / "summary.json").read_text()) == {**KEPT, "rules": 1}
    assert json.loads((folder / EARLIER).read_text()) == {"rules": 1, "summary": KEPT}
    text = (report / "report.md").read_text()
    assert "### c: equivalent (under earlier rules)" in text
    assert "Tested under earlier rules." in text
    assert "supported" not in text.split("A claim with several")[0]
    assert "| equivalent" not in text
    assert "equivalent (under earlier rules)" in ledger(tmp_path).read_text()


def test_no_row_and_no_p_is_made_anew(tmp_path: Path) -> None:
    data = read_records(earlier_records(tmp_path))
    assert {each.reading for each in data.comparisons} == {Reading.earlier}
    assert all(each.p_holm != each.p_holm for each in data.comparisons)
    assert open_questions(data) == []


def test_building_again_keeps_the_copy(tmp_path: Path) -> None:
    folder = earlier_records(tmp_path)
    report = build(tmp_path, "toy", folder.name)
    first = {path.name: path.read_bytes() for path in report.glob("*.*")}
    (report / "summary.json").write_text(json.dumps({"claims": [{"id": "c", "verdict": "supported"}]}))
    build(tmp_path, "toy", folder.name)
    assert {path.name: path.read_bytes() for path in report.glob("*.*")} == first


def test_a_verdict_that_was_changed_in_a_report_is_found(tmp_path: Path) -> None:
    folder = earlier_records(tmp_path)
    report = build(tmp_path, "toy", folder.name)
    (report / "summary.json").write_text(json.dumps({**KEPT, "claims": [{"id": "c", "verdict": "supported"}]}))
    assert any("summary.json" in str(each) for each in verify(tmp_path, "toy").differences)


def test_without_a_report_there_is_no_verdict(tmp_path: Path) -> None:
    folder = earlier_records(tmp_path, kept=None)
    build(tmp_path, "toy", folder.name)
    assert [each.verdict for each in read_records(folder).verdicts] == [None]
    assert not (folder / EARLIER).exists()


@pytest.mark.parametrize("kept", [{"claims": 3}, {}, {"claims": [{"id": "c", "verdict": "proven"}]}])
def test_a_damaged_summary_is_named(kept: Any, tmp_path: Path) -> None:
    folder = earlier_records(tmp_path, kept=kept)
    with pytest.raises(BadInput, match=r"summary\.json, whose verdicts are to be kept, is damaged"):
        build(tmp_path, "toy", folder.name)


LOOKS: dict[str, tuple[list[tuple[range, int]], int]] = {  # looks with their rules, and those of the last one's seeds
    "new seeds": ([(range(3), 1), (range(100, 105), RULES)], RULES),
    "the same seeds": ([(range(3), 1), (range(3), RULES)], 1),
    "more seeds": ([(range(3), 1), (range(5), RULES)], 1),
    "some of the seeds": ([(range(5), 1), (range(4, 9), RULES)], 1),
    "none before": ([(range(3), RULES)], RULES),
}


@pytest.mark.parametrize("what", LOOKS)
def test_seeds_that_were_judged_by_earlier_rules_stay_judged(what: str) -> None:
    given, expected = LOOKS[what]
    looks: list[Look] = []
    for seeds, rules in given:
        looks = with_look(looks, Look(tuple(seeds), "report", ("id",), rules=rules))
    assert rules_of(looks, given[-1][0]) == expected


def test_records_say_by_which_rules_they_were_judged(tmp_path: Path) -> None:
    def looks(*words: str) -> list[dict[str, Any]]:
        plan = fixture_plan("+sweep=norm_placement", *words)
        folder = collect(Store(tmp_path), plan, {plan.corpus: Corpus.load(plan.corpus)})
        return json.loads((folder / "manifest.json").read_text())["looks"]

    (first,) = looks("seeds=2")
    assert first["rules"] == RULES
    path = next((tmp_path / "experiments").glob("*/*/manifest.json"))
    manifest = json.loads(path.read_text())
    del manifest["looks"][0]["rules"]
    path.write_text(json.dumps(manifest))
    assert [look.get("rules", 1) for look in looks("seeds=3")] == [1, RULES]
    assert read_records(path.parent).earlier
    assert looks("seeds=3", "first_seed=100")[-1]["rules"] == RULES
    assert not read_records(path.parent).earlier


@pytest.mark.parametrize(
    "where", [f"{study}/{setting}" for study, names in settings(REPOSITORY).items() for setting in names]
)
def test_committed_verdicts_under_earlier_rules_are_copies(where: str) -> None:
    data = read_records(REPOSITORY / "experiments" / where)
    if not data.earlier:
        return
    report = json.loads((REPOSITORY / "reports" / where / "summary.json").read_text())
    assert report == {**data.kept, "rules": 1}
    said = {each["id"]: each["verdict"] for each in report["claims"]}
    assert {each.claim.id: each.verdict and each.verdict.name for each in data.verdicts} == said
