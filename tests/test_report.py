"""Reports from synthetic records: the contract of their files, the same bytes each time, no text taken for markup."""

import csv
import gzip
import json
import re
import subprocess
import sys
import warnings
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from records import a_run, a_study, some_runs, write_records
from short import each_once, sometimes

from ablate.config import LONGEST_SAMPLE, BadInput
from ablate.records.read import read_records
from ablate.report.__main__ import main
from ablate.report.figures import FIGURES
from ablate.report.figures.style import styled
from ablate.report.index import ledger
from ablate.report.render import build
from ablate.report.text.opening import headline
from ablate.report.wording import MINUS, decimals_for, escape, name, number, short
from ablate.store.study_file import study_from, study_to_plain

SETTING = "synthetic-laptop"
CLAIMS = [
    {"id": "norm-3", "sentence": "They say.", "contrast": "post - pre", "metric": "test_bleu", "kind": "directional"},
    {"id": "norm-5", "sentence": "Deep ones fail.", "command": "python -m ablate +sweep=depth preset=paper"},
]
FIVE = ("ratio4", "ratio1", "ratio2", "ratio8", "ratio16")
STUDIES = {
    "two": (a_study(claims=CLAIMS), {}),
    "two, one seed": (a_study(claims=CLAIMS), {"seeds": 1}),
    "two, one run diverged": (a_study(claims=CLAIMS), {"diverged": [("post", 1)]}),
    "two, all of one diverged": (a_study(claims=CLAIMS), {"diverged": [("post", seed) for seed in range(3)]}),
    "five": (a_study(FIVE), {"step": 0.2}),
    "five, one run diverged": (a_study(FIVE), {"step": 0.2, "diverged": [("ratio16", 2)]}),
    "five, one seed": (a_study(FIVE), {"seeds": 1}),
    "alone": (a_study(("baseline",)), {}),
    "with a factor": (a_study(factors={"warmup": {"0": {"optim.warmup": 0}, "0.1": {"optim.warmup": 0.1}}}), {}),
}


def records_of(what, folder):
    study, making = STUDIES[what]
    return write_records(folder, study, some_runs(study, **making))


def toy(root, runs=None, **making):
    study = a_study(claims=CLAIMS)
    write_records(root, study, runs or some_runs(study), **making)
    return build(root, "toy", f"synthetic-{making.get('preset', 'laptop')}")


