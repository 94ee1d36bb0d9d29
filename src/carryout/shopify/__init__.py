"""Shopify: the deliveries it sends, what they say, and the inbox that keeps them."""
