"""The contract finds planted defects: each names the sentence that a wrong connector breaks."""

import importlib.util
from pathlib import Path

import pytest

from all_rigs import names
from planted_wires import PLANTED


def sentences(name):
    """A file of the contract as a module."""
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"contract_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ANSWERS, CALLBACKS = sentences("test_answers"), sentences("test_callbacks")
CHANNEL, REFUNDS = sentences("test_channel"), sentences("test_refunds")
BROKEN = {
    "signatures_not_checked": (
        (ANSWERS.test_an_answer_signed_by_somebody_else_is_no_answer, "pay"),
        (ANSWERS.test_an_answer_signed_by_somebody_else_is_no_answer, "refund"),
        (CHANNEL.test_a_wrong_signature_is_no_answer,),
        (CALLBACKS.test_a_callback_signed_by_somebody_else_says_nothing,),
    ),
    "another_amount_believed": ((CHANNEL.test_another_amount_is_told_as_the_channel_said_it,),),
    "a_lost_answer_taken_for_a_decline": (
        (CHANNEL.test_a_doubtful_answer_is_unknown_and_a_query_tells,),
        (ANSWERS.test_no_answer_is_unknown, "pay"),
    ),
    "a_lost_answer_taken_for_not_sent": (
        (CHANNEL.test_a_doubtful_answer_is_unknown_and_a_query_tells,),
    ),
    "a_reverse_believed_without_an_answer": ((ANSWERS.test_no_answer_is_unknown, "reverse"),),
    "a_refund_under_a_new_number_each_time": (
        (REFUNDS.test_a_refund_under_its_number_happens_once,),
    ),
    "a_lost_refund_taken_for_refused": (
        (REFUNDS.test_a_doubtful_refund_is_unknown_and_the_same_number_settles_it,),
    ),
    "an_unpaid_order_taken_for_closed": ((CHANNEL.test_an_order_that_nobody_made_is_absent,),),
    "coupons_left_out": ((CHANNEL.test_coupons_say_who_pays_what,),),
    "the_raw_bytes_not_kept": ((CHANNEL.test_a_success_names_our_number_and_our_amount,),),
}
CASES = [
    pytest.param(name, defect, sentence, id=f"{name}-{defect}-{sentence[0].__name__[5:]}")
    for name in names("wire")
    for defect, found_by in BROKEN.items()
    for sentence in found_by
    # Its callbacks of codes bring a certificate, which is no verifier of the connector's.
    if not (name == "unionpay" and sentence[0] in vars(CALLBACKS).values())
]


@pytest.mark.parametrize(("stand", "defect", "sentence"), CASES, indirect=["stand"])
async def test_a_defect_breaks_its_sentence(stand, defect, sentence):
    """With the defect the same test fails that passes without it."""
    PLANTED[defect](stand.channel)
    test, *arguments = sentence

    with pytest.raises(AssertionError):
        await test(stand, *arguments)


def test_every_defect_is_found_by_the_contract_or_by_the_ordeal():
    """The one that the contract does not see sends a second order, which only the books tell."""
    assert {"sent_again_under_a_new_number"} == set(PLANTED) - set(BROKEN)
