"""What is done with a finished run: evaluation, films, flights."""
