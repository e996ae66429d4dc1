"""Tests of the client of the Machines API."""
