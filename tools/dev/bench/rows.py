"""What is measured: the rows of the table, and how each figure comes about."""

import glob
import json
import os
import signal
import socket
import statistics
import struct
import subprocess
import time

from opponents import OURS, POOL, RELEASE

FORKING = ["c", "tcpserver", "xinetd", "socat"]
CLIENT = os.path.join(RELEASE, "client")
KIB = 1024


class Failed(Exception):
    """A figure that could not be had."""


class Metric:
    """One figure of a row. `more` says whether more of it is better."""

    def __init__(self, name, unit, more, digits=0, has_ratio=True):
        self.name, self.unit, self.more, self.digits, self.has_ratio = name, unit, more, digits, has_ratio


class Target:
    """What the median has to be: of the ratio of `ours` to `against`, or of the figure itself where there is none."""

    def __init__(self, ours, metric, against, least=None, most=None):
        self.ours, self.metric, self.against, self.least, self.most = ours, metric, against, least, most

    def is_met(self, value):
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    def __str__(self):
        return f">= {self.least:g}" if self.most is None else f"<= {self.most:g}"


class Row:
    def __init__(self, name, title, who, metrics, measure, targets=()):
        self.name, self.title, self.who = name, title, who
        self.metrics, self.measure, self.targets = metrics, measure, list(targets)


# Load, by client bench.


def bench(running, *flags):
    """What `client bench` says."""
    command = [CLIENT, "bench", "--json", "--port", str(running.port), *flags]
    done = subprocess.run(command, capture_output=True, text=True)
    try:
        result = json.loads(done.stdout)
    except ValueError:
        raise Failed(f"client bench ended with {done.returncode}: {done.stderr.strip()[-200:]}") from None
    return result


def _seconds(number):
    return f"{int(number * 1000)}ms"


def load(*flags):
    def measure(running, scale):
        result = bench(running, "--duration", _seconds(scale.duration), "--warm-up", _seconds(scale.warm_up), *flags)
        if result["answered"] == 0:
            raise Failed("no request was answered")
        notes = []
        if result["failed"]:
            notes.append(f"{result['failed']} requests failed")
        if result["generator_cores"] > 0.95:
            notes.append("the generator had no time left")
        latency = result["latency"]
        return {"rate": result["requests_per_second"], "p50": latency["p50"] * 1e6, "p99": latency["p99"] * 1e6}, notes
    return measure


# Raw connections.

HELLO = b"LIFELINE" + struct.pack(">IBBHI", 20, 1, 0, 0, 0) + struct.pack(">BBHIIII", 1, 0, 0, 0, 0, 16384, 1 << 20)
CLOSE = struct.pack(">IBBHI", 12, 11, 0, 0, 0) + struct.pack(">IHHI", 0, 0, 0, 0)
WELCOME_SIZE = 8 + 12 + 36


def connect(running):
    """A connection that has got its WELCOME."""
    connection = socket.create_connection(("127.0.0.1", running.port), timeout=10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(HELLO)
    got = b""
    while len(got) < WELCOME_SIZE:
        part = connection.recv(WELCOME_SIZE - len(got))
        if not part:
            raise Failed("the server ended a connection before WELCOME")
        got += part
    if got[:8] != HELLO[:8] or got[12] != 2:
        raise Failed(f"the server said {got.hex()} in place of WELCOME")
    return connection


def measure_ready(running, scale):
    """From the call of connect(2) to WELCOME, one connection at a time."""
    times = []
    for place in range(scale.connects + 10):
        before = time.perf_counter()
        connection = connect(running)
        after = time.perf_counter()
        connection.sendall(CLOSE)
        while connection.recv(4096):
            pass
        connection.close()
        if place >= 10:
            times.append((after - before) * 1e6)
    times.sort()
    return {"ready": statistics.median(times), "p99": times[int(len(times) * 0.99)]}, []


# Memory and processor time, as the kernel counts them.


def children(pid):
    found = []
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path) as file:
                text = file.read()
        except OSError:
            continue
        if int(text.rsplit(")", 1)[1].split()[1]) == pid:
            found.append(int(text.split(None, 1)[0]))
    return found


def _field(path, *names):
    total = 0
    with open(path) as file:
        for line in file:
            name, _, rest = line.partition(":")
            if name in names:
                total += int(rest.split()[0])
    return total


def private(pid):
    return _field(f"/proc/{pid}/smaps_rollup", "Private_Dirty", "Private_Clean")


def page_tables(pid):
    return _field(f"/proc/{pid}/status", "VmPTE")


def available():
    return _field("/proc/meminfo", "MemAvailable")


def processor_time(pid):
    """Nanoseconds on a processor: of the process and its children, with all their threads. What /proc says is too
    coarse for a thousand processes that each do nearly nothing; the clocks of processes (clock_getcpuclockid(3)) are
    exact."""
    total = 0
    for each in [pid, *children(pid)]:
        try:
            total += time.clock_gettime_ns((~each << 3) | 2)
        except OSError:
            pass
    return total


def measure_memory(running, scale):
    """KiB for each connection that has said HELLO and is idle: private to its process, in page tables, and what the
    system has less, between what it had before and what it has when they are gone."""
    count = scale.idle
    for _ in range(5):
        connect(running).close()
    time.sleep(0.5)
    spare = len(children(running.pid))
    before = private(running.pid), page_tables(running.pid), available()
    connections = []
    try:
        for _ in range(count):
            connections.append(connect(running))
        time.sleep(1)
        forked = children(running.pid)
        if len(forked) >= count:
            own = statistics.median(private(pid) for pid in forked)
            tables = statistics.median(page_tables(pid) for pid in forked)
        else:
            own = (private(running.pid) - before[0]) / count
            tables = (page_tables(running.pid) - before[1]) / count
        during = available()
    finally:
        for connection in connections:
            connection.close()
    until = time.monotonic() + 5
    while len(children(running.pid)) > spare and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(0.5)
    whole = ((before[2] + available()) / 2 - during) / count
    notes = ["other programs took or gave more memory than this"] if whole <= 0 else []
    return {"private": own, "tables": tables, "whole": whole}, notes


