"""Entitlements: who may download what, why, and how often; the verdict and the one statement that spends a use."""
