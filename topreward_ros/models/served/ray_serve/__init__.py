"""A model behind the command `serve`, and what robot and server say to each other."""
