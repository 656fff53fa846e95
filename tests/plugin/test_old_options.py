"""Whoever types an option of before 0.3 is told what it is now."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ins3d.plugin.saved_runs import OLD_OPTIONS, check_words

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
BEFORE, NOW = (set((GOLDEN / f"ins_stylize_options{name}.txt").read_text().splitlines()) for name in ("_0.2", ""))
METHODS = ["ins-stylize", "ins-stylize-hash"]


class TestTable:
    def test_every_option_that_is_gone_is_in_it_and_no_other(self):
        of_pipeline = {option for option in OLD_OPTIONS if option.startswith("--pipeline.")}
        assert BEFORE - NOW == of_pipeline

    def test_what_it_names_is_there(self):
        named = {name for now in OLD_OPTIONS.values() for name in re.findall(r"--pipeline[a-z.-]*", now)}
        assert named <= NOW


class TestCheckWords:
    @pytest.mark.parametrize("program", ["/somewhere/bin/ns-train", "/packages/nerfstudio/scripts/train.py", "ns-train.exe"])
    @pytest.mark.parametrize("old", ["--pipeline.model.style-mix", "--pipeline.model.style_mix"])
    def test_a_new_name_is_said(self, program: str, old: str):
        with pytest.raises(SystemExit, match=r"^--pipeline\.model\.style-mix is now --pipeline\.model\.mix\.$"):
            check_words([program, "ins-stylize", "--data", "fox", old, "1", "2"], METHODS)

    def test_a_value_may_stand_behind_an_equals_sign(self):
        with pytest.raises(SystemExit, match=r"is now --pipeline\.model\.content-weight\.$"):
            check_words(["ns-train", "ins-stylize-hash", "--pipeline.model.content-loss-mult=2"], METHODS)

    def test_of_what_is_gone_it_is_said_why(self):
        said = r"^--pipeline\.more-styles-mult is gone: every further style adds 45 % of --pipeline\.style-steps\.$"
        with pytest.raises(SystemExit, match=said):
            check_words(["ns-train", "ins-stylize", "--pipeline.more-styles-mult", "1"], METHODS)

    @pytest.mark.parametrize(
        "words",
        [
            [],
            ["ns-train"],
            ["ns-train", "nerfacto", "--pipeline.model.style-mix", "1"],
            ["ns-render", "ins-stylize", "--pipeline.model.style-mix", "1"],
            ["ns-train", "ins-stylize", "--pipeline.model.mix", "1"],
        ],
        ids=lambda words: " ".join(words[:2]),
    )
    def test_nothing_is_said_of_other_commands_methods_and_options(self, words: list[str]):
        check_words(words, METHODS)


@pytest.mark.slow
def test_ns_train_leaves_with_the_sentence():
    words = ["ins-stylize", "--pipeline.pool.max-rays", "100", "--data", "nowhere"]
    called = [sys.executable, "-m", "nerfstudio.scripts.train", *words]
    done = subprocess.run(called, capture_output=True, text=True, env=os.environ | {"COLUMNS": "200"}, timeout=300)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == "--pipeline.pool.max-rays is now --pipeline.patches.max-rays."
