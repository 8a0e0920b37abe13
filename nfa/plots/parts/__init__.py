"""What figures are put together from: bars, pictures and heat maps on given axes. Not for users."""
