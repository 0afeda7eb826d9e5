import doctest

import pytest

from coordconv import add_coords, convert, coord_conv


@pytest.mark.parametrize("module", [add_coords, coord_conv, convert], ids=lambda module: module.__name__)
def test_examples_give_what_they_say(module):
    failed, attempted = doctest.testmod(module)
    assert attempted > 0
    assert failed == 0
