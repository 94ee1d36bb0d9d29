"""The catalog: products (one row per variant), assets with their versions, and attachments between them."""
