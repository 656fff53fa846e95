"""Triangles: what a user brings and what goes back; files, and questions of distance and inside."""
