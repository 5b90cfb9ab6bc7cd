"""Write and read records in `experiments/`: everything that reports and later analyses need, except the weights."""