@pytest.mark.parametrize(("what", "name"), each_once(STUDIES, FIGURES))
def test_every_figure_draws_without_a_warning(what, name, tmp_path):
    records = records_of(what, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with styled():
            figure = FIGURES[name].draw(read_records(records))
            if figure is not None:
                figure.draw_without_rendering()


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_skipped_where_its_data_are_missing(name, tmp_path):
    study = a_study()
    bare = {"diagnostics": [], "final_dead_units": None}
    runs = [
        a_run(study, cell, seed, None, updates=0, learned=None, **bare) for cell in ("pre", "post") for seed in (0, 1)
    ]
    assert FIGURES[name].draw(read_records(write_records(tmp_path, study, runs))) is None


WHOLE = ["two, one seed", "two, all of one diverged", "five, one run diverged"]


@pytest.mark.parametrize("name", sometimes(WHOLE, WHOLE[0]))
def test_every_report_is_whole_and_rebuilds_to_the_same_bytes(name, tmp_path):
    root = records_of(name, tmp_path).parents[2]
    folder = build(root, "toy", SETTING)
    first = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    assert {path.name for path in first if path.parent == folder} == {
        "report.md",
        "report.html",
        "results.csv",
        "summary.json",
    }
    build(root, "toy", SETTING)
    assert {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()} == first
    for image in re.findall(r"\]\((figures/.*?\.png)\)", (folder / "report.md").read_text()):
        assert (folder / image).exists()
        assert (folder / image).with_suffix(".svg").exists()
    assert headline(folder)


def test_results_are_the_columns_that_others_rely_on(tmp_path, undrawn):
    study, _ = STUDIES["with a factor"]
    write_records(tmp_path, study, some_runs(study, 3, diverged=[("post,warmup=0", 0)]))
    rows = list(csv.DictReader((build(tmp_path, "toy", SETTING) / "results.csv").open()))
    assert list(rows[0]) == [
        "study",
        "setting",
        "variant",
        "seed",
        "run_id",
        "evaluation_id",
        "status",
        "learned",
        "test_bleu",
        "test_bleu_greedy",
        "test_bleu_lower",
        "test_chrf",
        "test_loss",
        "validation_loss",
        "parameters",
        "flops_per_token",
        "peak_memory",
        "tokens_per_second",
        "seconds",
        "epochs",
        "trained",
        "warmup",
    ]
    assert len(rows) == 12
    lost = next(row for row in rows if row["status"] == "diverged")
    assert lost["test_bleu"] == ""
    assert lost["learned"] == "0"
    assert lost["warmup"] == "0"


def test_the_frame_has_the_same_columns_and_numbers(tmp_path, undrawn):
    study = a_study()
    data = read_records(write_records(tmp_path, study, some_runs(study, 3, diverged=[("post", 0)])))
    assert list(data.frame.columns) == data.columns
    assert data.frame["test_bleu"].isna().sum() == 1
    assert data.frame["learned"].sum() == 5


def test_the_summary_is_what_others_rely_on(tmp_path, undrawn):
    found = json.loads((toy(tmp_path) / "summary.json").read_text())
    assert list(found) == ["study", "setting", "metric", "baseline", "variants", "interactions", "claims", "rules"]
    baseline, variant = found["variants"]
    assert set(variant) == {
        "variant",
        "factors",
        "runs",
        "diverged",
        "learned",
        "mean",
        "low",
        "high",
        "baseline",
        "difference",
    }
    assert baseline["variant"] == found["baseline"] == "pre"
    assert baseline["difference"] is None
    assert set(variant["difference"]) == {"mean", "low", "high", "p_holm", "seeds", "method", "paired_t"}
    assert variant["difference"]["low"] < variant["difference"]["mean"] < variant["difference"]["high"] < 0
    assert [set(claim) for claim in found["claims"]] == [
        {"id", "verdict", "effect", "low", "high", "seeds", "command", "robustness"}
    ] * 2
    assert [claim["verdict"] for claim in found["claims"]] == ["contradicted", None]
    assert found["claims"][0]["command"] is None
    assert "+sweep=depth" in found["claims"][1]["command"]


def test_what_one_seed_cannot_tell_is_null(tmp_path, undrawn):
    study = a_study(claims=CLAIMS)
    found = json.loads((toy(tmp_path, some_runs(study, 1)) / "summary.json").read_text())
    difference = found["variants"][1]["difference"]
    assert difference["mean"] is not None
    assert difference["seeds"] == 1
    assert difference["low"] is difference["high"] is difference["p_holm"] is None


def test_a_diverged_run_is_counted_and_its_arm_labelled(tmp_path, undrawn):
    study = a_study(claims=CLAIMS)
    folder = toy(tmp_path, some_runs(study, 5, diverged=[("post", 1)]))
    variant = json.loads((folder / "summary.json").read_text())["variants"][1]
    assert (variant["runs"], variant["diverged"], variant["learned"], variant["difference"]["seeds"]) == (5, 1, 4, 4)
    text = (folder / "report.md").read_text()
    assert "conditional on survival" in text
    assert "among survivors" in text
    assert "diverged at update 120" in text


def test_a_level_is_held_against_the_baseline_at_the_same_level(tmp_path, undrawn):
    study, _ = STUDIES["with a factor"]
    write_records(tmp_path, study, some_runs(study))
    variants = json.loads((build(tmp_path, "toy", SETTING) / "summary.json").read_text())["variants"]
    assert {each["variant"]: each["baseline"] for each in variants} == {
        "pre,warmup=0": None,
        "post,warmup=0": "pre,warmup=0",
        "pre,warmup=0.1": None,
        "post,warmup=0.1": "pre,warmup=0.1",
    }


def test_the_report_opens_with_the_question_and_the_answer(tmp_path, undrawn):
    question, _, answer = (toy(tmp_path) / "report.md").read_text().splitlines()[:3]
    assert question == "# Does it matter?"
    assert re.fullmatch(
        r"\*\*`post` is worse than `pre`: -\d\.\d+ \[-\d\.\d+, -\d\.\d+\] BLEU\.\*\*",
        answer.replace(MINUS, "-"),
    )


def test_an_unresolved_answer_says_what_would_resolve_it(tmp_path, undrawn):
    study = a_study()
    scores = {"pre": [42.0, 41.0, 43.0], "post": [41.0, 41.5, 41.2]}
    runs = [a_run(study, cell, seed, bleu) for cell in scores for seed, bleu in enumerate(scores[cell])]
    text = (toy(tmp_path, runs) / "report.md").read_text()
    assert re.search(r"- `post`: about \d+ more seeds?\.", text)
    assert re.search(r"    python -m ablate \+sweep=toy seeds=\d+\n", text)


def test_where_some_did_not_learn_the_answer_is_who_did(tmp_path, undrawn):
    study = a_study()
    runs = [run | {"learned": int(run["variant"] == "pre" or run["seed"] == 0)} for run in some_runs(study, 3)]
    text = (toy(tmp_path, runs) / "report.md").read_text()
    assert text.splitlines()[2] == "**Runs that learned: `pre` 3 of 3; `post` 1 of 3.**"
    assert "2 of 3 runs of `post` finished without having learned" in text


def test_a_verdict_on_several_contrasts_says_what_each_came_to(tmp_path, undrawn):
    parts = [
        {"contrast": "post - pre", "metric": "test_bleu", "kind": "directional", "direction": "lower"},
        {"contrast": "post - pre", "metric": "test_bleu", "kind": "directional", "direction": "higher"},
    ]
    study = a_study(claims=[{"id": "c-1", "sentence": "Both ways.", "kind": "several", "parts": parts}])
    write_records(tmp_path, study, some_runs(study))
    text = (build(tmp_path, "toy", SETTING) / "report.md").read_text()
    assert "### c-1: contradicted (of 2: 1 supported, 1 contradicted)" in text


def test_what_an_author_says_of_limits_and_contrasts_is_printed(tmp_path, undrawn):
    claim = {**CLAIMS[0], "note": "chosen after looking"}
    study = study_from(study_to_plain(a_study(claims=[claim])) | {"limits": ["Nothing is known of cats."]})
    write_records(tmp_path, study, some_runs(study))
    text = (build(tmp_path, "toy", SETTING) / "report.md").read_text()
    assert "chosen after looking" in text.split("## The claims")[1].split("## The evidence")[0]
    assert "- Nothing is known of cats." in text.split("## Limits")[1]


NONE = {split: {"source": 0.0, "target": 0.0} for split in ("train", "validation", "test")}


@pytest.mark.parametrize(
    ("unknown", "told", "remedy"),
    [
        ({}, False, False),  # prepared before it was counted
        ({"unknown": NONE}, False, False),
        ({"unknown": NONE | {"test": {"source": 0.0, "target": 0.002}}}, True, False),
        ({"unknown": NONE | {"train": {"source": 0.0, "target": 0.16}}}, True, True),
    ],
)
def test_limits_tell_of_text_outside_the_vocabulary(tmp_path, undrawn, unknown, told, remedy):
    write_records(tmp_path, a_study(), some_runs(a_study()))
    manifest = tmp_path / "experiments" / "toy" / SETTING / "manifest.json"
    record = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(record | {"corpus": record["corpus"] | unknown}))
    limits = (build(tmp_path, "toy", SETTING) / "report.md").read_text().split("## Limits")[1]
    assert ("`<unk>`" in limits) == told
    assert ("`data.byte_fallback=true`" in limits) == remedy


