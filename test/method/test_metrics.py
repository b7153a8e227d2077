"""Rules of the figures of merit."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from topreward_ros.method.metrics import (
    MetricError,
    success_auc,
    success_roc,
    summarise,
    value_order_correlation,
)

log_prob = st.floats(-60.0, 0.0)


def test_voc_is_spearmans_correlation_with_time():
    assert value_order_correlation([-9.0, -4.0, -1.0]) == pytest.approx(1.0)
    assert value_order_correlation([-1.0, -4.0, -9.0]) == pytest.approx(-1.0)
    # Ranks 1 3 2 4 against 1 2 3 4: 1 - 6 * 2 / (4 * 15).
    assert value_order_correlation([-9.0, -2.0, -4.0, -1.0]) == pytest.approx(0.8)
    # A tie: ranks 1.5 1.5 3, covariance 1.5 over the root of 1.5 * 2.
    assert value_order_correlation([-5.0, -5.0, -1.0]) == pytest.approx(math.sqrt(3) / 2)


@pytest.mark.parametrize("curve", [[], [-1.0], [-3.0] * 6, [-3.0, math.nan, -1.0], [-math.inf] * 3])
def test_voc_of_a_curve_without_an_order_is_undefined(curve):
    assert math.isnan(value_order_correlation(curve))


def test_voc_takes_minus_infinity_as_the_lowest_value():
    assert value_order_correlation([-math.inf, -9.0, -1.0]) == pytest.approx(1.0)


@given(st.lists(st.integers(-50, 0), min_size=2))
def test_voc_does_not_change_under_a_growing_map_and_flips_with_time(ranks):
    curve = np.array(ranks, dtype=float)
    voc = value_order_correlation(curve)
    np.testing.assert_allclose(value_order_correlation(np.exp(curve / 10.0)), voc, atol=1e-12)
    np.testing.assert_allclose(value_order_correlation(curve[::-1]), -voc, atol=1e-12)
    assert math.isnan(voc) or -1.0 - 1e-12 <= voc <= 1.0 + 1e-12


def test_undefined_values_are_counted_and_never_averaged_in():
    summary = summarise([0.5, math.nan, 1.0, math.nan])
    assert (summary.mean, summary.count, summary.undefined) == (0.75, 2, 2)
    nothing = summarise([math.nan])
    assert math.isnan(nothing.mean)
    assert (nothing.count, nothing.undefined) == (0, 1)
    assert math.isnan(summarise([]).mean)


def test_auc_is_the_share_of_pairs_in_the_right_order_with_ties_half():
    # Pairs success/failure: (-1,-2) right, (-1,-1) tie, (-3,-2) wrong, (-3,-1) wrong.
    assert success_auc([-1.0, -3.0, -2.0, -1.0], [True, True, False, False]) == 0.375


def test_auc_takes_minus_infinity_as_the_lowest_score():
    assert success_auc([-1.0, -math.inf, -5.0], [1, 0, 0]) == 1.0


def test_a_roc_curve_goes_point_by_point_from_the_highest_score_to_the_lowest():
    roc = success_roc([-1.0, -2.0, -2.0, -math.inf], [True, True, False, False])
    np.testing.assert_array_equal(roc.scores, [math.inf, -1.0, -2.0, -math.inf])
    np.testing.assert_array_equal(roc.true_rate, [0.0, 0.5, 1.0, 1.0])
    np.testing.assert_array_equal(roc.false_rate, [0.0, 0.0, 0.5, 1.0])
    np.testing.assert_array_equal(
        success_roc([-1.0, -2.0, -3.0], [True, False, False]).scores, [math.inf, -1.0, -2.0, -3.0]
    )


@given(st.lists(st.tuples(st.integers(-50, 0), st.booleans()), min_size=2))
def test_auc_depends_on_the_order_only_and_flips_with_the_labels(episodes):
    scores = np.array([score for score, _ in episodes], dtype=float)
    labels = np.array([label for _, label in episodes])
    if labels.all() or not labels.any():
        with pytest.raises(MetricError, match="successes and failures"):
            success_auc(scores, labels)
        return
    auc = success_auc(scores, labels)
    assert 0.0 <= auc <= 1.0
    assert success_auc(np.exp(scores / 10.0), labels) == pytest.approx(auc)
    assert success_auc(scores, ~labels) == pytest.approx(1.0 - auc)


@pytest.mark.parametrize(
    ("scores", "labels", "sentence"),
    [
        ([-1.0, -2.0], [True, True], "2 successes and 0 failures"),
        ([], [], "0 successes and 0 failures"),
        ([-1.0, math.nan], [True, False], "1 of 2 scores are NaN"),
        ([-1.0], [True, False], "one of each per episode"),
    ],
)
def test_scores_without_a_roc_curve_are_refused_with_the_reason(scores, labels, sentence):
    with pytest.raises(MetricError, match=sentence):
        success_auc(scores, labels)
