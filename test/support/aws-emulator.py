"""
moto_server, and what it lacks that a deployment of Karin's example needs:

- It runs deployed functions for Node and Python without Docker: the code that was uploaded is unpacked and run in a process, and each run
  is printed as one line `invoked {json}`. Custom resources work by that too.
- CloudFormation creates AWS::SecretsManager::Secret and AWS::Lambda::Url.
- Tags of a mapping made by CloudFormation can be listed, and so can the URLs of a function.
- A custom resource that answers FAILED fails the creation of its stack, which is rolled back: its resources are deleted again.
- A FIFO queue keeps its order when a call that received several messages of a group lets them run out, and when two calls receive at once (one may be the long poll
  of a process that was killed). Otherwise the last message of the group comes first.
- SNS and EventBridge deliver over HTTP: see aws_deliveries.py.

Usage: python3 aws-emulator.py <port>
"""

import collections
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from urllib.parse import unquote

import aws_deliveries  # noqa: F401
import moto.awslambda.urls as lambda_urls
from moto.awslambda.models import EventSourceMapping, LambdaFunction, lambda_backends
from moto.awslambda.responses import LambdaResponse
from moto.cloudformation.models import Event
from moto.cloudformation.responses import CloudFormationResponse
from moto.core.common_models import CloudFormationModel
from moto.secretsmanager import secretsmanager_backends
from moto.sqs.models import SQSBackend

PORT = sys.argv[1]
FOLDER = tempfile.mkdtemp(prefix="karin-emulator-")
PRINTING = threading.Lock()

# The answer is the last line of the output; what the handler prints comes before it.
BOOTSTRAP = """
const [, , file, name] = process.argv;
let text = '';
process.stdin.on('data', (chunk) => (text += chunk));
process.stdin.on('end', async () => {
  let said;
  try {
    const answer = await require(file)[name](JSON.parse(text), {});
    said = { answer: answer === undefined ? null : answer };
  } catch (error) {
    said = { failed: true, answer: { errorType: error.name, errorMessage: error.message } };
  }
  process.stdout.write('\\n' + JSON.stringify(said) + '\\n', () => process.exit(0));
});
"""
BOOTSTRAP_FILE = os.path.join(FOLDER, "bootstrap.cjs")
with open(BOOTSTRAP_FILE, "w") as file:
    file.write(BOOTSTRAP)

PYTHON_BOOTSTRAP = """
import importlib, json, sys, types
_, folder, module, name = sys.argv
sys.path.insert(0, folder)
context = types.SimpleNamespace(log_stream_name="none")
try:
    said = {"answer": getattr(importlib.import_module(module), name)(json.load(sys.stdin), context)}
except Exception as error:
    said = {"failed": True, "answer": {"errorType": type(error).__name__, "errorMessage": str(error)}}
print("\\n" + json.dumps(said))
"""


def unpacked(code, is_python):
    """The folder with this code, unpacked once."""
    folder = os.path.join(FOLDER, hashlib.sha256(code).hexdigest())
    if not os.path.isdir(folder):
        fresh = tempfile.mkdtemp(dir=FOLDER)
        zipfile.ZipFile(io.BytesIO(code)).extractall(fresh)
        # moto stores inline code under a Python name, whatever its language.
        if not is_python and os.path.exists(os.path.join(fresh, "index.py")):
            os.rename(os.path.join(fresh, "index.py"), os.path.join(fresh, "index.js"))
        try:
            os.rename(fresh, folder)
        except OSError:
            pass
    return folder


def invoke_lambda(self, event=None):
    module, _, export = self.handler.rpartition(".")
    environment = {
        "PATH": os.environ["PATH"],
        # The AWS SDK is part of the Lambda runtime.
        "NODE_PATH": os.path.join(os.getcwd(), "node_modules"),
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{PORT}",
        "AWS_ACCESS_KEY_ID": "function",
        "AWS_SECRET_ACCESS_KEY": "function",
        "AWS_REGION": self.region,
        "AWS_DEFAULT_REGION": self.region,
        "AWS_LAMBDA_FUNCTION_NAME": self.function_name,
        **self.environment_vars,
    }
    is_python = self.run_time.startswith("python")
    folder = unpacked(self.code_bytes, is_python)
    path = next((os.path.join(folder, module + end) for end in (".js", ".cjs", ".mjs") if os.path.exists(os.path.join(folder, module + end))), os.path.join(folder, module))
    run = subprocess.run(
        [sys.executable, "-c", PYTHON_BOOTSTRAP, folder, module, export] if is_python else ["node", "--no-warnings", BOOTSTRAP_FILE, path, export],
        input=json.dumps(event),
        capture_output=True,
        text=True,
        env=environment,
        timeout=int(self.timeout) + 5,
    )
    lines = run.stdout.rstrip().split("\n")
    try:
        said = json.loads(lines.pop())
    except (ValueError, IndexError):
        said = {"failed": True, "answer": {"errorType": "Runtime.ExitError", "errorMessage": run.stderr[-2000:]}}
    printed = "\n".join(lines).strip()
    with PRINTING:
        print("invoked " + json.dumps({"functionName": self.function_name, "event": event, "printed": printed, "answer": said["answer"], "failed": bool(said.get("failed"))}), flush=True)
    return json.dumps(said["answer"]), bool(said.get("failed")), printed


