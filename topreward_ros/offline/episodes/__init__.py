"""Recorded episodes, wherever they come from: bags, data sets, folders of videos."""
