"""The SDF case: an object as a signed distance field, painted, and a mesh again."""
