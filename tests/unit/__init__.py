"""Tests of single modules; those of the store speak to a real server."""
