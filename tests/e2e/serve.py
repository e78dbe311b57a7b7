# SPDX-License-Identifier: Apache-2.0
"""serve.py - what clients may do to a server, and what it must not do to others.

    serve.py ENXAME FOLDER      FOLDER has models/ of make_tiny_models
"""
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

ENXAME, FOLDER = sys.argv[1:3]
KEYS = """keys:
  - {name: ana, key: sk-aaaaaaaaaaaaaaaa, requests_per_min: 3}
  - {name: eva, key: sk-cccccccccccccccc}
  - {name: ivo, key: sk-dddddddddddddddd, usd: 1}
  - {name: boss, key: sk-eeeeeeeeeeeeeeee, all_jobs: true}
  - {name: rui, key: sk-bbbbbbbbbbbbbbbb, usd: 0.0000001}
"""


class Server:
    def __init__(self, *options, swarm=False):
        self.log = open(os.path.join(FOLDER, "log"), "w+", encoding="utf-8")
        command = [ENXAME, "serve", "--port", "0", "--json", "--threads", "1", *options]
        if swarm:
            command += ["-s", os.path.join(FOLDER, "models/swarm.yaml")]
        command.append(os.path.join(FOLDER, "models/chat.gguf"))
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            raise AssertionError(self.log.read())
        self.port = int(json.loads(line)["url"].rstrip("/").rsplit(":", 1)[1])

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(20) == 0, self.process.returncode
        self.log.close()

    def ask(self, method, path, body=None, headers=None, timeout=30):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, answer.headers, text

    def json(self, *arguments, status=200, **more):
        code, _, text = self.ask(*arguments, **more)
        assert code == status, (code, text)
        return json.loads(text)

    def socket(self, receive_bytes=None):
        s = socket.socket()
        if receive_bytes:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        s.settimeout(30)
        s.connect(("127.0.0.1", self.port))
        return s

    def metric(self, name):
        text = self.ask("GET", "/metrics")[2].decode()
        return float(re.search(rf"^enxame_{name} (\S+)$", text, re.M).group(1))

    def settles(self):
        for _ in range(500):
            if self.metric("turns_open") == 0:
                return
            time.sleep(0.01)
        raise AssertionError("a turn is still open")


def chat(tokens, **more):
    return {"model": "chat", "max_tokens": tokens, "seed": 5,
            "messages": [{"role": "user", "content": "secret words"}], **more}


def raw(path, body):
    text = json.dumps(body)
    return (f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(text)}\r\n\r\n{text}").encode()


def events(text):
    lines = text.decode().split("\n")
    return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


def text_of(stream):
    return "".join(choice["delta"].get("content", "")
                   for event in stream for choice in event["choices"])


def check_paths(server):
    assert server.json("GET", "/healthz") == {"status": "ok"}
    assert "chat" in [m["id"] for m in server.json("GET", "/v1/models")["data"]]
    server.json("GET", "/v1/models/none", status=404)
    server.json("GET", "/none", status=404)
    server.json("PUT", "/v1/models", status=405)
    server.json("POST", "/v1/embeddings", {"model": "chat", "input": "x"}, status=400)
    error = server.json("POST", "/v1/messages", {"model": "none"}, status=400)
    assert error["type"] == "error" and error["error"]["type"] == "invalid_request_error"
    server.json("POST", "/v1/chat/completions", "{", status=400)
    server.json("POST", "/v1/chat/completions", "[" * 100000, status=400)
    info = server.json("GET", "/enxame/v1/info")
    assert info["limits"]["body_bytes"] == 1 << 20 and not info["needs_key"]
    assert info["law"] is False
    server.json("GET", "/enxame/v1/law", status=404)


def check_page(server):
    code, headers, text = server.ask("GET", "/")
    assert code == 200 and text.lower().startswith(b"<!doctype html>")
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "script-src 'unsafe-inline'" not in headers["Content-Security-Policy"]
    assert server.ask("GET", "/", headers={"If-None-Match": headers["ETag"]})[0] == 304
    zipped = server.ask("GET", "/", headers={"Accept-Encoding": "gzip"})
    assert zipped[1]["Content-Encoding"] == "gzip" and zipped[2][:2] == b"\x1f\x8b"
    frame = server.ask("GET", "/artifact")[1]["Content-Security-Policy"]
    assert frame.startswith("sandbox allow-scripts;") and "connect-src 'none'" in frame


