"""What a boolean buffer says, without asking a GPU each time."""

from torch import Tensor


class KnownFlag:
    """Remembers it until the buffer is written to or moved: on a GPU a question waits for all that was begun there."""

    def __init__(self) -> None:
        self._known: tuple[int, int, bool] | None = None

    def __call__(self, flag: Tensor) -> bool:
        """`bool(flag)`, of one element."""
        if flag.is_inference():  # it does not say when it is written to
            return bool(flag)
        state = flag.data_ptr(), flag._version
        if self._known is None or self._known[:2] != state:
            self._known = *state, bool(flag)
        return self._known[2]
