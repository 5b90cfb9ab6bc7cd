"""Parse the command lines of `python -m ablate.NAME` by argparse: names, and keys written as `root=DIR`."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from ablate.config import BadInput, plain_line

KEY = re.compile(r"([a-z_]+)=")  # the start of a word that sets a key


class CommandLine(argparse.ArgumentParser):
    """A parser that takes `key=value` for `--key value`, and reports bad input in one line that names the choices."""

    def __init__(self, module: str, description: str) -> None:
        super().__init__(prog=f"python -m {module}", description=description, allow_abbrev=False)
        self.module = module
        self.words: list[str] = []  # every argument as the usage line shows it
        self.keys: list[str] = []

    def name(self, metavar: str, meaning: str, **options: Any) -> None:
        """Add a positional argument, called `name`."""
        self.words.append(f"[{metavar} ...]" if options.get("nargs") == "*" else metavar)
        self.add_argument("name", metavar=metavar, help=meaning, **options)

    def key(self, key: str, metavar: str, meaning: str, group: Any = None, **options: Any) -> None:
        """Add an argument `key=METAVAR`, which may also be written `--key METAVAR`."""
        self.words.append(f"[{key}={metavar}]")
        self.keys.append(key)
        (group or self).add_argument(f"--{key}", metavar=metavar, help=meaning, **options)

    def flag(self, flag: str, meaning: str, group: Any = None) -> None:
        self.words.append(f"[--{flag}]")
        (group or self).add_argument(f"--{flag}", action="store_true", help=meaning)

    def run(self, arguments: Sequence[str], work: Callable[[argparse.Namespace], int]) -> int:
        """Call `work` with the parsed arguments. Returns its exit code, or prints bad input in a line and returns 2."""
        try:
            return work(self.parsed(arguments))
        except BadInput as error:
            complain(self.module, error)
            return 2

    def parsed(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Raises BadInput. `--help` prints the help text and raises SystemExit."""
        self.usage = " ".join([self.prog, *self.words])
        self.epilog = "A key may be written key=value or --key value. Bad input ends with exit code 2."
        return self.parse_intermixed_args([self.as_option(word) for word in arguments])

    def as_option(self, word: str) -> str:
        found = KEY.match(word)
        if found and found[1] not in self.keys:
            self.error(f"there is no key {found[1]}")
        return f"--{word}" if found else word

    def error(self, message: str) -> NoReturn:
        line = re.sub(r"^argument (?:--)?(\w+): ", r"\1: ", message)
        raise BadInput(f"{line}; it takes {' '.join(self.words)}")


def complain(module: str, error: BadInput) -> None:
    """Print the message of bad input in one line on standard error."""
    print(f"{module}: {plain_line(str(error))}", file=sys.stderr)


def truth(text: str) -> bool:
    """The type of a key that is true or false."""
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text} must be true or false")
    return text.lower() == "true"
