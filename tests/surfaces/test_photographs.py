import json
import math
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pytest
import torch
from PIL import Image

from ins3d.meshes.queries import MeshQueries
from ins3d.meshes.triangles import MeshPlacement, SurfaceMesh
from ins3d.placement.cameras import ObjectCameras, cameras_around
from ins3d.surfaces.camera_files import shrunk_by
from ins3d.surfaces.photographs import ObjectPictures, picture_mesh, read_object_pictures, resize_masked

HEIGHT, WIDTH = 12, 16
FOCALS, MIDDLE = (30.0, 33.0), (8.5, 5.5)
CENTER, SCALE = np.array([4.0, -1.0, 2.0]), 2.5
RED = (200, 40, 20)


def turn(seed: int) -> np.ndarray:
    turned, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return turned * np.linalg.det(turned)


def write_pictures(folder: Path, number: int, height: int = HEIGHT, width: int = WIDTH) -> list[np.ndarray]:
    """Noise in image/ and, in mask/, a value of 200 on the left half."""
    pictures = [np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8) for seed in range(number)]
    mask = np.zeros((height, width), np.uint8)
    mask[:, : width // 2] = 200
    for name in ("image", "mask"):
        (folder / name).mkdir(parents=True)
    for index, picture in enumerate(pictures):
        imageio.imwrite(folder / "image" / f"{index:06}.png", picture)
        imageio.imwrite(folder / "mask" / f"{index:03}.png", mask)
    return pictures


@pytest.fixture
def idr(tmp_path: Path) -> Path:
    """Two pictures with known cameras: x = K (R X + t), looking along +z with y down, t = -R times the camera's place."""
    write_pictures(tmp_path, 2)
    intrinsics = np.array([[FOCALS[0], 0, MIDDLE[0]], [0, FOCALS[1], MIDDLE[1]], [0, 0, 1]])
    matrices = {}
    for number in range(2):
        world = np.eye(4)
        world[:3, :3] = intrinsics @ turn(number)
        world[:3, 3] = -intrinsics @ turn(number) @ place(number)
        # A projection means the same times any number.
        matrices[f"world_mat_{number}"] = world * (1 + number)
        matrices[f"scale_mat_{number}"] = np.diag([SCALE, SCALE, SCALE, 1.0])
        matrices[f"scale_mat_{number}"][:3, 3] = CENTER
    np.savez(tmp_path / "cameras_sphere.npz", **matrices)
    return tmp_path


def place(number: int) -> np.ndarray:
    return np.array([1.0 + number, 2.0, -3.0])


def refused(folder: Path, kind: type[Exception] = ValueError) -> str:
    with pytest.raises(kind) as caught:
        read_object_pictures(folder, None)
    return str(caught.value)


class TestIdrFolders:
    def test_cameras_come_back(self, idr: Path):
        cameras = read_object_pictures(idr, None).cameras
        torch.testing.assert_close(cameras.intrinsics, torch.tensor([[*FOCALS, *MIDDLE]] * 2))
        for number in range(2):
            right, down, forward = turn(number)
            expected = np.stack([right, -down, -forward, (place(number) - CENTER) / SCALE], axis=-1)
            torch.testing.assert_close(cameras.camera_to_world[number], torch.from_numpy(expected).float())

    def test_pictures_and_masks_come_back(self, idr: Path):
        seen = read_object_pictures(idr, None)
        for number in range(2):
            stored = torch.from_numpy(imageio.imread(idr / "image" / f"{number:06}.png")).permute(2, 0, 1)
            torch.testing.assert_close(seen.pictures[number, :3], stored / 255, atol=1e-7, rtol=0)
        assert seen.pictures[:, 3, :, :8].min() == 1 and seen.pictures[:, 3, :, 8:].max() == 0

    def test_the_ball_is_the_one_of_scale_mat(self, idr: Path):
        assert read_object_pictures(idr, None).placement == MeshPlacement((4.0, -1.0, 2.0), 2.5)

    def test_pictures_that_were_shrunk_by_4_have_cameras_that_were_too(self, idr: Path):
        full = read_object_pictures(idr, None).cameras
        for path in [*(idr / "image").iterdir(), *(idr / "mask").iterdir()]:
            imageio.imwrite(path, imageio.imread(path)[::4, ::4])
        small = read_object_pictures(idr, None).cameras
        assert (small.height, small.width) == (3, 4)
        torch.testing.assert_close(small.intrinsics, full.intrinsics / 4)

    def test_a_long_side_averages_pixels_and_keeps_the_views(self, idr: Path):
        seen, small = read_object_pictures(idr, None), read_object_pictures(idr, 8)
        assert small.pictures.shape == (2, 4, 6, 8)
        torch.testing.assert_close(small.cameras.intrinsics, seen.cameras.intrinsics / 2)
        # A smooth average: the picture's mean stays, about, and what is half covered is at the mask's border alone.
        torch.testing.assert_close(small.pictures.mean((2, 3)), seen.pictures.mean((2, 3)), atol=0.03, rtol=0)
        assert small.pictures[:, 3, :, :3].min() == 1 and small.pictures[:, 3, :, 5:].max() == 0

    def test_messages(self, idr: Path):
        (idr / "mask" / "001.png").rename(idr / "mask" / "007.png")
        message = "images: picture 1 has no mask or camera; name pictures, masks and cameras by the same numbers."
        assert refused(idr, FileNotFoundError) == message
        imageio.imwrite(idr / "mask" / "001.png", np.zeros((12, 12), np.uint8))
        mask, picture = idr / "mask" / "001.png", idr / "image" / "000001.png"
        assert refused(idr) == (
            f"images: {mask} is of another shape than {picture} (12x12 and 16x12); make masks of the pictures' shape."
        )
        for path in (mask, picture):
            imageio.imwrite(path, np.zeros((5, 6, 3), np.uint8))
        assert refused(idr) == "images: the pictures have several sizes (16x12, 6x5); give pictures of one."
        picture.write_bytes(b"no picture")
        assert refused(idr) == f"images: {picture} is not a picture that can be read; save it as png or jpg."
        for path in (idr / "mask").iterdir():
            path.unlink()
        message = f"images: {idr / 'mask'} holds no masks; put one for each picture there, of its name."
        assert refused(idr, FileNotFoundError) == message
        for path in (idr / "image").iterdir():
            path.unlink()
        message = f"images: {idr / 'image'} holds no pictures; name pictures, masks and cameras by the same numbers."
        assert refused(idr, FileNotFoundError) == message

    @pytest.mark.parametrize("name", ["img_{:04}.png", "{:03}.PNG", "shot-{}.png", "{}"])
    def test_other_names(self, idr: Path, name: str):
        plain = read_object_pictures(idr, None)
        for folder in ("image", "mask"):
            for number, path in enumerate(sorted((idr / folder).iterdir())):
                given = name.format(number) if name != "{}" else "ab"[number] + ".png"
                path.rename(path.with_name(given))
        assert torch.equal(read_object_pictures(idr, None).pictures, plain.pictures)

    def test_numbers_that_begin_at_1_belong_to_cameras_in_their_order(self, idr: Path):
        plain = read_object_pictures(idr, None)
        for folder in ("image", "mask"):
            for number in (1, 0):
                (old,) = (path for path in (idr / folder).iterdir() if int(path.stem) == number)
                old.rename(old.with_name(f"{number + 1:03}.png"))
        found = read_object_pictures(idr, None)
        assert torch.equal(found.pictures, plain.pictures)
        assert torch.equal(found.cameras.camera_to_world, plain.cameras.camera_to_world)
        assert found.notes == ("Pictures 001.png to 002.png belong to cameras 0 to 1, in their order.",)

    def test_one_picture_less_than_cameras_is_not_guessed(self, idr: Path):
        for folder in ("image", "mask"):
            for path in list((idr / folder).iterdir()):
                path.unlink() if int(path.stem) == 0 else path.rename(path.with_name("002.png"))
        assert refused(idr, FileNotFoundError) == (
            "images: 1 pictures (002.png to 002.png) and 2 cameras (0 to 1) do not fit together; name pictures, masks and "
            "cameras by the same numbers."
        )

    def masks(self, idr: Path, make: Any) -> None:
        for path in (idr / "mask").iterdir():
            imageio.imwrite(path, make(imageio.imread(path)))

    @pytest.mark.parametrize("kind", ["cut-out", "rgb", "half size", "0 and 1"])
    def test_masks_of_every_kind_say_the_same(self, idr: Path, kind: str):
        plain = read_object_pictures(idr, None)
        made = {
            # The object is dark, what is around it white and transparent.
            "cut-out": lambda mask: np.where(mask[..., None] > 0, (9, 9, 9, 255), (255, 255, 255, 0)).astype(np.uint8),
            "rgb": lambda mask: np.repeat(mask[..., None], 3, axis=2),
            "half size": lambda mask: mask[::2, ::2],
            "0 and 1": lambda mask: (mask > 0).astype(np.uint8),
        }
        self.masks(idr, made[kind])
        assert torch.equal(read_object_pictures(idr, None).pictures, plain.pictures)

    def test_masks_that_say_nothing_or_the_opposite(self, idr: Path):
        self.masks(idr, lambda mask: np.full_like(mask, 255))
        assert refused(idr) == (
            f"images: the masks in {idr / 'mask'} are white everywhere, and do not say which part is the object; make some "
            "that do."
        )
        around = np.full((HEIGHT, WIDTH), 255, np.uint8)
        around[3:9, 4:12] = 0
        self.masks(idr, lambda mask: around)
        assert refused(idr).startswith(
            f"images: the masks in {idr / 'mask'} are white along the borders, and darker in the middle, of 2 of 2 pictures"
        )

    @pytest.mark.parametrize("wrong", ["others", "no scale", "text"])
    def test_a_file_of_something_else(self, idr: Path, wrong: str):
        path = idr / "cameras_sphere.npz"
        if wrong == "text":
            path.write_text("cameras")
        else:
            np.savez(path, **{"poses" if wrong == "others" else "world_mat_0": np.eye(4)})
        message = f"images: {path} does not hold world_mat_0, scale_mat_0, ... as IDR's do; give IDR's own file."
        assert refused(idr) == message

    def test_a_place_of_dtu_is_seen_where_its_own_file_projects_it(self, assets: Path, random: torch.Generator):
        folder = assets / "scenes" / "dtu_scan24"
        seen = read_object_pictures(folder, None)
        assert seen.pictures.shape == (25, 4, 300, 400)
        points = 0.6 * (2 * torch.rand(20, 3, generator=random) - 1)
        world = np.concatenate([seen.placement.outward(points.double().numpy()), np.ones((20, 1))], axis=1)
        matrices = np.load(folder / "cameras_sphere.npz")
        for camera, number in ((0, 0), (7, 14), (24, 48)):
            across, down, depth = (matrices[f"world_mat_{number}"].astype(float) @ world.T)[:3]
            # Their calibration is that of pictures four times as large.
            places = torch.from_numpy(np.stack([across / depth, down / depth], axis=-1) / 4).float()
            origins, directions = seen.cameras.rays(torch.full((20,), camera), places)
            miss = torch.linalg.cross(points - origins, directions).norm(dim=-1)
            assert miss.max() < 1e-3 and ((points - origins) * directions).sum(-1).min() > 0


def sphere_alpha(cameras: ObjectCameras, center: torch.Tensor, radius: float) -> torch.Tensor:
    """1 where a pixel's ray passes the centre nearer than the radius."""
    rays = [cameras.picture_rays(camera) for camera in range(len(cameras))]
    misses = [torch.linalg.cross(center - origins, directions).norm(dim=-1) for origins, directions in rays]
    return (torch.stack(misses) < radius).float().reshape(-1, cameras.height, cameras.width)


@pytest.fixture
def views() -> ObjectCameras:
    """Twelve around the ball at CENTER with a radius of SCALE, in which there is a sphere of radius 0.7 * SCALE."""
    around = cameras_around(12, "y", 64)
    poses = around.camera_to_world.clone()
    poses[:, :, 3] = poses[:, :, 3] * SCALE + torch.from_numpy(CENTER).float()
    return ObjectCameras(poses, around.intrinsics, 64, 64)


@pytest.fixture
def words(views: ObjectCameras, tmp_path: Path) -> dict[str, Any]:
    """A transforms.json's, whose pictures, with alpha, lie beside it."""
    frames = []
    for camera, alpha in enumerate(sphere_alpha(views, torch.from_numpy(CENTER).float(), 0.7 * SCALE)):
        picture = np.full((64, 64, 4), (*RED, 0), np.uint8)
        picture[..., 3] = 255 * alpha.numpy()
        imageio.imwrite(tmp_path / f"view_{camera}.png", picture)
        pose = [*views.camera_to_world[camera].tolist(), [0, 0, 0, 1]]
        frames.append({"file_path": f"./view_{camera}", "transform_matrix": pose})
    fx, fy, cx, cy = views.intrinsics[0].tolist()
    return {"fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy, "w": 64, "h": 64, "frames": frames}


def read(folder: Path, words: dict[str, Any], name: str = "transforms.json") -> ObjectPictures:
    (folder / name).write_text(json.dumps(words))
    return read_object_pictures(folder, None)

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            (np.zeros((4, 4)), "000000.png has a camera that is none (not finite, or flat); give IDR's own file."),
            (np.full((4, 4), np.nan), "000000.png has a camera that is none (not finite, or flat); give IDR's own file."),
            (np.full((4, 4), "a"), "does not hold world_mat_0, scale_mat_0, ... as IDR's do; give IDR's own file."),
        ],
    )
    @pytest.mark.parametrize("name", ["world_mat_0", "scale_mat_0"])
    def test_numbers_that_are_no_camera(self, idr: Path, name: str, wrong: np.ndarray, said: str):
        numbers = dict(np.load(idr / "cameras_sphere.npz"))
        np.savez(idr / "cameras_sphere.npz", **numbers | {name: wrong})
        assert refused(idr).startswith("images: ") and refused(idr).endswith(said)

    def test_masks_without_anything(self, idr: Path):
        for path in (idr / "mask").iterdir():
            imageio.imwrite(path, np.zeros((HEIGHT, WIDTH), np.uint8))
        assert refused(idr) == (
            f"images: no mask in {idr / 'mask'} shows anything; the object must be white, or opaque, in them."
        )


