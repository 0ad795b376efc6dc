"""
How SNS and EventBridge deliver over HTTP, which moto lacks or does in another way. For aws-emulator.py, which imports
it.

- CloudFormation creates AWS::SNS::Subscription, AWS::Events::Connection and AWS::Events::ApiDestination, and reads
  `{{resolve:secretsmanager:...}}` wherever it stands in a property. A custom resource gets its properties as text.
- A subscriber over HTTP or HTTPS is pending until it has confirmed: it is sent a SubscriptionConfirmation, and gets
  messages only after ConfirmSubscription was called with its token.
- What is asked for at `sns.<region>.amazonaws.com` without credentials, as certificates and confirmations are, is
  found.
- Deliveries have the headers of SNS, the attributes of the message, and a signature that covers the subject. All are
  signed by one key, whose certificate stands where SNS has it: moto serves it. With RawMessageDelivery the bare
  message is posted, as SNS does. What is not answered with success is tried again.
- An attribute of type Binary reaches an SQS queue with its bytes, not with their base64.
- An API destination gets the event as its body, and the header of its connection; the event is whole, as SQS targets
  get it too.

Sources: SNS developer guide, "HTTP/HTTPS headers" and "Parsing message formats"; EventBridge user guide, "API
destinations".
"""

import base64
import copy
import datetime
import json
import re
import secrets
import sys
import threading
import time

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID
from moto.cloudformation import parsing
from moto.core.common_models import CloudFormationModel
from moto.core.responses import ActionResult
from moto.core.utils import iso_8601_datetime_with_milliseconds, iso_8601_datetime_without_milliseconds, utcfromtimestamp
from moto.events import events_backends
from moto.events.models import Rule
from moto.events.utils import EventTemplateParser
from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from moto.secretsmanager import secretsmanager_backends
from moto.sns import sns_backends
from moto.sns.exceptions import SNSInvalidParameter
from moto.sns.models import SNSBackend, Subscription
from moto.sns.responses import SNSResponse

# As SNS and EventBridge wait, in seconds.
SNS_PATIENCE = 15
EVENTBRIDGE_PATIENCE = 5


# Seconds before each try, as those of SNS begin; EventBridge, too, tries until it is told that it cannot succeed.
WAITS = (0, 0, 0, 1, 1, 2, 4, 8, 16)


def deliver(url, body, headers, patience):
    """Posts on a thread of its own: who published does not wait for the subscriber."""

    def post():
        for wait in WAITS:
            time.sleep(wait)
            try:
                answer = requests.post(url, data=body.encode(), headers=headers, timeout=patience)
                if answer.ok:
                    return
                why, is_final = f"{answer.status_code} {answer.text}", 400 <= answer.status_code < 500 and answer.status_code != 429
            except requests.RequestException as error:
                why, is_final = type(error).__name__, False
            print(f"not delivered: {why}", file=sys.stderr, flush=True)
            if is_final:
                return

    threading.Thread(target=post, daemon=True).start()


# CloudFormation

SECRET = re.compile(r"{{resolve:secretsmanager:((?:arn:\w+:secretsmanager:[\w-]+:\d+:secret:)?[^:}]+)(?::SecretString(?::([^:}]*))?[^}]*)?}}")
parse_resource = parsing.parse_resource


def without_references(value, backend):
    if isinstance(value, dict):
        return {name: without_references(member, backend) for name, member in value.items()}
    if isinstance(value, list):
        return [without_references(member, backend) for member in value]
    if not isinstance(value, str):
        return value

    def resolve(match):
        secret = backend.get_secret_value(match[1], None, None)["SecretString"]
        return json.loads(secret)[match[2]] if match[2] else secret

    return SECRET.sub(resolve, value)


def as_text(value):
    if isinstance(value, dict):
        return {name: as_text(member) for name, member in value.items()}
    if isinstance(value, list):
        return [as_text(member) for member in value]
    return value if isinstance(value, str) else json.dumps(value)


def parse_as_cloudformation(resource_json, resources_map):
    parsed = parse_resource(resource_json, resources_map)
    if parsed is None:
        return None
    resource_class, resource, resource_type = parsed
    backend = secretsmanager_backends[resources_map["AWS::AccountId"]][resources_map["AWS::Region"]]
    resource = without_references(resource, backend)
    if resource_type.startswith("Custom::"):
        resource["Properties"] = as_text(resource["Properties"])
    return resource_class, resource, resource_type


parsing.parse_resource = parse_as_cloudformation


class Created:
    """A resource that a backend holds by its ARN; no model itself, as moto takes every direct subclass for one."""

    type_name = ""

    def __init__(self, physical_id, arn):
        self.physical_id = physical_id
        self.arn = arn

    @property
    def physical_resource_id(self):
        return self.physical_id

    @staticmethod
    def cloudformation_name_type():
        return "Name"

    @classmethod
    def cloudformation_type(cls):
        return cls.type_name

    @classmethod
    def has_cfn_attr(cls, attr):
        return attr == "Arn"

    def get_cfn_attribute(self, attribute_name):
        return self.arn


