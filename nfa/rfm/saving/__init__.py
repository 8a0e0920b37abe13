"""Fitted estimators as files that run nothing: safetensors with a header of JSON."""
