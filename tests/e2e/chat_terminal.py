#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""chat_terminal.py - enxame chat as a person has it, at a pseudo-terminal.

    chat_terminal.py ENXAME HAS_LIBEDIT     the model is $ENX_MODEL
"""
import json
import os
import pty
import re
import select
import signal
import stat
import sys
import termios
import time

ENXAME, HAS_LIBEDIT = sys.argv[1], sys.argv[2] == "1"
MODEL, HISTORY = os.environ["ENX_MODEL"], os.environ["ENXAME_HOME"] + "/chat_history"
SHORT = ["-n", "20", "--temp", "0", "--logit-bias", "256=-inf"]
LONG = ["--context", "100000", "--temp", "0", "--logit-bias", "256=-inf"]
SECONDS_MAX = 20
INTERRUPT, END = b"\x03", b"\x04"


class Session:
    """A chat at a terminal of its own; the terminal outlives it, to be looked at."""

    def __init__(self, arguments, term="xterm"):
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.seen = b""
        self.pid = os.fork()
        if self.pid == 0:
            self.take_terminal()
            os.environ["TERM"] = term
            os.environ.pop("NO_COLOR", None)
            os.execv(ENXAME, [ENXAME, "chat", MODEL] + arguments)
        self.wait("> ")

    def take_terminal(self):
        os.setsid()
        for number in range(3):
            os.dup2(self.slave, number)
        os.close(os.open(os.ttyname(0), os.O_RDWR))

    def wait(self, pattern):
        """What came up to the end of the pattern, which is taken away."""
        end = time.monotonic() + SECONDS_MAX
        while True:
            found = re.search(pattern.encode(), self.seen)
            if found:
                text, self.seen = self.seen[:found.end()], self.seen[found.end():]
                return text
            assert time.monotonic() < end, f"no {pattern!r} in {self.seen!r}"
            if select.select([self.master], [], [], 0.1)[0]:
                self.seen += os.read(self.master, 65536)

    def type(self, text):
        os.write(self.master, text if isinstance(text, bytes) else text.encode())

    def finish(self, code=0):
        """It ends with this exit code, and the terminal is as it was."""
        end = time.monotonic() + SECONDS_MAX
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                break
            if select.select([self.master], [], [], 0.05)[0]:
                self.seen += os.read(self.master, 65536)
            assert time.monotonic() < end, f"it does not end: {self.seen!r}"
        assert os.waitstatus_to_exitcode(status) == code, self.seen.decode(errors="replace")
        assert termios.tcgetattr(self.slave) == self.before, "the terminal is not as it was"
        while select.select([self.master], [], [], 0)[0]:
            self.seen += os.read(self.master, 65536)
        if HAS_LIBEDIT:
            assert self.seen.rfind(b"\033[?2004h") <= self.seen.rfind(b"\033[?2004l"), self.seen
        os.close(self.master)
        os.close(self.slave)


def questions_are_answered_and_figures_are_dim():
    s = Session(SHORT)
    s.type("um\r")
    answer = s.wait("tokens read .*cached, 20 written")
    assert b"\033[2m[" in answer
    s.wait("> ")
    s.type("dois \\\rtres\r")
    assert b" 0 cached" not in s.wait("tokens read .*cached")
    s.wait("> ")
    s.type('"""\r/quatro\r"""\r')
    s.wait("20 written")
    s.type("/undoo\r")
    s.wait("did you mean /undo")
    s.wait("> ")
    s.type(END)
    s.finish()


def an_interrupt_stops_the_answer_and_the_next_turn_works():
    s = Session(LONG)
    s.type("um\r")
    s.wait("um\r*\n")
    s.wait("[!-~]{40}")
    s.type(INTERRUPT)
    s.wait(r"\[stopped\]")
    written = int(re.search(rb"(\d+) written", s.wait("written")).group(1))
    assert written >= 20, written
    s.wait("> ")
    s.type("/set tokens 20\r")
    s.wait("> ")
    s.type("dois\r")
    line = s.wait("20 written").decode()
    cached = int(re.search(r"(\d+) cached", line).group(1))
    # the answer goes back as text, whose tokens may be others from some place on: without the
    # answer only the few of the question would be known
    least = min(written // 2, 40)
    assert cached >= least, f"{cached} of {written} tokens cached: the answer was not kept"
    s.wait("> ")
    s.type(INTERRUPT)
    s.wait("again ends")
    s.wait("> ")
    s.type(INTERRUPT)
    s.finish()


def a_question_that_is_interrupted_while_it_is_read_was_not_asked():
    path = os.environ["ENXAME_HOME"] + "/long.json"
    with open(path, "w") as file:
        json.dump([{"role": "user", "content": "um"}, {"role": "assistant", "content": "dois"},
                   {"role": "user", "content": "palavra " * 10000}], file)  # the first has no room
    s = Session(LONG)
    s.type(f"/load {path}\r")
    s.wait("is loaded: 2 exchanges")
    s.wait("> ")
    s.type("/retry\r")
    s.wait("/retry\r*\n")
    time.sleep(0.3)  # it reads for seconds
    s.type(INTERRUPT)
    s.wait(r"nothing was written: the conversation is as before")
    s.wait("> ")
    s.type("/undo\r")
    s.wait("> ")
    s.type("/set tokens 20\r")
    s.wait("> ")
    s.type("tres\r")
    s.wait("20 written")
    s.wait("> ")
    s.type("/stats\r")
    s.wait("2 exchanges, 0 forgotten")
    s.wait("> ")
    s.type(END)
    s.finish()


def interrupts_at_the_prompt_end_only_when_two_come_together():
    s = Session(SHORT)
    s.type('"""\rum')
    s.wait("um")
    s.type(INTERRUPT)
    s.wait("again ends")
    s.wait("> ")
    s.type("dois\r")
    assert b"um" not in s.wait("20 written")[10:]
    s.wait("> ")
    s.type(INTERRUPT)
    s.wait("again ends")
    s.wait("> ")
    s.type(INTERRUPT)
    s.finish()


