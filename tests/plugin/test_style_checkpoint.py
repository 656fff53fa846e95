import re
import shutil
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import pytest
import torch
from nerfstudio.utils.eval_utils import eval_setup

from ins3d.plugin.code_renders import render_codes
from ins3d.plugin.style_checkpoint import load_styles
from ins3d.plugin.style_field import PlanesStyle
from ins3d.style.styles import MAX_STYLES
from tests.plugin.tiny_scenes import Scene, build_trainer, make_style_picture, small_config, train


@pytest.fixture(scope="module")
def second_style(scenes_folder: Path) -> Path:
    """Another picture."""
    path = scenes_folder / "second.png"
    imageio.imwrite(path, 255 - imageio.imread(scenes_folder / "style.png")[:, ::-1])
    return path


class TestAddingAStyle:
    @pytest.fixture(scope="class")
    def base(self, finished_run: Any, open_scene: Scene, tmp_path_factory: Any) -> Any:
        """A run whose shared network knows how to paint."""
        config = small_config(
            open_scene, tmp_path_factory.mktemp("base"), style_steps=150, content_checkpoint=finished_run.base_dir,
            model__content_weight=0.0,
        )  # fmt: skip
        return train(config)

    @pytest.fixture(scope="class")
    def added(self, base: Any, open_scene: Scene, second_style: Path, tmp_path_factory: Any) -> Any:
        config = small_config(
            open_scene, tmp_path_factory.mktemp("added"), style_steps=150, style_checkpoint=base.base_dir,
            model__styles=(str(second_style),), model__style_field=PlanesStyle(width=99), model__content_weight=0.0,
        )  # fmt: skip
        return train(config)

    def test_the_kept_style_renders_as_before_to_the_last_bit(self, added: Any, base: Any):
        camera = base.pipeline.datamanager.eval_dataset.cameras[:1]
        before = render_codes(base.pipeline.model.eval(), camera, torch.ones(1, 1))
        after = render_codes(added.pipeline.model.eval(), camera, torch.eye(2))
        assert torch.equal(before.rgb[0], after.rgb[0])
        # And the new one has been learned: its picture is nearer to it than the old style's, which it began like.
        old, new = (float(added.pipeline.objective.gram_distance(picture[None], 1)) for picture in after.rgb)
        assert new < 0.8 * old

    def test_it_costs_the_style_stage_of_the_new_style_only(self, added: Any):
        assert added.progress.lengths == {"content": 0, "style": 150}
        assert list(added.pipeline.style_stage.mixes.learned) == [1]

    def test_sizes_are_those_of_the_run_that_is_added_to(self, added: Any, base: Any):
        assert added.pipeline.config.model.style_field == base.pipeline.config.model.style_field
        assert added.pipeline.style.names == ("style", "second")

    def test_the_run_opens_and_can_be_added_to_again(self, added: Any, open_scene: Scene):
        _, pipeline, _, _ = eval_setup(added.base_dir / "config.yml", test_mode="test")
        assert pipeline.model.controls.names == ("style", "second")
        kept = load_styles(added.base_dir)
        assert [Path(style).stem for style in kept.styles] == ["style", "second"]
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
            open_scene, tmp_path, style_checkpoint=finished_run.base_dir, model__styles=(str(tmp_path / "style.png"),)
        )
        with pytest.raises(ValueError, match="would both be called 'style'; rename one of them"):
            train(config)

    def test_a_style_that_is_not_finished(self, open_scene: Scene, tmp_path: Path):
        trainer = build_trainer(small_config(open_scene, tmp_path, content_steps=2, style_steps=4))
        for step in range(4):
            trainer.train_iteration(step)
        trainer.save_checkpoint(3)  # as Ctrl-C in the style stage leaves it
        with pytest.raises(ValueError, match=re.escape("has no finished style; let that run end, or resume it")):
            load_styles(trainer.base_dir)

    @pytest.mark.parametrize("name", ["content.ckpt", "broken/config.yml"])
    def test_files_that_are_no_config(self, finished_run: Any, tmp_path: Path, name: str):
        shutil.copy(finished_run.base_dir / "content.ckpt", tmp_path)
        (tmp_path / "broken").mkdir()
        (tmp_path / "broken" / "config.yml").write_text("a: [1")
        with pytest.raises(
            ValueError, match=r"^pipeline\.style-checkpoint: .* is (no config\.yml; give|not the config\.yml)"
        ):
            load_styles(tmp_path / name)

    def test_a_truncated_checkpoint(self, finished_run: Any, tmp_path: Path):
        shutil.copytree(finished_run.base_dir, tmp_path / "run")
        (checkpoint,) = (tmp_path / "run" / "nerfstudio_models").iterdir()
        checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
        with pytest.raises(ValueError, match="is not a whole checkpoint of ins3d"):
            load_styles(tmp_path / "run")

    def test_content_that_moves_would_change_the_kept_styles(self, finished_run: Any, open_scene: Scene, tmp_path: Path):
        config = small_config(
            open_scene, tmp_path, style_checkpoint=finished_run.base_dir, content_style_mult=0.1, model__geometry="distilled"
        )
        with pytest.raises(ValueError, match="a content that moves would change the kept styles"):
            build_trainer(config)

    def test_more_styles_than_one_network_holds(
        self, finished_run: Any, second_style: Path, open_scene: Scene, tmp_path: Path
    ):
        for index in range(MAX_STYLES):
            shutil.copy(second_style, tmp_path / f"{index}.png")
        config = small_config(open_scene, tmp_path, style_checkpoint=finished_run.base_dir, model__styles=(str(tmp_path),))
        with pytest.raises(ValueError, match=f"{MAX_STYLES + 1} pictures are more than the {MAX_STYLES}"):
            build_trainer(config)
