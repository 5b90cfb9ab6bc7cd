import os
import sys
from pathlib import Path

HOUSE = Path(__file__).resolve().parents[1]
if sys.path[0] in ("", os.getcwd()) and Path.cwd() != HOUSE:
    del sys.path[0]  # the current folder: a datasets.py or random.py there would hide the real one

from ablate.cli import main  # noqa: E402

raise SystemExit(main())