@given(st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=20).filter(str.strip))
def test_a_name_reads_as_that_name(text):
    text = " ".join(text.split())
    html = MarkdownIt("commonmark").enable("table").render(f"| {name(text)} |\n| --- |\n")
    assert unescape(re.sub(r"<[^>]*>", "", html)).split() == text.split()


HOSTILE = "<script>alert(1)</script> | `a` [b](javascript:c) *d* \\| &amp; <img src=x onerror=y>"


def test_hostile_text_stays_text(tmp_path, undrawn):
    study = a_study(claims=[{**CLAIMS[0], "sentence": HOSTILE}])
    write_records(tmp_path, study, some_runs(study), sentences=[HOSTILE], translation=f"``` {HOSTILE}\n# e")
    folder = build(tmp_path, "toy", SETTING)
    page, text = (folder / "report.html").read_text(), (folder / "report.md").read_text()
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "javascript:c)" in page
    assert 'href="javascript' not in page
    assert (
        page.count("&lt;script&gt;alert(1)&lt;/script&gt; | `a` [b](javascript:c) *d* \\| &amp;amp; &lt;img src=x") >= 4
    )
    assert not re.search(r"(?<!\\)<(script|img)", text)


@pytest.mark.parametrize("long", ["sentences", "translation"])
def test_a_sentence_of_5000_words_is_shown_in_part(long, tmp_path, undrawn):
    sentence = "word " * 5000
    toy(tmp_path, **{long: [sentence] if long == "sentences" else sentence})
    text = (tmp_path / "reports" / "toy" / SETTING / "report.md").read_text()
    shown = [line for line in text.splitlines() if "word word" in line]
    assert shown
    assert all("…" in line and len(line) < 1.2 * LONGEST_SAMPLE for line in shown)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({}, None),
        ({"train_dropped": 0, "test_target_cut": 0}, None),
        ({"train_dropped": 3, "validation_cut": 0}, "3 training pairs, dropped."),
        ({"train_dropped": 1000, "test_target_cut": 2}, "1,000 training pairs, dropped and 2 test references, cut to"),
    ],
)
def test_what_was_too_long_is_among_the_limits(counts, expected, tmp_path, undrawn):
    toy(tmp_path)
    manifest = tmp_path / "experiments" / "toy" / SETTING / "manifest.json"
    records = json.loads(manifest.read_text())
    records["corpus"]["too_long"] = counts
    manifest.write_text(json.dumps(records))
    limits = (build(tmp_path, "toy", SETTING) / "report.md").read_text().split("## Limits")[1]
    assert ("more than 128 tokens" in limits) == (expected is not None)
    assert (expected or "") in limits