class TestNerfstudioFolders:
    @pytest.mark.parametrize("name", ["transforms.json", "transforms_train.json"])
    def test_colours_and_alpha_come_back(self, words: dict[str, Any], views: ObjectCameras, tmp_path: Path, name: str):
        seen = read(tmp_path, words, name)
        assert torch.equal(seen.pictures[:, 3], sphere_alpha(views, torch.from_numpy(CENTER).float(), 0.7 * SCALE))
        assert seen.up == "z"  # as is the host's custom
        assert seen.pictures[3, :3, 5, 60].tolist() == pytest.approx([value / 255 for value in RED])

    def test_silhouettes_put_a_sphere_into_the_ball(self, words: dict[str, Any], tmp_path: Path):
        seen = read(tmp_path, words)
        # The hull is looked for in cells of 2 * 3 * SCALE / 63, and the sphere may lie half a cell beside them.
        cell = 6 * SCALE / 63
        assert np.abs(np.array(seen.placement.center) - CENTER).max() < cell / 2
        assert 0.7 * SCALE / seen.placement.scale == pytest.approx(0.9, abs=0.06)
        # Whatever the placement is, the cameras go with it: they see the same sphere.
        center = torch.tensor((CENTER - np.array(seen.placement.center)) / seen.placement.scale).float()
        again = sphere_alpha(seen.cameras, center, 0.7 * SCALE / seen.placement.scale)
        assert (again != seen.pictures[:, 3]).float().mean() < 1e-4

    def test_masks_say_the_same_as_alpha(self, words: dict[str, Any], tmp_path: Path):
        expected = read(tmp_path, words)
        for camera, frame in enumerate(words["frames"]):
            picture = imageio.imread(tmp_path / f"view_{camera}.png")
            imageio.imwrite(tmp_path / f"view_{camera}.png", picture[..., :3])
            imageio.imwrite(tmp_path / f"mask_{camera}.png", picture[..., 3])
            frame["mask_path"] = f"mask_{camera}.png"
        seen = read(tmp_path, words)
        assert torch.equal(seen.pictures, expected.pictures)
        # Least squares on several threads round as they like.
        assert seen.placement.center == pytest.approx(expected.placement.center, abs=1e-5)
        assert seen.placement.scale == pytest.approx(expected.placement.scale, abs=1e-5)

    def test_an_angle_says_the_same_as_focal_lengths(self, words: dict[str, Any], tmp_path: Path):
        expected = read(tmp_path, words).cameras
        # Half of 64 pixels at the focal length.
        angle = 2 * math.atan(32 / words["fl_x"])
        seen = read(tmp_path, {"camera_angle_x": angle, "frames": words["frames"]}).cameras
        torch.testing.assert_close(seen.intrinsics, expected.intrinsics)
        torch.testing.assert_close(seen.camera_to_world, expected.camera_to_world)

    def test_a_frame_may_have_a_lens_of_its_own(self, words: dict[str, Any], tmp_path: Path):
        words["frames"][2] |= {"fl_x": 111.0, "cx": 30.0}
        seen = read(tmp_path, words).cameras
        assert seen.intrinsics[2].tolist() == pytest.approx([111, words["fl_y"], 30, words["cy"]])
        assert seen.intrinsics[1].tolist() == pytest.approx([words["fl_x"], words["fl_y"], 32, 32])

    def test_pictures_that_were_shrunk_have_cameras_that_were_too(self, words: dict[str, Any], tmp_path: Path):
        lens = {"fl_x": 2 * words["fl_x"], "fl_y": 2 * words["fl_y"], "cx": 66.0, "cy": 62.0, "w": 128, "h": 128}
        seen = read(tmp_path, words | lens).cameras
        assert seen.intrinsics[0].tolist() == pytest.approx([words["fl_x"], words["fl_y"], 33, 31])

    def test_an_axis_that_is_not_told_goes_through_the_middle(self, words: dict[str, Any], tmp_path: Path):
        words = {name: value for name, value in words.items() if name not in ("cx", "cy", "fl_y", "w", "h")}
        seen = read(tmp_path, words).cameras
        assert seen.intrinsics[0].tolist() == pytest.approx([words["fl_x"], words["fl_x"], 32, 32])

    def test_pictures_of_another_shape_than_their_cameras_are_refused(self, words: dict[str, Any], tmp_path: Path):
        (tmp_path / "transforms.json").write_text(json.dumps(words | {"w": 128, "h": 96}))
        assert refused(tmp_path) == (
            f"images: {tmp_path / 'view_0.png'} has 64x64 pixels, and its cameras are for 128x96, another shape; give the "
            "pictures that the cameras were made for."
        )

    def test_what_lego_shows_lies_in_the_ball(self, assets: Path, tmp_path: Path):
        folder = assets / "scenes" / "lego"
        words = json.loads((folder / "transforms_train.json").read_text())
        for frame in words["frames"]:
            frame["file_path"] = str(folder / frame["file_path"])
        (tmp_path / "transforms.json").write_text(json.dumps(words | {"frames": words["frames"][::12]}))
        seen = read_object_pictures(tmp_path, 100)
        nearest = []
        for camera in range(len(seen.cameras)):
            origins, directions = seen.cameras.picture_rays(camera)
            covered = seen.pictures[camera, 3].flatten() > 0.5
            nearest.append(torch.linalg.cross(origins, directions).norm(dim=-1)[covered])
        # All of it, and it fills the ball: 0.9, less what the middle of the bounding box hides.
        assert 0.7 < torch.cat(nearest).max() < 0.95

    def test_a_file_and_paths_of_windows(self, words: dict[str, Any], tmp_path: Path):
        plain = read(tmp_path, words)
        frames = [{**frame, "file_path": f"D:\\scan\\{frame['file_path']}"} for frame in words["frames"]]
        (tmp_path / "transforms.json").write_bytes(json.dumps({**words, "frames": frames}).encode("utf-8-sig"))
        assert torch.equal(read_object_pictures(tmp_path, None).pictures, plain.pictures)

    def test_a_tag_that_the_cameras_know_nothing_of(self, words: dict[str, Any], tmp_path: Path):
        """Pictures with an orientation tag, masks without one, cameras for both as they are stored."""
        words |= {"h": 48, "cy": words["cy"] - 8}
        for camera in range(len(words["frames"])):
            imageio.imwrite(tmp_path / f"view_{camera}.png", imageio.imread(tmp_path / f"view_{camera}.png")[8:56])
        expected = read(tmp_path, words)
        for camera, frame in enumerate(words["frames"]):
            path = tmp_path / f"view_{camera}.png"
            picture = Image.open(path)
            picture.getchannel("A").save(tmp_path / f"mask_{camera}.png")
            exif = picture.getexif()
            exif[274] = 6
            picture.convert("RGB").save(path, exif=exif)
            frame["mask_path"] = f"mask_{camera}.png"
        assert expected.pictures.shape[2:] == (48, 64) and torch.equal(read(tmp_path, words).pictures, expected.pictures)

    def test_messages(self, words: dict[str, Any], tmp_path: Path):
        file = tmp_path / "transforms.json"

        def message(kind: type[Exception] = ValueError, **changes: Any) -> str:
            file.write_text(json.dumps(words | changes))
            return refused(tmp_path, kind)

        distorted = "images: the lens is distorted (k2 is 0.1); undistort the pictures first."
        assert message(k2=0.1) == distorted
        assert message(frames=[words["frames"][0] | {"k2": 0.1}]) == distorted
        plain = "images: the lens is not a plain one (camera_model is OPENCV_FISHEYE); undistort the pictures first."
        assert message(camera_model="OPENCV_FISHEYE") == plain
        remedy = "make it with ns-process-data, or give IDR's files."
        assert message(fl_x=None, camera_angle_x="wide") == f"images: {file} is no file of cameras; {remedy}"
        assert message(fl_x=None) == f"images: {file} lacks 'camera_angle_x'; {remedy}"
        assert message(frames=[{"file_path": "view_0"}]) == f"images: {file} lacks 'transform_matrix'; {remedy}"
        pose = words["frames"][0]["transform_matrix"]
        assert message(FileNotFoundError, frames=[{"file_path": "gone.png", "transform_matrix": pose}]) == (
            f"images: {tmp_path / 'gone.png'} is missing; put it there, or take it out of the cameras' file."
        )
        imageio.imwrite(tmp_path / "view_0.png", np.zeros((64, 64, 3), np.uint8))
        assert message() == (
            f"images: {tmp_path / 'view_0.png'} has no mask and no transparency; say in mask_path which part is the object, "
            "or save pictures with alpha."
        )
        imageio.imwrite(tmp_path / "view_0.png", np.zeros((64, 64, 4), np.uint8))
        assert message().startswith("images: the silhouettes of")
        file.write_text("{")
        assert refused(tmp_path) == f"images: {file} is no file of cameras; {remedy}"

    @pytest.mark.parametrize(
        "pose",
        [[[1, 0, 0, 0], [0, 1, 0]], [[1, 0], [0, 1]], "pose", [["a"] * 4] * 4, None, [[math.nan] * 4] * 4, [[0.0] * 4] * 4],
    )
    def test_poses_that_are_none(self, words: dict[str, Any], tmp_path: Path, pose: Any):
        words["frames"][1]["transform_matrix"] = pose
        (tmp_path / "transforms.json").write_text(json.dumps(words))
        assert refused(tmp_path).startswith(f"images: {tmp_path / 'transforms.json'} is no file of cameras; make it with")


