"""Speed and memory, as ratios measured in one run: `make benchmark` prints and stores all of it."""
