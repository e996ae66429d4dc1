"""Fault injection: rules that make requests and machines fail on purpose.

`rule` has one rule and its checks, `plan` reads rules from a file, `effects` lists what
a rule can do, and `injector` applies the rules: to each request before and after its
work, and to each machine that enters a state. Rules apply in their order, each that
matches, until one ends the request. Random choices (`probability`, a `delay` between
two bounds) depend on the plan's seed only: the same requests in the same order get the
same faults.

What a rule matches: an `action` (`create`, `list`, `stop`, ...; `*` is any), or the
machines that enter a `state`; of these only a `region`, a `size` (`shared-cpu-2x`) or a
`machine` (how its name begins). In a list these three select the entries. A `create`
with a `region` is matched when the machine is placed: the next region of the request is
tried, and without an effect the region has no capacity.

When it applies: with a `probability`, from the `nth` match on, `times` times at most,
from `since` until `until` seconds after the rules were set.

Effects on a request; with `after_commit`, once its work is done:

    status, error, code, retry_after   it is answered with this error
    delay                              it is delayed; [min, max] draws between the two
    drop, reset                        the connection is closed by FIN or by RST
    truncate                           the reply ends half-way
    html                               the reply is a page of HTML, as from a proxy
    rate_limited                       429; set `retry_after` to have the header
    unauthorized, forbidden            401 and 403, as for a revoked token
    app_not_found                      404
    timed_out, unavailable             408 and 503
    lease_held                         409, another client holds the machine lease
    name_taken                         422; Fly is also known to answer 409
    no_capacity                        422, `insufficient_capacity`: no host has room
    host_full                          409, the host has no CPUs left
    start_refused                      412 with `insufficient_capacity`
    quota                              403, the organization's quota
    payment                            403, no payment method

Effects on what a reading action (`get`, `list`, `wait`, ...) sees of machines:

    stale      the state of `delay` seconds ago
    omit       nothing: not in the list, 404 by id
    partial    no config: `host_status` unreachable, `incomplete_config`

Effects on a machine that enters a `state`:

    delay            it stays there longer; for `destroyed`: until GET answers 404
    hang             it stays there for ever; unless `destroying`, it can be destroyed
    launch_failed    from created or starting: launch_failed, then destroyed
    kill             its process is killed after `delay`, without a signal before; in
                     stopping: without waiting for its grace
    lose_host        the same, and it stays `started` with its host unreachable
    lose_snapshot    it stays `suspended`, and the next start boots it anew
    migrate          after `delay` it is stopped and boots with a new instance_id
"""

from __future__ import annotations

from worker_lib.emulator.faults.injector import FaultInjector, ReplyLost, StateEffects
from worker_lib.emulator.faults.plan import FaultPlan
from worker_lib.emulator.faults.rule import FaultRule

__all__ = ["FaultInjector", "FaultPlan", "FaultRule", "ReplyLost", "StateEffects"]