class TestResizing:
    def test_colours_of_what_is_transparent_do_not_bleed(self):
        # Red is the object; what lies beside it is transparent black.
        pictures = torch.zeros(1, 4, 8, 8)
        pictures[:, 0, :, :3] = pictures[:, 3, :, :3] = 1
        small = resize_masked(pictures, (4, 4))[0]
        inside = small[3] > 0.05
        assert inside[:, :2].all() and not inside[:, 3].any()
        torch.testing.assert_close(small[:3, inside], torch.tensor([1.0, 0, 0])[:, None].expand(-1, int(inside.sum())))

    def test_is_the_ordinary_one_of_pictures_without_silhouette(self, random: torch.Generator):
        pictures = torch.rand(2, 4, 10, 12, generator=random)
        pictures[:, 3] = 1
        expected = torch.nn.functional.interpolate(pictures, size=(5, 6), mode="bilinear", antialias=True)
        torch.testing.assert_close(resize_masked(pictures, (5, 6)), expected)


def test_a_folder_that_is_none_or_has_no_cameras(tmp_path: Path):
    gone = tmp_path / "gone"
    message = f"images: {gone} is no folder; give one with cameras_sphere.npz or transforms.json."
    assert refused(gone, FileNotFoundError) == message
    message = f"images: {tmp_path} holds neither cameras_sphere.npz nor transforms.json; give a folder that has its cameras."
    assert refused(tmp_path, FileNotFoundError) == message


