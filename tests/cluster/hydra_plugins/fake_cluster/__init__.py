"""A launcher that stands in for a cluster: `hydra/launcher=cluster` runs jobs on a "node" with a device of its own.

Put the folder above `hydra_plugins` on PYTHONPATH. The environment's NODE_DEVICE is the device that the node has, and
what is trained on it is trained on this machine's CPU.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.config_store import ConfigStore


class Cluster(BasicLauncher):
    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Any:
        import torch

        from ablate.config import BadInput, Device
        from ablate.training import machine

        def on_the_node(wanted: Device) -> torch.device:
            node = os.environ["NODE_DEVICE"]
            if wanted.name not in ("auto", node):
                raise BadInput(f"device={wanted.name} is not there; this machine has {node}")
            print(f"asked for {wanted.name}")
            return torch.device("cpu")

        machine.choose_device = on_the_node
        return super().launch(job_overrides, initial_job_idx)


ConfigStore.instance().store(
    group="hydra/launcher", name="cluster", node={"_target_": "hydra_plugins.fake_cluster.Cluster"}, provider="tests"
)
