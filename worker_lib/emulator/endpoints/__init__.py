"""What each endpoint does: functions from a request to a reply."""
