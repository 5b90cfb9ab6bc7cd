"""The command `python -m ablate`: compose, plan, run, report."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.config import BadInput, Until, plain_line
from ablate.plugins import settle
from ablate.system import signals

if TYPE_CHECKING:  # imported inside functions, so that --help is fast
    from omegaconf import DictConfig

    from ablate.plan.composition import Plan
    from ablate.plan.rates import TunedSetting
    from ablate.records.collect import Corpora
    from ablate.run.launching import Launch
    from ablate.run.progress import Progress
    from ablate.store.folders import Store
    from ablate.store.ids import RunSpec

LOCAL_LAUNCHERS = ("basic", "joblib")  # Hydra's launchers whose workers run on this machine
HERE = Path(__file__).resolve().parent
CONF = next(folder for folder in (HERE / "conf", HERE.parent / "conf") if (folder / "config.yaml").exists())


@signals.command
def main() -> int:
    """Run the command in sys.argv. Returns the exit code of `study`, or 2 for bad input."""
    given = sys.argv[1:]
    if {"--help", "-h"} & set(given):
        from ablate.plan import help

        try:
            load_plugins([argument for argument in given if argument.startswith("plugins=")], [CONF])
        except BadInput as error:
            return complain(str(error))
        print(help.text(CONF))
        return 0
    from hydra.core.config_store import ConfigStore
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from ablate.plan import shell
    from ablate.plan.arguments import choices, override_keys
    from ablate.plan.conf_files import check_files
    from ablate.store.plain import schema
    from ablate.system.places import check_current_folder, expanded

    ConfigStore.instance().store("schema", schema())
    os.environ.setdefault(
        "HYDRA_FULL_ERROR", "1"
    )  # Hydra raises its errors, so that they can be shown in one line here
    try:
        check_current_folder()
        options = shell.command_line(given)
        override_keys(options.overrides)
        added = [] if options.config_dir is None else [expanded(options.config_dir, "--config-dir")]
        check_files(choices(options.overrides), [*added, CONF])
        load_plugins(options.overrides, [*added, CONF])
        shell.run(options, work, CONF)
    except BadInput as error:
        return complain(str(error))
    except (HydraException, OmegaConfBaseException) as error:
        from ablate.run.launching import in_a_line

        return complain(in_a_line(error))
    except Stuck as error:
        return complain(str(error), 1)
    except OSError as error:
        return complain(f"{error.filename or 'a file'}: {error.strerror or type(error).__name__}")
    return 0


def load_plugins(overrides: Sequence[str], folders: Sequence[Path]) -> None:
    """Import the plugins of the command line, and those of the study's file. Raises BadInput."""
    if not any(override.lstrip("+").startswith(("plugins=", "sweep=", "preset=")) for override in overrides):
        return
    from ablate.plan.arguments import choices, value_of
    from ablate.plan.conf_files import plugins_of
    from ablate.store.plugin_files import load

    load([*plugins_of(choices(overrides), folders), *(value_of(overrides, "plugins") or ())])


class Stuck(Exception):
    """The disk is full, a folder is gone, or a package that reports need is missing. Runs that are done are kept."""


def study(
    compose: Callable[[list[str]], DictConfig], arguments: Sequence[str], launch: Launch, launcher: str = "joblib"
) -> int:
    """Plan a study, train and evaluate the runs that are missing, write its report.

    `launcher` names Hydra's launcher behind `launch`. Returns 0 if every run has finished or diverged, 1 if some
    failed. Raises BadInput.
    """
    from ablate.plan.composition import plan as make_plan

    settle()
    plan = make_plan(compose, arguments, find)  # before the slow imports, so that bad input is reported at once
    from ablate import tracking
    from ablate.analysis.metrics import check_metrics
    from ablate.data.cache import cache_folder, corpus_folder
    from ablate.data.corpus import Corpus
    from ablate.evaluation.scores import check_tokenizer
    from ablate.plan.forecast import forecast as make_forecast
    from ablate.plan.forecast import workers
    from ablate.records.collect import check_test_set
    from ablate.records.history import check_corpus, check_prepared
    from ablate.run import costs
    from ablate.run.launching import train
    from ablate.run.progress import Progress
    from ablate.store.folders import Store
    from ablate.system.locks import caveat
    from ablate.system.places import expanded
    from ablate.training.machine import checked_device

    check_metrics(plan.study)
    device = None  # workers on other machines each choose their own
    if launcher in LOCAL_LAUNCHERS:
        device = checked_device(plan.config.device, plan.config.precision)
    if plan.config.evaluation.bleu_tokenizer is not None:
        check_tokenizer(plan.config.evaluation.bleu_tokenizer)
    tracking.check(plan.config.wandb)
    store = Store(expanded(plan.config.root, "root").resolve())
    check_corpus(store, plan)
    forecast, progress = make_forecast(plan, store, device), Progress(store, plan)
    if plan.config.prepare_only:
        for mark, metadata in prepared(plan, progress).items():
            progress.say(f"{metadata['name']} is prepared: {metadata['train_pairs']:,} training pairs")
            progress.say(str(corpus_folder(mark)))
        return 0
    progress.show_plan(forecast)
    if plan.config.dry_run:
        for line in outlook(plan, store.root):
            progress.say(line)
        return 0

    progress.say(tracking.notice(plan.config.wandb))
    store.check_writable()
    progress.say(caveat(store.root / "runs"))
    corpora = {}  # read now, since the cache may be gone when the report is made
    for mark, metadata in prepared(plan, progress).items():
        check_prepared(store, plan, mark, metadata)
        tested_on = plan.config.data.test_sentences, plan.config.evaluation.loss_sentences
        corpora[mark] = replace(Corpus.load(mark, *tested_on), metadata=metadata)
    progress.say(caveat(cache_folder()))
    check_test_set(corpora)
    from ablate.run import representations

    try:
        train(plan, store, launch, progress, forecast.workers)
        if plan.config.tuned:
            from ablate.run.refining import refinement

            if more := refinement(plan, store, corpora, progress.say):
                plan = progress.plan = more
                train(plan, store, launch, progress, workers(plan.config, device, len(plan.runs)))
        if plan.config.until is Until.resolved:
            from ablate.run.until import next_batch  # judges claims, which other commands leave to their report

            while more := next_batch(plan, store, corpora, progress.say):
                plan = progress.plan = more
                train(plan, store, launch, progress, workers(plan.config, device, len(plan.runs)))
        if plan.config.cost_probe:
            costs.measure(plan, store, device, progress.say)
        representations.compare(plan, store, corpora[plan.corpus], device, progress.say)
        return report(plan, store, corpora, progress)
    except KeyboardInterrupt:
        progress.say(f"interrupted: {so_far(plan, store)}")
        raise
    except OSError as error:
        what = f"{error.filename or store.root}: {error.strerror or error}"
        raise Stuck(f"{what}; {so_far(plan, store)}") from error


