"""Runs a Python handler through the Lambda Runtime API, as AWS's own runtime interface client does.

Started by the local Lambda in a process of its own; everything it knows stands in the environment. Standard library only, because it shares
its process with the user's code.
"""

import http.client
import importlib
import json
import logging
import os
import sys
import time
import traceback

RUNTIME_API = os.environ["AWS_LAMBDA_RUNTIME_API"]
# Of the invocation under way.
current_request_id = ""


def call(method, path, body=None, headers=None):
    """One call to the Runtime API. If it cannot be reached, nobody waits for this process any more."""
    connection = http.client.HTTPConnection(RUNTIME_API)
    try:
        connection.request(method, "/2018-06-01/runtime/" + path, body, headers or {})
        response = connection.getresponse()
        return response.headers, response.read()
    except OSError:
        sys.exit(1)
    finally:
        connection.close()


def described(error, error_type=None):
    """An error in the form that Lambda returns."""
    return {
        "errorMessage": str(error),
        "errorType": error_type or type(error).__name__,
        # The first frame is this file's own.
        "stackTrace": traceback.format_tb(error.__traceback__.tb_next),
    }


def post_error(path, failure):
    headers = {"Content-Type": "application/json", "Lambda-Runtime-Function-Error-Type": failure["errorType"]}
    call("POST", path, json.dumps(failure).encode(), headers)


class LambdaFormatter(logging.Formatter):
    """Lines as Lambda's own client writes them: text with tabs, or JSON where the LoggingConfig says so."""

    converter = time.gmtime
    # What every record has; the rest is `extra`, which JSON shows.
    KNOWN = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {"message", "asctime", "aws_request_id"}

    def __init__(self, as_json):
        super().__init__("[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s", "%Y-%m-%dT%H:%M:%S")
        self._as_json = as_json

    def format(self, record):
        record.aws_request_id = current_request_id
        if not self._as_json:
            return super().format(record)
        line = {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
        }
        if record.exc_info:
            line["stackTrace"] = traceback.format_tb(record.exc_info[2])
            line["errorType"] = record.exc_info[0].__name__ if record.exc_info[0] else None
            line["errorMessage"] = str(record.exc_info[1])
        line.update({key: value for key, value in record.__dict__.items() if key not in self.KNOWN})
        if current_request_id:
            line["requestId"] = current_request_id
        return json.dumps(line, default=str, ensure_ascii=False)


def set_up_logging():
    """The root logger has Lambda's handler before the user's module is loaded. As in Lambda its level stays
    WARNING, unless the LoggingConfig names one or asks for JSON, whose level is INFO."""
    as_json = os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(LambdaFormatter(as_json))
    logging.root.addHandler(handler)
    stated = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "INFO" if as_json else "").upper()
    level = {"TRACE": "DEBUG", "FATAL": "CRITICAL", "WARN": "WARNING"}.get(stated, stated)
    if isinstance(logging.getLevelName(level), int):
        logging.root.setLevel(level)


class LambdaContext:
    """What handlers receive as their second argument."""

    def __init__(self, headers):
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.invoked_function_arn = headers["Lambda-Runtime-Invoked-Function-Arn"]
        self.aws_request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        self.tenant_id = headers.get("Lambda-Runtime-Aws-Tenant-Id")
        self.client_context = None
        self.identity = None
        self._deadline_ms = int(headers["Lambda-Runtime-Deadline-Ms"])

    def get_remaining_time_in_millis(self):
        return max(0, self._deadline_ms - int(time.time() * 1000))


def load_handler():
    name = os.environ.get("_HANDLER", "")
    module_name, _, function_name = name.rpartition(".")
    if not module_name:
        return None, {"errorType": "Runtime.MalformedHandlerName", "errorMessage": "Bad handler '%s': must be <module>.<function>" % name, "stackTrace": []}
    sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        failure = described(error, "Runtime.ImportModuleError")
        failure["errorMessage"] = "Unable to import module '%s': %s" % (module_name, error)
        return None, failure
    except SyntaxError as error:
        return None, described(error, "Runtime.UserCodeSyntaxError")
    except Exception as error:  # whatever the user's module raises while it loads
        return None, described(error)
    handler = getattr(module, function_name, None)
    if handler is None:
        return None, {"errorType": "Runtime.HandlerNotFound", "errorMessage": "Handler '%s' missing on module '%s'" % (function_name, module_name), "stackTrace": []}
    return handler, None


def main():
    global current_request_id
    set_up_logging()
    handler, failure = load_handler()
    if failure is not None:
        post_error("init/error", failure)
        sys.exit(1)
    while True:
        headers, body = call("GET", "invocation/next")
        request_id = current_request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        os.environ["_X_AMZN_TRACE_ID"] = headers.get("Lambda-Runtime-Trace-Id", "")
        try:
            result = json.dumps(handler(json.loads(body), LambdaContext(headers)))
        except Exception as error:  # the handler's own failure, reported as such
            post_error("invocation/%s/error" % request_id, described(error))
        else:
            call("POST", "invocation/%s/response" % request_id, result.encode())


main()
