"""`ins3d evaluate frames`, end to end, on frames whose errors are known."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor

from ins3d.cli import evaluate
from ins3d.files.pictures import write_rgb

HEIGHT, WIDTH, FRAMES, STEP = 72, 96, 6, 2
"""The camera walks sideways before a wall: STEP pixels a frame."""
FOCAL, DISTANCE, NOISE = 80.0, 2.0, 0.05
VARIABLES = ("INS3D_PERCEPTUAL_WEIGHTS", "INS3D_FLOW_WEIGHTS", "INS3D_LPIPS_BACKBONE")


@pytest.fixture(autouse=True)
def nothing_at_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable, no torch cache, no network; a wide terminal."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)

    def offline(*args: Any, **kwargs: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)


def wall(width: int) -> Tensor:
    """A smooth picture that does not repeat, as wide as all frames together see."""
    rows, columns = torch.meshgrid(torch.arange(HEIGHT) / 9, torch.arange(width) / 9, indexing="ij")
    waves = [torch.sin(rows * down + columns * across + down) for down, across in ((1.0, 0.6), (0.4, 1.3), (1.2, -0.7))]
    return 0.5 + 0.3 * torch.stack(waves)


@pytest.fixture
def scene(tmp_path: Path, random: torch.Generator) -> Path:
    """Frames of a wall: `content`, `steady` (its negative), `flickering` (with noise of each frame), cameras and depth."""
    shown, frames = wall(WIDTH + STEP * FRAMES), []
    for frame in range(FRAMES):
        picture = shown[:, :, STEP * frame : STEP * frame + WIDTH]
        noise = NOISE * torch.randn(picture.shape, generator=random)
        rows = {"content": picture, "steady": 1 - picture, "flickering": 1 - picture + noise}
        for name, rgb in rows.items():
            write_rgb(tmp_path / name / f"frame_{frame + 5}.png", rgb)  # 5 to 10: in natural order, 10 is the last
        pose = np.eye(4)
        pose[0, 3] = STEP * frame * DISTANCE / FOCAL
        frames.append({"file_path": f"images/frame_{frame + 5}.jpg", "transform_matrix": pose.tolist()})
        (tmp_path / "depth").mkdir(exist_ok=True)
        np.save(tmp_path / "depth" / f"frame_{frame + 5}.npy", np.full((HEIGHT, WIDTH), DISTANCE))
    cameras = {"fl_x": FOCAL, "cx": WIDTH / 2, "cy": HEIGHT / 2, "w": WIDTH, "h": HEIGHT, "frames": frames}
    (tmp_path / "transforms.json").write_text(json.dumps(cameras))
    return tmp_path


GEOMETRY = ["--cameras", "transforms.json", "--depth", "depth", "--depth-kind", "z", "--gaps", "1", "3"]


def judged(*words: str) -> dict[str, Any]:
    evaluate.main(["frames", *words, "--content", "content", "--output", "out"])
    return json.loads(Path("out/frames.json").read_text())


class TestGeometry:
    def test_a_known_translation_is_warped_to_no_error(self, scene: Path):
        found = judged("steady", *GEOMETRY)
        for gap, rows in found["consistency"]["G"].items():
            assert rows["stylised"]["rmse"] < 0.003 and rows["content"]["rmse"] < 0.003  # 8 bits a picture
            assert rows["stylised"]["valid"] == pytest.approx(1 - STEP * int(gap) / WIDTH, abs=0.01)
        assert "hold still" in found["verdict"]

    def test_flicker_is_found(self, scene: Path):
        found = judged("flickering", *GEOMETRY)
        assert found["consistency"]["G"]["1"]["stylised"]["rmse"] == pytest.approx(NOISE * math.sqrt(2), rel=0.05)
        assert found["consistency"]["G"]["1"]["content"]["rmse"] < 0.003
        # sqrt(2 v) for v = .09 / 2 and the noise's: what frames that have nothing in common differ by.
        assert "flicker" in found["verdict"] and "23 %" in found["verdict"]

    def test_cameras_belong_to_the_content_however_the_stylised_frames_are_named(self, scene: Path):
        for frame in range(FRAMES):
            (scene / "renamed").mkdir(exist_ok=True)
            shutil.copy(scene / "steady" / f"frame_{frame + 5}.png", scene / "renamed" / f"{frame}.png")
        assert judged("renamed", *GEOMETRY)["consistency"]["G"]["1"]["stylised"]["rmse"] < 0.003

    def test_depth_of_the_wrong_unit_is_said(self, scene: Path):
        found = judged("steady", *GEOMETRY, "--depth-scale", "0.01")
        assert any(line.startswith("protocol G: no two frames share") for line in found["not_measured"])


class TestFlow:
    @pytest.fixture
    def standing(self, tmp_path: Path) -> list[str]:
        """Options that name networks of random weights; the flow says that nothing moves."""
        torch.manual_seed(0)
        flow = torchvision.models.optical_flow.raft_small().state_dict()
        for name in ("weight", "bias"):
            flow[f"update_block.flow_head.conv2.{name}"].zero_()
        torch.save(flow, tmp_path / "raft.pth")
        torch.save(torchvision.models.squeezenet1_1().state_dict(), tmp_path / "squeezenet.pth")
        return ["--flow-weights", "raft.pth", "--lpips-backbone", "squeezenet.pth", "--gaps", "1"]

    @pytest.fixture
    def still(self, scene: Path, random: torch.Generator) -> Path:
        """A camera that stands."""
        for frame in range(5, 5 + FRAMES):
            for name in ("content", "steady"):
                if frame > 5:
                    shutil.copy(scene / name / "frame_5.png", scene / name / f"frame_{frame}.png")
            noise = NOISE * torch.randn(3, HEIGHT, WIDTH, generator=random)
            write_rgb(scene / "flickering" / f"frame_{frame}.png", 1 - wall(WIDTH) + noise)
        return scene

    def test_identical_frames_have_no_error(self, still: Path, standing: list[str]):
        found = judged("content", *standing)
        for protocol in ("A", "B"):
            rows = found["consistency"][protocol]["1"]
            nothing = pytest.approx({"rmse": 0, "lpips": 0, "valid": 1, "pairs": 5}, abs=1e-6)
            assert rows["stylised"] == rows["content"] == nothing
        kept = found["pictures"]["stylised"]
        assert kept["ssim"] == pytest.approx(1) and kept["lpips"] == pytest.approx(0, abs=1e-6)

    def test_flicker_raises_both_protocols(self, still: Path, standing: list[str]):
        found = judged("flickering", *standing)
        for protocol in ("A", "B"):
            rows = found["consistency"][protocol]["1"]
            assert rows["stylised"]["rmse"] == pytest.approx(NOISE * math.sqrt(2), rel=0.05)
            assert rows["stylised"]["lpips"] > 0 and rows["content"]["rmse"] < 1e-6

    def test_every_pair_is_recorded_with_what_judged_it(self, still: Path, standing: list[str]):
        found = judged("steady", *standing, "--valid", "splatted", "--pairs", "3")
        records = found["pairs"]["A"]["1"]
        assert [record["row"] for record in records] == ["content", "stylised"] * 3
        assert found["record"]["settings"]["valid"] == "splatted" and set(found["judges"]) == {"flow", "lpips"}
        page = Path("out/frames.html").read_text()
        assert 'src="data:' in page and "http" not in page and found["verdict"].split(":")[0] in page

    def test_the_published_network_follows_the_translation(self, scene: Path, assets: Path):
        found = judged("steady", "--flow-weights", str(assets / "flow" / "raft-small.pth"), "--gaps", "1", "--pairs", "2")
        for protocol in ("A", "B"):
            assert found["consistency"][protocol]["1"]["stylised"]["rmse"] < 0.02


class TestBrushwork:
    def test_at_two_sizes_where_frames_are_larger_than_256_pixels(self, tmp_path: Path, random: torch.Generator):
        big = torch.rand(3, 24, 30, generator=random)
        big = torch.nn.functional.interpolate(big[None], size=(320, 400), mode="bicubic")[0].clamp(0, 1)
        for name, rgb in (("content", big), ("painted", big.flip(0)), ("painting", 1 - big)):
            write_rgb(tmp_path / name / "0.png", rgb)
        found = judged("painted", "--style", "painting/0.png")
        assert list(found["brushwork"]) == ["256", "320"]
        assert all(set(each) == {"gram", "remd", "coherence", "spectrum", "ssim"} for each in found["brushwork"].values())
        assert "consistency: there is one frame; give two or more." in found["not_measured"]
        assert "at 256 px" in found["verdict"] and "at 320 px" in found["verdict"]


class TestSaid:
    def test_what_is_missing_and_how_to_get_it(self, scene: Path, capsys: pytest.CaptureFixture):
        found = judged("steady", "--gaps", "1", "7")
        lines = found["not_measured"]
        assert [line.partition(":")[0] for line in lines] == [
            "protocol G", "protocols A and B", "LPIPS", "gap 7", "brushwork",
        ]  # fmt: skip
        assert "--cameras" in lines[0] and "INS3D_FLOW_WEIGHTS" in lines[1] and "INS3D_LPIPS_BACKBONE" in lines[2]
        assert "only 6 frames" in lines[3] and "--style" in lines[4]
        said = " ".join(capsys.readouterr().out.split())
        assert said.count("Not measured: ") == 5 and "SSIM to the content" in said

    def test_frames_are_matched_by_name_or_order_and_reduced(self, scene: Path):
        for frame in (5, 7):
            picture = torch.nn.functional.interpolate(wall(WIDTH)[None], size=(HEIGHT // 2, WIDTH // 2), mode="bilinear")[0]
            write_rgb(scene / "few" / f"frame_{frame}.png", picture)
        found = judged("few", "--gaps", "1")
        assert found["frames"]["compared_at"] == [WIDTH // 2, HEIGHT // 2]
        assert "6 frames the 2" in found["notes"][0] and "96x72" in found["notes"][1]
        for frame in range(FRAMES):
            write_rgb(scene / "renamed" / f"{frame}.png", wall(WIDTH))
        assert "frame 0 is taken for frame_5" in judged("renamed", "--gaps", "1")["notes"][0]

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["gone"], "stylised: gone does not exist; "),
            (["few"], "content: there are 6 frames in content and 1 in few, whose names "),
            (["square"], "content: frames of 96x72 pixels have another shape than the stylised ones of 80x80; crop one"),
            (["steady", "--cameras", "transforms.json"], "depth: protocol G needs it beside cameras; "),
            (["steady", "--cameras", "gone.json", "--depth", "depth"], "cameras: gone.json does not exist; "),
            (["steady", "--cameras", "transforms.json", "--depth", "content"], "depth: content/frame_"),
            (["steady", "--gaps", "0"], "gaps: 0; give one or more whole numbers from 1."),
            (["steady", "--depth-scale", "0"], "depth-scale: 0.0 is none; give a number above 0."),
            (["steady", "--style", "gone.png"], "style: /"),
            (["steady", "--flow-weights", "gone.pth"], "flow-weights: gone.pth does not exist; "),
        ],
    )
    def test_messages(self, scene: Path, words: list[str], message: str):
        write_rgb(scene / "few" / "other.png", wall(WIDTH))
        for frame in range(FRAMES):
            write_rgb(scene / "square" / f"frame_{frame + 5}.png", torch.zeros(3, 80, 80))
        with pytest.raises(SystemExit) as caught:
            judged(*words)
        assert str(caught.value).startswith(message)
