"""The demo model's figures: its threshold, its controls, its table, its worst episodes."""
