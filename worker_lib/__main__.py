"""`python -m worker_lib`: the same as `worker-lib`."""

import sys

from worker_lib.cli import main

if __name__ == "__main__":
    sys.exit(main())
