"""No point of the code at which a box may end is without a test that ends it there."""

import crash_points

MOVES_NOTHING = {
    "books_before_identify_answer": "a wallet is asked who holds a phone; no money is near",
}
"""Points that no crash test needs, and why."""


def test_every_point_of_the_code_has_a_test_that_dies_there():
    """The list is read out of the code: whoever adds a point writes its crash."""
    points = crash_points.points()

    assert set() == points - crash_points.named_by_tests() - set(MOVES_NOTHING)
    assert set(MOVES_NOTHING) <= points


def test_the_list_has_what_everybody_knows():
    """A reader of code that finds nothing would find every test complete."""
    points = crash_points.points()

    assert {
        "before_intent_commit",
        "after_pay_sent",
        "after_answer",
        "after_inquire_refund_sent",
        "books_before_register_answer",
        "after_Instruct_sent",
        "courier_after_send",
        "custody_before_commit",
    } <= points
    assert {"Instruct", "AskBank", "Carry"} == crash_points.told()
