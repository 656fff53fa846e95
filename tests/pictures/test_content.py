import pytest
import torch

from ins3d.pictures.content import PICTURE_NETWORKS, FourierPicture, make_picture_content


@pytest.mark.parametrize("network", list(PICTURE_NETWORKS))
class TestEveryNetwork:
    def test_is_its_features_read_out(self, network: str, random: torch.Generator):
        content = make_picture_content(network, 32)
        positions = torch.rand(9, 2, generator=random) * 2 - 1
        features = content.features(positions)
        assert features.shape == (9, content.num_features)
        assert torch.equal(content.rgb(features), content(positions))

    def test_asks_every_place_by_itself(self, network: str, random: torch.Generator):
        content = make_picture_content(network, 32)
        positions = torch.rand(9, 2, generator=random) * 2 - 1
        alone = torch.cat([content(position[None]) for position in positions])
        torch.testing.assert_close(content(positions), alone)

    def test_comes_back_from_its_parameters(self, network: str, random: torch.Generator):
        content, other = make_picture_content(network, 32), make_picture_content(network, 32)
        positions = torch.rand(9, 2, generator=random) * 2 - 1
        assert not torch.allclose(content(positions), other(positions))
        other.load_state_dict(content.state_dict())
        assert torch.equal(content(positions), other(positions))


def test_fourier_features_turn_about_as_often_as_the_paper_says(random: torch.Generator):
    # Tancik et al., positions in [0, 1]: cos(2 pi b x), b of standard deviation 10. Over our [-1, 1] it is pi b per unit.
    assert float(FourierPicture().get_buffer("frequencies").std()) == pytest.approx(10 * torch.pi, rel=0.15)
