"""What networks say about a point: encodings, CIM, SIM, AM, one query through them, merged points."""
