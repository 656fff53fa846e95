"""A scene's files as they come: read, compared with each other, and mended before the host sees them."""
