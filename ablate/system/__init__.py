"""The operating system: signals, locks, files, paths, output, command lines."""
