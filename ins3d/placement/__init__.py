"""Scene normalisation: a scene's extent, measured from its pictures, and its mapping into the unit ball of the fields."""
