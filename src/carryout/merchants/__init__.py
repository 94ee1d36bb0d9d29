"""Merchants: stores, their settings, messages and plans, and the keys of the merchant API."""
