from ins3d.plugin.progress import StageProgress


def test_each_stage_and_what_comes_between_says_how_far_it_is():
    progress = StageProgress(2, 2)
    progress.update(0, {}, {})
    assert progress.line.startswith("content 1/2 ") and progress.share == 0.5
    progress.update(1, {}, {})
    progress.keep(30, 40)
    assert progress.line.startswith("keeping samples 30/40 ") and progress.share == 0.75
    progress.keep(40, 40)
    progress.update(2, {}, {})
    assert progress.line.startswith("style 1/2 ")
    progress.update(3, {}, {})
    assert list(progress.seconds) == ["content", "keeping_samples", "style"]
