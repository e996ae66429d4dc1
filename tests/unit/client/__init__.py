"""The local stack's parts."""
