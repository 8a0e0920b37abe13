"""Exported programs (`.pt2`): the graph read from JSON, and run operator by operator."""