def check_origins(server):
    for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"},
                    {"Origin": "null"}):
        assert server.ask("GET", "/v1/models", headers=headers)[0] == 403, headers
    own = {"Origin": f"http://127.0.0.1:{server.port}"}
    assert server.ask("GET", "/v1/models", headers=own)[0] == 200


def check_streams(server):
    whole = server.json("POST", "/v1/chat/completions", chat(200))
    text = server.ask("POST", "/v1/chat/completions", chat(200, stream=True))[2]
    assert text.endswith(b"data: [DONE]\n\n")
    assert text_of(events(text)) == whole["choices"][0]["message"]["content"]


def check_wakes(server):
    """A stream's first event and a whole answer are sent when they are there, not at a timeout."""
    def first_byte():
        began = time.monotonic()
        s = server.socket()
        s.sendall(raw("/v1/chat/completions", chat(3, stream=True)))
        while b"data: " not in s.recv(10000):
            pass
        s.close()
        return time.monotonic() - began

    def whole():
        began = time.monotonic()
        server.json("POST", "/v1/chat/completions", chat(3))
        return time.monotonic() - began

    for ask in (first_byte, whole):
        best = min(ask() for _ in range(5))
        assert best < 0.5, (ask.__name__, best)


def check_batch_of_streams(server):
    results = []

    def ask():
        results.append(server.ask("POST", "/v1/chat/completions", chat(60, stream=True))[2])
    threads = [threading.Thread(target=ask) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    texts = {text_of(events(text)) for text in results}
    assert len(results) == 40 and len(texts) == 1, texts


def check_engine_counters(server):
    rows, steps = (server.metric(rf'engine_{name}_total\{{model="chat"\}}')
                   for name in ("rows", "steps"))
    assert rows >= steps > 0, (rows, steps)
    pages, free, kept = (server.metric(rf'engine_{name}\{{model="chat"\}}')
                         for name in ("pages", "pages_free", "pages_remembered"))
    assert pages >= free + kept > 0, (pages, free, kept)
    out, hits, requests, count = (server.metric(rf'engine_{name}\{{model="chat"\}}')
                                  for name in ("tokens_out_total", "prefix_hits_total",
                                               "requests_total", "batch_rows_count"))
    assert out > 0 and 0 < hits < requests and count == steps, (out, hits, requests, count, steps)
    assert server.metric(r'engine_waiting\{model="chat"\}') == 0


def check_disconnects(server):
    for body in (chat(900, stream=True), chat(900), chat(900, n=4)):
        s = server.socket()
        s.sendall(raw("/v1/chat/completions", body))
        if body.get("stream"):
            s.recv(100)
        else:
            time.sleep(0.05)
        s.close()
        started = time.monotonic()
        server.settles()
        assert time.monotonic() - started < 2
    s = server.socket()
    s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
              b"Content-Length: 100\r\n\r\n{")
    s.close()
    check_streams(server)


def check_slow_reader(server):
    expected = server.json("POST", "/v1/chat/completions", chat(900))
    slow = server.socket(receive_bytes=2048)
    slow.sendall(raw("/v1/chat/completions", chat(900, stream=True)))
    started = time.monotonic()
    for _ in range(5):
        check_streams(server)
    assert time.monotonic() - started < 20
    text = b""
    while b"data: [DONE]" not in text:
        part = slow.recv(700)
        assert part
        text += part
    slow.close()
    body = text.split(b"\r\n\r\n", 1)[1]
    body = re.sub(rb"\r\n[0-9a-fA-F]+\r\n", b"", b"\r\n" + body)  # chunks of the transfer
    assert text_of(events(body)) == expected["choices"][0]["message"]["content"]


