"""Training pixels to rays, and samples along rays back to pixels."""
