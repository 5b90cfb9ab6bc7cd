"""The operating system: signals, locks, files, paths, output, command lines. Nothing here knows about training."""
