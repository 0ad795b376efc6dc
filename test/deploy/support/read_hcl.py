"""What a Terraform configuration declares, as JSON: python3 read_hcl.py <file>"""

import json
import re
import sys

import hcl2

with open(sys.argv[1]) as file:
    text = file.read()
read = hcl2.loads(text)


def blocks(kind):
    for declared in read.get(kind, []):
        for of_type, named in declared.items():
            for name, body in named.items():
                if not name.startswith("__"):
                    members = sorted(member for member in body if not member.startswith("__"))
                    yield {"type": of_type.strip('"'), "name": name.strip('"'), "members": members}


print(json.dumps({
    "resources": list(blocks("resource")),
    "named": sorted(set(re.findall(r"\b(?<!data\.)aws_\w+\.\w+", text))),
}))
