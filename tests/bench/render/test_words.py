from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.render import words
from bench.render.markdown import escape
from bench.render.palette import looks
from bench.render.pictures import file_name


@pytest.mark.parametrize(
    ("p", "text"), [(None, "–"), (0.0004, "< .001"), (0.0134, ".013"), (0.9996, "1.000"), (1.0, "1")]
)
def test_p_values(p, text):
    assert words.p_value(p) == text


def test_differences_carry_a_sign_and_no_negative_zero():
    assert [words.signed(x) for x in (0.035, -0.0041, -0.0001, 0.0)] == ["+3.5", "-0.4", "0.0", "0.0"]
    assert words.percent(-0.0001) == "0.0"


def test_ranges_and_lists():
    assert words.ranges([4, 0, 1, 2, 7, 8]) == "0–2, 4, 7, 8"
    assert words.ranges([]) == "–"
    assert words.listing(["a"]) == "a" and words.listing(["a", "b", "c"]) == "a, b and c"


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ("1", "1 label per class"),
        ("4", "4 labels per class"),
        ("5%", "5 % of each class labeled"),
        ("list", "labels from a published list"),
    ],
)
def test_budgets(labels, text):
    assert words.budget(labels) == text


@given(st.text())
def test_escaped_text_is_one_line_without_open_markup(text):
    shown = escape(text)
    assert "\n" not in shown and "<" not in shown and ">" not in shown
    assert "|" not in shown.replace("\\|", "")


@given(st.text(min_size=1), st.text(min_size=1))
def test_file_names_are_plain_and_do_not_collide(a, b):
    assert file_name(a).replace("-", "").replace("_", "").isascii() and "/" not in file_name(a)
    if a != b and "%" not in a + b and "@" not in a + b:
        assert file_name(a).casefold() != file_name(b).casefold() or a.casefold() == b.casefold()


def test_an_entry_looks_the_same_in_all_sections_and_unlike_the_others():
    from synthetic_runs import suite

    made = suite({"base": "baseline", **{f"m{i}": "competitor" for i in range(20)}, "all": "bound"}).suite
    found = looks(made)
    assert len({(look.color, look.marker) for label, look in found.items() if label[0] == "m"}) == 20
