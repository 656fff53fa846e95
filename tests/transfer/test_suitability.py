from ins3d.transfer.suitability import best_first, distances


def test_distances_are_nothing_for_the_thing_itself(encoder, picture):
    content, style = picture(), 0.3 * picture()
    assert distances(encoder, style, content, style)[0] == 0
    assert distances(encoder, content, content, style)[1] == 0
    to_style, lost = distances(encoder, 0.8 * content, content, style)
    assert 0 < to_style < 2 and 0 < lost < 0.5 * distances(encoder, picture(), content, style)[1]


def test_ranks_decide():
    found = {"plain": (0.9, 0.0), "noise": (0.0, 0.9), "good": (0.1, 0.1), "bad": (0.8, 0.8)}
    order = best_first(found)
    assert order[0] == "good" and order[-1] == "bad"
