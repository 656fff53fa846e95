import os
from pathlib import Path

import pytest

from ins3d.files.whole import replace_file


class TestReplacingFiles:
    def test_a_file_that_could_not_be_written_leaves_the_one_before(self, tmp_path: Path):
        path = tmp_path / "picture.png"
        replace_file(path, lambda aside: aside.write_text("before"))

        def stopped(aside: Path) -> None:
            aside.write_text("hal")
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            replace_file(path, stopped)
        assert path.read_text() == "before" and [found.name for found in tmp_path.iterdir()] == ["picture.png"]

    def test_who_reads_meanwhile_reads_the_one_before_to_its_end(self, tmp_path: Path):
        path = tmp_path / "picture.png"
        path.write_text("before")
        with path.open() as reader:
            replace_file(path, lambda aside: aside.write_text("after"))
            assert reader.read() == "before"
        assert path.read_text() == "after" and [found.name for found in tmp_path.iterdir()] == ["picture.png"]

    def test_what_is_written_has_the_ending_of_what_it_becomes(self, tmp_path: Path):
        # Writers of pictures choose the format by it.
        names = []
        replace_file(tmp_path / "new" / "a.b.png", lambda aside: names.append(aside) or aside.write_text("picture"))
        assert names[0].suffix == ".png" and names[0].parent == tmp_path / "new" and names[0].name != "a.b.png"
        assert (tmp_path / "new" / "a.b.png").read_text() == "picture"

    def test_the_disk_holds_it_before_it_takes_its_name(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        calls: list[str] = []
        for name in ("fsync", "replace"):
            real = getattr(os, name)
            monkeypatch.setattr(os, name, lambda *args, name=name, real=real: (calls.append(name), real(*args)))
        replace_file(tmp_path / "a.txt", lambda aside: aside.write_text("whole"))
        assert calls == ["fsync", "replace"] and (tmp_path / "a.txt").read_text() == "whole"


class TestScratch:
    def test_two_runs_of_one_method_do_not_write_to_the_same_unfinished_file(self, tmp_path: Path):
        """Their folders are neighbours: outputs/scene/ins-stylize/<time>/content.ckpt."""
        opened: list[Path] = []
        for run in ("first", "second"):
            replace_file(tmp_path / run / "content.ckpt", lambda aside: opened.append(aside) or aside.write_text("content"))
        assert opened[0] != opened[1]

    def test_the_folder_may_be_missing_and_holds_nothing_unfinished(self, tmp_path: Path):
        run = tmp_path / "outputs" / "run"

        def write(aside: Path) -> None:
            assert aside.parent == run and not list((run / "nerfstudio_models").iterdir())
            aside.write_text("a")

        replace_file(run / "nerfstudio_models" / "a.ckpt", write, scratch=run)
        assert (run / "nerfstudio_models" / "a.ckpt").read_text() == "a"
        assert [file.name for file in run.iterdir()] == ["nerfstudio_models"]