@pytest.mark.parametrize("width, times", [(1600, 1), (800, 2), (400, 4), (1700, 1), (3200, 1)])
def test_shrunk_by_is_the_nearest_whole_number(width: int, times: int):
    # DTU: 1600 pixels across, the axis at 823.
    assert shrunk_by(torch.tensor([[2892.0, 2883.0, 823.0, 619.0]]), width) == times


def test_split_holds_out_every_third_and_each_picture_keeps_its_camera():
    pictures = torch.arange(7.0).reshape(7, 1, 1, 1).expand(7, 4, 2, 2)
    cameras = ObjectCameras(pictures[:, :3, :1, 0].expand(7, 3, 4), torch.ones(7, 4), 2, 2)
    seen = ObjectPictures(pictures, cameras, MeshPlacement((0.0, 0.0, 0.0), 1.0))
    learned, held = seen.split(3)
    assert held.pictures[:, 0, 0, 0].tolist() == held.cameras.camera_to_world[:, 0, 0].tolist() == [1, 4]
    assert learned.pictures[:, 0, 0, 0].tolist() == learned.cameras.camera_to_world[:, 0, 0].tolist() == [0, 2, 3, 5, 6]
    everything, nothing = seen.split(0)
    assert len(everything.pictures) == 7 and len(nothing.pictures) == len(nothing.cameras) == 0


