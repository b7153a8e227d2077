"""The paper in numpy: prompt text, log-probabilities to progress, reward, success and metrics."""
