"""What the library costs, each figure beside the limit of the machine it ran on.

`make bench` prints a table and exits; nothing is asserted, since times on a shared
computer are no promise. What may be compared is the ratio: the figure and its limit
are measured in turn, within one run, so that a slow moment slows both.

`rig` starts a Valkey server and an emulator of its own; `limits` measures what
the computer can do at all; `calls`, `drain`, `cold`, `first`, `commands`,
`imports`, `memory` and `server` measure one matter each and return `figures`; `report`
prints them. `make bench ARGS=--server` runs only the last one, in a few seconds.

What this does not tell: how long Fly takes. Its machines boot elsewhere.
"""

import os
import sys

# pytest has what all tests share on its path; `python -m tests.bench` has not.
sys.path.append(os.path.join(os.path.dirname(os.path.dirname(__file__)), "support"))