def a_model_cannot_command_the_terminal():
    for byte in (27, 7, 0xC2):
        s = Session(SHORT[:-2] + ["--logit-bias", f"{byte}=1000"])
        s.type("um\r")
        text = s.wait("20 written")
        for echo in (b"\033[2m", b"\033[0m", b"\033[?2004l"):
            text = text.replace(echo, b"")
        if HAS_LIBEDIT:  # what it draws ends with the line
            text = text.split(b"um", 1)[1].split(b"\n", 1)[1]
        assert b"\033" not in text and b"\007" not in text, text
        s.wait("> ")
        s.type(END)
        s.finish()


def signals_leave_the_terminal_sane():
    for number in (signal.SIGTERM, signal.SIGHUP):
        s = Session(SHORT)
        s.type("half a li")
        s.wait("half a li")
        os.kill(s.pid, number)
        s.finish()
    s = Session(LONG)
    s.type("um\r")
    s.wait("[!-~]{20}")
    os.kill(s.pid, signal.SIGTERM)
    s.finish()


def pasted_lines_are_one_message():
    s = Session(SHORT)
    s.type("\033[200~/quit\r\"\"\"\rtres\tquatro\x07 é\033[201~")
    s.wait("quatro é")
    s.type("!\r")
    s.wait("20 written")
    s.wait("> ")
    path = os.environ["ENXAME_HOME"] + "/pasted.json"
    s.type(f"/save {path}\r")
    s.wait("is saved: 1 exchange")
    s.wait("> ")
    with open(path) as file:
        content = json.load(file)["messages"][0]["content"]
    assert content == '/quit\n"""\ntres\tquatro é!', content
    s.type(END)
    s.finish()


def bytes_that_are_no_character_lose_nothing_after_them():
    s = Session(SHORT)
    s.type(b"ol\xe1 mundo")
    s.wait("ol\ufffd mundo")
    s.type(INTERRUPT)
    s.wait("> ")
    s.type(INTERRUPT)
    s.finish()


def lines_come_back_in_the_next_session():
    s = Session(SHORT)
    s.type("uma linha rara\r")
    s.wait("20 written")
    s.wait("> ")
    s.type(END)
    s.finish()
    assert stat.S_IMODE(os.stat(HISTORY).st_mode) == 0o600
    s = Session(SHORT)
    s.type("\033[A")
    s.wait("uma linha rara")
    s.type("\001A\005!\r")
    s.wait("20 written")
    s.wait("> ")
    s.type(END)
    s.finish()
    with open(HISTORY) as file:
        assert file.read().endswith("uma linha rara\nAuma linha rara!\n")


def a_history_that_grows_is_cut():
    with open(HISTORY, "w") as file:
        file.writelines(f"line {i}\n" for i in range(3000))
    s = Session(SHORT)
    s.type("\033[A")
    s.wait("line 2999")
    s.type("\r")
    s.wait("20 written")
    s.wait("> ")
    s.type(END)
    s.finish()
    with open(HISTORY) as file:
        lines = file.read().split("\n")
    assert lines[0] == "line 2000" and lines[-2:] == ["line 2999", ""] and len(lines) == 1002
    assert stat.S_IMODE(os.stat(HISTORY).st_mode) == 0o600


def a_plain_terminal_does():
    s = Session(SHORT, term="dumb")
    s.type("um\r")
    text = s.wait("20 written")
    assert b"\033" not in text, text
    s.wait("> ")
    s.type(END)
    s.finish()


TESTS = [
    questions_are_answered_and_figures_are_dim,
    an_interrupt_stops_the_answer_and_the_next_turn_works,
    a_question_that_is_interrupted_while_it_is_read_was_not_asked,
    interrupts_at_the_prompt_end_only_when_two_come_together,
    a_model_cannot_command_the_terminal,
    signals_leave_the_terminal_sane,
    a_plain_terminal_does,
]
if HAS_LIBEDIT:
    TESTS += [
        pasted_lines_are_one_message,
        bytes_that_are_no_character_lose_nothing_after_them,
        lines_come_back_in_the_next_session,
        a_history_that_grows_is_cut,
    ]
for test in TESTS:
    print(test.__name__, flush=True)
    test()
