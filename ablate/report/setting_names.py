"""Split a text into names of settings, which may contain the separator: `tatoeba-laptop-heads=2,layers=3`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ablate.config import BadInput


def readings(text: str, separator: str, known: Iterable[str]) -> Iterator[list[str]]:
    """Every way to read a text as names of known settings with the separator between them."""
    known = list(known)
    for name in known:
        if text == name:
            yield [name]
        elif text.startswith(name + separator):
            yield from ([name, *rest] for rest in readings(text[len(name + separator) :], separator, known))


def compared_settings(text: str, found: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """Study -> the settings that `compare=` names, of every study in `found` that has them all. Raises BadInput."""
    given = f"compare={text}"
    by_study = {study: list(readings(text, ",", known)) for study, known in found.items()}
    several = {study: [each for each in ways if len(set(each)) > 1] for study, ways in by_study.items()}
    for ways in several.values():
        if len(ways) > 1:
            choices = "; or ".join(" and ".join(each) for each in ways)
            raise BadInput(f"{given} can be read in more than one way: {choices}")
    settings = {study: ways[0] for study, ways in several.items() if ways}
    if settings:
        return settings
    if "," not in text or any(by_study.values()):
        raise BadInput(f"{given}: give two settings or more, with commas between")
    known = "; ".join(f"{study} has {' '.join(names)}" for study, names in found.items())
    raise BadInput(f"{given}: no study has records in all of them; {known}")
