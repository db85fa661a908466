"""Shows that the local issuer does what an issuer does: discovery, keys, tokens that its keys confirm, rotation.

Must not need a stack. Run: python -m unittest tests/local/test_tokens.py
"""
from __future__ import annotations

import base64
import json
import sys
import threading
import unittest
import urllib.error
import urllib.request
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

sys.path.insert(0, str(Path(__file__).parent))

import issuer  # noqa: E402
import tokens  # noqa: E402


class TheIssuer(unittest.TestCase):
    def setUp(self) -> None:
        issuer.Handler.issuer = issuer.Issuer()
        self.server = ThreadingHTTPServer((issuer.HOST, 0), issuer.Handler)
        self.url = issuer.Handler.issuer.url = f"http://{issuer.HOST}:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def tearDown(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def get(self, url: str) -> dict[str, Any]:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10) as answer:
            return dict(json.load(answer))

    def keys(self) -> dict[str, dict[str, str]]:
        about = self.get(f"{self.url}/.well-known/openid-configuration")
        self.assertEqual(self.url, about["issuer"])
        return {key["kid"]: key for key in self.get(about["jwks_uri"])["keys"]}

    def said(self, token: str) -> tuple[str, dict[str, Any]]:
        """The key's id and the claims, if that key confirms them."""
        head, claims, signature = token.split(".")
        kid = json.loads(decoded(head))["kid"]
        key = self.keys()[kid]
        modulus, exponent = (int.from_bytes(decoded(key[name]), "big") for name in ("n", "e"))
        public = rsa.RSAPublicNumbers(exponent, modulus).public_key()
        public.verify(decoded(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())
        return kid, json.loads(decoded(claims))

    def test_a_token_says_what_the_functions_ask_for(self) -> None:
        _, claims = self.said(tokens.Tokens(self.url).of("acme"))
        self.assertEqual((self.url, issuer.AUDIENCE, "acme"), (claims["iss"], claims["aud"], claims["tenant_id"]))
        self.assertEqual(issuer.LIFE_SECONDS, claims["exp"] - claims["nbf"])

    def test_claims_can_be_changed_and_taken_away(self) -> None:
        asked = {"tenant": "acme", "claims": {"aud": "other", "tenant_id": None}}
        _, claims = self.said(tokens.ask(self.url, "/token", asked)["access_token"])
        self.assertEqual("other", claims["aud"])
        self.assertNotIn("tenant_id", claims)

    def test_a_rotation_signs_with_a_new_key_and_keeps_the_one_before(self) -> None:
        mine = tokens.Tokens(self.url)
        old = mine.of("acme")
        self.assertEqual(old, mine.of("acme"), "a token is asked for once")
        self.assertNotEqual(old, mine.of("globex"))
        new = mine.rotate()
        self.assertEqual(new, self.said(mine.of("acme"))[0])
        self.assertEqual(["key-1", new], [self.said(old)[0], *list(self.keys())[1:]])
        tokens.ask(self.url, "/rotate", {"keep": 0})
        self.assertEqual(1, len(self.keys()), "withdrawn at once")

    def test_an_issuer_that_is_away_shows_no_keys_and_comes_back(self) -> None:
        keys = f"{self.url}/.well-known/jwks.json"
        self.assertEqual({}, tokens.ask(self.url, "/away", {"seconds": 60}))
        with self.assertRaises(urllib.error.HTTPError) as away:
            self.get(keys)
        away.exception.close()
        self.assertEqual(503, away.exception.code)
        tokens.ask(self.url, "/away", {"seconds": 0})
        self.assertEqual(1, len(self.get(keys)["keys"]))


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


if __name__ == "__main__":
    unittest.main()
