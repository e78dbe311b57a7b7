#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""nats_say.py PORT SUBJECT [FILE] - publish bytes (default: standard input) as a stranger would."""
import socket
import sys

port, subject = int(sys.argv[1]), sys.argv[2]
data = open(sys.argv[3], "rb").read() if len(sys.argv) > 3 else sys.stdin.buffer.read()
with socket.create_connection(("127.0.0.1", port), timeout=5) as server:
    server.recv(65536)  # INFO
    server.sendall(b'CONNECT {"verbose":false}\r\n')
    server.sendall(b"PUB %s %d\r\n%s\r\nPING\r\n" % (subject.encode(), len(data), data))
    answer = b""
    while b"PONG" not in answer:
        part = server.recv(65536)
        if not part:
            sys.exit("the broker hung up: " + answer.decode(errors="replace"))
        answer += part
    if b"-ERR" in answer:
        sys.exit(answer.decode(errors="replace"))
