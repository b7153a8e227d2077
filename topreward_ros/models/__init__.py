"""Video-language models: loading, preprocessing, sessions and exact streaming updates."""
