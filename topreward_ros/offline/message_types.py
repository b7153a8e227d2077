"""The package's own message types for bags that are read and written without ROS."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from rosbags.typesys import Stores, get_types_from_msg, get_typestore

if TYPE_CHECKING:
    from rosbags.typesys.store import Typestore

EVENT_TYPE = "topreward_msgs/msg/EpisodeEvent"
READING_TYPE = "topreward_msgs/msg/RewardStamped"
DEFINITIONS = {
    EVENT_TYPE: """\
std_msgs/Header header
string event
string episode_id
string instruction
string termination_reason
string outcome
string detail
float64 duration
uint32 readings
float64 log_prob
float64 progress
float64 success_score
""",
    READING_TYPE: """\
std_msgs/Header header
string episode_id
string instruction
uint32 index
uint32 frames
float64 episode_time
float64 log_prob
bool censored
float64 progress
string progress_source
float64 reward
string reward_form
float64 success_score
float64 success_threshold
bool success
bool success_holds
float64 latency
float64 model_time
uint32 pending_frames
string model
string stage
float64 stage_progress
""",
}
"""The fields of msg/*.msg, which is not installed where there is no ROS."""


@cache
def message_types() -> Typestore:
    """Returns the types of ROS 2 and of this package."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for name, text in DEFINITIONS.items():
        store.register(get_types_from_msg(text, name))
    return store
