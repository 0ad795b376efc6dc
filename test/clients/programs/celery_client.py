"""Sends tasks to the worker of celery_app.py and prints how each ended."""

import json

from celery_app import add, fail, fail_first

tasks = {"add": add.delay(2, 3), "fail": fail.delay("as asked"), "fail_first": fail_first.delay(2)}
tasks["delayed"] = add.apply_async((1, 1), countdown=2)
outcomes = {}
for name, task in tasks.items():
    result = task.get(timeout=60, propagate=False)
    outcomes[name] = {"state": task.state, "result": result if task.successful() else str(result)}
print(json.dumps(outcomes))
