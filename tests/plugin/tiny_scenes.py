"""Scenes small enough for a test, whose answer is known, and the method's settings shrunk to fit them."""

import copy
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import torch
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from nerfstudio.data.datasets.base_dataset import InputDataset
from nerfstudio.engine.trainer import Trainer

from ins3d.plugin.rays.picture_pyramid import PicturePyramid
from ins3d.plugin.rays.picture_store import PictureStore
from ins3d.plugin.rays.pixel_rays import PixelRays

HEIGHT, WIDTH = 40, 48
FOCAL = 50.0
SPHERE_CENTER = np.array([0.1, -0.05, 0.0])
SPHERE_RADIUS = 0.5
PLANE_Z = -1.2
"""Where the textured plane stands behind the sphere."""
OPEN_PLACEMENT = {"near": 1.2, "far": 10.0, "center": (0.0, 4.0, 0.0), "radius": 2.2}
"""A place for the open scene that is good enough wherever its measurement is not what is tested."""


@dataclass
class Scene:
    """A folder of pictures and what is true of them, in the coordinates that they were made in."""

    folder: Path
    kind: str
    """`open` (transforms.json) or `object` (blender-data)."""
    nearest: float
    """Smallest and largest depth along the view axis of anything seen."""
    farthest: float
    center: np.ndarray
    """Of the sphere."""
    radius: float
    extra: dict[str, Any] = field(default_factory=dict)


def look_at(eye: np.ndarray, target: np.ndarray, up: np.ndarray) -> np.ndarray:
    """A 4x4 camera-to-world matrix; the camera looks along its -z axis, y is up."""
    backward = (eye - target) / np.linalg.norm(eye - target)
    right = np.cross(up, backward)
    right /= np.linalg.norm(right)
    matrix = np.eye(4)
    matrix[:3] = np.stack([right, np.cross(backward, right), backward, eye], axis=1)
    return matrix


def pixel_directions(pose: np.ndarray, height: int, width: int, focal: float) -> np.ndarray:
    """Directions of length 1 along the view axis (so that distances along them are depths)."""
    rows, columns = np.meshgrid(np.arange(height) + 0.5, np.arange(width) + 0.5, indexing="ij")
    local = np.stack([(columns - width / 2) / focal, (height / 2 - rows) / focal, -np.ones_like(rows)], axis=-1)
    return local @ pose[:3, :3].T


def texture(points: np.ndarray, frequency: float) -> np.ndarray:
    """A smooth coloured pattern in [0.05, 0.95] that nowhere repeats within a scene."""
    x, y, z = np.moveaxis(points * frequency, -1, 0)
    waves = np.stack(
        [
            np.sin(x + 1.3 * y) + np.sin(1.7 * y - 0.8 * z + 1) + np.sin(2.9 * x + 0.5),
            np.sin(1.1 * x - 0.7 * z) + np.sin(2.3 * y + 2) + np.sin(1.9 * x - 2.1 * y),
            np.sin(0.9 * y + 1.9 * z + 3) + np.sin(2.7 * x - y) + np.sin(1.3 * y + 0.4),
        ],
        axis=-1,
    )
    return 0.5 + 0.15 * waves


def hit_sphere(eye: np.ndarray, directions: np.ndarray, center: np.ndarray, radius: float) -> np.ndarray:
    """The depth at which each ray meets the sphere; infinity where it does not."""
    a = (directions**2).sum(-1)
    b = directions @ (eye - center)
    root = b**2 - a * (((eye - center) ** 2).sum() - radius**2)
    return np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / a, np.inf)