def find(root: Path, rates: str) -> TunedSetting:
    """What `rates` names, read from the records under `root`. Raises BadInput."""
    from ablate.records.tuned_settings import tuned_setting  # slow to import

    return tuned_setting(root, rates)


def outlook(plan: Plan, root: Path) -> list[str]:
    """What the study can decide with its number of seeds, by the records of others like it; nothing without records."""
    from ablate.study import Pairs

    if plan.study.pairs is Pairs.halves or not any((root / "experiments").glob("*/*/manifest.json")):
        return []
    from ablate.analysis.noise import Noise, budget_of
    from ablate.records.noise_library import library
    from ablate.report.text.detectable import outlook
    from ablate.store.plain import config_to_plain

    noise = Noise(tuple(library(root).get((plan.config.data.label, plan.config.preset), ())))
    budgets = dict.fromkeys(budget_of([{"config": config_to_plain(config)}]) for config in plan.configs.values())
    return [
        line if len(budgets) == 1 else f"after {budget}: {line}"
        for budget in budgets
        for line in outlook(noise, plan.study, budget, plan.config.seeds)
    ]


def so_far(plan: Plan, store: Store) -> str:
    """How many runs of an interrupted study are done, and how to continue."""
    done = sum(map(store.done, plan.runs))
    command = shlex.join(["python", "-m", "ablate", *sys.argv[1:]])  # with Hydra's options, which the plan lacks
    return f"{done} of {len(plan.runs)} runs are done and kept; to continue: {command}"


def prepared(plan: Plan, progress: Progress) -> dict[str, dict[str, Any]]:
    """Put the study's corpora into the cache; the metadata of each by its fingerprint."""
    from ablate.data.prepare import check_size, prepare

    found = {mark: prepare(recipe, progress.say, mark) for recipe, mark in plan.corpora.items()}
    for spec in plan.runs:
        check_size(found[spec.corpus], spec.config.train.batch_tokens)
    return found


def report(plan: Plan, store: Store, corpora: Corpora, progress: Progress) -> int:
    """Collect the records, write the report and the ledger, print the results. Returns 1 if some runs failed."""
    from ablate import tracking
    from ablate.records.collect import collect, freeze_noise, without_curves
    from ablate.store.plain import config_to_plain

    records = collect(store, plan, corpora)
    for line in without_curves(store, plan):
        progress.say(line)
    failed = [spec for spec in plan.runs if not store.done(spec)]
    try:
        from ablate.report.index import ledger
        from ablate.report.render import build
        from ablate.report.text.opening import headline

        freeze_noise(store.root, records, config_to_plain(plan.preset))
        folder = build(store.root, plan.study.name, plan.setting)
    except ModuleNotFoundError as error:  # machines with a GPU often have only what training needs
        say_failed(failed, store, progress)
        raise Stuck(
            f"the records are in {records}, but the report needs {error.name}, which is not installed here; "
            f"where it is: python -m ablate.report {plan.study.name}"
        ) from error
    tracker = tracking.start_report(plan, store, folder)
    ledger(store.root)
    for line in headline(folder):
        progress.say(line)
    say_failed(failed, store, progress)
    progress.say(tracker.finish())
    progress.say(str(folder))
    return 1 if failed else 0


def say_failed(failed: Sequence[RunSpec], store: Store, progress: Progress) -> None:
    """Name each run that failed, and its log."""
    for spec in failed:
        why = store.run(spec.id).failure() or "its worker died"
        log = store.run(spec.id).file("failure.txt")
        progress.say(f"failed: {spec.label}: {why}; see {log}; the same command tries it again")


def work(config: DictConfig) -> None:
    """A worker's job: do one run, named by its id."""
    import multiprocessing

    if multiprocessing.parent_process() is not None:
        signals.leave_to_the_command()
    from ablate.store.folders import Store
    from ablate.store.plugin_files import load

    folder = Store(Path(config.root)).run(config.run)
    try:
        load(config.plugins or ())
    except BadInput as error:
        return folder.append("failure.txt", [str(error)])
    from ablate.training.member import run_member

    run_member(folder, config.device)


def complain(line: str, code: int = 2) -> int:
    """Print a message as one line on standard error; returns the exit code."""
    print(f"ablate: {plain_line(line)}", file=sys.stderr)
    return code
