"""Metrics of two sets of features, real and generated: numpy alone, exact, the same figures as the reference programs."""
