"""Stands in for the package ram: the interface of recognize-anything over a tiny network."""

from ram.transform import get_transform

__all__ = ["get_transform"]