def open_view(pose: np.ndarray, textured: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """(picture in [0, 1], depth) of the sphere before the plane, each pixel the mean of four rays."""
    eye, directions = pose[:3, 3], pixel_directions(pose, 2 * HEIGHT, 2 * WIDTH, 2 * FOCAL)
    sphere = hit_sphere(eye, directions, SPHERE_CENTER, SPHERE_RADIUS)
    plane = (PLANE_Z - eye[2]) / directions[..., 2]
    depth = np.minimum(sphere, plane)
    points = eye + depth[..., None] * directions
    rgb = np.where((sphere < plane)[..., None], texture(points + 5, 6.0), texture(points, 4.0))
    if not textured:
        rgb = np.full_like(rgb, 0.5)
    return rgb.reshape(HEIGHT, 2, WIDTH, 2, 3).mean((1, 3)), depth


def make_open_scene(folder: Path, num_pictures: int = 12, textured: bool = True) -> Scene:
    """Cameras shifted along an arc before a textured sphere and a textured plane; OPENCV cameras without distortion."""
    (folder / "images").mkdir(parents=True)
    frames, nearest, farthest = [], np.inf, 0.0
    for index, angle in enumerate(np.linspace(-0.35, 0.35, num_pictures)):
        eye = np.array([2.2 * np.sin(angle), 0.25 * np.cos(3 * index), 2.2 * np.cos(angle)])
        pose = look_at(eye, np.array([0.0, 0.0, -0.4]), np.array([0.0, 1.0, 0.0]))
        rgb, depth = open_view(pose, textured)
        nearest, farthest = min(nearest, depth.min()), max(farthest, depth.max())
        name = f"images/frame_{index:05d}.png"
        imageio.imwrite(folder / name, (rgb * 255).round().astype(np.uint8))
        frames.append({"file_path": name, "transform_matrix": pose.tolist()})
    meta = {
        "camera_model": "OPENCV", "fl_x": FOCAL, "fl_y": FOCAL, "cx": WIDTH / 2, "cy": HEIGHT / 2, "w": WIDTH, "h": HEIGHT,
        "k1": 0.0, "k2": 0.0, "p1": 0.0, "p2": 0.0, "frames": frames,
    }  # fmt: skip
    (folder / "transforms.json").write_text(json.dumps(meta))
    return Scene(folder, "open", float(nearest), float(farthest), SPHERE_CENTER, SPHERE_RADIUS)


def make_object_scene(folder: Path, side: int = 40, distance: float = 4.0, radius: float = 0.8) -> Scene:
    """A textured sphere before nothing, with alpha, as blender-data: cameras all around it, looking at the origin."""
    center, angle_x = np.array([0.1, 0.0, -0.1]), 0.7
    focal = 0.5 * side / np.tan(0.5 * angle_x)
    for split, count, turn in (("train", 10, 0.0), ("val", 2, 0.3), ("test", 2, 0.5)):
        (folder / split).mkdir(parents=True)
        frames = []
        for index in range(count):
            azimuth, elevation = 2 * np.pi * (index + turn) / count, 0.6 * np.sin(2.3 * index + turn)
            toward = [np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)]
            pose = look_at(distance * np.array(toward), np.zeros(3), np.array([0.0, 0.0, 1.0]))
            directions = pixel_directions(pose, side, side, focal)
            depth = hit_sphere(pose[:3, 3], directions, center, radius)
            hit = np.isfinite(depth)
            points = pose[:3, 3] + np.where(hit, depth, 0)[..., None] * directions
            rgba = np.concatenate([texture(points, 5.0) * hit[..., None], hit[..., None]], axis=-1)
            imageio.imwrite(folder / split / f"r_{index}.png", (rgba * 255).round().astype(np.uint8))
            frames.append({"file_path": f"./{split}/r_{index}", "transform_matrix": pose.tolist()})
        (folder / f"transforms_{split}.json").write_text(json.dumps({"camera_angle_x": angle_x, "frames": frames}))
    far = distance + np.linalg.norm(center)
    return Scene(folder, "object", distance - np.linalg.norm(center) - radius, far, center, radius)


def make_style_picture(path: Path) -> Path:
    """Red and blue stripes with a little noise."""
    random = np.random.default_rng(3)
    rows, columns = np.meshgrid(np.arange(40), np.arange(56), indexing="ij")
    stripes = 0.5 + 0.45 * np.sin(0.9 * rows + 0.4 * columns)
    rgb = np.stack([stripes, 0.2 + 0 * stripes, 1 - stripes], axis=-1) + 0.05 * random.normal(size=(40, 56, 3))
    imageio.imwrite(path, (rgb.clip(0, 1) * 255).round().astype(np.uint8))
    return path


def make_two_styles(folder: Path) -> tuple[Path, Path]:
    """first.png, and second.png: the first, mirrored and negative."""
    picture = imageio.imread(make_style_picture(folder / "first.png"))
    imageio.imwrite(folder / "second.png", 255 - picture[:, ::-1])
    return folder / "first.png", folder / "second.png"


def make_tiny_vgg(path: Path) -> Path:
    """A weights file with torchvision's names and VGG-19's topology as far as relu3_1, 4 to 8 channels wide."""
    random = torch.Generator().manual_seed(7)
    state, inputs = {}, 3
    for index, outputs in ((0, 4), (2, 4), (5, 6), (7, 6), (10, 8)):
        # He's scale keeps the activations of every layer near 1.
        state[f"features.{index}.weight"] = torch.randn(outputs, inputs, 3, 3, generator=random) * (2 / (9 * inputs)) ** 0.5
        state[f"features.{index}.bias"] = 0.1 * torch.randn(outputs, generator=random)
        inputs = outputs
    torch.save(state, path)
    return path


def picture_dataset(
    folder: Path,
    pictures: list[np.ndarray],
    masks: list[np.ndarray] | None = None,
    camera_type: Any = CameraType.PERSPECTIVE,
) -> InputDataset:
    """The host's dataset of given 8-bit pictures (any sizes, 3 or 4 channels), read from files as it would."""
    files, mask_files = [], []
    for index, picture in enumerate(pictures):
        files.append(folder / f"picture_{index}.png")
        imageio.imwrite(files[-1], picture)
        if masks is not None:
            mask_files.append(folder / f"mask_{index}.png")
            imageio.imwrite(mask_files[-1], masks[index].astype(np.uint8) * 255)
    heights, widths = (torch.tensor([picture.shape[side] for picture in pictures])[:, None] for side in (0, 1))
    poses = torch.eye(4)[None, :3].repeat(len(pictures), 1, 1)
    cameras = Cameras(
        poses, fx=FOCAL, fy=FOCAL, cx=widths / 2, cy=heights / 2, width=widths, height=heights, camera_type=camera_type
    )
    outputs = DataparserOutputs(files, cameras, mask_filenames=mask_files if masks is not None else None)
    return InputDataset(outputs)


