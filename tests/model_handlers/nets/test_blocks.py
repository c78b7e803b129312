"""The highest of many values found by blocks are those of a full sort."""

import pytest
import torch

from model_handlers.nets.blocks import BLOCK, block_count, block_maxima, block_values, highest


def test_blocks_by_hand() -> None:
    """130 places make 3 blocks, of the places 0, 3, ... 129; 1, 4, ... 127; and 2, 5, ... 128."""
    values = torch.zeros(2, 130)  # [2, 130]
    values[0, 129], values[0, 127], values[1, 2] = 7, 5, 3
    assert block_count(130) == 3 and block_count(BLOCK) == 1
    assert block_maxima(values).tolist() == [[7, 5, 0], [0, 0, 3]]
    found, places = block_values(values, torch.tensor([0, 1]), torch.tensor([0, 2]), -1.0)  # [2, 44], [2, 44]
    assert found[0, 43] == 7 and places[0, 43] == 129 and found[1, 0] == 3 and places[1, 0] == 2
    assert found[1, 43] == -1  # place 131 is none


@pytest.mark.parametrize("size", [1, 5, 63, 64, 65, 127, 128, 1000, 4097, 20000])
@pytest.mark.parametrize("count", [1, 3, 50])
@pytest.mark.parametrize("beside", [False, True])
def test_the_highest_are_those_of_a_sort(size: int, count: int, beside: bool) -> None:
    values = torch.randn(4, size, generator=torch.Generator().manual_seed(size))  # [4, size]
    values[1] = values[1].round()  # many equals
    values[2, ::2] = -torch.inf
    if beside:
        values = values.T.contiguous().T  # [4, size], rows beside each other in memory
    count = min(count, size)
    found, places = highest(values, count)  # [4, count], [4, count]
    assert torch.equal(found, values.sort(dim=1, descending=True).values[:, :count])
    assert torch.equal(values.gather(1, places), found)
    assert all(len(set(row)) == count for row in places.tolist())
