"""Options of earlier versions: who types one is told what it is now."""

from collections.abc import Mapping, Sequence


def refuse_old_options(words: Sequence[str], old: Mapping[str, str]) -> None:
    """Leaves with a sentence for the first word that is an option of before.

    `old` says of each what it is now, as it is typed (`--new`), or why there is none (`there is ...`).
    """
    for word in words:
        option = word.partition("=")[0].replace("_", "-")
        if option in old:
            now = old[option]
            raise SystemExit(f"{option} is now {now}." if now.startswith("--") else f"{option} is gone: {now}.")
