"""Creates a CloudFormation stack from a template file and waits for it: python3 create_stack.py <name> <template> [--sam]"""

import json
import sys

import boto3

name, path, *flags = sys.argv[1:]
with open(path) as file:
    text = file.read()

if "--sam" in flags:
    from translate_sam import translated

    text = json.dumps(translated(text))

cloudformation = boto3.client("cloudformation")
cloudformation.create_stack(StackName=name, TemplateBody=text, Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"])
cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
