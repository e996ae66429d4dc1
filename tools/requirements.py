"""Prints what the image installs, one requirement a line, as pyproject.toml has it.

`--build`: also what it takes to build the project itself.
"""

from __future__ import annotations

import sys
import tomllib

with open("pyproject.toml", "rb") as file:
    declared = tomllib.load(file)

project = declared["project"]
needed = [*project["dependencies"], *project["optional-dependencies"]["demo"]]
if "--build" in sys.argv:
    needed += declared["build-system"]["requires"]
print(*needed, sep="\n")
