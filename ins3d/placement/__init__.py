"""Where a scene lies: measured from its pictures, and mapped into the unit ball that every field is asked in."""
