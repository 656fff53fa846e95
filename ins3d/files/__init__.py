"""What lies on disk: pictures, films, fields, weights of other people's networks, run records."""