def pyramid_of(dataset: InputDataset) -> PicturePyramid:
    """The pictures of a data set and their rays, on the CPU."""
    return PicturePyramid(PictureStore.of(dataset, torch.device("cpu")), PixelRays(dataset.cameras))


# ---- settings


def small_content(kind: str) -> Any:
    """A content of a kind, with as few samples as show something."""
    from ins3d.plugin.hash_content import HashSettings
    from ins3d.plugin.ray_content import FrequencySettings, GridSettings, PlanesSettings

    if kind == "frequency":
        return FrequencySettings(num_coarse_samples=24, num_samples=8)
    if kind == "hash":
        return HashSettings(num_proposal_samples=(24,), num_samples=8)
    if kind == "planes":
        return PlanesSettings((16, 32), 4, num_proposal_samples=(24,), num_samples=8)
    return GridSettings((8, 32), 4, log2_size=12, num_proposal_samples=(24,), num_samples=8)


def small_config(scene: Scene, tmp_path: Path, **edits: Any) -> Any:
    """`ns-train ins-stylize` shrunk to seconds. Edits name fields of the pipeline's settings, or else of the trainer's;
    two underscores go one level down: `model__content__num_samples=4`."""
    from ins3d.plugin.methods import ins_stylize
    from ins3d.plugin.style_field import HashStyle

    config = copy.deepcopy(ins_stylize.config)
    pipeline, model = config.pipeline, config.pipeline.model
    pipeline.datamanager.data = scene.folder
    if scene.kind == "object":
        pipeline.datamanager.dataparser = BlenderDataParserConfig(data=scene.folder)
    else:
        pipeline.datamanager.dataparser = NerfstudioDataParserConfig(data=scene.folder)
        for name, value in OPEN_PLACEMENT.items():
            setattr(model, name, value)
    config.output_dir, config.timestamp, config.vis = tmp_path / "outputs", "run", "tensorboard"
    config.machine.device_type = "cpu"
    for group in config.optimizers.values():
        group["scheduler"].warmup = 5
    pipeline.datamanager.train_num_rays_per_batch = 128
    pipeline.content_steps, pipeline.style_steps = 20, 10
    pipeline.patches.size, pipeline.patches.strides = 16, (1,)
    pipeline.patches.max_rays = 2000
    model.content = small_content("grid")
    model.style_field = HashStyle(resolutions=(16, 32), channels=4, width=16, log2_size=10)
    model.styles = (str(scene.folder.parent / "style.png"),)
    model.perceptual_weights = scene.folder.parent / "tiny_vgg.pth"
    model.style_loss = ("gram",)
    model.style_layers, model.content_layers = ("relu1_2", "relu2_2"), ("relu2_2",)
    model.style_size = 56
    for name, value in edits.items():
        *parts, last = name.split("__")
        target = pipeline if hasattr(pipeline, parts[0] if parts else last) else config
        for part in parts:
            target = getattr(target, part)
        if not hasattr(target, last):
            raise AttributeError(f"no setting is called {name}")
        setattr(target, last, value)
    return config


def build_trainer(config: Any, seed: int = 0) -> Trainer:
    """Set up as `ns-train` would."""
    torch.manual_seed(seed)
    config.save_config()
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    return trainer


def train(config: Any, seed: int = 0) -> Trainer:
    """A whole run through the host's trainer."""
    trainer = build_trainer(config, seed)
    trainer.train()
    return trainer


def build_pipeline(config: Any, seed: int = 0) -> Any:
    """The pipeline alone, as the trainer would build it, with a folder for its files."""
    torch.manual_seed(seed)
    config.pipeline.run_dir = config.get_base_dir()
    config.pipeline.run_dir.mkdir(parents=True, exist_ok=True)
    return config.pipeline.setup(device="cpu", test_mode="val", world_size=1, local_rank=0, grad_scaler=None)


def rays_of(pipeline: Any, count: int = 64, seed: int = 1) -> Any:
    """Rays through random training pixels."""
    random = torch.Generator().manual_seed(seed)
    return pipeline.datamanager.train_ray_generator(pipeline.datamanager.store.draw_pixels(count, random))


def psnr(first: torch.Tensor, second: torch.Tensor) -> float:
    """In dB, for values in [0, 1]."""
    return float(-10 * torch.log10(((first.double() - second.double()) ** 2).mean().clamp(min=1e-20)))


def in_scene_units(points: np.ndarray, outputs: Any) -> torch.Tensor:
    """World points to the dataparser's coordinates."""
    matrix = outputs.dataparser_transform.double()
    return outputs.dataparser_scale * (torch.as_tensor(points).double() @ matrix[:, :3].T + matrix[:, 3])