def measure_beating(running, scale):
    """Percent of one core for connections that do nothing but beat, as if it were 2,000 times a second: 20,000 do that
    that beat every ten seconds."""
    count = scale.beating
    every = count / scale.beats_per_second
    generator = subprocess.Popen(
        [CLIENT, "bench", "--json", "--port", str(running.port), "--connections", str(count), "--in-flight", "0",
         "--ping-every", _seconds(every), "--duration", "3600"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        until = time.monotonic() + 60
        while True:
            held = max(len(children(running.pid)), len(os.listdir(f"/proc/{running.pid}/fd")))
            if held >= count:
                break
            if time.monotonic() > until or generator.poll() is not None:
                raise Failed(f"{count} connections did not come about")
            time.sleep(0.2)
        time.sleep(every + 1)
        start, used = time.monotonic(), processor_time(running.pid)
        time.sleep(scale.beating_for)
        used = processor_time(running.pid) - used
        elapsed = time.monotonic() - start
        generator.send_signal(signal.SIGINT)
        result = json.loads(generator.communicate(timeout=30)[0])
    finally:
        if generator.poll() is None:
            generator.kill()
            generator.wait()
    if result["pongs"] < count:
        raise Failed(f"{result['pongs']} beats of {count} connections")
    notes = []
    if result["connected"] > count or result["failed"]:
        notes.append(f"{result['connected'] - count} connections broke")
    return {"cores": used / 1e7 / elapsed * 2000 / scale.beats_per_second}, notes


def drops(*flags):
    """How long after dead_after, counted from their last byte, silent connections are dropped; never before it. The
    warm-up is longer than ping_every, so that each has beaten."""
    def measure(running, scale):
        result = bench(running, "--connections", str(scale.silent), "--silent", "--stay-away", "--dead-after", "2",
                       "--duration", "10", "--warm-up", "1", *flags)
        lateness = result["drop_lateness"]
        if lateness["count"] + result["dropped_early"] < scale.silent:
            raise Failed(f"{lateness['count']} of {scale.silent} silent connections were dropped")
        return {"p99": lateness["p99"] * 1e3, "p50": lateness["p50"] * 1e3, "early": result["dropped_early"]}, []
    return measure


# The table.

THROUGHPUT = [Metric("rate", "/s", True), Metric("p50", "us", False, has_ratio=False),
              Metric("p99", "us", False, has_ratio=False)]


def all_rows():
    rows = []
    for connections in (16, 64):
        targets = [Target(OURS, "rate", "c", least=0.95), Target(OURS, "rate", "tcpserver", least=2.5),
                   Target(POOL, "rate", "swiftnio", least=1.4)]
        rows.append(Row(
            f"short-{connections}", f"short, {connections} at once", [OURS, POOL, *FORKING, "swiftnio"], THROUGHPUT,
            load("--mode", "short", "--connections", str(connections)), targets))
    least = {1: 1.1, 32: 1.0, 256: 0.9, 1024: 0.9}
    for in_flight in (1, 16):
        for size, text in ((32, "32 B"), (16384, "16 KiB")):
            for connections in (1, 32, 256, 1024):
                target = least[connections] if in_flight == 1 else 1.0
                many = f"{connections:,} connections" if connections > 1 else "1 connection"
                rows.append(Row(
                    f"long-{connections}x{in_flight}-{size}", f"long, {many}, {in_flight} in flight, {text}",
                    [OURS, "c", "swiftnio"], THROUGHPUT,
                    load("--connections", str(connections), "--in-flight", str(in_flight), "--size", str(size)),
                    [Target(OURS, "rate", "swiftnio", least=target)]))
    rows.append(Row(
        "ready", "connect to WELCOME, one at a time", [OURS, POOL, *FORKING, "swiftnio"],
        [Metric("ready", "us", False), Metric("p99", "us", False, has_ratio=False)], measure_ready))
    rows.append(Row(
        "memory", "an idle connection", [OURS, "c", "tcpserver", "swiftnio"],
        [Metric("private", "KiB private", False, 1), Metric("whole", "KiB of the system", False, 1),
         Metric("tables", "KiB page tables", False, 1, has_ratio=False)], measure_memory,
        [Target(OURS, "private", "c", most=1.25), Target(OURS, "private", None, most=48)]))
    rows.append(Row(
        "beating", "20,000 that beat every 10 s", [OURS, "c", "swiftnio"],
        [Metric("cores", "% of a core", False, 2)], measure_beating, [Target(OURS, "cores", None, most=10)]))
    for name, title, flags in (
            ("drops", "1,000 that beat fall silent at once, dropped late by", ()),
            ("drops-together", "the same, with a last PING of all at once", ("--last-ping",))):
        rows.append(Row(
            name, title, [OURS, "c", "swiftnio"],
            [Metric("p99", "ms p99", False, 2, has_ratio=False), Metric("p50", "ms p50", False, 2, has_ratio=False),
             Metric("early", "early", False, has_ratio=False)], drops(*flags),
            [Target(OURS, "p99", None, most=10), Target(OURS, "early", None, most=0)]))
    return rows
