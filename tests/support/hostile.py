"""Texts that become scripts where a page forgets to escape one, and who says them."""

from __future__ import annotations

import logging

from worker_lib import current_job, fly_task

__all__ = ["PAYLOADS", "SURVEY", "shouts"]

# Each runs `__run`, or leaves an element with `data-evil`.
PAYLOADS = [
    "<script data-evil>__run=1</script>",
    "</script><script data-evil>__run=1</script>",
    "<img data-evil src=x onerror=__run=1>",
    "<svg data-evil onload=__run=1>",
    "<svg><script data-evil>__run=1</script></svg>",
    "<body data-evil onload=__run=1>",
    "<iframe data-evil src=javascript:parent.__run=1></iframe>",
    "<iframe data-evil srcdoc='<script>parent.__run=1</script>'></iframe>",
    "<a data-evil href=javascript:__run=1>click</a>",
    "javascript:__run=1",
    '" onmouseover=__run=1 data-evil x="',
    "' onfocus=__run=1 autofocus data-evil x='",
    '"><img data-evil src=x onerror=__run=1>',
    "'><img data-evil src=x onerror=__run=1>",
    "</textarea><img data-evil src=x onerror=__run=1>",
    "</title><img data-evil src=x onerror=__run=1>",
    "</pre></code><img data-evil src=x onerror=__run=1>",
    "--><img data-evil src=x onerror=__run=1><!--",
    "]]><img data-evil src=x onerror=__run=1>",
    "{{ 7*7 }}{% raw %}<b data-evil>",
    "${__run=1}`;__run=1;`",
    "<div data-evil hx-on:load=__run=1 hx-get=/ hx-trigger=load>",
    "<div data-evil hx-vals='js:{a:__run=1}'>",
    "<style data-evil>*{background:url(//evil.test/)}</style>",
    "<link data-evil rel=stylesheet href=//evil.test/>",
    "<base data-evil href=//evil.test/>",
    "<meta data-evil http-equiv=refresh content=0;url=javascript:__run=1>",
    "<form data-evil action=//evil.test/><button>",
    "&lt;img data-evil src=x onerror=__run=1&gt;&#60;b data-evil&#62;",
    "\\u003cimg data-evil src=x onerror=__run=1\\u003e",
    "\x1b]0;evil\x07\x1b[31m<b data-evil>\x00\u202egpj.exe\u2028\u2029",
    "<math><mtext><table><mglyph><style><img data-evil src onerror=__run=1>",
    "data: x\n\nevent: page\ndata: <img data-evil src=x onerror=__run=1>",
]
# What came of them on a page.
SURVEY = """() => [
  window.__run ?? 0,
  document.querySelectorAll("[data-evil], iframe, object, embed, base").length,
  [...document.links].filter((one) => !/^https?:$/.test(one.protocol)).length,
]"""


@fly_task(linger="10s", max_machines=1)
def shouts(text: str, **more: str) -> None:
    """Print, log, report and raise a text."""
    print(text)
    logging.getLogger(text[:20]).warning(text)
    current_job().progress(1, 2, text[:100])
    raise ValueError(text)
