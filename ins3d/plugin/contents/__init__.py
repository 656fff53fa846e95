"""What is painted: the protocol of a content, and splats as one."""
