"""Pieces of graph that the padded targets share."""
