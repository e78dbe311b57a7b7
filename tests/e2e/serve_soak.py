# SPDX-License-Identifier: Apache-2.0
"""serve_soak.py - a server between hostile clients and one that only wants its answers.

    serve_soak.py ENXAME FOLDER REQUESTS SECONDS

So many random requests in about so many seconds: malformed, changed in a few bytes, oversized, cut
off, left half open, dripped byte by byte, read slowly.  Meanwhile somebody asks the same question
over and over.  The server must live, that question must have the same answer in time, and the heap
in use, looked at while nothing is open, must not differ by more than 1 % after the first tenth.
"""
import json
import random
import re
import sys
import threading
import time

from serve import Server, chat, events, raw, text_of

REQUESTS, SECONDS = int(sys.argv[3]), float(sys.argv[4])
THREADS, LOOKS, HELD_MAX = 8, 10, 24
FLAT = 0.01 if SECONDS >= 600 else 0.02  # short runs are still filling what is kept
PATHS = ["/", "/v1/models", "/v1/models/chat", "/v1/chat/completions", "/v1/completions",
         "/v1/responses", "/v1/messages", "/v1/messages/count_tokens", "/v1/embeddings",
         "/v1/files/file-1", "/v1/batches/batch_1", "/enxame/v1/info", "/enxame/v1/workers",
         "/enxame/v1/jobs/1", "/enxame/v1/jobs/x/events", "/metrics", "/healthz", "/artifact",
         "/%00", "/../..", "/v1/models?" + "a=b&" * 500]
VALUES = [None, [], {}, 7, -1, 1e300, "x", "\u0000", "\ud83d", True, [[[]]], {"a": {"b": []}},
          [{"role": "user", "content": "x"}], [{"role": 7}], "chat"]
FIELDS = ["model", "messages", "prompt", "input", "max_tokens", "n", "stop", "tools", "stream",
          "temperature", "seed", "logit_bias", "response_format", "tool_choice", "system"]


def some_body(chance):
    kind = chance.randrange(5)
    if kind == 0:
        return bytes(chance.randrange(256) for _ in range(chance.randrange(200)))
    if kind == 1:
        return b"[" * chance.randrange(5000)
    body = chat(chance.randrange(1, 6), stream=chance.random() < 0.5)
    for _ in range(chance.randrange(4)):
        body[chance.choice(FIELDS)] = chance.choice(VALUES)
    text = bytearray(json.dumps(body).encode())
    if kind == 2:
        for _ in range(chance.randrange(1, 6)):
            text[chance.randrange(len(text))] = chance.randrange(256)
    return bytes(text)


def some_request(chance):
    body = some_body(chance)
    method = chance.choice(["GET", "POST", "POST", "POST", "DELETE", "OPTIONS", "BREW"])
    size = len(body) + (chance.randrange(-2, 3) if chance.random() < 0.2 else 0)
    lines = [f"{method} {chance.choice(PATHS)} HTTP/1.{chance.randrange(2)}".encode(),
             b"Host: localhost", f"Content-Length: {size}".encode()]
    if chance.random() < 0.2:
        lines.insert(1, bytes(chance.randrange(1, 256) for _ in range(chance.randrange(40))))
    if chance.random() < 0.1:
        lines.append(b"X: " + b"y" * chance.randrange(100000))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


class Fuzzer(threading.Thread):
    def __init__(self, server, seed, count, until):
        super().__init__(daemon=True)
        self.server, self.count, self.until = server, count, until
        self.chance = random.Random(seed)
        self.held = []

    def hold(self, s):
        self.held.append(s)
        if len(self.held) > HELD_MAX:
            self.held.pop(self.chance.randrange(len(self.held))).close()

    def one(self):
        chance, kind = self.chance, self.chance.randrange(20)
        s = self.server.socket(receive_bytes=2048 if kind == 3 else None)
        try:
            s.settimeout(0.5)
            if kind == 0:  # half open, from nothing to most of a request
                text = some_request(chance)
                s.sendall(text[:chance.randrange(len(text))])
                return self.hold(s)
            if kind == 1:  # slowloris: the held ones get a byte more now and then
                s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n")
                return self.hold(s)
            if kind == 2:  # more than the server takes
                s.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
                          b"Content-Length: 3000000\r\n\r\n" + b"x" * chance.randrange(300000))
            elif kind == 3:  # asks for much, and reads nothing
                s.sendall(raw("/v1/chat/completions", chat(400, stream=True)))
                return self.hold(s)
            else:
                s.sendall(some_request(chance))
            if kind < 18:
                s.recv(4096)
        except OSError:
            pass
        s.close()

    def drip(self):
        for s in self.held:
            try:
                s.setblocking(False)
                s.send(b"z")
            except OSError:
                pass

    def run(self):
        started = time.monotonic()
        pause = (self.until - started) / self.count
        for i in range(self.count):
            self.one()
            if i % 50 == 0:
                self.drip()
            ahead = started + (i + 1) * pause - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
        for s in self.held:
            s.close()


class Witness(threading.Thread):
    """Somebody who is to notice nothing of all that."""
    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.seconds, self.is_over = server, [], False
        self.expected = self.answer()

    def answer(self):
        text = self.server.ask("POST", "/v1/chat/completions", chat(20, stream=True))[2]
        assert text.endswith(b"data: [DONE]\n\n"), text[-200:]
        return text_of(events(text))

    def run(self):
        while not self.is_over:
            started = time.monotonic()
            assert self.answer() == self.expected
            self.seconds.append(time.monotonic() - started)
            time.sleep(0.05)


def heap(server):
    """In use while nobody else is connected and nothing is answered: all of one look."""
    for _ in range(3000):
        text = server.ask("GET", "/metrics")[2].decode()
        now = dict(re.findall(r"^enxame_(turns_open|connections|heap_bytes) (\S+)$", text, re.M))
        if now["turns_open"] == "0" and now["connections"] == "1":
            return float(now["heap_bytes"])
        time.sleep(0.01)
    raise AssertionError(f"connections stay open: {now}")


def soak(server):
    looks = []
    witness = Witness(server)
    witness.start()
    for part in range(LOOKS + 1):
        until = time.monotonic() + SECONDS / LOOKS
        count = REQUESTS // LOOKS // THREADS
        fuzzers = [Fuzzer(server, 1000 * part + k, count, until) for k in range(THREADS)]
        for f in fuzzers:
            f.start()
        for f in fuzzers:
            f.join()
        if part == LOOKS:
            witness.is_over = True
            witness.join()
        assert server.process.poll() is None, "the server died"
        looks.append(heap(server))
        print(f"{(part + 1) * count * THREADS} requests, heap {looks[-1]:.0f}", flush=True)
    settled = looks[LOOKS // 3:]  # before that, what is kept for the next request is still growing
    first = settled[0]
    # 0: the heap of a sanitizer, which finds leaks by itself
    worst = max(abs(look - first) / first for look in settled) if first else 0
    slow = sorted(witness.seconds)
    print(json.dumps({"requests": (LOOKS + 1) * count * THREADS, "heap_bytes": first,
                      "heap_differs": round(worst, 5), "witness_answers": len(slow),
                      "witness_s_median": round(slow[len(slow) // 2], 4),
                      "witness_s_worst": round(slow[-1], 3)}), flush=True)
    assert worst <= FLAT, looks
    assert slow[-1] < 10, "the others were affected"


if __name__ == "__main__":
    with Server("--body-bytes", str(1 << 20), "--arrive", "1", "--idle", "2", "--quiet") as served:
        soak(served)
