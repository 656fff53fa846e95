"""A window rule of another package: patches are whole windows, all of one stride."""

from ins3d.style.windows import WindowPlan


class Tiles:
    """As many tiles as the budget allows."""

    def plan(self, extent, budget, strides, size):
        """The largest stride that is asked for, or 1."""
        stride = max(strides, default=1)
        return WindowPlan(size, (stride,), {stride: size}, {stride: max(budget // size**2, 1)})


TILES = Tiles()
