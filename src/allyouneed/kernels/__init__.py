"""Loops compiled for the machine at hand, where a main path gains twice or more. The plain form is always there too."""
