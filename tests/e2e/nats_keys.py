#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""nats_keys.py FOLDER - keys and tokens by which a broker knows its users.

Writes into FOLDER: user.seed and user.nkey (a key pair alone), user.creds (a token, signed by an
account, and its seed), operator.conf (what the broker must know of them).  Layout of nkeys and of
the tokens: https://github.com/nats-io/nkeys, https://github.com/nats-io/jwt.  Signing is openssl's.
"""
import base64
import hashlib
import json
import pathlib
import subprocess
import sys
import time

OPERATOR, ACCOUNT, USER, SEED = 14 << 3, 0 << 3, 20 << 3, 18 << 3
folder = pathlib.Path(sys.argv[1])


def openssl(*words):
    return subprocess.run(["openssl", *words], check=True, capture_output=True).stdout


def base32(data):
    crc = 0
    for byte in data:  # CRC-16, as XMODEM counts it
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return base64.b32encode(data + crc.to_bytes(2, "little")).decode().rstrip("=")


def base64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Key:
    """A key pair: `public` and `seed` as nkeys."""

    def __init__(self, name, kind):
        self.pem = folder / f"{name}.pem"
        openssl("genpkey", "-algorithm", "ed25519", "-out", self.pem)
        private = openssl("pkey", "-in", self.pem, "-outform", "DER")[-32:]
        public = openssl("pkey", "-in", self.pem, "-pubout", "-outform", "DER")[-32:]
        self.public = base32(bytes([kind]) + public)
        self.seed = base32(bytes([SEED | kind >> 5, (kind & 31) << 3]) + private)

    def token(self, name, subject, claims):
        payload = {"iat": int(time.time()), "iss": self.public, "name": name, "sub": subject,
                   "nats": {**claims, "version": 2}}
        text = json.dumps(payload).encode()
        payload["jti"] = base64.b32encode(hashlib.sha256(text).digest()).decode().rstrip("=")
        head = {"typ": "JWT", "alg": "ed25519-nkey"}
        signed = ".".join(base64url(json.dumps(part).encode()) for part in (head, payload))
        (folder / "to_sign").write_text(signed)
        signature = openssl("pkeyutl", "-sign", "-inkey", self.pem, "-rawin", "-in",
                            folder / "to_sign")
        return f"{signed}.{base64url(signature)}"


def main():
    operator, system = Key("operator", OPERATOR), Key("system", ACCOUNT)
    account, user = Key("account", ACCOUNT), Key("user", USER)
    unlimited = dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf",
                               "mem_storage", "disk_storage", "streams", "consumer"), -1)
    unlimited["wildcards"] = True
    tokens = {key.public: operator.token(name, key.public, {"type": "account", "limits": limits})
              for name, key, limits in (
                  ("system", system, {**unlimited, "mem_storage": 0, "disk_storage": 0}),
                  ("swarm", account, unlimited))}
    mine = account.token("lead", user.public, {"type": "user", "subs": -1, "data": -1,
                                               "payload": -1, "pub": {}, "sub": {}})
    own = operator.token("operator", operator.public, {"type": "operator"})
    preload = "\n".join(f"  {key}: {token}" for key, token in tokens.items())
    (folder / "operator.conf").write_text(
        f"operator: {own}\nsystem_account: {system.public}\nresolver: MEMORY\n"
        f"resolver_preload: {{\n{preload}\n}}\n")
    (folder / "user.creds").write_text(
        f"-----BEGIN NATS USER JWT-----\n{mine}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n")
    (folder / "user.seed").write_text(user.seed + "\n")
    (folder / "user.nkey").write_text(user.public + "\n")


main()
