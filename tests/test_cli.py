"""The command as a user has it: a process, its output, its exit code, what it leaves behind."""

from __future__ import annotations

import gzip
import itertools
import json
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from forks import QUICK, ablate
from short import some_of
from waiting import PATIENCE, eventually

from ablate.cli import CONF

RESULTS = [
    *("study", "setting", "variant", "seed", "run_id", "evaluation_id", "status", "learned"),
    *("test_bleu", "test_bleu_greedy"),
    *("test_bleu_lower", "test_chrf", "test_loss", "validation_loss", "parameters", "flops_per_token", "peak_memory"),
    *("tokens_per_second", "seconds", "epochs", "trained"),
]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess]:
    """A study run to its end by a fresh interpreter, and where."""
    root = tmp_path_factory.mktemp("root")
    words = ["+sweep=norm_placement", "preset=smoke", "data=fixture", f"root={root}"]
    command = [sys.executable, "-m", "ablate", *words]
    return root, subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)


def test_a_study_ends_with_the_folder_of_its_report(done: tuple[Path, subprocess.CompletedProcess]) -> None:
    root, command = done
    assert command.returncode == 0, command.stderr
    folder = Path(command.stdout.splitlines()[-1])
    assert folder == root / "reports" / "norm_placement" / "fixture-smoke"
    assert {"report.md", "report.html", "results.csv", "summary.json", "figures"} <= {
        path.name for path in folder.iterdir()
    }


def test_a_study_leaves_a_row_a_run(done: tuple[Path, subprocess.CompletedProcess]) -> None:
    root, _ = done
    frame = pd.read_csv(root / "reports" / "norm_placement" / "fixture-smoke" / "results.csv")
    assert list(frame.columns) == RESULTS
    assert list(frame["variant"]) == ["pre", "pre", "post", "post"]
    assert list(frame["seed"]) == [100, 101, 100, 101]
    assert set(frame["status"]) == {"finished"}
    assert frame["test_bleu"].between(0, 100).all()
    left = {path.name for path in (root / "runs").iterdir()}
    assert left - {"wandb", ".speeds.jsonl"} == set(frame["run_id"])


def test_a_study_leaves_what_its_variants_cost_side_by_side(done: tuple[Path, subprocess.CompletedProcess]) -> None:
    root, _ = done
    record = json.loads((root / "experiments" / "norm_placement" / "fixture-smoke" / "cost.json").read_text())
    assert list(record["cells"]) == ["pre", "post"]
    assert "tokens/s" in (root / "reports" / "norm_placement" / "fixture-smoke" / "report.md").read_text()


def test_nothing_of_this_machine_is_in_records_and_reports(done: tuple[Path, subprocess.CompletedProcess]) -> None:
    root, _ = done
    for path in [*root.glob("experiments/**/*.json*"), *root.glob("reports/**/*.md"), *root.glob("reports/**/*.json")]:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        assert str(root).encode() not in content, path
        assert str(Path.home()).encode() not in content, path


def test_a_line_is_printed_for_each_run(done: tuple[Path, subprocess.CompletedProcess]) -> None:
    _, command = done
    for name in ("pre/seed100", "pre/seed101", "post/seed100", "post/seed101"):
        assert sum(f"{name} finished" in line for line in command.stdout.splitlines()) == 1


def test_the_same_command_again_trains_nothing_and_changes_no_result(
    done: tuple[Path, subprocess.CompletedProcess],
) -> None:
    root, _ = done
    results = sorted((root / "runs").glob("*/[er][ev]*.json"))
    report = root / "reports" / "norm_placement" / "fixture-smoke"
    before = [(path.stat().st_ino, path.stat().st_mtime_ns) for path in results]
    text = (report / "report.md").read_bytes()
    again = ablate("+sweep=norm_placement", "preset=smoke", "data=fixture", f"root={root}", figures=True)
    assert again.returncode == 0
    assert "0 runs to train" in again.stdout
    assert [(path.stat().st_ino, path.stat().st_mtime_ns) for path in results] == before
    assert (report / "report.md").read_bytes() == text


def test_the_baseline_alone_is_a_study_that_shares_its_runs(done: tuple[Path, subprocess.CompletedProcess]) -> None:
    root, _ = done
    alone = ablate("preset=smoke", "data=fixture", "first_seed=100", "cost_probe=false", f"root={root}")
    assert alone.returncode == 0, alone.stderr
    assert "0 runs to train" in alone.stdout
    assert Path(alone.stdout.splitlines()[-1]) == root / "reports" / "baseline" / "fixture-smoke"


