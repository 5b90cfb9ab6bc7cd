"""The operating system underneath: signals, locks, files, paths, output. Nothing here knows what is trained."""
