"""What CloudFormation makes of a SAM template: python3 translate_sam.py <template>, or imported."""

import json
import sys

from samtranslator.parser.parser import Parser
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse


class ManagedPolicies:
    def load(self):
        return {"AWSLambdaSQSQueueExecutionRole": "arn:aws:iam::aws:policy/service-role/AWSLambdaSQSQueueExecutionRole"}


def translated(text):
    template = yaml_parse(text)
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        # As `sam package` leaves it: the transform takes no local folder.
        if resource["Type"] == "AWS::Serverless::Function" and "CodeUri" in properties:
            properties["CodeUri"] = f"s3://packages/{name}.zip"
    return transform(template, {}, ManagedPolicies())


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        print(json.dumps(translated(file.read()), indent=2))