def test_a_report_is_rebuilt_to_the_same_bytes(done: tuple[Path, subprocess.CompletedProcess]) -> None:
    root, _ = done
    folder = root / "reports" / "norm_placement" / "fixture-smoke"
    names = ["report.md", "results.csv", "summary.json"]
    before = [(folder / name).read_bytes() for name in names]
    for name in names:
        (folder / name).unlink()
    rebuilt = ablate("norm_placement", f"root={root}", module="ablate.report", figures=True)
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert rebuilt.stdout.splitlines()[-1] == str(folder)
    assert [(folder / name).read_bytes() for name in names] == before


def test_a_failed_run_is_named_and_the_others_are_reported(done: tuple[Path, subprocess.CompletedProcess]) -> None:
    root, _ = done
    runs = pd.read_csv(root / "reports" / "norm_placement" / "fixture-smoke" / "results.csv")
    victim = root / "runs" / runs["run_id"][3]
    for path in [*victim.glob("[er][ev]*.json"), victim / "weights.pt"]:
        path.unlink()
    (victim / "weights.pt").mkdir()  # no file can be written in its place
    failing = ablate("+sweep=norm_placement", "preset=smoke", "data=fixture", f"root={root}")
    assert failing.returncode == 1
    assert "post/seed101 failed" in failing.stdout
    assert "curves were damaged" not in failing.stdout
    rows = pd.read_csv(root / "reports" / "norm_placement" / "fixture-smoke" / "results.csv")
    assert list(rows["status"]) == ["finished", "finished", "finished", "failed"]
    assert rows["test_bleu"].isna().tolist() == [False, False, False, True]
    (victim / "weights.pt").rmdir()
    retried = ablate("+sweep=norm_placement", "preset=smoke", "data=fixture", f"root={root}")
    assert retried.returncode == 0
    assert "1 run to train" in retried.stdout


def test_a_dry_run_says_what_would_be_done_and_does_nothing(tmp_path: Path) -> None:
    planned = ablate("+sweep=ffn_ratio", f"root={tmp_path}", "dry_run=true")
    assert planned.returncode == 0, planned.stderr
    for name in ("ratio1", "ratio2", "ratio4", "ratio8", "model.ffn_ratio=8", "40 runs to train"):
        assert name in planned.stdout
    assert not list(tmp_path.iterdir())


def test_prepare_only_prepares_and_trains_nothing(tmp_path: Path) -> None:
    prepared = ablate("+sweep=warmup", "preset=smoke", "data=fixture", f"root={tmp_path}", "prepare_only=true")
    assert prepared.returncode == 0, prepared.stderr
    assert (Path(prepared.stdout.splitlines()[-1]) / "corpus.json").exists()
    assert not list(tmp_path.glob("*/*"))


@pytest.mark.long
def test_a_corpus_that_has_changed_under_its_name_is_refused(tmp_path: Path) -> None:
    text, root = tmp_path / "mine", tmp_path / "root"
    text.mkdir()
    for side, words in (("en", "one two three four five"), ("fr", "un deux trois quatre cinq")):
        lines = [" ".join(three) for three in itertools.product(words.split(), repeat=3)]
        (text / f"train.{side}").write_text("\n".join(lines) + "\n")
    command = ["preset=smoke", "data=files", f"data.path={text}", f"root={root}", "seeds=1", *QUICK]
    first = ablate(*command)
    assert first.returncode == 0, first.stderr
    records = root / "experiments" / "baseline" / "mine-smoke" / "manifest.json"
    before = records.read_bytes()
    assert str(tmp_path) not in before.decode()
    for side in ("en", "fr"):
        with (text / f"train.{side}").open("a") as file:
            file.write("one more line\n")
    second = ablate(*command)
    assert second.returncode == 2
    assert second.stderr.count("\n") == 1
    assert "data.name=" in second.stderr
    assert records.read_bytes() == before
    assert ablate(*command, "data.name=mine2").returncode == 0


def test_help_names_every_study_corpus_and_preset() -> None:
    text = ablate("--help").stdout
    for path in CONF.glob("*/*.yaml"):
        assert path.stem in text
    assert "model.norm_placement=pre" in text


