"""How gunicorn serves the demo, on a desk and on Fly: `-c python:demo.gunicorn_config`.

One process with many threads: the waiting is Redis's, and rate limits hold for all.
"""

from pathlib import Path

worker_class = "gthread"
workers = 1
threads = 32
timeout = 60
# Enough for a machine that is just being asked for. Streams of events would take
# longer; their browsers come back by themselves.
graceful_timeout = 3
# Fly's disk is slow enough to make gunicorn's heartbeat files late.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
# Nobody steers this server from outside; older gunicorns do not know the word.
control_socket_disable = True
