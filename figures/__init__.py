"""One file per figure; `python -m figures NAME` draws it from the table of the analysis of that name."""
