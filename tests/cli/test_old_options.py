"""Whoever types an option of before 0.3 is told what it is now."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from ins3d.cli import object as object_command
from ins3d.cli import picture as picture_command
from ins3d.cli.old_options import OBJECT, PICTURE

MAINS: dict[str, tuple[Callable[[list[str]], Any], Mapping[str, Mapping[str, str]]]] = {
    "picture": (picture_command.main, PICTURE),
    "object": (object_command.main, OBJECT),
}
COMMANDS = [(name, command) for name, (_, old) in MAINS.items() for command in old]


def options_of(name: str, command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Those in the help."""
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        MAINS[name][0]([command, "--help"])
    return set(re.findall(r"^[^\w-]+(--[a-z][a-z.-]*)", capsys.readouterr().out, flags=re.M))


@pytest.mark.parametrize(("name", "command"), COMMANDS)
class TestTables:
    def test_old_options_are_gone_and_new_ones_are_there(self, name: str, command: str, capsys, monkeypatch):
        there, old = options_of(name, command, capsys, monkeypatch), MAINS[name][1][command]
        assert there and not there & old.keys()
        assert {now for now in old.values() if now.startswith("--")} <= there

    def test_each_is_answered_before_anything_is_done(self, name: str, command: str):
        main, old = MAINS[name]
        for option, now in old[command].items():
            said = f"{option} is now {now}." if now.startswith("--") else f"{option} is gone: {now}."
            with pytest.raises(SystemExit, match=f"^{re.escape(said)}$"):
                main([command, option, "1"])


def test_names_that_only_another_command_had_are_left_to_it():
    with pytest.raises(SystemExit) as stopped:
        object_command.main(["fit-images", "--rays", "0"])
    assert stopped.value.code == "rays: 0 is too little; use 1 or more."
