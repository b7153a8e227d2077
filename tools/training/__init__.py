"""The demo model: what it is, what it is taught, and how."""
