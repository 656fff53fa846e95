"""Feed-forward 2D style transfer: content and style in, picture out."""
