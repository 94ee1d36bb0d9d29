"""The storefront: what the buyer sees."""
