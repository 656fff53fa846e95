"""`ins3d`, the command: what it lists, how soon, and that it does what the scripts do."""

import importlib
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ins3d.cli import main as front_door

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = {"picture": "fit_image", "object": "sdf_stylize", "evaluate": "evaluate", "film": "render_styles"}


def said(*words: str) -> str:
    return subprocess.check_output([sys.executable, *words], text=True, cwd=ROOT, env={"COLUMNS": "120"})


class TestHelp:
    def test_lists_every_command_with_a_sentence(self, capsys, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as left:
            front_door.main([])  # nothing typed: the help, and no error
        shown = capsys.readouterr().out
        assert left.value.code == 0
        for name, text in front_door.COMMANDS.items():
            assert name in shown and text[:40] in shown
        assert "ns-train ins-stylize" in shown

    def test_answers_soon_because_it_imports_nothing_heavy(self):
        """A third of a second where Python itself takes .03; a machine that is busy is slow at both."""

        def least_seconds(*words: str) -> float:
            seconds = []
            for _ in range(3):
                started = time.perf_counter()
                said(*words)
                seconds.append(time.perf_counter() - started)
            return min(seconds)

        assert least_seconds("-m", "ins3d.cli.main", "--help") < 30 * least_seconds("-c", "pass")
        heavy = "import sys\nfrom ins3d.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
        heavy += "print('heavy:', [name for name in ('torch', 'numpy', 'nerfstudio', 'open3d') if name in sys.modules])"
        assert said("-c", heavy).endswith("heavy: []\n")

    @pytest.mark.parametrize("name", front_door.COMMANDS)
    def test_every_command_says_how_it_is_called(self, name: str, capsys):
        with pytest.raises(SystemExit):
            front_door.main([name, "--help"])
        assert f"usage: ins3d {name}" in capsys.readouterr().out

    def test_a_mistyped_command_is_answered_with_those_there_are(self, capsys):
        with pytest.raises(SystemExit) as left:
            front_door.main(["pictures"])
        assert left.value.code == 2
        shown = capsys.readouterr()
        assert "picture" in shown.err + shown.out and "pictures" in shown.err + shown.out

    def test_a_mistyped_option_is_answered_with_the_options_of_that_command(self, capsys):
        with pytest.raises(SystemExit) as left:
            front_door.main(["picture", "stylize", "--stpes", "3"])
        said = capsys.readouterr()
        assert left.value.code == 2 and "--steps" in said.err + said.out and "blend" not in said.err + said.out

    def test_ctrl_c_while_packages_are_imported_leaves_without_a_traceback(self, monkeypatch: pytest.MonkeyPatch):
        def interrupted(name: str):
            raise KeyboardInterrupt

        monkeypatch.setattr(front_door, "import_module", interrupted)
        with pytest.raises(SystemExit) as left:
            front_door.main(["picture", "stylize"])
        assert left.value.code == 130


class TestCommands:
    @pytest.mark.parametrize(("command", "script"), SCRIPTS.items())
    def test_the_scripts_are_the_same_commands(self, command: str, script: str):
        text = (ROOT / "scripts" / f"{script}.py").read_text()
        assert f"from ins3d.cli.{command} import main\n" in text and len(text.splitlines()) < 10

    def test_a_script_says_what_the_command_says(self):
        script = said("scripts/fit_image.py", "render", "--help").split("\n", 1)
        command = said("-m", "ins3d.cli.main", "picture", "render", "--help").split("\n", 1)
        assert "fit_image.py render" in script[0] and "ins3d picture render" in command[0]
        assert script[1] == command[1]

    def test_what_a_user_can_mend_is_one_line_without_a_traceback(self):
        wrong = ["picture", "render", "--load", "nowhere"]
        done = subprocess.run([sys.executable, "-m", "ins3d.cli.main", *wrong], capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 1 and "nowhere" in done.stderr and "Traceback" not in done.stderr

    def test_every_listed_command_is_a_module_with_a_main(self):
        for name in front_door.COMMANDS:
            assert callable(importlib.import_module(f"ins3d.cli.{name}").main)
