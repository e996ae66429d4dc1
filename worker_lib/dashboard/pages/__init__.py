"""The pages, each a module with a `Page`; see `worker_lib.dashboard`."""
