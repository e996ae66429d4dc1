"""The demo: a web app that hands its slow work to machines.

`config` reads how it is set up; `forms` checks what people send; `guard` keeps out
forged and greedy requests; `view` turns a job into what a page shows; `pages` and
`jobs` are the pages; `standins` takes the place of Mailjet and S3 on a computer
without credentials; `server` is the HTTP server, `serve` runs it all, and
`drive` tries it out from end to end.
"""
