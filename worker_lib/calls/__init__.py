"""A call as bytes, and what the options of its task mean.

- `options`: the options of a task, checked once, when the task is declared.
- `plan`: what they mean for all calls: the pool, its signed spec, the retry policy.
- `pickling`: a function and its arguments as bytes, by name or by value.
- `codec`: those bytes signed for one place in Redis, and verified.
"""
