"""scikit-learn's networks and skorch's, in memory and from skops files."""
