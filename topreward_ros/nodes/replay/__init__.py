"""The node that plays a recording: `replay_node`."""
