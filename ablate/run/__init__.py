"""Do the runs of a plan: launching, recovery, progress, the cost probe."""
