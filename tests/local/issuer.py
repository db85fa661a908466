"""An issuer of tokens on this machine: OpenID discovery, its public keys, tokens for whoever asks, rotation of keys.

Must not know the pipeline. Gives anybody any token, so it speaks to 127.0.0.1 only. Run: python issuer.py --say issuer.json

GET /.well-known/openid-configuration · GET /.well-known/jwks.json
POST /token {"tenant": "acme", "claims": {"exp": 1}}: `claims` are put over the usual ones, null takes one away
POST /rotate: signs with a new key; {"keep": 0} withdraws the earlier ones at once, otherwise the latest of them stays
POST /away {"seconds": 60}: its keys cannot be read for so long; 0 ends it
"""
from __future__ import annotations

import argparse
import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

HOST = "127.0.0.1"
AUDIENCE = "towpath-local"
LIFE_SECONDS = 3600
BODY_BYTES = 64 * 1024
KEEP = 1


class Issuer:
    """Keys, the newest last."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.url = ""
        self.made = 0
        self.away_until = 0.0
        self.keys: list[tuple[str, rsa.RSAPrivateKey]] = []
        self.rotate()

    def rotate(self, keep: int = KEEP) -> str:
        """Makes a new key and keeps so many of the earlier ones. Returns its id."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        with self.lock:
            self.made += 1
            self.keys = [*self.keys[max(0, len(self.keys) - keep):], (f"key-{self.made}", key)]
            return self.keys[-1][0]

    def public(self) -> dict[str, Any]:
        with self.lock:
            keys = list(self.keys)
        return {"keys": [{"kid": kid, "kty": "RSA", "alg": "RS256", "use": "sig"} | numbers(key) for kid, key in keys]}

    def about(self) -> dict[str, Any]:
        return {"issuer": self.url, "jwks_uri": f"{self.url}/.well-known/jwks.json", "token_endpoint": f"{self.url}/token",
                "id_token_signing_alg_values_supported": ["RS256"]}

    def token(self, tenant: str, claims: dict[str, Any]) -> dict[str, Any]:
        with self.lock:
            kid, key = self.keys[-1]
        now = int(time.time())
        usual = {"iss": self.url, "aud": AUDIENCE, "sub": "somebody", "iat": now, "nbf": now, "exp": now + LIFE_SECONDS,
                 "tenant_id": tenant}
        said = {name: value for name, value in (usual | claims).items() if value is not None}
        parts = f"{encoded({'alg': 'RS256', 'typ': 'JWT', 'kid': kid})}.{encoded(said)}"
        signature = key.sign(parts.encode(), padding.PKCS1v15(), hashes.SHA256())
        return {"access_token": f"{parts}.{url_safe(signature)}", "token_type": "Bearer", "expires_in": LIFE_SECONDS}


def numbers(key: rsa.RSAPrivateKey) -> dict[str, str]:
    public = key.public_key().public_numbers()
    return {name: url_safe(value.to_bytes((value.bit_length() + 7) // 8, "big")) for name, value in (("n", public.n), ("e", public.e))}


def encoded(value: dict[str, Any]) -> str:
    return url_safe(json.dumps(value, separators=(",", ":")).encode())


def url_safe(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    issuer: Issuer

    def do_GET(self) -> None:
        if time.monotonic() < self.issuer.away_until:
            return self.say(503, {"error": "away"})
        answers = {"/.well-known/openid-configuration": self.issuer.about, "/.well-known/jwks.json": self.issuer.public}
        answer = answers.get(self.path)
        return self.say(200, answer()) if answer else self.say(404, {"error": "unknown"})

    def do_POST(self) -> None:
        size = int(self.headers.get("content-length") or 0)
        try:
            body = json.loads(self.rfile.read(min(size, BODY_BYTES)) or b"{}")
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return self.say(400, {"error": "not a JSON object"})
        if self.path == "/rotate":
            return self.say(200, {"kid": self.issuer.rotate(int(body.get("keep", KEEP)))})
        if self.path == "/away":
            self.issuer.away_until = time.monotonic() + float(body.get("seconds", 0))
            return self.say(200, {})
        tenant, claims = body.get("tenant"), body.get("claims", {})
        if self.path != "/token" or not isinstance(tenant, str) or not isinstance(claims, dict):
            return self.say(400, {"error": "POST /token {\"tenant\": \"acme\"}, or POST /rotate"})
        return self.say(200, self.issuer.token(tenant, claims))

    def say(self, status: int, answer: Any) -> None:
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        """Says nothing: a token in a log is a token lost."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
    parser.add_argument("--say", type=Path, required=True, help="file for its address, written when it answers")
    options = parser.parse_args()
    Handler.issuer = Issuer()
    server = ThreadingHTTPServer((HOST, options.port), Handler)
    Handler.issuer.url = f"http://{HOST}:{server.server_port}"
    ready = options.say.with_suffix(".new")
    ready.write_text(json.dumps({"url": Handler.issuer.url, "audience": AUDIENCE}) + "\n")
    ready.rename(options.say)
    server.serve_forever()


if __name__ == "__main__":
    main()
