"""A picture's rays in chunks that fit a processor's cache, shared among its cores."""

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, cast

import torch
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

CHUNK_ON_CPU = 2048
"""Rays: what is computed of them stays in a core's cache. 8192 take a fifth longer."""

_thread = threading.local()


class GivenUp(Exception):
    """What was begun is not wanted any more."""


@contextmanager
def given_up_when(unwanted: Callable[[], bool]) -> Iterator[None]:
    """What this thread computes in chunks ends with `GivenUp` at the first chunk before which `unwanted` says so."""
    _thread.unwanted = unwanted
    try:
        yield
    finally:
        del _thread.unwanted


def in_chunks(
    look_at: Callable[[Any], Mapping[str, Tensor]], rows: RayBundle | Tensor, device: torch.device, chunk_elsewhere: int
) -> dict[str, Tensor]:
    """What `look_at` says, on `device`, of rays or points: (rows, channels) each.

    It is asked in torch's inference mode, and that is what tells fields to take their fast ways: training never does.

    On a CPU as many threads as torch has take one chunk after the other, each alone: operations are too small to be shared,
    and at the end of every one the others would wait. `chunk_elsewhere`: rows at once on other devices.
    """
    on_cpu = device.type == "cpu"
    size = CHUNK_ON_CPU if on_cpu else chunk_elsewhere
    unwanted = getattr(_thread, "unwanted", bool)

    def look(start: int) -> Mapping[str, Tensor]:
        if unwanted():
            raise GivenUp
        with torch.inference_mode():
            return look_at(cast(Any, rows)[start : start + size].to(device))

    starts = range(0, len(rows), size)
    parts = _by_threads(look, starts) if on_cpu and len(starts) > 1 else [look(start) for start in starts]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _by_threads(look: Callable[[int], Mapping[str, Tensor]], starts: range) -> list[Mapping[str, Tensor]]:
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
    try:
        return list(pool.map(look, starts))
    finally:
        pool.shutdown(cancel_futures=True)  # of what is given up, the rest
        torch.set_num_threads(threads)


class Outputs(dict[str, Tensor]):
    """Pictures by name; one that is given as a function is made when somebody asks for it."""

    def __init__(self, pictures: Mapping[str, Tensor | Callable[[], Tensor]]) -> None:
        super().__init__(cast(Mapping[str, Tensor], pictures))

    get, items, values = Mapping.get, Mapping.items, Mapping.values  # type: ignore[assignment]  # a dict's own ask nobody

    def __getitem__(self, name: str) -> Tensor:
        """The picture."""
        picture = super().__getitem__(name)
        if callable(picture):
            self[name] = picture = picture()
        return picture
