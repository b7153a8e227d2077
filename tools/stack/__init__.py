"""Recorded episodes through the real nodes, with a stand-in for a rig's robot."""
