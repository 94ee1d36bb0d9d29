"""Carryout: delivers digital products, counted, limited and revocable."""

__version__ = "0.1.0"
