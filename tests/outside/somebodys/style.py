"""Styles of another package: `pair:FIRST,SECOND` is a style of two pictures."""

from pathlib import Path

from ins3d.style.styles import Style, StyleSource


class Pair:
    """Reads what stands behind `pair:`."""

    def parse(self, text):
        """Two pictures, one style."""
        paths = [Path(word).absolute() for word in text.split(",")]
        if len(paths) != 2:
            raise ValueError(f"{len(paths)} pictures are no pair; write pair:FIRST,SECOND.")
        return Style("_and_".join(path.stem for path in paths), tuple(StyleSource(path) for path in paths))


PAIR = Pair()