# SNS


class CreatedSubscription(Created, CloudFormationModel):
    # moto reads the service from the name of the module.
    __module__ = "moto.sns.models"
    type_name = "AWS::SNS::Subscription"

    @classmethod
    def create_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name, **kwargs):
        properties = cloudformation_json["Properties"]
        backend = sns_backends[account_id][region_name]
        arn = backend.subscribe(properties["TopicArn"], properties["Endpoint"], properties["Protocol"]).arn
        # The scope first: it says how the policy is read.
        for name in ("FilterPolicyScope", "FilterPolicy", "RedrivePolicy"):
            if name in properties:
                value = properties[name]
                backend.set_subscription_attributes(arn, name, json.dumps(value) if isinstance(value, dict) else value)
        backend.set_subscription_attributes(arn, "RawMessageDelivery", str(properties.get("RawMessageDelivery", False)).lower() == "true")
        return cls(arn, arn)

    @classmethod
    def delete_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name):
        sns_backends[account_id][region_name].unsubscribe(resource_name)


KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
NOW = datetime.datetime.now(datetime.timezone.utc)
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
CERTIFICATE = (
    x509.CertificateBuilder()
    .subject_name(NAME)
    .issuer_name(NAME)
    .public_key(KEY.public_key())
    .serial_number(x509.random_serial_number())
    .not_valid_before(NOW - datetime.timedelta(days=1))
    .not_valid_after(NOW + datetime.timedelta(days=1))
    .sign(KEY, hashes.SHA256())
    .public_bytes(serialization.Encoding.PEM)
)
CERTIFICATE_FILE = "SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
SIGNED = ("Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")


def signed(subscription, envelope):
    region = subscription.topic.sns_backend.region_name
    # It is asked for without credentials, which moto takes for its default account.
    sns_backends["123456789012"][region]._message_public_keys[CERTIFICATE_FILE] = CERTIFICATE
    text = "".join(f"{name}\n{envelope[name]}\n" for name in SIGNED if name in envelope)
    return {
        **envelope,
        "SignatureVersion": "2",
        "Signature": base64.b64encode(KEY.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())).decode(),
        "SigningCertURL": f"https://sns.{region}.amazonaws.com/{CERTIFICATE_FILE}",
    }


def post_to(subscription, message_type, message_id, body, raw=False):
    headers = {
        "Content-Type": "text/plain; charset=UTF-8",
        "User-Agent": "Amazon Simple Notification Service Agent",
        "x-amz-sns-message-type": message_type,
        "x-amz-sns-message-id": message_id,
        "x-amz-sns-topic-arn": subscription.topic.arn,
    }
    if message_type == "Notification":
        headers["x-amz-sns-subscription-arn"] = subscription.arn
    if raw:
        headers["x-amz-sns-rawdelivery"] = "true"
    deliver(subscription.endpoint, body, headers, SNS_PATIENCE)


def is_over_http(subscription):
    return subscription.protocol in ("http", "https")


# Of each message, by its id: every subscriber gets the same text with the same signature.
TIMES = {}


def envelope_of(self, message, message_id, subject, message_attributes=None):
    region = self.topic.sns_backend.region_name
    envelope = {
        "Type": "Notification",
        "MessageId": message_id,
        "TopicArn": self.topic.arn,
        **({"Subject": subject} if subject else {}),
        "Message": message,
        "Timestamp": TIMES.setdefault(message_id, iso_8601_datetime_with_milliseconds()),
    }
    return {
        **signed(self, envelope),
        "UnsubscribeURL": f"https://sns.{region}.amazonaws.com/?Action=Unsubscribe&SubscriptionArn={self.arn}",
        **({"MessageAttributes": message_attributes} if message_attributes else {}),
    }


Subscription.get_post_data = envelope_of
publish_elsewhere = Subscription.publish


def publish(self, message, message_id, subject=None, message_attributes=None, message_structure=None, **more):
    if not is_over_http(self):
        # moto takes what it is given for the bytes.
        attributes = message_attributes
        if self.protocol == "sqs" and self.attributes.get("RawMessageDelivery") and attributes:
            attributes = {name: binary_as_bytes(value) for name, value in attributes.items()}
        return publish_elsewhere(self, message, message_id, subject=subject, message_attributes=attributes, message_structure=message_structure, **more)
    if not self.confirmed:
        return None
    if self._filter_policy_matcher is not None and not self._filter_policy_matcher.matches(message_attributes, message):
        return None
    text = self._parse_message_structure(message, self.protocol) if message_structure == "json" else message
    raw = bool(self.attributes.get("RawMessageDelivery"))
    body = text if raw else json.dumps(self.get_post_data(text, message_id, subject, message_attributes), indent=2, ensure_ascii=False)
    return post_to(self, "Notification", message_id, body, raw)


def binary_as_bytes(attribute):
    return {**attribute, "Value": base64.b64decode(attribute["Value"])} if attribute["Type"] == "Binary" else attribute


Subscription.publish = publish
subscribe_at_once = SNSBackend.subscribe


