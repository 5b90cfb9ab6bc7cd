"""From the store to `experiments/` and back: what a report or a later analysis needs, the weights aside."""