BAD = {
    "+sweep=nothing": "norm_placement",
    "preset=huge": "laptop",
    "data=nothing": "tatoeba",
    "model.norm_placement=mid": "pre, post",
    "model.norm_placment=pre": "norm_placement",
    "+model.depth=3": "layers",
    "colour=blue": "colour",
    "model.heads=3": "1, 2, 4",
    "model.ffn_ratio=0": "(0, 1024]",
    "model.layers=two": "two",
    "seeds=0": "[1, 1000]",
    "optim.warmup=1": "[0, 1)",
    "optim.warmup=-0.1": "[0, 1)",
    "model.dropout=1.5": "[0, 1)",
    "model.d_model=64,128": "study",
    "device=tpu": "cpu, cuda",
    "device=cuda": "cpu",
    "workers=0": "workers",
    "wandb.mode=loud": "offline",
    "root=/dev/null/nowhere": "root=",
    "data.loader=nothing": "tatoeba",
    "data.path=here": "takes no path",
    "data.target=de": "en and fr",
    "evaluation.bleu_tokenizer=word": "none, zh, 13a",
    "model.d_model=": "d_model",
    "=3": "=3",
    "nonsense": "nonsense",
    "hydra.mode=RUN": "hydra.mode",
    "workers=true": "workers",
    "data=3": "multi30k tatoeba",
}


@pytest.mark.parametrize("argument", some_of(BAD))
def test_bad_input_gets_one_line_that_names_the_choices(argument: str, tmp_path: Path) -> None:
    if argument == "device=cuda":
        import torch

        if torch.cuda.is_available():
            pytest.skip("there is a GPU")
    arguments = ["preset=smoke", "data=fixture", f"root={tmp_path}"]
    arguments = [given for given in arguments if given.partition("=")[0] != argument.partition("=")[0]]
    refused = ablate(*arguments, argument)
    assert refused.returncode == 2, refused.stdout + refused.stderr
    lines = refused.stderr.strip().splitlines()
    assert len(lines) == 1, refused.stderr
    assert BAD[argument] in lines[0]
    assert "Traceback" not in refused.stdout + refused.stderr
    assert not list(tmp_path.glob("runs/*/run.json"))


def test_a_key_that_the_study_varies_cannot_be_set() -> None:
    refused = ablate("+sweep=norm_placement", "model.norm_placement=post", "dry_run=true")
    assert refused.returncode == 2
    assert "because the study norm_placement varies it" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


@pytest.mark.long
def test_a_run_whose_weights_are_gone_is_trained_anew_only_to_be_scored_anew(tmp_path: Path) -> None:
    arguments = ("preset=smoke", "data=fixture", f"root={tmp_path}", "seeds=1", *QUICK)
    assert ablate(*arguments).returncode == 0
    (weights,) = tmp_path.glob("runs/*/weights.pt")
    weights.unlink()
    assert ablate(*arguments).returncode == 0
    assert not weights.exists()
    again = ablate(*arguments, "evaluation.beam=3")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "weights that are needed, and damaged or missing" in again.stdout
    assert len(list(weights.parent.glob("evaluation-*.json"))) == 2


@pytest.mark.long
def test_sigterm_ends_the_command_and_its_workers(tmp_path: Path) -> None:
    arguments = ["preset=smoke", "data=fixture", f"root={tmp_path}", "train.updates=100000", "train.validations=1"]
    command = subprocess.Popen([sys.executable, "-m", "ablate", *arguments], stdout=subprocess.PIPE, text=True)
    assert eventually(lambda: any(tmp_path.glob("runs/*/curve.csv")))
    command.terminate()
    assert command.wait(PATIENCE) == 143
    time.sleep(1)
    curves = list(tmp_path.glob("runs/*/curve.csv"))
    assert curves
    sizes = [curve.stat().st_size for curve in curves]
    time.sleep(2)
    assert [curve.stat().st_size for curve in curves] == sizes  # nobody trains on


@pytest.mark.long
def test_the_example_for_notebooks_works(done: tuple[Path, subprocess.CompletedProcess]) -> None:
    root, _ = done
    example = (CONF.parent / "README.md").read_text().partition("```python\n")[2].partition("```")[0]
    shown = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, cwd=root, timeout=PATIENCE)
    assert shown.returncode == 0, shown.stderr
    assert "pre" in shown.stdout
