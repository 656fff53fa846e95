"""Gaussian splats: a painted field becomes splats, splats become pictures and files."""