def test_the_page_stands_alone(tmp_path):
    folder = toy(tmp_path)
    page, figures = (folder / "report.html").read_text(), list((folder / "figures").glob("*.svg"))
    assert page.count("data:image/svg+xml;base64,") == len(figures) > 3
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", page)


def test_links_within_the_page_find_their_heading(tmp_path, undrawn):
    page = (toy(tmp_path) / "report.html").read_text()
    links = re.findall(r'href="#([^"]*)"', page)
    assert links
    assert set(links) <= set(re.findall(r'id="([^"]*)"', page))


def test_details_are_folded_in_the_page_and_plain_in_markdown(tmp_path, undrawn):
    folder = toy(tmp_path)
    page, text = (folder / "report.html").read_text(), (folder / "report.md").read_text()
    assert "<details>\n<summary>norm-3: contradicted</summary>" in page
    assert page.count("<details>") == page.count("</details>") == page.count("<summary>")
    assert "<details>" not in text


def test_one_table_of_claims_stands_behind_the_first_figure(tmp_path):
    text = (toy(tmp_path) / "report.md").read_text()
    before, _, after = text.partition("## The claims")
    assert before.count("![") == 1
    rows = [line for line in after.split("## ")[0].splitlines() if line.startswith("| norm-")]
    assert [row.split(" | ")[2] for row in rows] == ["**contradicted**", "not tested here"]


def test_an_interval_stays_where_scores_can_be(tmp_path, undrawn):
    study = a_study()
    scores = {"pre": [0.0, 0.1, 3.0], "post": [1.0, 0.0, 0.2]}
    runs = [a_run(study, cell, seed, bleu) for cell in scores for seed, bleu in enumerate(scores[cell])]
    rows = [line for line in (toy(tmp_path, runs) / "report.md").read_text().splitlines() if line.startswith("| `p")]
    assert re.search(r"\[0\.\d, \d", rows[0])
    assert MINUS not in rows[0].split("|")[2]
    assert MINUS in rows[1].split("|")[3]  # of a difference, which may be below zero


def test_the_same_sentences_are_picked_whatever_their_order(tmp_path, undrawn):
    from records import SENTENCES

    study = a_study()
    picked = []
    for root, order in ((tmp_path / "a", SENTENCES), (tmp_path / "b", SENTENCES[::-1])):
        write_records(root, study, some_runs(study), sentences=order)
        text = (build(root, "toy", SETTING) / "report.md").read_text()
        picked.append(re.findall(r"^\*\*(.*)\*\*$", text, flags=re.MULTILINE))
    assert picked[0] == picked[1]
    assert len(picked[0]) == 4


def test_figures_of_earlier_records_go(tmp_path, undrawn):
    folder = toy(tmp_path)
    (folder / "figures").mkdir(exist_ok=True)
    (folder / "figures" / "old.png").write_bytes(b"")
    build(tmp_path, "toy", SETTING)
    assert not (folder / "figures" / "old.png").exists()


def test_the_ledger_has_every_claim_and_no_smoke(tmp_path, undrawn):
    toy(tmp_path)
    toy(tmp_path, preset="smoke")
    text = ledger(tmp_path).read_text()
    assert "norm-3" in text
    assert "**contradicted**" in text
    assert "+sweep=depth" in text
    assert "(<toy/synthetic-laptop/report.md>)" in text
    assert "smoke" not in text


def test_a_claim_has_one_row_for_all_its_settings(tmp_path, undrawn):
    toy(tmp_path)
    toy(tmp_path, preset="paper")
    (row,) = [line for line in ledger(tmp_path).read_text().splitlines() if line.startswith("| norm-3 |")]
    _, _, _, verdicts, across, caveat, command, _ = row.split("|")
    assert verdicts.count("**contradicted**") == 1
    assert "[toy/synthetic-laptop](<toy/synthetic-laptop/report.md>)" in verdicts
    assert "[toy/synthetic-paper](<toy/synthetic-paper/report.md>)" in verdicts
    assert across.strip() == "2 verdicts on one corpus, after one budget"
    assert caveat.strip() == "one corpus only, synthetic"
    assert command.strip() == "—"


