"""The tidy tables behind figures and pages, and the networks that are made of what users hand over."""
