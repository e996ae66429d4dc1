"""Tests of the verbs on a real Valkey server, from both sides."""
