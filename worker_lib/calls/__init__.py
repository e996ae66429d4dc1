"""What a call is as bytes, and what its task's options make of it.

- `options`: the options of a task, checked once, when the task is declared.
- `plan`: what follows from them for all calls: the pool, its sealed spec, the policy.
- `pickling`: a function and its arguments as bytes, by name or by value.
- `codec`: those bytes signed for one place in Redis, and verified.
"""
