"""Recorded episodes: labels, calibration and reports."""
