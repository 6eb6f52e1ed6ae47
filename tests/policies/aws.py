"""Runs `aws SERVICE OPERATION --key value…` commands from stdin, one a line: as much of the AWS CLI as a README needs.

It is made of the models that the AWS CLI is made of, so an operation or a key that is unknown or missing is an error.
"""

import shlex
import sys

import boto3
from botocore import xform_name


def run(service, operation, *words):
    client = boto3.client(service)
    model = client.meta.service_model
    name = {xform_name(name, "-"): name for name in model.operation_names}[operation]
    members = model.operation_model(name).input_shape.members
    keys = {"--" + xform_name(key, "-"): key for key in members}
    given = {}
    for word in words:
        if word.startswith("--"):
            values = given.setdefault(keys[word], [])
        elif word.startswith("file://"):
            with open(word.removeprefix("file://"), encoding="utf-8") as file:
                values.append(file.read())
        else:
            values.append(word)
    for key, values in given.items():
        if members[key].type_name != "list":
            (given[key],) = values
    getattr(client, xform_name(name))(**given)


for line in sys.stdin.read().replace("\\\n", " ").splitlines():
    program, *words = shlex.split(line, comments=True) or [""]
    if program:
        assert program == "aws", line
        run(*words)