def check_limits(server):
    large = "x" * (1 << 20)
    assert server.ask("POST", "/v1/completions", {"prompt": large})[0] == 413
    s = server.socket()
    s.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
              b"Transfer-Encoding: chunked\r\n\r\n")
    try:
        for _ in range(40):
            s.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        s.sendall(b"0\r\n\r\n")
    except (BrokenPipeError, ConnectionResetError):
        pass
    else:
        assert b" 413 " in s.recv(100)
    s.close()
    s = server.socket()
    try:
        s.sendall(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * (1 << 20))
        answer = s.recv(1000)
    except (BrokenPipeError, ConnectionResetError):
        answer = b""
    assert b" 200 " not in answer
    s.close()
    too_long = server.json("POST", "/v1/chat/completions",
                           {"model": "chat", "messages": [{"role": "user", "content": "y" * 5000}]},
                           status=400)
    assert "context" in too_long["error"]["message"]


def check_slowloris(server):
    sockets = [server.socket() for _ in range(20)]
    for s in sockets:
        s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n")
    until = time.monotonic() + 10
    open_sockets = list(sockets)
    while open_sockets and time.monotonic() < until:
        for s in list(open_sockets):
            try:
                s.sendall(b"X: y\r\n")
                s.setblocking(False)
                if s.recv(1000) == b"":
                    open_sockets.remove(s)
            except BlockingIOError:
                pass
            except OSError:
                open_sockets.remove(s)
            finally:
                s.setblocking(True)
        time.sleep(0.2)
    assert not open_sockets
    for s in sockets:
        s.close()


