from pathlib import Path

import imageio.v2 as imageio
import pytest
import torch

from ins3d.files.videos import open_video


@pytest.mark.parametrize("size", [(33, 41), (64, 48)])
@pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
def test_odd_pictures_too_become_videos_with_every_frame(name: str, size: tuple[int, int], tmp_path: Path):
    with open_video(tmp_path / "new" / name, fps=5) as add:
        for value in (0.1, 0.5, 0.9):
            add(torch.full((3, *size), value))
    frames = imageio.mimread(tmp_path / "new" / name, memtest=False)
    even = (size[0] // 2 * 2, size[1] // 2 * 2)
    assert [frame.shape[:2] for frame in frames] == [size if name.endswith("gif") else even] * 3
    assert [path.name for path in (tmp_path / "new").iterdir()] == [name]
    assert all(abs(frame[..., :3].mean() / 255 - value) < 0.03 for frame, value in zip(frames, (0.1, 0.5, 0.9), strict=True))


@pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
def test_an_older_film_stays_until_the_new_one_is_whole(name: str, tmp_path: Path):
    (tmp_path / name).write_bytes(b"older")
    with pytest.raises(KeyboardInterrupt), open_video(tmp_path / name, fps=5) as add:
        add(torch.rand(3, 16, 16))
        raise KeyboardInterrupt
    assert (tmp_path / name).read_bytes() == b"older" and len(list(tmp_path.iterdir())) == 1


def test_a_gif_goes_round_for_ever_at_the_speed_asked_for(tmp_path: Path):
    with open_video(tmp_path / "a.gif", fps=10) as add:
        for value in (0.1, 0.9):
            add(torch.full((3, 8, 8), value))
    meta = imageio.get_reader(tmp_path / "a.gif").get_meta_data()
    assert meta["loop"] == 0 and meta["duration"] == 100
