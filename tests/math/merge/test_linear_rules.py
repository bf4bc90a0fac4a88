"""The rules that look at no distances: equation 10 (T2), FedAvg, same-task, none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pilot_aggregator.merge.mixture import Member, by_name
from pilot_aggregator.merge.rules import RULES

MEMBERS = [Member("a", "vqa", 1), Member("b", "caption", 5), Member("c", "vqa", 3)]


def test_the_worked_vector_t2_of_equation_10_comes_out():
    mixed = RULES["per-task-mean"].mix([Member("a", "t", 1), Member("b", "t", 3)], None, {})
    assert np.array(mixed.coefficients) @ np.array([1.0, 5.0]) == 4.0


def test_per_task_mean_leaves_other_tasks_out():
    mixed = RULES["per-task-mean"].mix(MEMBERS, None, {})
    assert mixed.outputs == ("caption", "vqa")
    assert mixed.coefficients == ((0.0, 1.0, 0.0), (0.25, 0.0, 0.75))


def test_mean_weighs_by_samples():
    mixed = RULES["mean"].mix(MEMBERS, None, {})
    assert (mixed.outputs, mixed.coefficients) == (("global",), ((1 / 9, 5 / 9, 3 / 9),))


def test_same_task_gives_each_client_the_mean_of_its_task():
    mixed = RULES["same-task"].mix(MEMBERS, None, {})
    assert mixed.outputs == ("a", "b", "c")
    assert mixed.coefficients == ((0.25, 0.0, 0.75), (0.0, 1.0, 0.0), (0.25, 0.0, 0.75))


def test_none_is_exactly_the_identity():
    assert RULES["none"].mix(MEMBERS, None, {}).coefficients == ((1, 0, 0), (0, 1, 0), (0, 0, 1))


def test_a_lone_contributor_has_the_coefficient_exactly_one():
    for name in ("mean", "per-task-mean", "same-task", "none"):
        assert RULES[name].mix([Member("a", "t", 7)], None, {}).coefficients == ((1.0,),)


members = st.lists(
    st.builds(Member, st.text("abc", min_size=1, max_size=3), st.sampled_from("xyz"), st.integers(1, 10**9)),
    min_size=1,
    max_size=8,
    unique_by=lambda member: member.name,
)


@given(members, st.sampled_from(sorted(RULES)), st.randoms())
def test_the_order_in_which_members_arrive_changes_nothing(given_members, rule, random):
    place = {member.name: position for position, member in enumerate(by_name(given_members))}
    distances_KK = [[abs(i - j) ** 1.5 for j in range(len(place))] for i in range(len(place))]
    arrived = list(given_members)
    random.shuffle(arrived)
    one = RULES[rule].mix(by_name(given_members), distances_KK, {})
    assert RULES[rule].mix(by_name(arrived), distances_KK, {}) == one
    assert list(one.inputs) == sorted(place)


@given(members, st.sampled_from(sorted(RULES)))
def test_declared_row_sums_are_one_and_no_weight_is_negative(given_members, rule):
    K = len(given_members)
    mixed = RULES[rule].mix(by_name(given_members), (1 - np.eye(K)).tolist(), {})
    rows = np.array(mixed.coefficients)
    assert mixed.row_sums_to_one
    np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=1e-12)
    assert (rows >= 0).all()


def test_two_members_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two members are called 'a'"):
        by_name([Member("a", "t", 1), Member("a", "t", 2)])


def test_a_merge_of_nobody_is_refused():
    with pytest.raises(ValueError, match="nothing to merge"):
        by_name([])


def test_a_member_without_samples_is_refused():
    with pytest.raises(ValueError, match="a declares 0 samples"):
        Member("a", "t", 0)