def test_pictures_of_a_box_show_the_side_that_a_ray_enters_by():
    corners = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
    # Two triangles a side, in the order -x, +x, -y, +y, -z, +z; each side has a colour.
    sides = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = np.array([triangle for a, b, c, d in sides for triangle in ((a, b, c), (a, c, d))])
    colors = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 1.0, 0.0), (1.0, 0.0, 1.0), (0.0, 1.0, 1.0))
    mesh = SurfaceMesh(corners, faces, colors=colors, materials=np.repeat(np.arange(6), 2))
    seen = picture_mesh(MeshQueries(mesh), number=5, size=24)
    for camera in range(5):
        origins, directions = seen.cameras.picture_rays(camera)
        # A ray is in the box while it is between all three pairs of sides: it enters by the last side it comes to.
        ends = (torch.tensor([[-0.5], [0.5]])[:, None] - origins) / directions
        enter, leave = ends.amin(0), ends.amax(0)
        clear = (enter.amax(1) - leave.amin(1)).abs() > 1e-3
        hit = enter.amax(1) < leave.amin(1)
        axis = enter.argmax(1)
        side = 2 * axis + (directions.gather(1, axis[:, None])[:, 0] < 0).long()
        expected = torch.cat([torch.tensor(colors)[side] * hit[:, None], hit[:, None].float()], dim=1)
        assert 0.1 < hit.float().mean() < 0.9
        assert (seen.pictures[camera].flatten(1).T != expected)[clear].float().mean() < 0.005
    assert seen.placement == MeshPlacement((0.0, 0.0, 0.0), 1.0)
