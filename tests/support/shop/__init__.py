"""The tasks of a shop, for pages that show jobs as people know them."""
