"""The 2D case: a picture as a field, painted, and rendered at any size."""
