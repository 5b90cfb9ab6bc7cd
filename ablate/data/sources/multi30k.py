"""Multi30k, task 1: captions of photographs and their translations (Elliott et al. 2016, arXiv:1605.00459; 2017,
arXiv:1710.07177), with its official splits; from a folder of its files, or English-German from the Hugging Face hub."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ablate.config import BadInput, DataConfig
from ablate.data.raw import Say, Splits
from ablate.data.sources import hub
from ablate.data.sources.sides import patterns, present, read_pairs, split_sides
from ablate.system.places import expanded

ON_THE_HUB = "bentrevett/multi30k"
LANGUAGES_ON_THE_HUB = {"en", "de"}
REMEDY = "give data.path= a folder of its files ({split}.{language}[.gz]), or take data=tatoeba"


def read(data: DataConfig, say: Say) -> Splits:
    """Its three splits, from data.path or else from the hub."""
    if data.path is not None:
        return _folder(expanded(data.path, "data.path"), data, say)
    return hub.read(_on_the_hub(data), say, REMEDY)


def known(data: DataConfig) -> str | None:
    """The hash of its text, if known without reading it."""
    return None if data.path is not None else hub.known(_on_the_hub(data))


def credit(data: DataConfig) -> str:
    return f"Multi30k, task 1 (Elliott et al. 2016, 2017), {data.source}-{data.target}, test set {test_set(data)}."


def test_set(data: DataConfig) -> str:
    """The name of the test set. Raises BadInput for an unknown one."""
    name = data.test_set or next(iter(TEST_SETS))
    if name not in TEST_SETS:
        raise BadInput(f"data.test_set={name} is not in multi30k; it may be {', '.join(TEST_SETS)}")
    return name


def _folder(folder: Path, data: DataConfig, say: Say) -> Splits:
    if not folder.is_dir():
        raise BadInput(f"data.path={data.path} is not a folder; multi30k is a folder of {{split}}.{{language}}[.gz]")
    splits = {}
    for split, names in {**SPLITS, "test": TEST_SETS[test_set(data)]}.items():
        sides = split_sides(folder, names, data)
        if sides is None:
            raise BadInput(f"data.path={data.path} has none of {patterns(names, data)}; there are {present(folder)}")
        splits[split] = read_pairs(*sides, say)
    return splits


def _on_the_hub(data: DataConfig) -> DataConfig:
    """The configuration of the data set on the hub. Raises BadInput for what the hub does not have."""
    if test_set(data) != "2016":
        raise BadInput(f"data.test_set={data.test_set} of multi30k is not on the Hugging Face hub, 2016 is; {REMEDY}")
    if not {data.source, data.target} <= LANGUAGES_ON_THE_HUB:
        raise BadInput(
            f"data.source={data.source} data.target={data.target}: on the Hugging Face hub multi30k is in en and de; "
            "give data.path= a folder of its files ({split}.{language}[.gz])"
        )
    return replace(data, name=ON_THE_HUB, test_set=None)


SPLITS = {"train": ("train",), "validation": ("val", "valid", "validation")}
TEST_SETS = {  # name -> the files that may hold it
    "2016": ("test_2016_flickr", "test"),
    "2017": ("test_2017_flickr",),
    "coco": ("test_2017_mscoco",),
}
