"""From a plan to finished artefacts: launching, recovery, progress, the cost probe."""
