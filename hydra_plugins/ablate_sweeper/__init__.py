"""A Hydra sweeper that passes a command to ablate, and ablate's runs to the configured launcher."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict


class StudySweeper(Sweeper):
    """Runs a study, which makes its runs itself. Hydra's own sweeper makes a job for each combination of values."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context: HydraContext | None = hydra_context
        self.task_function: TaskFunction | None = task_function
        self.config: DictConfig | None = config

    def sweep(self, arguments: list[str]) -> None:
        from ablate.cli import study  # here, so that workers do not import it

        assert self.config is not None
        launcher = self.config.hydra.runtime.choices["hydra/launcher"]
        raise SystemExit(study(self.compose, arguments, self.launch, launcher))

    def compose(self, overrides: list[str]) -> DictConfig:
        assert self.hydra_context is not None
        assert self.config is not None
        return self.hydra_context.config_loader.load_sweep_config(self.config, overrides)

    def launch(self, jobs: Sequence[Sequence[str]], root: Path, workers: int) -> None:
        """Run a job for each list of overrides, `workers` at a time if the launcher is joblib's."""
        from joblib.externals.loky.backend import resource_tracker

        from ablate.system import signals

        assert self.hydra_context is not None
        assert self.task_function is not None
        from ablate.store.plain import escaped

        config = OmegaConf.create(self.config)
        with open_dict(config):
            config.hydra.sweep.dir = escaped(f"{root}/runs")
            if "n_jobs" in config.hydra.launcher:  # joblib's; a cluster's launcher has limits of its own
                config.hydra.launcher.n_jobs = workers
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=self.hydra_context, task_function=self.task_function, config=config
        )
        with signals.hangups_ignored():  # joblib's helper process, which already ignores SIGINT and SIGTERM
            resource_tracker.ensure_running()
        for job in launcher.launch(jobs, initial_job_idx=0):
            with contextlib.redirect_stderr(io.StringIO()):  # Hydra would print the error as well
                _ = job.return_value  # raises if the job could not start; errors of a run are in its folder


ConfigStore.instance().store(
    group="hydra/sweeper",
    name="study",
    node={"_target_": "hydra_plugins.ablate_sweeper.StudySweeper"},
    provider="ablate",
)
