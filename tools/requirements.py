"""Prints what the image installs, one requirement a line, as pyproject.toml has it.

`--build`: instead, what it takes to build the project itself.
"""

from __future__ import annotations

import sys
import tomllib

with open("pyproject.toml", "rb") as file:
    declared = tomllib.load(file)

project = declared["project"]
extras = project["optional-dependencies"]
needed = [*project["dependencies"], *extras["demo"], *extras["image"]]
if "--build" in sys.argv:
    needed = declared["build-system"]["requires"]
print(*needed, sep="\n")
