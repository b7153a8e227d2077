"""The node that scores: `reward_node`."""
