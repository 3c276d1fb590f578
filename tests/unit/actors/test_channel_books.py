"""A channel's books in pages: every order once, in order, and never more than one answer holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import reading
from actors.reading import BOOKS_PAGE_MAX, books_page
from payments.channels.base import Book
from payments.errors import InvalidField


def book(number):
    return Book(number, 3800, 0, "paid", 1)


@given(st.sets(st.text("0123456789ABab_-", min_size=1, max_size=6), max_size=60), st.integers(1, 9))
def test_pages_bring_each_order_once_and_in_order(numbers, page_max):
    """Whatever order the lanes told them in; an empty page is the end."""
    books = [book(number) for number in numbers]
    found, after = [], ""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "BOOKS_PAGE_MAX", page_max)
        while page := books_page(books, after):
            assert len(page) <= page_max
            found += [row["out_trade_no"] for row in page]
            after = found[-1]

    assert sorted(numbers) == found


def test_what_does_not_fit_is_refused_and_not_cut_short():
    """Books that look whole and are not would pass an audit that they should fail."""
    books = [book(f"{number:05d}") for number in range(BOOKS_PAGE_MAX + 1)]

    assert BOOKS_PAGE_MAX == len(books_page(books[1:], None))
    with pytest.raises(InvalidField, match="4001 orders") as refused:
        books_page(books, None)
    assert "after" == refused.value.param
