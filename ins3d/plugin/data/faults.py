"""What is wrong with some of many pictures: a few are left out and named, more are an error."""


def allowed(number: int) -> int:
    """Of so many pictures, how many may be left out: a tenth, of few pictures three of twenty.

    >>> [allowed(number) for number in (6, 7, 12, 20, 100)]
    [0, 1, 1, 3, 10]
    """
    return max(number // 10, min(3 * number // 20, 3))


def spared(faults: dict[str, str], number: int, where: str, notes: list[str]) -> None:
    """Adds a note on what is left out of `number` pictures; ValueError where it is too much.

    `faults` are predicates, by name.
    """
    if not faults:
        return
    told = "; ".join(f"{name} {what.rstrip('.')}" for name, what in list(faults.items())[:5])
    told += f"; and {len(faults) - 5} more" if len(faults) > 5 else ""
    if len(faults) > allowed(number):
        raise ValueError(f"{where}, {len(faults)} of {number} pictures cannot be used: {told}. Mend them, or take them out.")
    notes.append(f"Left out {len(faults)} of {number} pictures: {told}.")
