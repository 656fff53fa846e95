import re

from ins3d.evaluation.frames import Row
from ins3d.evaluation.plots import COLORS, INK, Point, gap_plot, legend, point_legend, row_legend, tradeoff_plot

STEADY, TORN = Row("stylised", "wave"), Row("per-frame", "wave")
POINTS = [
    Point("unstylised", "wave", 1.0, 1.0, COLORS["unstylised"], end_of="run"),
    Point("per-frame", "wave", 0.4, 0.3, COLORS["per-frame"], end_of="run"),
    Point("stylised", "wave", 0.5, 0.6, COLORS["stylised"]),
]


def test_plots_have_a_line_for_each_row_that_has_numbers_and_need_no_script():
    summaries = {gap: {STEADY.label: {"rmse": 0.01 * gap}, TORN.label: {"rmse": 0.05}} for gap in (1, 7)}
    plot = gap_plot(summaries, [STEADY, TORN, Row("photographs")], "rmse", "smooth, protocol G")
    assert plot.startswith("<svg") and "<script" not in plot and "smooth, protocol G" in plot
    drawn = re.findall(r'<path d="M [^"]*" clip-path="[^"]*" style="fill: none; stroke: (#\w+)', plot)
    assert [color for color in drawn if color in COLORS.values()] == [COLORS["stylised"], COLORS["per-frame"]]


def test_text_and_axes_take_the_colour_of_the_page():
    for plot in (tradeoff_plot(POINTS, "REMD", "SSIM"), gap_plot({1: {}}, [STEADY], "rmse", "views")):
        assert "currentColor" in plot and INK not in plot
        assert not re.search(r"(?:fill|stroke): #(?:000000|ffffff)", plot)


def test_better_pictures_stand_farther_left_and_higher():
    """SVG counts rows downwards."""
    plot = tradeoff_plot(POINTS, "REMD", "SSIM")
    places = [tuple(map(float, place)) for place in re.findall(r'<use xlink:href="#\w+" x="([\d.]+)" y="([\d.]+)"', plot)]
    (floor_x, floor_y), (ceiling_x, ceiling_y), (ours_x, ours_y) = places[-3:]
    assert ceiling_x < ours_x < floor_x and ceiling_y > ours_y > floor_y
    assert "REMD: farther from the painting" in plot and "SSIM: more content" in plot


def test_a_legend_has_a_key_for_each_and_ends_are_hollow():
    floor, _, ours = point_legend(POINTS)
    assert (floor["mfc"], ours["mfc"]) == ("none", COLORS["stylised"])
    entries = legend([*point_legend(POINTS), *row_legend([STEADY, TORN])])
    assert [entry["label"] for entry in entries] == ["unstylised", "per-frame", "stylised", STEADY.label, TORN.label]
    assert all(entry["key"].startswith("<svg") for entry in entries)