def check_garbage(server):
    chance = random.Random(7)
    paths = ["/", "/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/files",
             "/enxame/v1/jobs/1/events", "/v1/batches/x", "/%00", "/../.."]
    for _ in range(400):
        body = bytes(chance.randrange(256) for _ in range(chance.randrange(60)))
        if chance.random() < 0.5:
            body = json.dumps({chance.choice(["model", "messages", "input", "n"]):
                               chance.choice([None, [], {}, 7, "x", -1, 1e300])}).encode()
        head = f"{chance.choice(['GET', 'POST', 'DELETE', 'BREW'])} {chance.choice(paths)} HTTP/1.1"
        lines = [head, "Host: localhost", f"Content-Length: {len(body) + chance.randrange(3) - 1}"]
        if chance.random() < 0.2:
            lines[chance.randrange(3)] = "".join(chr(chance.randrange(1, 255)) for _ in range(9))
        s = server.socket()
        try:
            s.sendall("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
            s.settimeout(0.05)
            s.recv(1000)
        except OSError:
            pass
        s.close()
    check_streams(server)


def check_log(server):
    server.log.flush()
    with open(server.log.name, encoding="utf-8") as stream:
        text = stream.read()
    lines = [json.loads(line) for line in text.splitlines()]
    assert any(line["log"] == "turn" and line["tokens_out"] > 0 for line in lines)
    assert any(line["log"] == "request" and line["status"] == 413 for line in lines)
    assert "secret words" not in text and "sk-" not in text


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


IVO, EVA, BOSS = (bearer("sk-" + letter * 16) for letter in "dce")


def upload(server, name, content, headers=None):
    boundary = ("--b\r\nContent-Disposition: form-data; name=\"{}\"; filename=\"{}\"\r\n\r\n"
                "{}\r\n")
    body = boundary.format("purpose", "", "batch") + boundary.format("file", name, content)
    form = {"Content-Type": "multipart/form-data; boundary=b"}
    return server.json("POST", "/v1/files", body + "--b--\r\n",
                       headers=form | (headers or {}))["id"]


def check_owners(server):
    """Jobs are charged to their key, and seen by it and by those that see all."""
    text = "por quanto tempo o povo\nola que tal amigo\n"
    order = {"goal": "put it back", "input": text}
    server.json("POST", "/enxame/v1/jobs", order | {"budget": 2}, status=429, headers=IVO)
    # two without budget at a time: neither holds all that the key has
    jobs = [server.json("POST", "/enxame/v1/jobs", order, status=201, headers=IVO)["id"]
            for _ in range(2)]
    path = f"/enxame/v1/jobs/{jobs[0]}"
    ended = [server.json("GET", f"/enxame/v1/jobs/{job}?wait=true", headers=IVO) for job in jobs]
    assert all(e["state"] == "done" and e["bill"]["cost_usd"] > 0 for e in ended), ended
    for method, where in (("GET", path), ("GET", path + "/events"), ("DELETE", path),
                          ("POST", path + "/approve")):
        server.json(method, where, headers=EVA, status=404)
    assert server.json("GET", "/enxame/v1/jobs", headers=EVA)["jobs"] == []
    for key in (IVO, BOSS):
        listed = server.json("GET", "/enxame/v1/jobs", headers=key)["jobs"]
        assert [j["id"] for j in listed] == jobs[::-1]
    question = [{"role": "user", "content": "put it back\n\n" + text}]
    answer = server.json("POST", "/v1/chat/completions", {"model": "swarm", "messages": question},
                         headers=IVO)
    return sum(e["bill"]["cost_usd"] for e in ended) + answer["enxame"]["bill"]["cost_usd"]


def check_keys():
    path_of_keys = os.path.join(FOLDER, "keys.yaml")
    with open(path_of_keys, "w", encoding="utf-8") as stream:
        stream.write(KEYS)
    with Server("--key-file", path_of_keys, swarm=True) as server:
        server.json("GET", "/v1/models", status=401)
        server.json("GET", "/v1/models", headers=bearer("sk-aaaaaaaaaaaaaaab"), status=401)
        server.json("GET", "/v1/models", headers={"x-api-key": "sk-aaaaaaaaaaaaaaaa"})
        assert server.ask("GET", "/healthz")[0] == 200 and server.ask("GET", "/")[0] == 200
        for _ in range(3):
            server.json("POST", "/v1/chat/completions", chat(2),
                        headers=bearer("sk-aaaaaaaaaaaaaaaa"))
        code, headers, _ = server.ask("POST", "/v1/chat/completions", chat(2),
                                      headers=bearer("sk-aaaaaaaaaaaaaaaa"))
        assert code == 429 and 10 <= int(headers["Retry-After"]) <= 20, (code, dict(headers))
        poor = {"model": "lead", "prompt": "x", "max_tokens": 1000}
        error = server.json("POST", "/v1/completions", poor, headers=bearer("sk-bbbbbbbbbbbbbbbb"),
                            status=429)
        assert "budget" in error["error"]["message"]
        poor["max_tokens"] = 2
        server.json("POST", "/v1/completions", poor, headers=bearer("sk-bbbbbbbbbbbbbbbb"))

        # files of others are not found
        path = "/v1/files/" + upload(server, "f", "{}", bearer("sk-bbbbbbbbbbbbbbbb"))
        server.json("GET", path, headers=bearer("sk-bbbbbbbbbbbbbbbb"))
        server.json("GET", path, headers=bearer("sk-cccccccccccccccc"), status=404)
        cost = check_owners(server)
    spent = json.load(open(os.path.join(os.environ["ENXAME_HOME"], "serve/spent.json")))
    assert spent["rui"] > 0
    assert abs(spent["ivo"] * 1e-9 - cost) < 1e-12, (spent, cost)
    with Server("--key-file", path_of_keys, swarm=True) as server:  # nothing is charged twice
        assert len(server.json("GET", "/enxame/v1/jobs", headers=IVO)["jobs"]) == 3
    assert json.load(open(os.path.join(os.environ["ENXAME_HOME"], "serve/spent.json"))) == spent


def check_jobs():
    lines = "por quanto tempo o povo\nola que tal amigo\nela e a herdeira\nmais uma linha\n"
    with Server(swarm=True) as server:
        job = server.json("POST", "/enxame/v1/jobs", {"goal": "put it back", "input": lines},
                          status=201)["id"]
        text = server.ask("GET", f"/enxame/v1/jobs/{job}/events?from=0")[2].decode()
        assert text.endswith('event: end\ndata: {"state":"done"}\n\n')
        kinds = [event["kind"] for event in events(text.split("event: end")[0].encode())]
        assert kinds[0] == "job_opened" and kinds[-1] == "job_done" and "plan_accepted" in kinds
        seqs = [int(line[4:]) for line in text.splitlines() if line.startswith("id: ")]
        assert seqs == list(range(1, len(seqs) + 1))
        rest = server.ask("GET", f"/enxame/v1/jobs/{job}/events",
                          headers={"Last-Event-ID": str(seqs[-3])})[2].decode()
        assert [int(line[4:]) for line in rest.splitlines() if line.startswith("id: ")] == seqs[-2:]
        whole = server.json("GET", f"/enxame/v1/jobs/{job}")
        assert whole["state"] == "done" and whole["tasks_total"] == 4
        assert whole["last_seq"] == seqs[-1]
        assert whole["result"]["text"].count("\n") == 4 and whole["bill"]["cost_usd"] > 0
        assert whole["tasks"][1]["input"] == "ola que tal amigo"
        server.json("DELETE", f"/enxame/v1/jobs/{job}", status=409)

        job = server.json("POST", "/enxame/v1/jobs", {"goal": "x", "input": lines, "approve": True},
                          status=201)["id"]
        for _ in range(200):
            if server.json("GET", f"/enxame/v1/jobs/{job}")["state"] == "waiting":
                break
            time.sleep(0.05)
        waiting = server.json("GET", f"/enxame/v1/jobs/{job}")
        assert waiting["state"] == "waiting" and waiting["plan"] and waiting["finished"] == 0
        server.json("POST", f"/enxame/v1/jobs/{job}/approve", status=202)
        assert b'"state":"done"' in server.ask("GET", f"/enxame/v1/jobs/{job}/events")[2]
        server.json("POST", f"/enxame/v1/jobs/{job}/approve", status=409)

        records = [{"text": line, "id": i} for i, line in enumerate(lines.splitlines())]
        job = server.json("POST", "/enxame/v1/jobs", {"goal": "x", "records": records},
                          status=201)["id"]
        server.ask("GET", f"/enxame/v1/jobs/{job}/events")
        answers = server.json("GET", f"/enxame/v1/jobs/{job}")["result"]["records"]
        assert [a["id"] for a in answers] == [0, 1, 2, 3] and all(a["answer"] for a in answers)

        job = server.json("POST", "/enxame/v1/jobs", {"goal": "x", "input": lines, "approve": True},
                          status=201)["id"]
        server.json("DELETE", f"/enxame/v1/jobs/{job}")
        text = server.ask("GET", f"/enxame/v1/jobs/{job}/events")[2]
        assert b'event: end\ndata: {"state":"' in text
        server.json("GET", "/enxame/v1/jobs/999", status=404)
        server.json("POST", "/enxame/v1/jobs", {"goal": "x"}, status=400)

        question = [{"role": "user", "content": "put it back\n\n" + lines}]
        answer = server.json("POST", "/v1/chat/completions",
                             {"model": "swarm", "messages": question})
        assert answer["choices"][0]["message"]["content"].count("\n") == 4
        bill = answer["enxame"]["bill"]
        assert answer["usage"]["completion_tokens"] == bill["tokens_out"]
        assert answer["enxame"]["plan"]
        listed = server.json("GET", "/enxame/v1/jobs?limit=2")["jobs"]
        assert [j["id"] for j in listed] == [answer["enxame"]["job"], job]
        question = [{"role": "user", "content": "no text"}]
        server.json("POST", "/v1/chat/completions", {"model": "swarm", "messages": question},
                    status=400)


RECIPE = """class: reading
input: text
schema: {type: object, properties: {n: {type: integer, minimum: 10, maximum: 42}},
  required: [n], additionalProperties: false}
checks: [schema]
report: how
"""


def check_recipes():
    """What JOB.yaml says, over the API: as YAML, as JSON, of a file, and as a batch."""
    swarm = os.path.join(FOLDER, "models/swarm.yaml")
    with open(swarm, encoding="utf-8") as stream:
        lines = [line for line in stream if not line.startswith("scout")]
    whole = os.path.join(FOLDER, "models/class.yaml")
    with open(whole, "w", encoding="utf-8") as stream:
        stream.writelines(lines)
    records = [{"id": i, "text": f"mais uma linha {i}"} for i in range(6)]
    schema = {"type": "integer", "minimum": 3, "maximum": 5}
    with Server("-s", whole) as server:
        job_file = upload(server, "job.yaml", RECIPE)
        file = upload(server, "in.jsonl", "".join(json.dumps(r) + "\n" for r in records))
        for order in ({"job": RECIPE, "records": records},
                      {"job_file_id": job_file, "input_file_id": file}):
            job = server.json("POST", "/enxame/v1/jobs", order, status=201)["id"]
            ended = server.json("GET", f"/enxame/v1/jobs/{job}?wait=true")
            answers = ended["result"]["records"]
            assert ended["state"] == "done" and ended["goal"] == "reading", ended["error"]
            assert [a["id"] for a in answers] == list(range(6))
            assert all(10 <= a["answer"]["n"] <= 42 and a["how"] for a in answers)
        order = {"job": {"class": "reading", "input": "text", "schema": schema,
                         "checks": ["schema"]}, "records": records}
        job = server.json("POST", "/enxame/v1/jobs", order, status=201)["id"]
        ended = server.json("GET", f"/enxame/v1/jobs/{job}?wait=true")
        assert all(3 <= a["answer"] <= 5 for a in ended["result"]["records"])
        command = [{"check": "run", "run": "id"}]
        for bad, says in (({"job": {"class": "x", "schema": "/etc/passwd"}}, "no file of the"),
                          ({"job": {"class": "x", "checks": command}}, "run"),
                          ({"job": {"klass": "x"}}, "did you mean"),
                          ({"job": "{"}, "job"), ({"job": 7}, "job:"), ({}, "job_file_id"),
                          ({"job": RECIPE, "goal": "x"}, "one of goal")):
            error = server.json("POST", "/enxame/v1/jobs", bad | {"records": records}, status=400)
            assert says in error["error"]["message"], error
        server.json("POST", "/enxame/v1/jobs", {"job": RECIPE, "input": "x"}, status=400)
        server.json("POST", "/enxame/v1/jobs", {"job_file_id": "no", "records": records},
                    status=404)
        batch = check_job_batches(server, job_file, file)
    check_batch_after_crash(whole, batch)


def ended_batch(server, order):
    """Of an order, or of the id of a batch that is there."""
    if isinstance(order, str):
        batch = server.json("GET", "/v1/batches/" + order)
    else:
        batch = server.json("POST", "/v1/batches", order)
    until = time.monotonic() + 60
    while batch["status"] not in ("completed", "failed", "cancelled"):
        assert time.monotonic() < until, batch
        time.sleep(0.05)
        batch = server.json("GET", "/v1/batches/" + batch["id"])
    return batch


def check_job_batches(server, job_file, file):
    order = {"input_file_id": file, "endpoint": "/enxame/v1/jobs", "completion_window": "24h",
             "metadata": {"job_file_id": job_file, "accuracy": "0.5", "budget": "1"}}
    batch = ended_batch(server, order)
    assert batch["status"] == "completed" and batch["request_counts"]["completed"] == 6, batch
    assert batch["enxame"]["bill"]["cost_usd"] > 0 and "certificate" in batch["enxame"], batch
    text = server.ask("GET", f"/v1/files/{batch['output_file_id']}/content")[2]
    answers = [json.loads(line) for line in text.splitlines()]
    assert [a["id"] for a in answers] == list(range(6)) and all(a["answer"]["n"] for a in answers)
    order["metadata"] = {"job_file_id": job_file, "accuracy": "much"}
    failed = ended_batch(server, order)
    assert failed["status"] == "failed", failed
    assert "accuracy" in failed["errors"]["data"][0]["message"], failed
    return batch


def check_batch_after_crash(swarm, batch):
    """A crash between a job and its number in the batch's file: no second job is made."""
    path = os.path.join(os.environ["ENXAME_HOME"], "serve", batch["id"] + ".json")
    early = {k: v for k, v in batch.items() if k != "enxame"} | {"status": "in_progress",
                                                                 "output_file_id": None}
    with open(path, "w", encoding="utf-8") as stream:
        json.dump(early, stream)
    with Server("-s", swarm) as server:
        again = ended_batch(server, batch["id"])
        assert again["status"] == "completed" and again["request_counts"]["completed"] == 6, again
        assert again["enxame"]["job"] == batch["enxame"]["job"], (again, batch)
        assert again["enxame"]["bill"] == batch["enxame"]["bill"]


def check_batches():
    """More batches than may run at a time: all end, and one that waits can be canceled."""
    line = {"custom_id": "a", "url": "/v1/chat/completions", "method": "POST", "body": chat(300)}
    with Server() as server:
        lines = "".join(json.dumps(line | {"custom_id": str(i)}) + "\n" for i in range(3))
        order = {"input_file_id": upload(server, "in.jsonl", lines), "completion_window": "24h",
                 "endpoint": "/v1/chat/completions"}
        ids = [server.json("POST", "/v1/batches", order)["id"] for _ in range(12)]
        canceled = server.json("POST", f"/v1/batches/{ids[-1]}/cancel")
        assert canceled["status"] in ("cancelling", "cancelled"), canceled
        last = ended_batch(server, order)
        states = [server.json("GET", "/v1/batches/" + i) for i in ids]
        assert last["status"] == "completed"
        assert [s["status"] for s in states] == ["completed"] * 11 + ["cancelled"], states
        assert all(s["request_counts"]["completed"] == 3 for s in states[:-1])
        lines = "".join(json.dumps(line | {"custom_id": str(i), "body": chat(900)}) + "\n"
                        for i in range(40))
        order["input_file_id"] = upload(server, "long.jsonl", lines)
        codes = [server.ask("POST", "/v1/batches", order)[0] for _ in range(120)]
        assert codes[:90] == [200] * 90 and 429 in codes[90:], codes
        started = time.monotonic()
    assert time.monotonic() - started < 10  # what is open does not hold up the end
    with Server() as server:
        listed = server.json("GET", "/v1/batches")["data"]
        open_ids = [b["id"] for b in listed if b["status"] in ("validating", "in_progress")]
        assert len(open_ids) >= 90
        for batch in open_ids:
            server.json("POST", f"/v1/batches/{batch}/cancel")
        for batch in open_ids:
            while server.json("GET", "/v1/batches/" + batch)["status"] != "cancelled":
                time.sleep(0.02)


def check_drain():
    server = Server()
    s = server.socket()
    s.sendall(raw("/v1/chat/completions", chat(900, stream=True)))
    text = s.recv(1000)
    server.process.send_signal(signal.SIGTERM)
    while b"data: [DONE]" not in text:
        part = s.recv(10000)
        assert part, text[-300:]
        text += part
    s.close()
    assert server.process.wait(20) == 0
    server.log.close()


def check_law():
    picture = os.path.join(FOLDER, "law.svg")
    with open(picture, "w", encoding="utf-8") as out:
        out.write("<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>")
    with Server("--law", picture) as server:
        code, headers, text = server.ask("GET", "/enxame/v1/law")
        assert code == 200 and headers["Content-Type"] == "image/svg+xml"
        assert text.startswith(b"<svg")
        assert "sandbox; default-src 'none'" in headers["Content-Security-Policy"]
        assert server.json("GET", "/enxame/v1/info")["law"] is True


def check_cors():
    with Server("--cors", "http://page.example") as server:
        origin = {"Origin": "http://page.example"}
        code, headers, _ = server.ask("OPTIONS", "/v1/models", headers=origin | {
            "Access-Control-Request-Headers": "authorization"})
        assert code == 204 and headers["Access-Control-Allow-Headers"] == "authorization"
        headers = server.ask("GET", "/v1/models", headers=origin)[1]
        assert headers["Access-Control-Allow-Origin"] == "http://page.example"
        assert server.ask("GET", "/v1/models", headers={"Origin": "http://evil.example"})[0] == 403


def check_tls():
    if not shutil.which("openssl") or not shutil.which("curl"):
        return
    cert, key = os.path.join(FOLDER, "cert.pem"), os.path.join(FOLDER, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                    "-keyout", key, "-out", cert], check=True, capture_output=True)
    with Server("--tls-cert", cert, "--tls-key", key) as server:
        url = f"https://localhost:{server.port}/v1/chat/completions"
        out = subprocess.run(["curl", "-s", "--cacert", cert, url, "-d", json.dumps(chat(5))],
                             check=True, capture_output=True).stdout
        assert json.loads(out)["usage"]["completion_tokens"] <= 5


def main():
    with Server("--body-bytes", str(1 << 20), "--arrive", "1", "--idle", "2") as server:
        for check in (check_paths, check_page, check_origins, check_streams, check_wakes,
                      check_batch_of_streams, check_engine_counters, check_disconnects,
                      check_slow_reader, check_limits, check_slowloris, check_garbage, check_log):
            print(check.__name__, flush=True)
            check(server)
    for check in (check_keys, check_jobs, check_recipes, check_batches, check_drain, check_law,
                  check_cors, check_tls):
        print(check.__name__, flush=True)
        check()


if __name__ == "__main__":
    main()
