"""Styles: their pictures, mixes of them, where they are judged, and the losses that pull towards them."""
