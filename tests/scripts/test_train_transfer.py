"""The training of the networks that ship, small: a handful of pictures of noise, a few steps."""

import csv
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ins3d.transfer.methods import load_network, read_card
from tests.scripts.loading import load_script

script = load_script("make/train_transfer")
ROWS = {
    "images/photos": {
        "free.png": ("train", "terms", "MIT licence"),
        "imagenet_a.png": ("train", "terms", "non-commercial research and education only (ImageNet terms of access)"),
        "sun.png": ("train", "terms", "no licence stated; research use"),
        "held.png": ("test", "terms", "non-commercial research"),
    },
    "paintings": {
        "old.png": ("train", "rights", "public domain"),
        "known.png": ("train", "rights", "public domain (also customary test picture of style-transfer papers)"),
        "new.png": ("train", "rights", "customary test picture of style-transfer papers"),
        "kept.png": ("test", "rights", "public domain"),
    },
}


@pytest.fixture
def assets(tmp_path: Path) -> Path:
    """Folders as the script expects them."""
    noise = np.random.default_rng(0)
    for folder, rows in ROWS.items():
        (tmp_path / folder).mkdir(parents=True)
        with (tmp_path / folder / "SOURCES.csv").open("w", newline="") as file:
            column = next(iter(rows.values()))[1]
            writer = csv.DictWriter(file, ["file", "split", column])
            writer.writeheader()
            for name, (split, _, terms) in rows.items():
                writer.writerow({"file": name, "split": split, column: terms})
                coarse = noise.integers(0, 255, (10, 12, 3), np.uint8)
                imageio.imwrite(tmp_path / folder / name, coarse.repeat(9, axis=0).repeat(9, axis=1))
    return tmp_path


def settings(assets: Path, **more: Any) -> Any:
    alike = {"steps": 4, "batch": 2, "size": 64, "judge": "compact", "output": assets / "out"}
    return script.TrainTransfer(assets=assets, **alike | more)


def test_only_what_may_be_given_away_is_learned_from(assets):
    found = {folder: [path.name for path in script.listed(assets / folder, "train")] for folder in ROWS}
    assert found == {"images/photos": ["free.png"], "paintings": ["old.png", "known.png"]}
    assert [path.name for path in script.listed(assets / "images/photos", "test")] == ["held.png"]
    with pytest.raises(FileNotFoundError, match=r"^assets: .*SOURCES.csv is missing; name the folder"):
        script.listed(assets, "train")


@pytest.mark.parametrize("method", ["adain", "wct"])
def test_a_training_leaves_weights_with_a_card_and_a_sheet(method, assets):
    script.main(settings(assets, method=method))
    card = read_card(assets / "out" / f"{method}.safetensors")
    assert card["method"] == method and card["steps"] == 4 and card["photographs"] == 1 and card["paintings"] == 2
    assert card["judge"].startswith("compact")
    network = load_network(method, assets / "out" / f"{method}.safetensors", torch.device("cpu"))
    assert network(torch.rand(3, 64, 64), torch.rand(3, 64, 64)).isfinite().all()
    sheet = imageio.imread(assets / "out" / "picture.png")
    assert sheet.shape[:2] == (2 * 187, 2 * 224) or sheet.shape[0] == 2 * 224


def test_a_stopped_training_ends_where_an_undisturbed_one_does(assets):
    script.main(settings(assets, output=assets / "whole", steps=4))
    with pytest.MonkeyPatch.context() as patch:
        made = []

        def stops(*given: Any) -> Any:
            made.append(given)
            if len(made) == 3:
                raise KeyboardInterrupt
            return losses(*given)

        network_class = script.new_network("adain", script.encoder_of("compact", None, torch.device("cpu"))).__class__
        losses = network_class.losses
        patch.setattr(network_class, "losses", lambda *given: stops(*given))
        with pytest.raises(KeyboardInterrupt):
            script.main(settings(assets, output=assets / "halves", steps=4))
    script.main(settings(assets, output=assets / "halves", steps=4, resume=True))
    whole, halves = (load_file(assets / name / "adain.safetensors") for name in ("whole", "halves"))
    for name in whole:
        torch.testing.assert_close(halves[name].float(), whole[name].float(), atol=2e-3, rtol=0)


def test_what_is_begun_with_is_taken_where_it_fits(assets, tmp_path):
    script.main(settings(assets, method="adain", output=assets / "first"))
    encoder = script.encoder_of("compact", None, torch.device("cpu"))
    network = script.new_network("sanet", encoder)
    script.begin(network, assets / "first" / "adain.safetensors")
    taken = load_file(assets / "first" / "adain.safetensors")
    for name, weights in taken.items():
        torch.testing.assert_close(network.state_dict()[name], weights.float())
    save_file({"other": torch.ones(2)}, tmp_path / "none.safetensors", {"card": '{"method": "adain", "width": "compact"}'})
    with pytest.raises(ValueError, match=r"^begin-with: nothing of .* fits; name weights of the same width\.$"):
        script.begin(network, tmp_path / "none.safetensors")