def test_damaged_records_of_one_study_do_not_hide_the_others(tmp_path, undrawn):
    toy(tmp_path)
    write_records(tmp_path, a_study(name="other"), []).joinpath("runs.jsonl").write_text("{")
    text = ledger(tmp_path).read_text()
    assert "norm-3" in text
    assert "experiments/other/synthetic-laptop/runs.jsonl, line 1, is damaged" in text


@pytest.mark.parametrize(
    "name",
    ["manifest.json", "runs.jsonl", "layers.jsonl.gz", "curves.jsonl.gz", "test.jsonl.gz", "hypotheses.jsonl.gz"],
)
@pytest.mark.parametrize("damage", [None, b"{", b"{}\n", gzip.compress(b"[1]\n", mtime=0), b"\xff\xfe"])
def test_damaged_records_are_bad_input_that_names_the_file(name, damage, tmp_path, undrawn):
    folder = write_records(tmp_path, a_study(), some_runs(a_study()))
    (folder / name).unlink()
    if damage is not None:
        (folder / name).write_bytes(damage)
    with pytest.raises(BadInput, match=re.escape(name)) as error:
        build(tmp_path, "toy", SETTING)
    assert "\n" not in str(error.value)


def test_an_empty_file_is_not_a_compressed_one(tmp_path):
    folder = write_records(tmp_path, a_study(), some_runs(a_study()))
    (folder / "curves.jsonl.gz").write_bytes(b"")
    with pytest.raises(BadInput, match="curves"):
        build(tmp_path, "toy", SETTING)


def test_a_report_of_no_runs_says_so(tmp_path, undrawn):
    study = a_study(claims=CLAIMS)
    write_records(tmp_path, study, [])
    assert "`post` has no pair of runs left to compare" in (build(tmp_path, "toy", SETTING) / "report.md").read_text()


def test_the_command_rebuilds_and_ends_with_the_folder(tmp_path, capsys, undrawn):
    write_records(tmp_path, a_study(), some_runs(a_study()))
    assert main(["toy", f"root={tmp_path}"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "reports" / "toy" / SETTING)
    assert (tmp_path / "reports" / "README.md").exists()


@pytest.mark.parametrize("arguments", [["nonsense"], ["../toy"], ["toy", "more"], ["rot=x"]])
def test_bad_arguments_get_one_line(arguments, tmp_path, capsys, undrawn):
    write_records(tmp_path, a_study(), some_runs(a_study()))
    assert main([*arguments, f"root={tmp_path}"]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.count("\n") == 1


def test_an_unknown_study_is_told_which_have_records(tmp_path, capsys, undrawn):
    assert main(["toy", f"root={tmp_path}"]) == 2
    assert "no study has records" in capsys.readouterr().err
    write_records(tmp_path, a_study(), some_runs(a_study()))
    assert main(["nonsense", f"root={tmp_path}"]) == 2
    assert "these have: toy" in capsys.readouterr().err


def test_neither_room_imports_what_trains(tmp_path):
    write_records(tmp_path, a_study(), some_runs(a_study()))
    code = (
        "import sys; from ablate.report.__main__ import main; "
        f"assert main(['root={tmp_path}']) == 0; "
        "found = {'torch', 'hydra', 'wandb', 'datasets'} & set(sys.modules); assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_plan_can_check_its_claims_without_heavy_imports():
    heavy = "{'pandas', 'scipy', 'seaborn', 'numpy'}"
    code = f"import sys, ablate.analysis.metrics, ablate.report; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("mean", "half_width", "most", "decimals"),
    [(42, 0.83, 2, 2), (42, 1.9, 2, 1), (42, 12, 2, 0), (42, 0.001, 2, 2), (3e-6, 2e-7, 3, 8)],
)
def test_digits_follow_the_uncertainty(mean, half_width, most, decimals):
    assert decimals_for(mean, half_width, most) == decimals


def test_numbers_in_words():
    assert [number(-0.001, 2), number(-1.25, 1), number(1234.5, 0), number(float("nan"), 1)] == [
        "0.00",
        f"{MINUS}1.2",
        "1,234",
        "—",
    ]
    assert [short(1_234_567), short(999_999), short(12_345), short(None), short(150.4, "s")] == [
        "1.23 M",
        "1.00 M",
        "12.3 k",
        "—",
        "150 s",
    ]
    assert escape("a\n|b") == "a \\|b"
    assert escape("d_model _b_") == r"d_model \_b\_"
