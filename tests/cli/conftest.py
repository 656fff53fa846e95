"""What the subcommands of a command say of themselves is pinned."""

import contextlib
import io
import os
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def assert_golden(monkeypatch: pytest.MonkeyPatch) -> Callable[[ModuleType, str], None]:
    """Compares what every subcommand says of itself with a golden file; INS3D_UPDATE_GOLDEN=1 writes it anew."""

    def compare(script: ModuleType, name: str) -> None:
        monkeypatch.setenv("COLUMNS", "120")
        said = io.StringIO()
        for command in script.COMMANDS:
            with contextlib.redirect_stdout(said), pytest.raises(SystemExit):
                script.main([command, "--help"])
        # Without colours, boxes, rules and the checkout's place.
        text = re.sub(r"\x1b\[[0-9;]*m", "", said.getvalue()).replace(f"{ROOT}/", "")
        text = re.sub(r"usage: \S+", "usage:", text)
        words = [word for word in re.sub("[─│╭╮╰╯]|-{3,}", " ", text).split()]
        lines = textwrap.fill(" ".join(words), 120, break_on_hyphens=False, break_long_words=False)
        golden = ROOT / "tests" / "golden" / name
        if os.environ.get("INS3D_UPDATE_GOLDEN"):
            golden.write_text(lines + "\n")
        assert lines.splitlines() == golden.read_text().splitlines()

    return compare
