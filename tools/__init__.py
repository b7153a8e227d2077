"""Tools that make the demo checkpoint: simulation, recording, training, figures.

Nothing here is installed with the package, and the package never imports it.
"""
