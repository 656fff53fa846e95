"""Style for implicit 3D scenes."""
