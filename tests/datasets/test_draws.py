"""Counter-based draws: what they depend on and what not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from datasets.draws import derive, generator

PLACE = st.tuples(
    st.integers(0, 2**40), st.text("abc/", min_size=1), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)
)


@given(first=PLACE, second=PLACE)
def test_equal_places_have_equal_draws_and_others_do_not(
    first: tuple[int, str, int, int], second: tuple[int, str, int, int]
) -> None:
    one, again, other = (generator(*place).integers(0, 2**63, 4).tolist() for place in (first, first, second))
    assert one == again
    assert (one == other) == (first == second)


def test_epoch_and_index_are_not_confused() -> None:
    assert generator(0, "x", epoch=1, index=0).random() != generator(0, "x", epoch=0, index=1).random()
    assert generator(1, "1/x").random() != generator(11, "/x").random()


def test_keys_are_the_same_on_every_machine() -> None:
    assert derive(0, "order/labeled") == 0xC3A4B7FE6913236C
    assert generator(0, "order/labeled").permutation(5).tolist() == [4, 3, 2, 0, 1]
