"""The command `serve`: a model of this machine for many robots, by Ray Serve."""
