"""The door to nerfstudio: the methods `ns-train` lists, and everything that touches its classes."""
