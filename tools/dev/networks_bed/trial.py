"""One row: its network, its two sides, its fault, and what they were seen to do."""

import dataclasses
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from networks_bed import program, relay
from networks_bed.rows import DELAY, ECHOES, NEEDS_PROGRAM
from networks_bed.topology import CLIENT, ROUTER, SERVER, Topology

HERE = os.path.dirname(os.path.abspath(__file__))
PEER = os.path.join(HERE, "..", "..", "peer.py")
PORT = 7400
TURN = 0.1  # Seconds between two looks at a row.
QUESTIONS = 0.3  # Seconds between two questions to the server's control socket.
START = 20.0  # Seconds for a process to start, on a busy machine.


class Stopped(Exception):
    """The whole run ends."""


class Broken(Exception):
    """The row could not be run."""


class Process:
    """A process in a namespace, and the lines that it writes, each with the time at which it came."""

    def __init__(self, command, stdin=subprocess.DEVNULL):
        self.process = subprocess.Popen(
            command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        self.output, self.errors = [], []
        self.readers = [threading.Thread(target=self._read, args=each, daemon=True) for each in (
            (self.process.stdout, self.output), (self.process.stderr, self.errors))]
        for reader in self.readers:
            reader.start()

    @staticmethod
    def _read(stream, lines):
        for line in stream:
            lines.append((time.monotonic(), line.rstrip(b"\n")))

    def texts(self):
        """The lines of standard error as text, each with its time."""
        return [(at, line.decode("utf-8", "replace")) for at, line in list(self.errors)]

    @property
    def has_ended(self):
        return self.process.poll() is not None

    def join(self):
        self.process.wait()
        for reader in self.readers:
            reader.join(5)


@dataclasses.dataclass
class Seen:
    """What a row has shown; times in seconds, those of ends counted from the fault."""

    outcomes: dict = dataclasses.field(default_factory=dict)  # DONE, UNKNOWN, ...: how many requests
    served: int = None  # What the server says that it has answered, where it has said so.
    wrong: list = dataclasses.field(default_factory=list)  # Bytes that were not those that were sent.
    beats: list = dataclasses.field(default_factory=list)  # Round trips, of both sides.
    client_end: tuple = None  # (when, why), where the connection did not end in order
    server_end: tuple = None
    took: float = None
    has_fault: bool = False
    timed_out: bool = False


class Trial:
    def __init__(self, row, number, binaries, congestion, stop):
        self.row, self.binaries, self.congestion, self.stop = row, binaries, congestion, stop
        self.topology = Topology(number)
        self.seen = Seen()
        self.processes = []
        self.fault = None  # When it was.
        self.last_beat, self.next_question = None, 0.0

    def run(self):
        with tempfile.TemporaryDirectory(prefix="lifeline-networks-") as self.directory:
            try:
                self.topology.make(self.row.rate, self.row.queue, self.row.congestion or self.congestion)
                self._run()
            finally:
                self._end()
        return self.seen

    # ------------------------------------------------------------------------------------------------- the commands

    def _server_command(self):
        row = self.row
        if row.pair == "peer-server":
            handler = "ack" if row.transfer == "upload" else "echo"
            return [sys.executable, PEER, "server", "--host", SERVER, "--port", str(PORT), "--timeout",
                    f"{row.dead_after:g}", "--handler", handler]
        command = [os.path.join(self.binaries, "server"), "--host", SERVER, "--port", str(PORT), "--timeout",
                   f"{row.dead_after:g}", "--control", self._control]
        if row.transfer == "parts":
            return command + ["--exec-per", "request", "--exec", sys.executable, program.__file__, "parts"]
        if row.transfer in NEEDS_PROGRAM:
            return command + ["--exec", sys.executable, program.__file__]
        return command + ["--handler", "ack" if row.transfer == "upload" else "echo"]

    @property
    def _control(self):
        return os.path.join(self.directory, "control")

    @property
    def _through_relay(self):
        return self.row.pair in ("delay", "bytes")

    def _relay_command(self):
        how = ["--delay", str(DELAY), str(self.row.relay_ahead)] if self.row.pair == "delay" else ["--bytes"]
        return [sys.executable, relay.__file__, str(PORT), SERVER, str(PORT), *how]

    def _client_command(self):
        row = self.row
        host = ROUTER if self._through_relay else SERVER
        if row.pair == "peer-client":
            mode = "short" if row.transfer == "short" else "long"
            return [sys.executable, PEER, "client", "--host", host, "--port", str(PORT), "--timeout", "24h", "--verbose",
                    "--mode", mode]
        transfer = "echo" if row.transfer in ECHOES else "download" if row.transfer == "parts" else row.transfer
        command = [os.path.join(self.binaries, "traffic"), "--host", host, "--port", str(PORT), "--transfer", transfer,
                   "--count", str(row.count), "--size", str(row.size), "--in-flight", str(row.in_flight)]
        return command + (["--short"] if row.transfer == "short" else [])

    def _peer_lines(self):
        """What the client of peer.py is given, a line for each request, and the lines that it has to print."""
        row = self.row
        bodies = [program.payload(number, row.size) for number in range(row.count)]
        if row.transfer in ("download", "parts"):
            return [b"give %d %d" % (number, row.size) for number in range(row.count)], bodies
        return bodies, [b"ok"] * row.count if row.transfer == "upload" else bodies

    # ------------------------------------------------------------------------------------------------- what happens

    def _start(self, who, command, ready, **streams):
        """Starts a process and waits until it is ready."""
        process = Process(self.topology.command(who, *command), **streams)
        self.processes.append(process)
        until = time.monotonic() + START
        while ready and not any(line.startswith(ready) for _, line in list(process.output)):
            if process.has_ended or time.monotonic() > until:
                raise Broken(f"{command[0]} does not start: {[text for _, text in process.texts()][-1:]}")
            self._turn()
        return process

    def _turn(self):
        if self.stop.wait(TURN):
            raise Stopped

    def _run(self):
        row, seen = self.row, self.seen
        self.server = self._start("server", self._server_command(), b"listening")
        if self._through_relay:
            self._start("router", self._relay_command(), b"listening")
        stdin, expected = subprocess.DEVNULL, None
        if row.pair == "peer-client":
            given, expected = self._peer_lines()
            stdin = tempfile.TemporaryFile(dir=self.directory)
            stdin.write(b"\n".join(given) + b"\n")
            stdin.seek(0)
        started = time.monotonic()
        self.client = self._start("client", self._client_command(), None, stdin=stdin)
        # Four times the time that it takes, so that only a connection that stands still is not done by then.
        most = started + 4 * row.seconds + 4 * row.dead_after + 20
        while not self.client.has_ended and time.monotonic() < most:
            now = time.monotonic()
            if row.fault != "none" and not self.fault and now >= started + row.fault_at:
                self._make_fault()
            self._ask_server()
            self._turn()
        seen.timed_out = not self.client.has_ended
        if not seen.timed_out:
            self.client.join()
        seen.has_fault = self.fault is not None
        if self.fault is None:
            self.fault = started  # Ends are told as seconds from the start then.
        if expected is None:
            self._read_traffic(started)
        else:
            self._read_peer_client(started, expected)
        # After a fault the server has as long as it may take to notice; the judge says whether that was too long.
        until = time.monotonic() + (5 if row.fault == "none" else row.drain + 3 * row.dead_after + 5)
        while not self._read_server() and time.monotonic() < until:
            self._turn()
        self.server.process.send_signal(signal.SIGTERM)

    def _make_fault(self):
        towards = {"cut": ("client", "server"), "up-lost": ("server",), "down-lost": ("client",)}[self.row.fault]
        self.topology.cut(*towards)
        self.fault = time.monotonic()

    def _end(self):
        """Ends all that runs in the namespaces, and removes them."""
        for kill in (signal.SIGTERM, signal.SIGKILL):
            for pid in self.topology.pids():
                try:
                    os.kill(pid, kill)
                except ProcessLookupError:
                    pass
            for process in self.processes:  # One that has only just begun may not be in its namespace yet.
                process.process.send_signal(kill)
            until = time.monotonic() + 2
            while self.topology.pids() and time.monotonic() < until:
                time.sleep(TURN)
        for process in self.processes:
            process.join()
        self.topology.remove()

    # ---------------------------------------------------------------------------------------------- what they have said

    def _ask_server(self):
        """The last round trip of a PING of the server, from its control socket."""
        if self.row.pair == "peer-server" or time.monotonic() < self.next_question:
            return
        self.next_question = time.monotonic() + QUESTIONS
        try:
            with socket.socket(socket.AF_UNIX) as control:
                control.settimeout(1)
                control.connect(self._control)
                control.sendall(b"lifeline 1 connections\n")
                lines = control.makefile().read().splitlines()
            for line in map(json.loads, lines):
                beat = line.get("round_trip")
                if beat is not None and beat != self.last_beat:
                    self.last_beat = beat
                    self.seen.beats.append(beat)
        except (OSError, ValueError):
            pass

    def _count(self, outcome):
        self.seen.outcomes[outcome] = self.seen.outcomes.get(outcome, 0) + 1
        if outcome == "WRONG":
            self.seen.wrong.append("an answer")

    def _read_traffic(self, started):
        seen = self.seen
        for at, line in self.client.output:
            word, _, rest = line.decode("utf-8", "replace").partition(" ")
            if word == "beat":
                seen.beats.append(float(rest))
            elif word == "request":
                outcome = rest.split(" ", 1)[1]
                self._count(re.match(r"\w+", outcome)[0])
                seen.took = at - started
                if self.row.transfer == "short" and ": " in outcome and not seen.client_end:
                    seen.client_end = at - self.fault, outcome
            elif word == "messages":
                if rest.startswith("WRONG"):
                    seen.wrong.append(rest)
                elif rest != "DONE":
                    self._count("LOST")
                seen.took = at - started
            elif word in ("lost", "closed") and not seen.client_end and "the program closed" not in rest:
                seen.client_end = at - self.fault, rest

    def _read_peer_client(self, started, expected):
        seen = self.seen
        for (at, line), right in zip(self.client.output, expected):
            self._count("DONE" if line == right else "WRONG")
            seen.took = at - started
        for at, text in self.client.texts():
            if beat := re.match(r"beat \d+: ([\d.]+) ms", text):
                seen.beats.append(float(beat[1]) / 1000)
            elif outcome := re.match(r"not answered: (\w+)", text):
                self._count(outcome[1])
            elif text.startswith("the connection ended: ") and not seen.client_end:
                seen.client_end = at - self.fault, text.partition(": ")[2]

    def _read_server(self):
        """Reads the server's log. Says whether its connections have ended."""
        served, ends, connections = 0, [], 0
        for at, text in self.server.texts():
            if not (closed := re.search(r"\bclosed connection=.* reason=(\w+) by=(\S+) .*requests=(\d+)", text)):
                if "is not the one that was sent" in text:
                    self.seen.wrong.append(text)
                continue
            connections += 1
            served += int(closed[3])
            if closed[1] != "NORMAL":
                ends.append((at - self.fault, f"{closed[1]} by {closed[2]}"))
        self.seen.served = served if connections else None
        self.seen.server_end = ends[0] if ends else None
        if self.row.transfer != "short":
            return connections > 0
        return bool(ends) or self.row.fault == "none" and connections >= self.row.count
