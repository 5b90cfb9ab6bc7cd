"""What is timed: each module is a program that one child process runs. `ablate.benchmark.processes` starts them."""
