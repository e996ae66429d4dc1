"""Facts about Fly that the client of its API and the emulator share, with sources.

- `guest`: sizes of machines, and which ones Fly offers.
- `regions`: their codes, names and aliases.
- `prices`: what a running machine costs.
- `states`: the states of a machine; `latencies`: how long it takes between them.
- `images`: names of images.
- `protocol`: names and limits of the API.
- `exits`: exit codes by which a machine says why it cannot work.
- `naming`: how our machines are named and marked.
"""
