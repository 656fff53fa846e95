"""Which pictures of a transforms.json are learned from, validated and tested with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

SPLITS = ("train", "val", "test")


def read_splits(
    file: Path, contents: dict[str, Any], every: list[str], named: Callable[[str], str | None], notes: list[str]
) -> dict[str, list[str]]:
    """{train_filenames, val_filenames, test_filenames}, or nothing where the file says nothing.

    `every` is the name of each picture, `named` the one that is meant by a word of the lists. What a user should know is
    added to `notes`. Raises ValueError, naming `data`, where lists leave nothing.
    """
    told = {split: contents.get(f"{split}_filenames") for split in SPLITS}
    given = {split: names for split, names in told.items() if names or (names is not None and split != "train")}
    if not given:
        return {}
    found = {
        split: list(dict.fromkeys(name for each in map(str, words) if (name := named(each)) is not None))
        for split, words in given.items()
    }
    empty = next((split for split, words in given.items() if words and not found[split]), None)
    if empty is not None:
        raise ValueError(
            f"data: none of {empty}_filenames in {file} is among its frames (the first is {given[empty][0]}); give them as "
            "in file_path, or take the list out."
        )
    held = {name for split in ("val", "test") for name in found.get(split, [])}
    train = found.get("train", [name for name in every if name not in held])
    if not train:
        lists = " and ".join(f"{split}_filenames" for split in given)
        raise ValueError(f"data: {lists} of {file} leave nothing to learn from; take some pictures out of them.")
    val = found.get("val", found.get("test", [name for name in every if name not in set(train)]))
    splits = {"train": train, "val": val, "test": found.get("test", val)}
    if len(given) < len(SPLITS):
        numbers = ", ".join(f"{len(splits[split])} {split}" for split in SPLITS)
        notes.append(f"{file.name} lists {' and '.join(given)} pictures; taken: {numbers}.")
    return {f"{split}_filenames": chosen for split, chosen in splits.items()}
