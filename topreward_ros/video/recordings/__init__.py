"""Recordings of cameras: bags and video files, opened alike and checked while they are read."""
