"""The dashboard: what runs, what failed and why, and what it costs, in a browser.

`create_dashboard` makes a Flask blueprint, `wsgi_app` an application for Django,
FastAPI and others to mount, and `worker-lib dashboard` serves it alone. A request goes
through `blueprint`: `login` and `access` let it in, `answers` answers with a page,
`acting` with what came of an action, and `headers` has the browser keep to the rules.
`live` keeps open pages up to date. Nothing here unpickles anything.

To add a page:

1. `pages/<slug>.py` with a function that reads what the page shows, and a `Page`:

       def load(query: Query) -> dict[str, Any]:
           found = jobs(status=query.get("status"), limit=50)
           return {"jobs": [as_document(job) for job in found]}

       PAGE = Page(slug="jobs", title="Jobs", load=load, order=2, icon="list")

   `load` gets the words of the address, those in the rule's brackets too
   (`rule="jobs/<id>"`), and returns what `/jobs.json` answers. It is called once for
   all viewers of the same address, again after 2 s for each command it sent to Redis.
   The module is found by itself; there is no list to add it to.

2. `templates/pages/<slug>.html`:

       {% extends "base.html" %}
       {% block tools %} filters; not touched by updates {% endblock %}
       {% block live %} all that changes; rendered again for updates {% endblock %}

   Variables: `page` (what `load` returned), `query`, `url("job", id=job.id)`,
   `action("retry-job")`, `can_act` (False for the role read: show no buttons), and
   `ui`, the macros of `_ui.html`. Filters: those of `filters.py`. Give rows and charts
   an `id`, so that an update keeps what is selected or open. A block sees no variable
   that is set outside of it. Style and scripts in a page are not allowed: classes are
   in `static/dashboard.css`, behaviour in `static/dashboard.js`.

To add an action: a function in `actions/<noun>.py`, and an `Action`:

       def _retry(form: Form) -> Done:
           Job.get(form.target).retry()
           return Done("The job runs again.")

       RETRY = Action(name="retry-job", run=_retry)

   and a form in a template, inside of `{% if can_act %}`:

       {{ ui.act(action("retry-job"), "Retry", [job.id]) }}

   The core checks the role and where the form comes from, asks what `confirm` wants
   to have agreed to, writes the entry of the audit, and leads back. An error of this
   library becomes a notice.

`Download` is for files, `Feed` for a stream beside the page's (see `registry`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker_lib.dashboard.access import Viewer
from worker_lib.dashboard.blueprint import MAX_STREAMS, make_blueprint
from worker_lib.dashboard.serve import wsgi_app

if TYPE_CHECKING:
    from flask import Blueprint

    from worker_lib.dashboard.access import Auth

__all__ = ["Viewer", "create_dashboard", "wsgi_app"]


def create_dashboard(
    auth: Auth | None = None,
    *,
    password: str | None = None,
    read_password: str | None = None,
    max_streams: int = MAX_STREAMS,
) -> Blueprint:
    """Return the dashboard as a blueprint, locked for everyone but whom you name.

    Register it where you want it: `app.register_blueprint(create_dashboard(auth=f),
    url_prefix="/jobs")`. Without `auth` and passwords it opens only in the local
    stack, for a browser of this very computer.

    Args:
        auth: Called with each request (`flask.Request`); returns `"admin"` for who may
            do everything, `"read"` for who may look, None for nobody, or a `Viewer`,
            whose name the audit then shows.
        password: Of who may do everything, 8 characters or more, or a hash as
            `werkzeug.security.generate_password_hash` makes it. None:
            `WORKER_LIB_DASHBOARD_PASSWORD`. Not asked for if there is an `auth`.
        read_password: The same for who may look. None:
            `WORKER_LIB_DASHBOARD_READ_PASSWORD`.
        max_streams: How many open pages are kept up to date by a stream, each of
            which holds a thread of the server; further ones ask every few seconds.

    Raises:
        ConfigError: a password is too short. Variables of the environment are read
            with the first request.
    """
    return make_blueprint(auth, password, read_password, max_streams=max_streams)
