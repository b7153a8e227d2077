"""Qwen3-VL on a vLLM server: pairs of frames that are sent once, and named from then on."""
