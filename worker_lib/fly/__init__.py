"""Facts about Fly that its API's client and the emulator share, with their sources.

- `guest`: sizes of machines, and which are allowed.
- `regions`: their codes and names.
- `prices`: what a running machine costs.
- `exits`: how a machine that cannot work says why.
- `naming`: how our machines are named and marked.
"""
