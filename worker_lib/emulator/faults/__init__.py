"""What can be made to go wrong on purpose, and the two places where it does.

A `FaultRule` says what it strikes, when, and what happens then. Requests pass
`Faults.before` and `Faults.after`; machines pass `Faults.fate` whenever they enter a
state. Rules strike in their order, every one that fits, until one ends the request.
Drawing by `probability` and of `delay` follows the plan's seed: the same requests in
the same order meet the same faults.

What it strikes: an `action` (`create`, `list`, `stop`, ...; `*` is any) or machines
that enter a `state`; of these only a `region`, a `size` (`shared-cpu-2x`), a `machine`
(how its name begins). In a list these three choose the entries.

A `create` is struck for a region as the machine is placed: another region that was
named is taken, and without any effect the struck one has no room.

When: with a `probability`, from the `nth` match on, so many `times`, `since` and
`until` so many seconds after it was scripted.

What happens to a request, `after_commit` meaning when its work is done:

    status, error, code, retry_after   it is answered with this error
    delay                              it is held back; [least, most] draws between
    drop, reset                        the connection ends, by FIN or by RST
    truncate                           the reply ends half-way
    garble                             the reply is a page of HTML
    rate_limited                       429; give `retry_after` to have the header
    unauthorized, forbidden            401 and 403, as for a token that was revoked
    app_not_found                      404
    timed_out, unavailable             408 and 503
    lease_held                         409, somebody else holds the machine's lease
    name_taken                         422 where Fly is also seen to answer 409
    no_capacity                        422, `insufficient_capacity`: no host has room
    host_full                          409, the host has no CPUs left
    start_refused                      412 with `insufficient_capacity`
    quota                              403, the organisation's quota
    payment                            403, no payment method

To what a reading request (`get`, `list`, `org_list`) sees of machines:

    stale      what was the case `delay` seconds ago
    omit       nothing: not in the list, 404 by id
    partial    no config: `host_status` unreachable, `incomplete_config`

To a machine that enters a `state`:

    delay            it stays for so much longer; for `destroyed`: until it is 404
    wedge            it stays for ever; unless `destroying`, it can be destroyed
    launch_failed    from created or starting: launch_failed, then destroyed
    kill             its process is killed after `delay`, without notice; in
                     stopping: whatever its grace
    lose_host        the same, and it stays `started`, its host unreachable
    migrate          after `delay` it is stopped and boots with a new instance_id
"""

from __future__ import annotations

from worker_lib.emulator.faults.injector import Fate, Faults, ReplyLost
from worker_lib.emulator.faults.plan import FaultPlan
from worker_lib.emulator.faults.rule import FaultRule

__all__ = ["Fate", "FaultPlan", "FaultRule", "Faults", "ReplyLost"]
