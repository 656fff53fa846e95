import gzip
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from ins3d.files.depth import depth_files, read_depth

DEPTH = np.array([[1.5, 2.25, 0.5], [4.0, 3.0, 2.0]], np.float32)


@pytest.mark.parametrize("name", ["0.npy", "0.npy.gz", "0.png", "0.exr", "0.tif"])
def test_every_kind_of_file_holds_the_same(tmp_path: Path, name: str):
    path = tmp_path / name
    if name == "0.npy":
        np.save(path, DEPTH[..., None])
    elif name == "0.npy.gz":
        with gzip.open(path, "wb") as file:
            np.save(file, DEPTH[..., None])
    else:
        os.environ.setdefault("OPENCV_IO_ENABLE_OPENEXR", "1")
        cv2.imwrite(str(path), (DEPTH * 1000).astype(np.uint16) if name == "0.png" else DEPTH)
    assert depth_files(tmp_path, "depth") == {"0": path}
    assert read_depth(path, "depth")[0].numpy() == pytest.approx(DEPTH)
    scale = 0.002 if name == "0.png" else 2.0
    assert read_depth(path, "depth", scale)[0].numpy() == pytest.approx(2 * DEPTH)


def test_what_is_no_number_is_nothing(tmp_path: Path):
    np.save(tmp_path / "0.npy", np.array([[np.nan, np.inf], [-1.0, 2.0]]))
    assert read_depth(tmp_path / "0.npy", "depth")[0].tolist() == [[0, 0], [0, 2]]


def test_messages(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="^depth: .* is no folder with depth maps"):
        depth_files(tmp_path, "depth")
    cv2.imwrite(str(tmp_path / "colours.png"), np.zeros((4, 5, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "grey.png"), np.zeros((4, 5), np.uint8))
    for name in ("colours.png", "grey.png"):
        with pytest.raises(ValueError, match="^depth: .* is no depth map of one number a pixel"):
            read_depth(tmp_path / name, "depth")
    for name in ("broken.npy", "broken.npy.gz", "broken.png"):
        (tmp_path / name).write_bytes(b"no depth")
        with pytest.raises(ValueError, match="^depth: .* cannot be read as a depth map"):
            read_depth(tmp_path / name, "depth")
