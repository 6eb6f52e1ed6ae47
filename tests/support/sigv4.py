"""Signs anew, with botocore, what another program has signed: a JSON array on stdin, an Authorization header a line.

Each has url, body, headers (with that program's Authorization and X-Amz-Date), key, secret, session or null, region.
"""

import json
import re
import sys

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

for given in json.load(sys.stdin):
    headers = {name.lower(): value for name, value in given["headers"].items()}
    signed = re.search(r"SignedHeaders=([^,]*)", headers["authorization"]).group(1).split(";")
    request = AWSRequest(
        method="POST",
        url=given["url"],
        data=given["body"],
        headers={name: value for name, value in headers.items() if name in signed},
    )
    request.context["timestamp"] = headers["x-amz-date"]
    auth = SigV4Auth(Credentials(given["key"], given["secret"], given["session"]), "sts", given["region"])
    canonical = auth.canonical_request(request)
    signature = auth.signature(auth.string_to_sign(request, canonical), request)
    scope = f"{given['key']}/{auth.credential_scope(request)}"
    names = auth.signed_headers(auth.headers_to_sign(request))
    print(f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature={signature}")
