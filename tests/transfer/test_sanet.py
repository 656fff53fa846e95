import pytest
import torch

from ins3d.transfer import sanet
from ins3d.transfer.sanet import StyleAttention


@pytest.fixture
def attention(random: torch.Generator) -> StyleAttention:
    made = StyleAttention(4, 3)
    torch.nn.init.normal_(made.out.weight)
    return made.requires_grad_(False)


def test_an_untrained_attention_shows_the_content(random):
    content, style = torch.randn(1, 4, 5, 6), torch.randn(1, 4, 3, 3)
    assert torch.equal(StyleAttention(4, 2)(content, style), content)


def test_attention_is_that_of_equation_4(attention):
    content, style = torch.randn(1, 4, 5, 6), torch.randn(1, 4, 3, 7)

    def normal(x):
        return (x - x.mean((2, 3), keepdim=True)) / (x.var((2, 3), keepdim=True) + 1e-5).sqrt()

    queries, keys = attention.query(normal(content))[0].flatten(1), attention.key(normal(style))[0].flatten(1)
    weights = torch.softmax(queries.T @ keys, dim=1)
    taken = (weights @ attention.value(style)[0].flatten(1).T).T.reshape(1, 4, 5, 6)
    torch.testing.assert_close(attention(content, style), content + attention.out(taken))


def test_rows_in_pieces_are_all_rows(attention, monkeypatch):
    content, style = torch.randn(1, 4, 8, 9), torch.randn(1, 4, 6, 5)
    whole = attention(content, style)
    monkeypatch.setattr(sanet, "ROWS", 7)
    torch.testing.assert_close(attention(content, style), whole)


def test_where_a_style_has_what_does_not_matter(attention):
    content, style = torch.randn(1, 4, 5, 6), torch.randn(1, 4, 3, 7)
    order = torch.randperm(21)
    moved = style.flatten(2)[..., order].unflatten(2, (3, 7))
    torch.testing.assert_close(attention(content, moved), attention(content, style))


def test_blocks_of_places_go_together(random):
    attention = StyleAttention(4, 3, block=2)
    torch.nn.init.normal_(attention.out.weight)
    with torch.no_grad():  # out of a value: the identity, so that what is taken is seen
        for weights in attention.query.parameters():
            weights.zero_()
        for conv in (attention.value, attention.out):
            conv.weight.copy_(torch.eye(4)[:, :, None, None])
            conv.bias.zero_()
    content, style = torch.zeros(1, 4, 4, 6), torch.randn(1, 4, 6, 2)
    taken = attention(content, style)
    # All places of the style weigh alike: in each block stands the mean of the blocks, position by position.
    mean = torch.stack([style[0, :, row::2, column::2].mean((1, 2)) for row in (0, 1) for column in (0, 1)])
    for number, (row, column) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        wanted = mean[number][:, None, None].expand(4, 2, 3)
        torch.testing.assert_close(taken[0, :, row::2, column::2], wanted)
