"""Simulated episodes: scenes, motions, what is true in them, and how they are kept on disk."""
