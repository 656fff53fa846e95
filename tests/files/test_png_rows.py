from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest

from ins3d.files.png_rows import PngRows


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (37, 23, 3), dtype=np.uint8)


@pytest.mark.parametrize("at_once", [1, 5, 37])
def test_reads_back_as_it_was_however_many_rows_come_at_once(pixels: np.ndarray, at_once: int, tmp_path: Path):
    with PngRows(tmp_path / "new" / "a.png", 37, 23) as file:
        for top in range(0, 37, at_once):
            file.add(pixels[top : top + at_once])
    assert np.array_equal(imageio.imread(tmp_path / "new" / "a.png"), pixels)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.png"]


def test_a_picture_in_which_little_changes_takes_little_room(tmp_path: Path):
    slope = np.broadcast_to(np.arange(200, dtype=np.uint8)[:, None, None], (200, 100, 3))
    with PngRows(tmp_path / "a.png", 200, 100) as file:
        file.add(slope)
    assert (tmp_path / "a.png").stat().st_size < 1000


def test_an_older_file_stays_until_all_rows_are_there(pixels: np.ndarray, tmp_path: Path):
    (tmp_path / "a.png").write_bytes(b"older")
    with pytest.raises(KeyboardInterrupt), PngRows(tmp_path / "a.png", 37, 23) as file:
        file.add(pixels[:10])
        raise KeyboardInterrupt
    with pytest.raises(ValueError, match="10 of 37 rows"), PngRows(tmp_path / "a.png", 37, 23) as file:
        file.add(pixels[:10])
    assert (tmp_path / "a.png").read_bytes() == b"older" and len(list(tmp_path.iterdir())) == 1


def test_refuses_rows_of_another_width_or_kind(pixels: np.ndarray, tmp_path: Path):
    for wrong in (pixels[:, :20], pixels.astype(np.float32)):
        with pytest.raises(ValueError, match="this file takes uint8"), PngRows(tmp_path / "a.png", 37, 23) as file:
            file.add(wrong)
