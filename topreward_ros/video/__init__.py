"""Frames: image messages to RGB, several cameras to one frame, which frames become video."""
