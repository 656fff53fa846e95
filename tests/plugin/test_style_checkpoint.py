import re
from pathlib import Path
from typing import Any

import pytest
import torch
from nerfstudio.utils.eval_utils import eval_setup
from tiny_scenes import Scene, make_style_picture, small_config, train

from ins3d.plugin.code_renders import render_codes
from ins3d.plugin.style_checkpoint import load_styles


@pytest.fixture(scope="module")
def second_style(scenes_folder: Path) -> Path:
    """Another picture."""
    path = scenes_folder / "second.png"
    make_style_picture(path)
    return path


class TestAddingAStyle:
    @pytest.fixture(scope="class")
    def added(self, finished_run: Any, open_scene: Scene, second_style: Path, tmp_path_factory: Any) -> Any:
        config = small_config(
            open_scene, tmp_path_factory.mktemp("added"), style_steps=12,
            style_checkpoint=finished_run.base_dir, model__styles=(second_style,), model__style_width=99,
        )  # fmt: skip
        return train(config)

    def test_the_kept_style_renders_as_before_to_the_last_bit(self, added: Any, finished_run: Any):
        camera = finished_run.pipeline.datamanager.eval_dataset.cameras[:1]
        before = render_codes(finished_run.pipeline.model.eval(), camera, torch.ones(1, 1))
        after = render_codes(added.pipeline.model.eval(), camera, torch.eye(2))
        assert torch.equal(before.rgb[0], after.rgb[0])
        assert not torch.equal(after.rgb[0], after.rgb[1]) and not torch.equal(after.rgb[1], after.content_rgb)

    def test_it_costs_the_style_stage_of_the_new_style_only(self, added: Any):
        assert added.progress.lengths == {"content": 0, "style": 12}
        assert added.pipeline.style_stage.learned == [1]

    def test_sizes_are_those_of_the_run_that_is_added_to(self, added: Any, finished_run: Any):
        assert added.pipeline.config.model.style_width == finished_run.pipeline.config.model.style_width
        assert added.pipeline.style.names == ("style", "second")

    def test_the_run_opens_and_can_be_added_to_again(self, added: Any, open_scene: Scene):
        _, pipeline, _, _ = eval_setup(added.base_dir / "config.yml", test_mode="test")
        assert pipeline.model.controls.names == ("style", "second")
        kept = load_styles(added.base_dir)
        assert [path.stem for path in kept.styles] == ["style", "second"]
        assert kept.content.is_file()


class TestErrors:
    def test_nothing_there(self, tmp_path: Path):
        with pytest.raises(FileNotFoundError, match=r"^pipeline\.style-checkpoint: .*config\.yml does not exist; give the"):
            load_styles(tmp_path)

    def test_a_picture_that_is_in_it_already(self, finished_run: Any, open_scene: Scene, tmp_path: Path):
        config = small_config(open_scene, tmp_path, style_checkpoint=finished_run.base_dir)
        with pytest.raises(ValueError, match=r"^pipeline\.model\.styles: all of them are in .* already \(style\); name a"):
            train(config)

    def test_another_picture_of_the_same_name(self, finished_run: Any, open_scene: Scene, tmp_path: Path):
        make_style_picture(tmp_path / "style.png")
        config = small_config(
            open_scene, tmp_path, style_checkpoint=finished_run.base_dir, model__styles=(tmp_path / "style.png",)
        )
        with pytest.raises(ValueError, match="would both be called 'style'; rename one of them"):
            train(config)

    def test_a_style_that_is_not_finished(self, open_scene: Scene, tmp_path: Path):
        trainer = train(small_config(open_scene, tmp_path, content_steps=2, style_steps=0))
        with pytest.raises(ValueError, match=re.escape("has no finished style; let that run end, or resume it")):
            load_styles(trainer.base_dir)
