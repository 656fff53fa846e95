"""The page in a browser: what it opens with, its pictures, its controls."""
