"""How well a model judges recorded episodes: scores, figures, controls, and the report."""
