"""Which device and dtype, how many rows together, and how they travel there."""
