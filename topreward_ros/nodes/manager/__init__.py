"""The node that runs episodes: `episode_manager`."""
