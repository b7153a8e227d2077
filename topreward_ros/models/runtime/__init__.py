"""What a backbone runs on: caches, attention, recorded steps."""
