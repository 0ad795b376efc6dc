"""A Celery application whose broker is an SQS queue: tasks that finish, that fail, and that fail first and are retried."""

import os
from urllib.parse import quote, urlsplit

from celery import Celery

endpoint = urlsplit(os.environ["ENDPOINT"])
credentials = ":".join(quote(os.environ[name], safe="") for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))

app = Celery("clients", broker=f"sqs://{credentials}@{endpoint.netloc}//", backend=f"file://{os.environ['RESULTS']}")
app.conf.update(
    broker_transport_options={"region": os.environ["AWS_REGION"], "is_secure": endpoint.scheme == "https"},
    task_default_queue=os.environ["NAME"],
    worker_prefetch_multiplier=1,
)


@app.task
def add(left, right):
    return left + right


@app.task
def fail(reason):
    raise ValueError(reason)


@app.task(bind=True, max_retries=3)
def fail_first(self, times):
    if self.request.retries < times:
        raise self.retry(countdown=1)
    return f"succeeded after {self.request.retries} retries"
