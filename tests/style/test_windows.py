"""How large the windows are, and how many."""

import pytest

from ins3d.style.windows import (
    WINDOW_RULES,
    CachedPatchSettings,
    PatchSettings,
    Squares,
    WindowPlan,
    plan_windows,
)


class TestSquares:
    def test_sides_are_one_and_a_half_patches_as_far_as_pictures_are_large_enough(self):
        plan = plan_windows((135, 240), 400_000, PatchSettings(64))
        # The fox of docs/design.md: at stride 2 all of its short side is 67 rays.
        assert plan == WindowPlan(64, (1, 1, 2), {1: 96, 2: 67}, {1: 400_000 // (2 * 96**2), 2: 400_000 // (2 * 67**2)})
        assert plan.counts == {1: 21, 2: 44}

    def test_of_an_object_are_those_of_its_pictures_twice_as_large(self):
        """Windows are centred on the object and may reach beyond the pictures: its 400 pixels count twice."""
        plan = plan_windows((800, 800), 600_000, CachedPatchSettings(96, (1, 1, 2, 4), max_rays=600_000))
        # As before: 144 rays a side, as many windows at each of the three strides.
        assert plan == WindowPlan(96, (1, 1, 2, 4), {1: 144, 2: 144, 4: 144}, dict.fromkeys((1, 2, 4), 9))
        assert 600_000 // (144**2 * 3) == 9

    @pytest.mark.parametrize(
        ("extent", "strides"),
        [((64, 64), (1, 1)), ((127, 500), (1, 1)), ((128, 500), (1, 1, 2)), ((378, 504), (1, 1, 2, 4)),
         ((1080, 1920), (1, 1, 2, 4, 8, 16))],
    )  # fmt: skip
    def test_strides_double_as_long_as_a_patch_fits_and_the_finest_comes_twice(self, extent, strides: tuple[int, ...]):
        assert plan_windows(extent, 400_000, PatchSettings(64)).strides == strides

    def test_strides_that_are_given_are_kept_with_their_repetitions(self):
        plan = plan_windows((300, 300), 10_000, PatchSettings(32, (4, 1, 4)))
        assert plan.strides == (4, 1, 4) and list(plan.sides) == [1, 4]
        assert plan.sides == {1: 48, 4: 48} and plan.counts == {1: 2, 4: 2}

    @pytest.mark.parametrize("budget", [0, 1, 9215])
    def test_there_is_one_at_least_at_every_stride(self, budget: int):
        assert plan_windows((400, 400), budget, PatchSettings(64)).counts == {1: 1, 2: 1, 4: 1}

    @pytest.mark.parametrize("budget", [20_000, 400_000, 5_000_000])
    def test_all_of_them_together_are_no_more_rays_than_allowed(self, budget: int):
        plan = plan_windows((378, 504), budget, PatchSettings(48))
        rays = {stride: count * plan.sides[stride] ** 2 for stride, count in plan.counts.items()}
        assert sum(rays.values()) <= budget
        assert all(budget / 3 - plan.sides[stride] ** 2 < number for stride, number in rays.items())

    def test_patches_that_do_not_fit_are_refused(self):
        with pytest.raises(ValueError) as caught:
            plan_windows((100, 200), 400_000, PatchSettings(64, (1, 2)))
        assert str(caught.value) == (
            "patches.size / patches.strides: a patch of 64 rays at stride 2 covers 128 pixels, more than the 200x100 "
            "picture has; use a stride of 1 or less."
        )
        with pytest.raises(ValueError, match="at stride 1 covers 64 pixels, .* use a patch size of 40 or less"):
            plan_windows((40, 200), 400_000, PatchSettings(64))

    def test_patches_of_no_rays_are_refused(self):
        with pytest.raises(ValueError, match=r"^patches.size: 0 is too little for windows; use 1 or more\.$"):
            plan_windows((100, 200), 400_000, PatchSettings(0))


class TestFrames:
    def test_small_pictures_are_judged_whole(self):
        plan = plan_windows((135, 240), 1_000_000, CachedPatchSettings(rule="frames"))
        assert plan.strides == (1,) and plan.patch_at(1) == plan.window_at(1) == (135, 240)
        assert plan.counts == {1: 1_000_000 // (135 * 240)}

    def test_larger_ones_in_squares_and_whole_at_the_first_stride_that_fits(self):
        plan = plan_windows((480, 270), 1_000_000, CachedPatchSettings(128, rule="frames"))
        assert plan.strides == (1, 2) and plan.patch_at(1) == (128, 128) and plan.window_at(1) == (192, 192)
        assert plan.patch_at(2) == plan.window_at(2) == (240, 135)
        assert plan.counts == {1: 500_000 // 192**2, 2: 500_000 // (240 * 135)}
        assert plan.rays_of_step() == (128**2 + 240 * 135) / 2

    def test_strides_that_are_asked_for_are_whole_where_they_fit(self):
        plan = plan_windows((480, 270), 1_000_000, CachedPatchSettings(128, (1, 2, 4), rule="frames"))
        assert plan.strides == (1, 2, 4) and plan.whole == {2: (240, 135), 4: (120, 67)}

    def test_a_budget_below_one_window_keeps_one_of_each(self):
        assert plan_windows((480, 270), 10, CachedPatchSettings(rule="frames")).counts == {1: 1, 2: 1}

    def test_of_large_pictures_squares_at_every_doubling_and_all_at_a_stride(self):
        plan = plan_windows((756, 1008), 4_572_288, CachedPatchSettings(rule="frames"))
        assert plan.strides == (1, 2, 4) and plan.whole == {4: (189, 252)} and plan.sides == {1: 288, 2: 288}
        assert all(count * 288**2 > 1.9 * 756 * 1008 for stride, count in plan.counts.items() if stride != 4)
        assert plan_windows((1080, 1920), 1_000_000, CachedPatchSettings(rule="frames")).strides == (1, 2, 4, 6)

    @pytest.mark.parametrize("size", [None, 128, 256])
    @pytest.mark.parametrize("long_side", [300, 480, 896, 1920, 3840])
    def test_of_pictures_of_any_proportion_by_default(self, long_side: int, size: int | None):
        for short_side in range(max(size or 0, 40), long_side + 1, 37):
            plan = plan_windows((short_side, long_side), 10**6, CachedPatchSettings(size, rule="frames"))
            assert plan.whole and all(plan.patch * stride <= short_side for stride in plan.sides)

    def test_strides_that_show_all_of_a_picture_leave_squares_as_large_as_usual(self):
        plan = plan_windows((270, 480), 1_000_000, CachedPatchSettings(strides=(1, 4), rule="frames"))
        assert plan.patch_at(1) == (192, 192) and plan.patch_at(4) == (67, 120)

    def test_squares_larger_than_the_picture_are_refused(self):
        with pytest.raises(ValueError, match="use a patch size of 100 or less"):
            plan_windows((100, 2000), 400_000, CachedPatchSettings(200, rule="frames"))


class TestMaxRays:
    @pytest.mark.parametrize(("rule", "least"), [("squares", 192**2 + 135**2), ("frames", 192**2 + 240 * 135)])
    def test_fewer_than_one_window_at_every_stride_has_are_refused(self, rule: str, least: int):
        def plan(max_rays: int) -> WindowPlan:
            return plan_windows((480, 270), max_rays, CachedPatchSettings(128, (1, 2), rule, max_rays))

        assert plan(least).counts == {1: 1, 2: 1}
        with pytest.raises(ValueError) as caught:
            plan(least - 1)
        assert str(caught.value) == (
            f"patches.max-rays: {least - 1} rays are fewer than one window at every stride has; use {least} or more, or a "
            "smaller patches.size."
        )


class TestRules:
    @pytest.fixture(autouse=True)
    def as_it_was(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(WINDOW_RULES, "_entries", dict(WINDOW_RULES._entries))

    def test_one_that_there_is_not_names_what_there_is_and_the_nearest(self):
        with pytest.raises(ValueError) as caught:
            plan_windows((100, 100), 1000, PatchSettings(16, rule="square"))
        assert str(caught.value) == (
            "patches.rule: there is no 'square' (did you mean squares?); choose among squares, frames."
        )

    def test_one_that_is_registered_is_asked_for_what_the_settings_say(self):
        class Whole:
            """One window at each stride, as large as the picture."""

            def plan(self, extent: tuple[int, int], budget: int, strides: tuple[int, ...], size: int) -> WindowPlan:
                sides = {stride: min(extent) // stride for stride in strides or (1,)}
                return WindowPlan(size, strides or (1,), sides, dict.fromkeys(sides, 1))

        WINDOW_RULES.register("whole", Whole())
        found = plan_windows((60, 80), 1000, PatchSettings(16, (1, 3), rule="whole"))
        assert found == WindowPlan(16, (1, 3), {1: 60, 3: 20}, {1: 1, 3: 1})
        assert plan_windows((60, 80), 1000, PatchSettings(16, rule="whole")).strides == (1,)

    def test_one_that_cannot_plan_is_refused(self):
        with pytest.raises(TypeError, match="ins3d.windows: none is no window rule: it has no plan; see .*WindowRule"):
            WINDOW_RULES.register("none", object())  # type: ignore[arg-type]

    def test_a_second_one_of_a_name_is_refused(self):
        with pytest.raises(ValueError, match="the window rule squares is registered already"):
            WINDOW_RULES.register("squares", Squares())


def test_patches_without_a_size_fit_the_strides_that_are_asked_for():
    """Of small pictures, 144 pixels a side."""
    assert plan_windows((144, 144), 100_000, PatchSettings(strides=(1, 2))).patch == 72
    assert plan_windows((144, 144), 100_000, PatchSettings()).patch == 128
