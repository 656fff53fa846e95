import json
import re
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import torch

from ins3d.files import run_record as module
from ins3d.files.run_record import peak_memory_mb, run_record


class TestRunRecord:
    def test_survives_json(self):
        record = run_record(styles=["starry_night"], seed=3)
        assert json.loads(json.dumps(record)) == record

    def test_adds_what_it_is_given_under_its_own_name(self):
        record = run_record(seed=3, encoder="vgg19 from a file")
        assert (record["seed"], record["encoder"]) == (3, "vgg19 from a file")

    def test_names_the_versions_in_use(self):
        versions = run_record()["versions"]
        assert torch.__version__.startswith(versions["torch"])
        assert versions["ins3d"] and versions["nerfstudio"] and versions["python"].startswith("3.")

    def test_is_dated_now_in_utc(self):
        date = datetime.fromisoformat(run_record()["date"])
        assert date.utcoffset() == timedelta(0)
        assert abs(datetime.now(timezone.utc) - date) < timedelta(seconds=30)

    def test_commit_is_a_whole_hash_or_none(self):
        commit = run_record()["commit"]
        assert commit is None or re.fullmatch("[0-9a-f]{40}", commit)

    def test_commit_is_never_that_of_a_checkout_around_the_environment(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        installed = tmp_path / "venv" / "run_record.py"
        installed.parent.mkdir()
        installed.touch()
        (tmp_path / "own.txt").touch()
        who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
        for words in (["init", "--quiet"], ["add", "own.txt"], [*who, "commit", "--quiet", "-m", "theirs"]):
            subprocess.check_call(["git", *words], cwd=tmp_path)
        monkeypatch.setattr(module, "__file__", str(installed))
        assert run_record()["commit"] is None

    def test_says_whether_there_is_a_gpu_and_how_many_cores(self):
        machine = run_record()["machine"]
        assert machine["cores"] >= 1
        assert (machine["gpu"] is None) == (not torch.cuda.is_available())


def test_peak_memory_grows_by_what_is_held():
    before = peak_memory_mb()["ram"]
    held = torch.ones(2**20 * (before + 100) // 4)  # more than the process ever had
    assert peak_memory_mb()["ram"] >= before + 100 - 1
    del held
    assert peak_memory_mb()["ram"] >= before + 100 - 1
