import threading
from typing import Any

import pytest
import torch
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from ins3d.plugin.rays import chunks
from ins3d.plugin.rays.chunks import GivenUp, Outputs, given_up_when, in_chunks

CPU = torch.device("cpu")


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


class TestInChunks:
    @pytest.mark.parametrize("number", [1, chunks.CHUNK_ON_CPU, 3 * chunks.CHUNK_ON_CPU + 7])
    def test_rows_come_back_in_their_order(self, two_threads: None, number: int):
        rows = torch.rand(number, 3)
        seen = in_chunks(lambda part: {"twice": 2 * part, "sum": part.sum(-1, keepdim=True)}, rows, CPU, 1)
        assert torch.equal(seen["twice"], 2 * rows) and torch.equal(seen["sum"], rows.sum(-1, keepdim=True))
        assert not seen["twice"].is_inference()

    def test_rays_are_cut_with_all_that_they_carry(self, two_threads: None):
        number = chunks.CHUNK_ON_CPU + 1
        rays = RayBundle(torch.rand(number, 3), torch.rand(number, 3), torch.rand(number, 1), nears=torch.rand(number, 1))
        seen = in_chunks(lambda part: {"near": part.nears}, rays, CPU, 1)
        assert torch.equal(seen["near"], rays.nears)

    def test_every_core_has_a_thread_that_computes_alone_and_without_gradients(self, two_threads: None):
        meeting = threading.Barrier(2, timeout=20)  # breaks where there is one thread

        def look(part: Tensor) -> dict[str, Tensor]:
            meeting.wait()
            assert torch.get_num_threads() == 1 and torch.is_inference_mode_enabled()
            return {"name": torch.full((len(part), 1), threading.get_ident())}

        seen = in_chunks(look, torch.zeros(2 * chunks.CHUNK_ON_CPU, 1), CPU, 1)
        assert len(seen["name"].unique()) == 2
        assert torch.get_num_threads() == 2

    def test_what_goes_wrong_in_a_thread_is_said_and_the_rest_is_dropped(self, two_threads: None):
        seen = []

        def look(part: Tensor) -> dict[str, Tensor]:
            seen.append(len(part))
            raise ValueError("the lens is dirty")

        with pytest.raises(ValueError, match="the lens is dirty"):
            in_chunks(look, torch.zeros(50 * chunks.CHUNK_ON_CPU, 1), CPU, 1)
        assert len(seen) < 50 and torch.get_num_threads() == 2

    def test_what_is_not_wanted_any_more_ends_at_the_next_chunk(self, two_threads: None):
        seen, rows = [], torch.zeros(50 * chunks.CHUNK_ON_CPU, 1)
        look = lambda part: seen.append(len(part)) or {"name": part}  # noqa: E731
        with pytest.raises(GivenUp), given_up_when(lambda: len(seen) >= 5):
            in_chunks(look, rows, CPU, 1)
        assert 5 <= len(seen) <= 7 and torch.get_num_threads() == 2
        assert len(in_chunks(look, rows, CPU, 1)["name"]) == len(rows)  # what comes after is another matter


class TestOutputs:
    def test_a_picture_is_made_once_and_only_when_it_is_asked_for(self):
        made: list[Any] = []
        outputs = Outputs({"rgb": torch.zeros(2), "normals": lambda: made.append(1) or torch.ones(2)})
        assert "normals" in outputs and list(outputs) == ["rgb", "normals"] and made == []
        assert torch.equal(outputs["normals"], torch.ones(2)) and torch.equal(outputs.get("normals"), torch.ones(2))
        assert made == [1]
