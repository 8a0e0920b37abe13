"""The tidy tables behind figures and pages: what users hand over as networks, and what is drawn of them."""
