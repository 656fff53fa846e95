"""The distillation of the compact encoder, small: a teacher of a few channels, pictures of noise and stripes."""

from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ins3d.perception.features import COMPACT_MARK, PerceptualFeatures
from ins3d.perception.weights import load_encoder
from ins3d.transfer.crops import Crops
from tests.scripts.loading import load_script

compact_encoder = load_script("make/compact_encoder")
import compact_distillation  # noqa: E402  # a neighbour of the script
from compact_distillation import LAYERS, Distillation, channel_sizes, cut_down, reflecting  # noqa: E402
from compact_pictures import OnPolicyPictures  # noqa: E402

Settings, main = compact_encoder.Settings, compact_encoder.main
CPU = torch.device("cpu")
CONVS = {0: 12, 2: 12, 5: 16, 7: 16, 10: 20, 12: 20, 14: 20, 16: 20, 19: 24}


@pytest.fixture
def assets(tmp_path: Path, random: torch.Generator, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Assets as the script expects them; the student is even smaller than the teacher."""
    monkeypatch.setattr(compact_distillation, "WIDTHS", {"1": 6, "2": 8, "3": 10, "4": 12})
    state, inputs = {}, 3
    for index, outputs in CONVS.items():
        state[f"features.{index}.weight"] = torch.randn(outputs, inputs, 3, 3, generator=random) * (2 / (9 * inputs)) ** 0.5
        state[f"features.{index}.bias"] = 0.1 * torch.randn(outputs, generator=random)
        inputs = outputs
    folder = tmp_path / "assets"
    for name in ("vgg", "images/kodak", "images/bsds500/train", "content", "styles"):
        (folder / name).mkdir(parents=True)
    save_file(state, folder / compact_encoder.TEACHER)
    noise = np.random.default_rng(0)
    for name in ("images/kodak/01", "images/bsds500/train/1", "content/a", "styles/candy", "styles/mosaic"):
        stripes = np.linspace(0, noise.integers(5, 30), 48)[None, :, None] + noise.uniform(0, 6, 3)
        pixels = 127 + 90 * np.sin(stripes) + noise.normal(0, 20, (40, 48, 3))
        imageio.imwrite(folder / f"{name}.png", pixels.clip(0, 255).astype(np.uint8))
    return folder


def small(assets: Path, output: Path, **edits: Any) -> Settings:
    return Settings(assets, output, **({"steps": 6, "batch": 4, "size": 32, "save_every": 2} | edits))


def teacher_and_pictures(assets: Path) -> tuple[PerceptualFeatures, torch.Tensor]:
    teacher = reflecting(load_encoder(assets / compact_encoder.TEACHER, "auto", LAYERS, CPU))
    pictures = Crops(sorted(assets.rglob("*.png")), 32, torch.Generator().manual_seed(3)).draw(8)
    return teacher, pictures


class TestCutDown:
    def test_with_every_channel_kept_it_is_the_teacher(self, assets: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(compact_distillation, "WIDTHS", {"1": 12, "2": 16, "3": 20, "4": 24})
        teacher, pictures = teacher_and_pictures(assets)
        teacher = teacher.float()
        teacher.precision = torch.float32
        sizes = channel_sizes(teacher, pictures)
        state, heads = cut_down(teacher, sizes, pictures)
        student = PerceptualFeatures(state, LAYERS, "student")
        truth = teacher(pictures)
        for layer in LAYERS[:-1]:  # the last one lacks relu3_4, which the student does not have
            lifted = torch.einsum("ij,bjhw->bihw", heads[layer], student(pictures)[layer])
            wanted = truth[layer] / sizes[layer]
            assert float((lifted - wanted).square().mean() / wanted.square().mean()) < 1e-3

    def test_explains_more_than_its_share_of_the_channels(self, assets: Path):
        teacher, pictures = teacher_and_pictures(assets)
        sizes = channel_sizes(teacher, pictures)
        distillation = Distillation(teacher, sizes, pictures, 1e-3, 10)
        wrong = compact_distillation.measure(distillation, pictures)
        assert wrong["features"] < 0.5 and wrong["grams"] < 0.7


class TestTraining:
    def test_every_mistake_is_zero_for_a_student_that_is_the_teacher(self, assets: Path):
        teacher, pictures = teacher_and_pictures(assets)
        distillation = Distillation(teacher, channel_sizes(teacher, pictures), pictures, 1e-3, 10)
        maps = teacher(pictures)
        distillation.sizes = {layer: torch.ones_like(size) for layer, size in distillation.sizes.items()}
        for layer, values in maps.items():
            distillation.heads[layer] = torch.nn.Parameter(torch.eye(values.shape[1]))
        wrong = distillation.mistakes(maps, maps)
        assert {name: round(float(value), 4) for name, value in wrong.items()} == {"features": 0, "grams": 0, "distances": 0}

    def test_a_killed_run_ends_where_an_undisturbed_one_does(
        self, assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        main(small(assets, tmp_path / "whole"))
        step, calls = Distillation.step, []

        def killed(self: Distillation, *arguments: Any) -> Any:
            calls.append(1)
            if len(calls) == 4:
                raise KeyboardInterrupt
            return step(self, *arguments)

        monkeypatch.setattr(Distillation, "step", killed)
        with pytest.raises(KeyboardInterrupt):
            main(small(assets, tmp_path / "killed"))
        monkeypatch.setattr(Distillation, "step", step)
        main(small(assets, tmp_path / "killed"))
        whole, resumed = (load_file(tmp_path / name / "compact_encoder.safetensors") for name in ("whole", "killed"))
        assert whole.keys() == resumed.keys() and COMPACT_MARK in whole
        assert all(torch.equal(whole[key], resumed[key]) for key in whole)

    def test_what_is_written_loads_as_the_compact_encoder(self, assets: Path, tmp_path: Path):
        main(small(assets, tmp_path / "run", steps=2))
        encoder = load_encoder(tmp_path / "run" / "compact_encoder.safetensors", "auto", ("relu1_2", "relu4_1"), CPU)
        assert encoder.network == "compact"
        assert encoder(torch.rand(1, 3, 32, 32))["relu4_1"].shape == (1, 12, 4, 4)

    def test_missing_assets_are_named(self, tmp_path: Path):
        with pytest.raises(FileNotFoundError, match="name the folder of the development assets with --assets"):
            main(small(tmp_path, tmp_path / "run"))


class TestPictures:
    def test_held_out_paintings_and_kodak_are_not_learned_from(self, assets: Path):
        learned = {
            path.stem
            for path in [
                *compact_encoder._training_photographs(assets), *compact_encoder._training_paintings(assets),
            ]
        }  # fmt: skip
        assert learned == {"1", "a", "candy"}

    def test_on_policy_pictures_move_towards_their_styles(self, assets: Path, random: torch.Generator):
        teacher, _ = teacher_and_pictures(assets)
        pictures = Crops(sorted(assets.rglob("*.png")), 32, random)
        policy = OnPolicyPictures(pictures, pictures, 2, random, lifetime=30)
        found = []
        for _ in range(30):
            pixels = policy.pictures()
            policy.content_weight.zero_()
            styles = {layer: values.detach() for layer, values in teacher(policy.styles).items()}
            loss = policy.loss(teacher(pixels), teacher(policy.contents), styles)
            policy.move(torch.autograd.grad(loss, pixels)[0])
            found.append(float(loss.detach()))
        assert found[-1] < 0.6 * found[0]
        assert float(policy.pixels.min()) >= 0 and float(policy.pixels.max()) <= 1
