"""The parts of figures: bars, pictures and heat maps on given axes. Not for users."""
