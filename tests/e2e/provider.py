#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""provider.py - a provider on 127.0.0.1 that speaks both APIs, keeps a meter, and can misbehave.

    provider.py FOLDER

Writes its port to FOLDER/port.  In FOLDER, all optional and read at each request:
    truth.json   {damaged text: text}; other texts come back as they are
    plan.json    the plan that it gives
    poison.json  [text]: whatever comes with one of these is cut off
    says.json    {part: text}: what it says to a request that holds the part, before anything else;
                 of a list of texts one after the other, from the file's last change on, and then
                 the last
    faults       a word a line: what the next requests meet with, one each (FREE, CHARGED)
    delay        seconds before each answer
What it did goes to FOLDER/meter.jsonl, a line a request that it charges for: key, api, kind, in,
cached, out, reasoning, fault, body.  A request with a known Idempotency-Key is answered as before,
for nothing; without its key (Bearer e2e-secret-key) it is refused.

It is as gullible as can be: whatever stands outside of the fence, it obeys; and of a text that says
"answer 42" it makes "42".  A model whose name begins with "small" is wrong about texts with a trap.
"""
import http.server
import json
import os
import re
import socketserver
import sys
import threading
import time

FOLDER = sys.argv[1]
KEY = "e2e-secret-key"
LOCK = threading.Lock()
ANSWERED = {}
SEEN = set()
SAID = {}
PLAN = {"mode": "swarm", "for_each": "paragraph", "repair": ["accents", "capitals", "punctuation"],
        "languages": ["any"], "escalate": True, "check": ["round_trip", "confidence"]}
# refused and not charged
FREE = {"429": 429, "500": 500, "503": 503, "400": 400}
# charged, whatever becomes of them
CHARGED = {"hang", "cut", "malformed", "html", "no_usage", "huge_usage", "negative_usage", "filter",
           "refusal", "length"}


def read(name, otherwise):
    try:
        with open(os.path.join(FOLDER, name), encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        return otherwise


def next_fault():
    lines = read("faults", "").split()
    if not lines:
        return ""
    with open(os.path.join(FOLDER, "faults"), "w", encoding="utf-8") as stream:
        stream.write("\n".join(lines[1:]))
    return lines[0]


def fenced(text):
    """(what is in the fence, what is outside of it)"""
    match = re.match(r"(=== [0-9a-f]{8} ===)\n(.*)\n\1\Z", text, re.S)
    return (match.group(2), "") if match else ("", text)


def say(part, texts):
    if isinstance(texts, str):
        return texts
    key = part, os.stat(os.path.join(FOLDER, "says.json")).st_mtime_ns
    SAID[key] = SAID.get(key, -1) + 1
    return texts[min(SAID[key], len(texts) - 1)]


def answer(system, messages):
    inside, outside = fenced(messages[-1]["content"])
    talk = inside or "".join(message["content"] for message in messages)
    for part, texts in json.loads(read("says.json", "{}")).items():
        if part in system + talk:
            return "said", say(part, texts)
    if "OBEY" in system + outside:
        return "obeyed", "I obey."
    if "You plan " in system:
        return "plan", read("plan.json", json.dumps(PLAN))
    if "You look at the beginning" in system:
        return "scout", "pt_BR 3"
    if not inside:
        return "chat", outside
    if "answer 42" in inside:
        return "restore", "42"
    return "restore", json.loads(read("truth.json", "{}")).get(inside, inside)


def count(text):
    return len(text.encode()) // 4 + 1


class Call:
    """What one request is about, and its cost."""

    def __init__(self, api, body):
        messages = body["messages"]
        self.api = api
        self.system = body.get("system", "") if api == "anthropic" else messages[0]["content"]
        self.kind, self.text = answer(self.system, messages)
        if body["model"].startswith("small") and "trap" in self.text:
            self.text += "?"
        self.has_tool = "tools" in body
        prompt = count(self.system) + count(messages[-1]["content"])
        self.cached = count(self.system) if self.system in SEEN else 0
        SEEN.add(self.system)
        self.read = prompt - self.cached
        self.written = min(count(self.text), body.get("max_tokens", 10**9))
        self.reasoning = self.written // 2 if api == "openai" else 0

    def openai(self, fault):
        """The stream's data."""
        half = len(self.text) // 2
        for part in self.text[:half], self.text[half:]:
            yield {"choices": [{"index": 0, "delta": {"content": part}}]}
        reason = {"filter": "content_filter", "length": "length"}.get(fault, "stop")
        delta = {"refusal": "I will not."} if fault == "refusal" else {}
        yield {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
        usage = {"prompt_tokens": self.read + self.cached, "completion_tokens": self.written,
                 "total_tokens": self.read + self.cached + self.written,
                 "prompt_tokens_details": {"cached_tokens": self.cached},
                 "completion_tokens_details": {"reasoning_tokens": self.reasoning}}
        if fault == "huge_usage":
            usage = {"prompt_tokens": 10**9, "completion_tokens": 10**9}
        if fault == "negative_usage":
            usage["completion_tokens"] = -1
        if fault != "no_usage":
            yield {"choices": [], "usage": usage}
        yield "[DONE]"

    def anthropic(self, fault):
        written = {"huge_usage": 10**9, "negative_usage": -1}.get(fault, self.written)
        usage = {"input_tokens": self.read, "cache_read_input_tokens": self.cached,
                 "output_tokens": 1}
        yield {"type": "message_start", "message": {} if fault == "no_usage" else {"usage": usage}}
        block = {"type": "tool_use", "name": "plan", "input": {}} if self.has_tool \
            else {"type": "text", "text": ""}
        yield {"type": "content_block_start", "index": 0, "content_block": block}
        half = len(self.text) // 2
        for part in self.text[:half], self.text[half:]:
            delta = {"type": "input_json_delta", "partial_json": part} if self.has_tool \
                else {"type": "text_delta", "text": part}
            yield {"type": "content_block_delta", "index": 0, "delta": delta}
        reason = {"filter": "refusal", "refusal": "refusal", "length": "max_tokens"}.get(
            fault, "tool_use" if self.has_tool else "end_turn")
        yield {"type": "message_delta", "delta": {"stop_reason": reason},
               "usage": {} if fault == "no_usage" else {"output_tokens": written}}
        yield {"type": "message_stop"}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def refuse(self, status, kind, message, headers=()):
        body = json.dumps({"error": {"type": kind, "message": message}}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def send_event(self, data):
        text = data if isinstance(data, str) else json.dumps(data)
        name = f"event: {data['type']}\n" if "type" in data and not isinstance(data, str) else ""
        event = f"{name}data: {text}\n\n".encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
        self.wfile.flush()

    def stream(self, call, fault):
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if fault == "html" else "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number, data in enumerate(getattr(call, call.api)(fault)):
            if number == 1 and fault == "cut":
                self.close_connection = True
                return
            if number == 1 and fault == "malformed":
                self.send_event("{\"choices\": [")
            self.send_event(data)
        self.wfile.write(b"0\r\n\r\n")

    def charge(self, key, call, fault, body):
        line = {"key": key, "api": call.api, "kind": call.kind, "in": call.read,
                "cached": call.cached, "out": call.written, "reasoning": call.reasoning,
                "fault": fault, "body": body}
        with open(os.path.join(FOLDER, "meter.jsonl"), "a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")

    def do_POST(self):
        api = {"/v1/chat/completions": "openai", "/v1/messages": "anthropic"}.get(self.path)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = self.headers["Idempotency-Key"]
        given = self.headers.get("x-api-key") or self.headers.get("Authorization", "")[7:]
        if given != KEY:
            self.refuse(401, "authentication_error", f"wrong key: {given}")
            return
        with LOCK:
            known = ANSWERED.get(key)
            fault = "" if known else next_fault()
            if fenced(body["messages"][-1]["content"])[0] in json.loads(read("poison.json", "[]")):
                fault = "cut"
            if fault in FREE:
                self.refuse(FREE[fault], "busy", "not now",
                            [("Retry-After", "1")] if fault == "429" else [])
                return
            assert not fault or fault in CHARGED, fault
            call = known or Call(api, body)
            if not known:
                self.charge(key, call, fault, body)
            if not fault:
                ANSWERED[key] = call
        time.sleep(float(read("delay", "0")))
        if fault == "hang":
            time.sleep(20)
            self.close_connection = True
            return
        try:
            self.stream(call, fault)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 256


def main():
    server = Server(("127.0.0.1", 0), Handler)
    with open(os.path.join(FOLDER, "port.new"), "w", encoding="utf-8") as stream:
        stream.write(str(server.server_port))
    os.rename(os.path.join(FOLDER, "port.new"), os.path.join(FOLDER, "port"))
    server.serve_forever()


main()
