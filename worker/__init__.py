"""What runs on the machines of the demo: three tasks and what they are made of.

`tasks` declares them; `mail`, `images`, `reports` do the work; `storage` keeps the
files; `services` reads the credentials. Third parties are imported inside the calls:
a machine that resizes an image never loads the PDF library. The services' errors are
this package's own, so that a failed job names the cause in words of the demo.
"""
