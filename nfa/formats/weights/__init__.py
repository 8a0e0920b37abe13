"""Files of weights alone, and the networks that they are put into."""
