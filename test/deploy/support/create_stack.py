"""Creates a CloudFormation stack from a template file, waits for it, and prints its outputs as a JSON object.

Usage: python3 create_stack.py <name> <template> [--sam] [<parameter>=<value> ...]
"""

import json
import sys

import boto3

name, path, *rest = sys.argv[1:]
with open(path) as file:
    text = file.read()

if "--sam" in rest:
    from translate_sam import translated

    text = json.dumps(translated(text))

parameters = [argument.partition("=") for argument in rest if argument != "--sam"]
cloudformation = boto3.client("cloudformation")
cloudformation.create_stack(
    StackName=name,
    TemplateBody=text,
    Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, _, value in parameters],
    Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
)
cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
[stack] = cloudformation.describe_stacks(StackName=name)["Stacks"]
print(json.dumps({output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}))
