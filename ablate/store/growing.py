"""Read a file that another process appends to. Each call reads only the new lines."""

from __future__ import annotations

from pathlib import Path


class GrowingFile:
    """A text file of lines that may still be written to."""

    def __init__(self, path: Path) -> None:
        self.path, self.offset = path, 0  # bytes read so far

    def new_lines(self) -> list[str]:
        """The complete lines since the last call. All lines where the file was cut back or written anew."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(0, self.offset - 1))
                if self.offset and file.read(1) != b"\n":  # the file was replaced: no line ends here any more
                    self.offset = file.seek(0)
                text = file.read()
        except (FileNotFoundError, NotADirectoryError):
            return []
        text = text[: text.rfind(b"\n") + 1]
        self.offset += len(text)
        return text.decode().splitlines()
