"""A token server as Docker Hub has one, for a real registry that trusts its key.

    tokens.py ADDRESS CERTIFICATE KEY ISSUER <USERS

USERS has a line for each: `NAME PASSWORD ACTION[,ACTION]`, what the name may do (pull, push). Without a name there is a
token for images below library/, and for pulling alone: the public ones. GET with Basic and POST with a password, as the
Hub answers both. The log has a line for each token: who asked, and what was given.
"""

import base64, binascii, hmac, json, secrets, ssl, sys, time, urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

address, certificate, key, issuer = sys.argv[1:]
users = {name: (password, actions.split(",")) for name, password, actions in map(str.split, sys.stdin)}
with open(certificate, "rb") as file:
    chain = [x509.load_pem_x509_certificate(file.read())]
with open(key, "rb") as file:
    signer = serialization.load_pem_private_key(file.read(), None)


def granted(user, scope):
    """What of `repository:NAME:ACTION,ACTION` the user may do."""
    kind, name, actions = scope.split(":")
    allowed = users[user][1] if user else ["pull"] if name.startswith("library/") else []
    return {"type": kind, "name": name, "actions": [one for one in actions.split(",") if one in allowed]}


def token(user, service, scopes):
    """The JSON Web Token of distribution's token authentication."""
    now = int(time.time())
    access = [granted(user, scope) for scope in scopes if scope.startswith("repository:")]
    print(user or "nobody", *(f"{one['name']}:{','.join(one['actions'])}" for one in access), flush=True)
    header = {"typ": "JWT", "alg": "RS256", "x5c": [
        base64.b64encode(one.public_bytes(serialization.Encoding.DER)).decode() for one in chain]}
    claims = {"iss": issuer, "sub": user, "aud": service, "iat": now, "nbf": now - 10, "exp": now + 300,
              "jti": secrets.token_hex(8), "access": access}
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
    signature = signer.sign(b".".join(parts), padding.PKCS1v15(), hashes.SHA256())
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        asked = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        kind, _, value = self.headers.get("Authorization", "").partition(" ")
        user = password = ""
        if kind.lower() == "basic":
            try:
                user, _, password = base64.b64decode(value).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                return self.answer(400, {"details": "malformed"})
        self.decide(user, password, bool(kind), asked)

    def do_POST(self):
        asked = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        if asked.get("grant_type") != ["password"]:
            return self.answer(400, {"error": "unsupported_grant_type"})
        self.decide(asked["username"][0], asked["password"][0], True, asked)

    def decide(self, user, password, claims_to_be, asked):
        known = user in users and hmac.compare_digest(users[user][0].encode(), password.encode())
        if claims_to_be and not known:
            return self.answer(401, {"details": "incorrect username or password"})
        made = token(user, asked["service"][0], " ".join(asked.get("scope", [])).split())
        self.answer(200, {"token": made, "access_token": made, "expires_in": 300, "scope": "", "token_type": "Bearer"})

    def answer(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer((address, 443), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
# The handshake belongs to the connection's own thread: who connects and says nothing must not stop the others.
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
