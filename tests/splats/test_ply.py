"""The file of splats: other programs read it, ours is read again, and what is no such file is named."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ins3d.splats.converting import check_output
from ins3d.splats.gaussians import Gaussians
from ins3d.splats.ply import read_ply, write_ply
from tests.splats.clouds import some_splats


def text_ply(path: Path, names: list[str], rows: list[list[float]], kind: str = "ascii") -> Path:
    header = ["ply", f"format {kind} 1.0", f"element vertex {len(rows)}", *(f"property float {name}" for name in names)]
    path.write_text("\n".join([*header, "end_header", *(" ".join(map(str, row)) for row in rows), ""]))
    return path


NAMES = ["x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2",
         "rot_3"]  # fmt: skip
ROW = [1, 2, 3, 0, 1, -1, 0, -1, -2, -3, 2, 0, 0, 0]


class TestWriting:
    @pytest.mark.parametrize("degree", [0, 1])
    def test_is_read_by_a_program_of_others_as_the_format_says(self, degree: int, tmp_path: Path):
        plyfile = pytest.importorskip("plyfile")
        splats = some_splats(7, degree)
        write_ply(tmp_path / "s.ply", splats)
        vertex = plyfile.PlyData.read(str(tmp_path / "s.ply"))["vertex"]
        assert [each.name for each in vertex.properties] == [
            "x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", *(f"f_rest_{i}" for i in range(9 * degree)),
            "opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3",
        ]  # fmt: skip
        assert np.allclose(vertex["y"], splats.means[:, 1])
        assert np.allclose(1 / (1 + np.exp(-vertex["opacity"])), splats.opacities, atol=1e-5)
        assert np.allclose(np.exp(vertex["scale_2"]), splats.scales[:, 2], rtol=1e-5)
        assert np.allclose(0.5 + 0.28209479 * vertex["f_dc_1"], splats.rgb[:, 1], atol=1e-6)
        assert np.allclose(vertex["rot_0"], splats.rotations[:, 0])
        if degree:  # red's coefficients first, then green's, then blue's
            assert np.allclose(vertex["f_rest_1"], splats.harmonics[:, 1, 0])
            assert np.allclose(vertex["f_rest_3"], splats.harmonics[:, 0, 1])

    @pytest.mark.parametrize("degree", [0, 1, 2, 3])
    def test_comes_back_as_it_was(self, degree: int, tmp_path: Path):
        splats = some_splats(9, degree)
        write_ply(tmp_path / "s.ply", splats)
        found, notes = read_ply(tmp_path / "s.ply", "splats")
        assert not notes and found.degree == degree
        for name, value in vars(splats).items():
            assert torch.allclose(getattr(found, name), value, atol=1e-5), name


class TestReading:
    def test_text_and_other_orders_of_columns(self, tmp_path: Path):
        names, row = [*NAMES[3:], *NAMES[:3]], [*ROW[3:], *ROW[:3]]
        found, _ = read_ply(text_ply(tmp_path / "s.ply", names, [row]), "splats")
        assert found.means.tolist() == [[1, 2, 3]] and found.opacities.tolist() == [0.5]
        assert found.rotations.tolist() == [[1, 0, 0, 0]]

    def test_big_endian_and_doubles(self, tmp_path: Path):
        header = "\n".join(["ply", "format binary_big_endian 1.0", "element vertex 1",
                            *(f"property double {name}" for name in NAMES), "end_header", ""])  # fmt: skip
        (tmp_path / "s.ply").write_bytes(header.encode() + np.array(ROW, ">f8").tobytes())
        assert read_ply(tmp_path / "s.ply", "splats")[0].means.tolist() == [[1, 2, 3]]

    def test_what_is_not_finite_or_not_turned_is_left_out_and_counted(self, tmp_path: Path):
        odd = [[*ROW[:6], float("nan"), *ROW[7:]], [float("inf"), *ROW[1:]], [*ROW[:10], 0, 0, 0, 0]]
        found, notes = read_ply(text_ply(tmp_path / "s.ply", NAMES, [ROW, *odd]), "splats")
        assert len(found) == 1
        assert notes == ["s.ply: 3 of 4 splats are left out: their numbers are not finite, or their rotations none."]

    def test_colours_of_no_degree_are_those_of_degree_0_and_it_is_said(self, tmp_path: Path):
        """fast-gaussian-initialization writes 12 numbers."""
        names = [*NAMES, *(f"f_rest_{number}" for number in range(12))]
        found, notes = read_ply(text_ply(tmp_path / "s.ply", names, [[*ROW, *[0.1] * 12]]), "splats")
        assert found.degree == 0 and notes == [
            "s.ply: how colours change with the view is left out: 12 numbers f_rest_*, where degrees 0 to 3 have 0, 9, 24 "
            "or 45."
        ]

    def test_what_is_opaque_may_be_infinite(self, tmp_path: Path):
        found, notes = read_ply(text_ply(tmp_path / "s.ply", NAMES, [[*ROW[:6], float("inf"), *ROW[7:]]]), "splats")
        assert found.opacities.tolist() == [1.0] and not notes

    def test_huge_scales_stay_finite(self, tmp_path: Path):
        found, _ = read_ply(text_ply(tmp_path / "s.ply", NAMES, [[*ROW[:7], 1e6, -1e6, 0, *ROW[10:]]]), "splats")
        assert found.scales.isfinite().all() and (found.scales > 0).all()

    @pytest.mark.parametrize(
        ("names", "rows", "message"),
        [
            (["x", "y", "z", "red"], [[1, 2, 3, 4]], "holds triangles or points: it has no f_dc_0; give a .ply of splats"),
            (NAMES[:-1], [ROW[:-1]], "holds splats of a kind unknown here: it has no rot_3"),
            (NAMES, [], "holds no splats; export it anew."),
            (NAMES, [[*ROW[:6], float("nan"), *ROW[7:]]], "holds no splats; export it anew. s.ply: 1 of 1 splats are left"),
        ],
    )
    def test_what_holds_no_splats_is_named(self, names: list[str], rows: list[list[float]], message: str, tmp_path: Path):
        with pytest.raises(ValueError) as caught:
            read_ply(text_ply(tmp_path / "s.ply", names, rows), "splats")
        assert str(caught.value).startswith(f"splats: {tmp_path / 's.ply'} {message}")

    def test_compressed_cut_off_and_foreign_files_are_named(self, tmp_path: Path):
        path = tmp_path / "s.ply"
        write_ply(path, some_splats(9))
        whole = path.read_bytes()
        cases = {
            whole[:-10]: "is cut off: it has 8 of 9 splats; export it anew.",
            whole[:100]: "is no PLY file, or is cut off; export it anew.",
            b"": "is no PLY file, or is cut off; export it anew.",
            whole.replace(b"element vertex", b"element chunk 1\nelement vertex"): "is compressed; make a plain .ply of it",
            whole.replace(b"property float y", b"property list uchar int y"): "has a vertex property list uchar int y",
        }
        for raw, message in cases.items():
            path.write_bytes(raw)
            with pytest.raises(ValueError) as caught:
                read_ply(path, "splats")
            assert str(caught.value).startswith(f"splats: {path} {message}")

    def test_other_kinds_of_files_name_the_converter(self, tmp_path: Path):
        (tmp_path / "s.spz").touch()
        with pytest.raises(ValueError, match=r"splats: .spz is not read; make a .ply of it: npx @playcanvas/splat-tr"):
            read_ply(tmp_path / "s.spz", "splats")
        with pytest.raises(FileNotFoundError, match="splats: .*none.ply does not exist; give a .ply of splats"):
            read_ply(tmp_path / "none.ply", "splats")


class TestOutput:
    def test_a_format_that_cannot_be_written_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("shutil.which", lambda name: None)
        check_output(tmp_path / "a.ply")
        with pytest.raises(ValueError, match=r"output: a.obj is none of .ply, .compressed.ply, .spz, .sog, .html"):
            check_output(tmp_path / "a.obj")
        with pytest.raises(ValueError, match=r"output: .spz is written by splat-transform, which is not installed"):
            check_output(tmp_path / "a.spz")


def test_degree_is_said_by_the_coefficients():
    assert [some_splats(1, degree).degree for degree in range(4)] == [0, 1, 2, 3]
    assert isinstance(some_splats(3)[:2], Gaussians) and len(some_splats(3)[:2]) == 2
