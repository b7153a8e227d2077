"""How an episode ended is said in as few words as it takes."""

from __future__ import annotations

import pytest

from topreward_msgs.msg import EpisodeEvent
from topreward_ros.nodes.messages import ending


@pytest.mark.parametrize(
    ("reason", "outcome", "words"),
    [
        ("success", "success", "success"),
        ("timeout", "failure", "timeout, failure"),
        ("stopped", "success", "stopped, success"),
        ("canceled", "unlabelled", "canceled"),
        ("deactivated", "", "deactivated"),
    ],
)
def test_the_outcome_is_added_where_it_says_more_than_the_reason(reason, outcome, words):
    assert ending(EpisodeEvent(termination_reason=reason, outcome=outcome)) == words
