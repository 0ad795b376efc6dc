from aws_cdk import Duration, SecretValue, Stack
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct
from karin_queue import KarinEventSourceProps, KarinQueue, KarinSubscription


class JobsStack(Stack):
    """A queue with a dead-letter queue and a consumer, a function that sends to it, and a topic that feeds it."""

    def __init__(self, scope: Construct, construct_id: str, **kwargs) -> None:
        super().__init__(scope, construct_id, **kwargs)

        consumer = self._function("Consumer", "consumer.handler")
        dead_letters = KarinQueue(self, "DeadLetters", retention_period=Duration.days(14))
        jobs = KarinQueue(
            self,
            "Jobs",
            consumer=consumer,
            consumer_options=KarinEventSourceProps(report_batch_item_failures=True),
            capability=SecretValue.secrets_manager("karin/capability"),
            dead_letter_queue=sqs.DeadLetterQueue(queue=dead_letters, max_receive_count=5),
        )

        producer = self._function("Producer", "producer.handler")
        jobs.bind_environment(producer)

        uploads = sns.Topic(self, "Uploads")
        uploads.add_subscription(KarinSubscription(jobs, raw_message_delivery=True))

    def _function(self, construct_id: str, handler: str) -> lambda_.Function:
        return lambda_.Function(
            self,
            construct_id,
            runtime=lambda_.Runtime.PYTHON_3_13,
            handler=handler,
            code=lambda_.Code.from_asset("handlers"),
            timeout=Duration.seconds(10),
        )
