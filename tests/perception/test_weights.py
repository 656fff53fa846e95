import hashlib
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from ins3d.perception import weights
from ins3d.perception.features import PerceptualFeatures, network_of
from ins3d.perception.weights import (
    COMPACT_FILE,
    OFFICIAL_FILES,
    WeightsFile,
    find_weights,
    load_encoder,
    load_weights,
)

TinyVgg = Callable[..., dict[str, Tensor]]
STYLE_LAYERS = ("relu1_2", "relu2_2", "relu3_2", "relu4_1")
CPU, CUDA = torch.device("cpu"), torch.device("cuda")
NORMALISED = "vgg19_normalised_conv1_1-conv4_1_f16.safetensors"
CAFFE_SHALLOW = "vgg19_caffe_conv1_1-conv4_1_f16.safetensors"
CAFFE_DEEP = "vgg19_caffe_conv1_1-conv5_1_q8.safetensors"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Torch's cache of downloads: empty, on a machine without a network and without our variable."""

    def offline(*_):
        raise urllib.error.URLError("no network")

    monkeypatch.delenv("INS3D_PERCEPTUAL_WEIGHTS", raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "urlopen", offline)
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    return tmp_path / "hub" / "checkpoints"


class TestFindWeights:
    @pytest.fixture
    def places(self, hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
        """One file at every place that is searched, in the order of the search."""
        places = {"setting": tmp_path / "mine.pth", "variable": tmp_path / "env.pth", "cache": hub / "vgg19-dcbb9e9d.pth"}
        for path in places.values():
            path.touch()
        monkeypatch.setenv("INS3D_PERCEPTUAL_WEIGHTS", str(places["variable"]))
        return places

    @pytest.mark.parametrize("encoder", ["auto", "vgg16", "vgg19", "vgg19-normalised", "compact"])
    def test_takes_the_setting_first(self, encoder, places: dict[str, Path]):
        found = find_weights(places["setting"], encoder, CPU)
        assert found == WeightsFile(places["setting"], "the setting perceptual-weights")

    @pytest.mark.parametrize("encoder", ["auto", "vgg16", "vgg19", "vgg19-normalised"])
    def test_then_the_environment_variable(self, encoder, places: dict[str, Path]):
        found = find_weights(None, encoder, CPU)
        assert found == WeightsFile(places["variable"], "INS3D_PERCEPTUAL_WEIGHTS")

    @pytest.mark.parametrize("device", [CPU, CUDA], ids=str)
    @pytest.mark.parametrize("encoder", ["auto", "vgg19"])
    def test_then_torchs_cache(self, encoder, device, places, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.delenv("INS3D_PERCEPTUAL_WEIGHTS")
        assert find_weights(None, encoder, device) == WeightsFile(places["cache"], "torch's cache")

    @pytest.mark.parametrize("device", [CPU, CUDA], ids=str)
    def test_compact_wins_over_the_variable_and_the_cache(self, device, places: dict[str, Path]):
        assert find_weights(None, "compact", device) == WeightsFile(COMPACT_FILE, "the package")

    def test_an_empty_variable_counts_as_none(self, places: dict[str, Path], monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("INS3D_PERCEPTUAL_WEIGHTS", "")
        assert find_weights(None, "vgg19", CPU).path == places["cache"]

    def test_auto_on_a_cpu_without_weights_is_compact_and_downloads_nothing(self, hub, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(torch.hub, "urlopen", lambda *_: pytest.fail("it went to the network"))
        found = find_weights(None, "auto", CPU)
        expected = "the package; no VGG weights are at hand, and on a CPU it is the faster choice"
        assert found == WeightsFile(COMPACT_FILE, expected)
        assert list(hub.iterdir()) == []

    def test_auto_on_a_gpu_downloads_vgg19(self, hub: Path, tmp_path: Path, tiny_vgg: TinyVgg, monkeypatch):
        name = serve(tiny_vgg("vgg19", last=5), tmp_path, monkeypatch)
        assert find_weights(None, "auto", CUDA) == WeightsFile(hub / name, "torchvision's download")
        assert load_weights(WeightsFile(hub / name, "test")).keys() == tiny_vgg("vgg19", last=5).keys()
        # And the next time it lies in the cache.
        assert find_weights(None, "auto", CUDA) == WeightsFile(hub / name, "torch's cache")

    def test_auto_on_a_gpu_falls_back_to_compact_without_a_network(self, hub: Path):
        found = find_weights(None, "auto", CUDA)
        assert found == WeightsFile(COMPACT_FILE, "the package; vgg19-dcbb9e9d.pth could not be downloaded")

    @pytest.mark.parametrize("device", [CPU, CUDA], ids=str)
    @pytest.mark.parametrize("encoder", ["vgg16", "vgg19"])
    def test_an_encoder_asked_for_by_name_never_becomes_another_one(self, encoder, device, hub: Path):
        message = (
            rf"^perceptual-encoder: {encoder}-[0-9a-f]{{8}}\.pth is not here and could not be downloaded "
            r"\(.*no network.*\); fetch it elsewhere and give its path with perceptual-weights or "
            r"INS3D_PERCEPTUAL_WEIGHTS, or use the compact encoder, which ships with ins3d\.$"
        )
        with pytest.raises(FileNotFoundError, match=message):
            find_weights(None, encoder, device)

    @pytest.mark.parametrize("device", [CPU, CUDA], ids=str)
    def test_the_normalised_encoder_needs_its_file(self, device, places, monkeypatch: pytest.MonkeyPatch):
        # VGG-19 in the cache is another network: it does not count.
        monkeypatch.delenv("INS3D_PERCEPTUAL_WEIGHTS")
        message = (
            r"^perceptual-encoder: vgg19-normalised has no official download; give its file with perceptual-weights or "
            r"INS3D_PERCEPTUAL_WEIGHTS, or use vgg19 or compact\.$"
        )
        with pytest.raises(FileNotFoundError, match=message):
            find_weights(None, "vgg19-normalised", device)

    def test_a_download_that_does_not_match_its_checksum_is_not_kept(self, hub: Path, tmp_path: Path, monkeypatch):
        (tmp_path / "wrong.pth").write_bytes(b"a page that says: log in to this network")
        opened = urllib.request.urlopen
        monkeypatch.setattr(torch.hub, "urlopen", lambda _: opened((tmp_path / "wrong.pth").as_uri()))
        with pytest.raises(
            FileNotFoundError, match=r"could not be downloaded \(invalid hash value .*\); fetch it elsewhere"
        ):
            find_weights(None, "vgg19", CPU)
        assert list(hub.iterdir()) == []

    @pytest.mark.parametrize("encoder", ["auto", "vgg19", "compact"])
    def test_names_a_setting_whose_file_is_missing_and_does_not_look_elsewhere(self, encoder, places, tmp_path: Path):
        for path, wrong in ((tmp_path / "nowhere.pth", "does not exist"), (tmp_path, "is no file")):
            message = rf"^perceptual-weights: {path} {wrong}; give the file of the network's weights\.$"
            with pytest.raises(FileNotFoundError, match=message):
                find_weights(path, encoder, CPU)

    def test_names_the_variable_whose_file_is_missing(self, places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("INS3D_PERCEPTUAL_WEIGHTS", str(tmp_path / "nowhere.pth"))
        with pytest.raises(
            FileNotFoundError, match=r"^INS3D_PERCEPTUAL_WEIGHTS: .*nowhere\.pth does not exist; give the file"
        ):
            find_weights(None, "vgg19", CPU)


def serve(state: dict[str, Tensor], folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Makes a small file the official VGG-19, checksum included, and gives its name."""
    torch.save(state, folder / "served.pth")
    checksum = hashlib.sha256((folder / "served.pth").read_bytes()).hexdigest()
    monkeypatch.setitem(OFFICIAL_FILES, "vgg19", f"vgg19-{checksum[:8]}.pth")
    opened = urllib.request.urlopen
    monkeypatch.setattr(torch.hub, "urlopen", lambda _: opened((folder / "served.pth").as_uri()))
    return OFFICIAL_FILES["vgg19"]


class TestLoadWeights:
    @pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
    def test_reads_features_and_leaves_the_classifier(self, suffix: str, tiny_vgg: TinyVgg, tmp_path: Path):
        state = tiny_vgg("vgg19", last=5)
        path = tmp_path / f"weights{suffix}"
        (torch.save if suffix == ".pth" else save_file)(state | {"classifier.0.weight": torch.zeros(2, 2)}, path)
        found = load_weights(WeightsFile(path, "test"))
        assert found.keys() == state.keys()
        assert all(torch.equal(found[key], state[key]) for key in state)

    def test_keeps_the_mark_of_the_compact_encoder(self, tiny_vgg: TinyVgg, tmp_path: Path):
        save_file({key: value.half() for key, value in tiny_vgg("compact").items()}, tmp_path / "small.safetensors")
        assert network_of(load_weights(WeightsFile(tmp_path / "small.safetensors", "test"))) == "compact"

    def test_makes_8_bit_kernels_whole_again(self, tiny_vgg: TinyVgg, tmp_path: Path):
        state = tiny_vgg("vgg19", last=2)
        kernel = state.pop("features.2.weight")
        scale, smallest = (kernel.max() - kernel.min()) / 255, kernel.min()
        state["features.2.weight_q8"] = ((kernel - smallest) / scale).round().byte()
        state["features.2.weight_scale_min"] = torch.stack([scale, smallest])
        save_file(state, tmp_path / "q8.safetensors")
        found = load_weights(WeightsFile(tmp_path / "q8.safetensors", "test"))
        assert set(found) == {f"features.{index}.{kind}" for index in (0, 2) for kind in ("weight", "bias")}
        torch.testing.assert_close(found["features.2.weight"], kernel, atol=0.501 * scale.item(), rtol=0)

    @pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
    def test_refuses_a_truncated_file(self, suffix: str, tiny_vgg: TinyVgg, tmp_path: Path):
        path = tmp_path / f"weights{suffix}"
        (torch.save if suffix == ".pth" else save_file)(tiny_vgg("vgg19", last=5), path)
        path.write_bytes(path.read_bytes()[:-200])
        with pytest.raises(
            ValueError, match=rf"weights\{suffix} \(from test\) cannot be read as weights \(.*\); fetch it again\.$"
        ):
            load_weights(WeightsFile(path, "test"))

    @pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
    @pytest.mark.parametrize("content", [b"", b"<html>not found</html>"])
    def test_refuses_a_file_that_is_empty_or_text(self, content: bytes, suffix: str, tmp_path: Path):
        path = tmp_path / f"weights{suffix}"
        path.write_bytes(content)
        with pytest.raises(
            ValueError, match=rf"{path} \(from test\) cannot be read as weights \((?s:.*)\); fetch it again\.$"
        ):
            load_weights(WeightsFile(path, "test"))

    @pytest.mark.parametrize(
        "content", [{"conv1.weight": torch.zeros(1)}, {}, [torch.zeros(1)], torch.zeros(3), {0: torch.zeros(1)}]
    )
    def test_refuses_a_file_of_something_else(self, content, tmp_path: Path):
        torch.save(content, tmp_path / "other.pth")
        message = r"other\.pth holds no VGG weights: expected torchvision's names, features\.0\.weight and so on\.$"
        with pytest.raises(ValueError, match=message):
            load_weights(WeightsFile(tmp_path / "other.pth", "test"))

    def test_does_not_run_what_a_pickle_asks_for(self, tmp_path: Path):
        torch.save({"features.0.weight": Path("/")}, tmp_path / "evil.pth")
        with pytest.raises(ValueError, match=r"evil\.pth \(from test\) cannot be read as weights"):
            load_weights(WeightsFile(tmp_path / "evil.pth", "test"))


class TestLoadEncoder:
    def test_says_which_network_from_which_file_found_where(self, tiny_vgg: TinyVgg, tmp_path: Path):
        save_file(tiny_vgg("vgg19", normalised=True), tmp_path / "mine.safetensors")
        features = load_encoder(tmp_path / "mine.safetensors", "vgg19-normalised", STYLE_LAYERS, CPU)
        expected = "vgg19 (filter-normalised) from mine.safetensors, found in the setting perceptual-weights"
        assert features.source == expected

    @pytest.mark.parametrize(
        ("asked", "held"), [("vgg16", "vgg19"), ("vgg19", "vgg16"), ("compact", "vgg19"), ("vgg19", "vgg19-normalised")]
    )
    def test_an_encoder_asked_for_by_name_is_never_replaced(self, asked, held, tiny_vgg: TinyVgg, tmp_path: Path):
        path = tmp_path / "mine.safetensors"
        save_file(tiny_vgg(held.removesuffix("-normalised"), normalised=held.endswith("normalised")), path)
        text = (
            f"perceptual-encoder: {asked} was asked for, and {path} (from the setting perceptual-weights) holds {held}; "
            f"name a file of {asked}, or use perceptual-encoder auto."
        )
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            load_encoder(path, asked, ("relu1_2",), CPU)

    def test_says_that_it_averages(self, tiny_vgg: TinyVgg, tmp_path: Path):
        save_file(tiny_vgg("vgg16"), tmp_path / "mine.safetensors")
        features = load_encoder(tmp_path / "mine.safetensors", "auto", STYLE_LAYERS, CPU, "average")
        expected = "vgg16, average pooling from mine.safetensors, found in the setting perceptual-weights"
        assert features.source == expected and features.pooling == "average"

    @pytest.mark.parametrize(("network", "pooling"), [("vgg19", "average"), ("compact", "max")])
    def test_without_a_choice_vgg_averages_and_compact_does_not(self, network, pooling, tiny_vgg: TinyVgg, tmp_path: Path):
        save_file(tiny_vgg(network), tmp_path / "mine.safetensors")
        assert load_encoder(tmp_path / "mine.safetensors", "auto", ("relu1_2",), CPU, None).pooling == pooling

    def test_says_that_it_is_the_compact_one_and_why(self, hub: Path, tiny_vgg: TinyVgg, tmp_path: Path, monkeypatch):
        shipped = tmp_path / "compact_encoder.safetensors"
        save_file({key: value.half() for key, value in tiny_vgg("compact").items()}, shipped)
        monkeypatch.setattr(weights, "COMPACT_FILE", shipped)
        features = load_encoder(None, "auto", ("relu1_2", "relu4_1"), CPU)
        assert features.network == "compact"
        assert features.source == (
            "compact from compact_encoder.safetensors, found in the package; no VGG weights are at hand, "
            "and on a CPU it is the faster choice"
        )
        assert features(torch.rand(1, 3, 16, 16))["relu4_1"].shape == (1, 7, 2, 2)

    def test_takes_a_compact_file_that_is_named_by_the_setting(self, tiny_vgg: TinyVgg, tmp_path: Path):
        save_file(tiny_vgg("compact"), tmp_path / "mine.safetensors")
        features = load_encoder(tmp_path / "mine.safetensors", "auto", STYLE_LAYERS, CPU)
        assert features.source == "compact from mine.safetensors, found in the setting perceptual-weights"

    def test_names_the_file_whose_kernels_do_not_fit(self, tiny_vgg: TinyVgg, tmp_path: Path):
        state = tiny_vgg("vgg19", last=5) | {"features.2.weight": torch.zeros(4, 4, 3, 2)}
        save_file(state, tmp_path / "mine.safetensors")
        with pytest.raises(
            ValueError,
            match=r"mine\.safetensors.*: features\.2 has a kernel of shape \(4, 4, 3, 2\) and a bias of \(4,\), where",
        ):
            load_encoder(tmp_path / "mine.safetensors", "vgg19", ("relu1_2",), CPU)


@pytest.mark.weights
class TestRealWeights:
    @pytest.fixture
    def photograph(self, assets: Path) -> Tensor:
        path = assets / "content" / "amber.jpg"
        if not path.is_file():
            pytest.skip(f"{path} is missing; set INS3D_ASSETS")
        pixels = torch.from_numpy(np.asarray(imageio.imread(path))).permute(2, 0, 1)[None].float() / 255
        return torch.nn.functional.interpolate(pixels, size=(96, 96), mode="area")

    def real(self, assets: Path, name: str, layers: tuple[str, ...] = STYLE_LAYERS) -> PerceptualFeatures:
        if not (assets / "vgg" / name).is_file():
            pytest.skip(f"{assets / 'vgg' / name} is missing; set INS3D_ASSETS")
        return load_encoder(assets / "vgg" / name, "auto", layers, CPU)

    @pytest.mark.parametrize("name", [NORMALISED, CAFFE_SHALLOW, CAFFE_DEEP])
    def test_have_the_channels_of_vgg19(self, name: str, assets: Path, photograph: Tensor):
        maps = self.real(assets, name)(photograph)
        assert [found.shape[1] for found in maps.values()] == [64, 128, 256, 512]

    def test_only_the_normalised_file_is_taken_for_normalised(self, assets: Path):
        assert self.real(assets, NORMALISED).normalised
        assert not self.real(assets, CAFFE_SHALLOW).normalised

    def test_filter_normalised_activations_are_near_1_on_a_photograph(self, assets: Path, photograph: Tensor):
        # So the input range, the channel order and the padding are the ones the file was made for.
        for name, found in self.real(assets, NORMALISED)(photograph).items():
            assert 0.5 < found.mean() < 2, name

    def test_8_bit_and_16_bit_files_of_one_network_agree(self, assets: Path, photograph: Tensor):
        shallow, deep = (self.real(assets, name)(photograph) for name in (CAFFE_SHALLOW, CAFFE_DEEP))
        for name in STYLE_LAYERS:
            assert (shallow[name] - deep[name]).norm() < 0.02 * shallow[name].norm(), name

    def test_the_deep_file_reaches_relu5_1_and_no_further(self, assets: Path, photograph: Tensor):
        assert self.real(assets, CAFFE_DEEP, ("relu5_1",))(photograph)["relu5_1"].shape == (1, 512, 6, 6)
        with pytest.raises(ValueError, match=r"features\.30\.weight is missing \(the file ends at features\.28\)"):
            self.real(assets, CAFFE_DEEP, ("relu5_2",))