LambdaFunction._invoke_lambda = invoke_lambda


class Secret(CloudFormationModel):
    # moto reads the service from the name of the module.
    __module__ = "moto.secretsmanager.models"

    def __init__(self, arn):
        self.arn = arn

    @property
    def physical_resource_id(self):
        return self.arn

    @staticmethod
    def cloudformation_name_type():
        return "Name"

    @staticmethod
    def cloudformation_type():
        return "AWS::SecretsManager::Secret"

    @classmethod
    def has_cfn_attr(cls, attr):
        return attr == "Id"

    def get_cfn_attribute(self, attribute_name):
        return self.arn

    @classmethod
    def create_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name, **kwargs):
        properties = cloudformation_json["Properties"]
        text = properties.get("SecretString")
        if text is None:
            wanted = properties.get("GenerateSecretString", {})
            text = os.environ.get("GENERATED_SECRET") or hashlib.sha256(os.urandom(32)).hexdigest()[: int(wanted.get("PasswordLength", 32))]
        secret, _ = secretsmanager_backends[account_id][region_name]._add_secret(resource_name, secret_string=text)
        return cls(secret.arn)

    @classmethod
    def delete_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name):
        secretsmanager_backends[account_id][region_name].delete_secret(resource_name, recovery_window_in_days=None, force_delete_without_recovery=True)


class FunctionUrl(CloudFormationModel):
    __module__ = "moto.awslambda.models"

    def __init__(self, config):
        self.config = config

    @property
    def physical_resource_id(self):
        return self.config.function.function_arn

    @staticmethod
    def cloudformation_name_type():
        return ""

    @staticmethod
    def cloudformation_type():
        return "AWS::Lambda::Url"

    @classmethod
    def has_cfn_attr(cls, attr):
        return attr in ("FunctionUrl", "FunctionArn")

    def get_cfn_attribute(self, attribute_name):
        return self.config.to_dict()[attribute_name]

    @classmethod
    def create_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name, **kwargs):
        properties = cloudformation_json["Properties"]
        return cls(lambda_backends[account_id][region_name].create_function_url_config(properties["TargetFunctionArn"], properties))

    @classmethod
    def delete_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name):
        pass


original_init = EventSourceMapping.__init__


def mapping_with_tags(self, spec):
    original_init(self, spec)
    if isinstance(self.tags, list):
        self.tags = {tag["Key"]: tag["Value"] for tag in self.tags}


EventSourceMapping.__init__ = mapping_with_tags

def list_function_url_configs(self):
    name = unquote(self.path).rstrip("/").split("/")[-2]
    config = self.backend.get_function(name).url_config
    return json.dumps({"FunctionUrlConfigs": [] if config is None else [config.to_dict()]})


LambdaResponse.list_function_url_configs = list_function_url_configs
lambda_urls.url_paths[r"{0}/(?P<api_version>[^/]+)/functions/(?P<function_name>[\w_:%-]+)/urls/?$"] = LambdaResponse.dispatch

process_cfn_response = CloudFormationResponse.process_cfn_response


RECEIVING = collections.defaultdict(threading.Lock)
receive_at_once = SQSBackend.receive_message


def receive_in_turn(self, queue_name, count, wait_seconds_timeout, visibility_timeout, message_attribute_names=None):
    queue = self.get_queue(queue_name)
    end = time.monotonic() + wait_seconds_timeout
    while True:
        with RECEIVING[queue.queue_arn]:
            # One at a time they would free their group while others of it, earlier ones, still count as taken.
            queue.pending_messages.difference_update([message for message in queue.pending_messages if message.visible])
            received = receive_at_once(self, queue_name, count, 0, visibility_timeout, message_attribute_names)
            # What was taken together runs out together.
            ids = {message.id for message in received}
            taken = [message for message in queue.pending_messages if message.id in ids]
            for message in taken:
                message.visible_at = max(other.visible_at for other in taken)
        if received or time.monotonic() >= end:
            return received
        time.sleep(0.05)


SQSBackend.receive_message = receive_in_turn


def fail_or_process(self):
    if self._get_param("Status") != "FAILED":
        return process_cfn_response(self)
    stack = self.cloudformation_backend.get_stack(self._get_param("StackId"))
    reason = self._get_param("Reason")
    failed = stack.get_custom_resource(self._get_param("LogicalResourceId"))
    failed.set_data({})
    resource_type = stack.template_dict["Resources"][failed.logical_id]["Type"]
    stack.events.append(Event(stack.stack_id, stack.name, failed.logical_id, failed.physical_resource_id, resource_type, "CREATE_FAILED", reason, None))
    stack._add_stack_event("ROLLBACK_IN_PROGRESS", resource_status_reason=f"The following resource(s) failed to create: [{failed.logical_id}].")
    stack.resource_map.delete()
    stack.status = "ROLLBACK_COMPLETE"
    stack._add_stack_event("ROLLBACK_COMPLETE")
    return 200, {"status": 200}, json.dumps("{}")


CloudFormationResponse.process_cfn_response = fail_or_process

if __name__ == "__main__":
    from moto import server, settings

    # Where moto tells custom resources to answer.
    settings.moto_server_host = lambda: "http://127.0.0.1"
    os.environ["MOTO_PORT"] = PORT
    server.main(["-H", "127.0.0.1", "-p", PORT])