def subscribe(self, topic_arn, endpoint, protocol):
    subscription = subscribe_at_once(self, topic_arn, endpoint, protocol)
    if not is_over_http(subscription) or hasattr(subscription, "token"):
        return subscription
    subscription.token = secrets.token_hex(32)
    subscription.attributes["PendingConfirmation"] = True
    message_id = secrets.token_hex(16)
    region = self.region_name
    confirmation = {
        "Type": "SubscriptionConfirmation",
        "MessageId": message_id,
        "Token": subscription.token,
        "TopicArn": topic_arn,
        "Message": f"You have chosen to subscribe to the topic {topic_arn}.\nTo confirm the subscription, visit the SubscribeURL included in this message.",
        "SubscribeURL": f"https://sns.{region}.amazonaws.com/?Action=ConfirmSubscription&TopicArn={topic_arn}&Token={subscription.token}",
        "Timestamp": iso_8601_datetime_with_milliseconds(),
    }
    post_to(subscription, confirmation["Type"], message_id, json.dumps(signed(subscription, confirmation), indent=2))
    return subscription


SNSBackend.subscribe = subscribe


def confirm_subscription(self):
    topic_arn, token = self._get_param("TopicArn"), self._get_param("Token")
    for subscription in self.backend.subscriptions.values():
        if subscription.topic.arn == topic_arn and getattr(subscription, "token", None) == token:
            subscription.confirmed = True
            subscription.attributes["PendingConfirmation"] = False
            return ActionResult({"SubscriptionArn": subscription.arn})
    raise SNSInvalidParameter("Invalid token")


SNSResponse.confirm_subscription = confirm_subscription
infer_from_credentials = DomainDispatcherApplication.infer_service_region_host


def infer_host(self, environ, path):
    # moto takes what is asked for without credentials for S3.
    host = environ.get("HTTP_HOST", "")
    return host if host.startswith("sns.") else infer_from_credentials(self, environ, path)


DomainDispatcherApplication.infer_service_region_host = infer_host

# EventBridge


class CreatedConnection(Created, CloudFormationModel):
    __module__ = "moto.events.models"
    type_name = "AWS::Events::Connection"

    @classmethod
    def create_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name, **kwargs):
        properties = cloudformation_json["Properties"]
        connection = events_backends[account_id][region_name].create_connection(
            resource_name, properties.get("Description", ""), properties["AuthorizationType"], properties["AuthParameters"]
        )
        return cls(connection.name, connection.arn)

    @classmethod
    def delete_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name):
        events_backends[account_id][region_name].delete_connection(resource_name)


class CreatedDestination(Created, CloudFormationModel):
    __module__ = "moto.events.models"
    type_name = "AWS::Events::ApiDestination"

    @classmethod
    def create_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name, **kwargs):
        properties = cloudformation_json["Properties"]
        backend = events_backends[account_id][region_name]
        backend.create_api_destination(
            resource_name,
            properties.get("Description", ""),
            properties["ConnectionArn"],
            properties["InvocationEndpoint"],
            properties.get("InvocationRateLimitPerSecond", 300),
            properties["HttpMethod"],
        )
        return cls(resource_name, backend.destinations[resource_name].arn)

    @classmethod
    def delete_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name):
        events_backends[account_id][region_name].delete_api_destination(resource_name)


parse_template = EventTemplateParser.parse


def event_for_target(input_template, input_paths_map, event):
    if input_template:
        return parse_template(input_template, input_paths_map, event)
    return {name: copy.deepcopy(value) for name, value in event.items() if name != "ingestion-time"}


EventTemplateParser.parse = staticmethod(event_for_target)
send_elsewhere = Rule.send_to_targets


def send_to_targets(self, original_event, transform_input=True):
    # moto itself leaves API destinations out, unless it is told to ask them without the event.
    send_elsewhere(self, original_event, transform_input)
    if not self.event_pattern.matches_event(original_event):
        return
    backend = events_backends[self.account_id][self.region_name]
    event = {**original_event, "time": iso_8601_datetime_without_milliseconds(utcfromtimestamp(float(original_event["time"])))}
    for target in self.targets:
        if ":api-destination/" not in target["Arn"]:
            continue
        transformer = target.get("InputTransformer", {})
        body = event_for_target(transformer.get("InputTemplate"), transformer.get("InputPathsMap", {}), event)
        destination = backend.destinations[target["Arn"].split("/")[1]]
        connection = next(one for one in backend.connections.values() if one.arn == destination.connection_arn)
        key = connection.auth_parameters["ApiKeyAuthParameters"]
        parameters = target.get("HttpParameters", {})
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Amazon/EventBridge/ApiDestinations",
            **parameters.get("HeaderParameters", {}),
            key["ApiKeyName"]: key["ApiKeyValue"],
        }
        url = requests.Request("POST", destination.invocation_endpoint, params=parameters.get("QueryStringParameters", {})).prepare().url
        deliver(url, json.dumps(body), headers, EVENTBRIDGE_PATIENCE)


Rule.send_to_targets = send_to_targets
