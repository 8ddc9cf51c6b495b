"""What is measured: the rows of the table, and how each figure comes about."""

import contextlib
import glob
import json
import os
import signal
import socket
import statistics
import struct
import subprocess
import time

from opponents import LOOP, OURS, POOL, RELEASE, SHARED, has_flag

FORKING = ["c", "tcpserver", "xinetd", "socat"]
LOOPS = [SHARED, LOOP, "swiftnio"]
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
    def __init__(self, name, title, who, metrics, measure, targets=(), own_session=True):
        self.name, self.title, self.who, self.own_session = name, title, who, own_session
        self.metrics, self.measure, self.targets = metrics, measure, list(targets)


# Load, by client bench.


class Generator:
    """How `client bench` is run: in how many processes, where more of it than one core is wanted."""

    processes = 1
    # A limit of descriptors holds for each process. This many leave room for what else a process has open.
    most = 9900

    @classmethod
    def command(cls, port, *flags, processes=None):
        """The one place where its command is made."""
        number = processes or cls.processes
        more = ["--processes", str(number)] if number > 1 else []
        return [CLIENT, "bench", "--json", "--port", str(port), *more, *flags]

    @classmethod
    def check(cls, processes):
        """Why it cannot run in this many, or None."""
        if processes > 1 and not has_flag([CLIENT, "bench"], "--processes"):
            return "this client bench has no --processes"
        cls.processes = processes
        return None

    @staticmethod
    def notes(result):
        """Whether it may have been the limit."""
        had_time = result.get("generator_had_time", result["generator_cores"] <= 0.95)
        return [] if had_time else ["the generator had no time left"]


def result_of(process):
    """What a started `client bench` says, once it has ended."""
    out, errors = process.communicate()
    try:
        return json.loads(out)
    except ValueError:
        raise Failed(f"client bench ended with {process.returncode}: {errors.strip()[-200:]}") from None


class Started:
    """A `client bench` under way: `with Started(running, ...) as generator`."""

    def __init__(self, running, *flags):
        self.process = subprocess.Popen(Generator.command(running.port, *flags), stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, start_new_session=running.own_session)

    def __enter__(self):
        return self.process

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def bench(running, *flags):
    """What `client bench` says."""
    with Started(running, *flags) as process:
        return result_of(process)


def _seconds(number):
    return f"{int(number * 1000)}ms"


def load(*flags):
    def measure(running, scale):
        result = bench(running, "--duration", _seconds(scale.duration), "--warm-up", _seconds(scale.warm_up), *flags)
        if result["answered"] == 0:
            raise Failed("no request was answered")
        notes = Generator.notes(result)
        if result["failed"]:
            notes.append(f"{result['failed']} requests failed")
        latency = result["latency"]
        return {"rate": result["requests_per_second"], "p50": latency["p50"] * 1e6, "p99": latency["p99"] * 1e6}, notes
    return measure


class Neighbours:
    """Programs that take all of every processor, for as long as `with Neighbours()` lasts. They are in this session."""

    def __enter__(self):
        self.processes = [subprocess.Popen(["sh", "-c", "while :; do :; done"], stdin=subprocess.DEVNULL)
                          for _ in range(os.cpu_count())]
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()


def beside_neighbours(measure):
    def measured(running, scale):
        with Neighbours():
            return measure(running, scale)
    return measured


def established(port):
    """How many connections of a server at 127.0.0.1 and this port the kernel has."""
    local = f"0100007F:{port:04X}"
    with open("/proc/net/tcp") as file:
        return sum(fields[1] == local and fields[3] == "01" for fields in (line.split(None, 4) for line in file))


def wait_for(running, count, *processes, seconds=120):
    """Until a server has this many connections."""
    until = time.monotonic() + seconds
    while established(running.port) < count:
        if time.monotonic() > until or any(process.poll() is not None for process in processes):
            raise Failed(f"{count} connections did not come about")
        time.sleep(0.05)


def processor_of_load(*flags, connections):
    """Microseconds of processor time that the server takes for a request, while the load is steady."""
    def measure(running, scale):
        # Longer than it is looked at, for a machine that finds late that it has begun.
        with Started(running, "--connections", str(connections), "--duration", _seconds(scale.duration + 2), "--warm-up",
                     _seconds(scale.warm_up), *flags) as process:
            wait_for(running, connections, process)
            time.sleep(scale.warm_up + 0.1 * scale.duration)
            processes = [running.pid, *children(running.pid)]
            start, used = time.monotonic(), clocks(processes)
            time.sleep(0.7 * scale.duration)
            elapsed, used = time.monotonic() - start, clocks(processes) - used
            if process.poll() is not None:
                raise Failed("the machine was so busy that the load had ended before it was looked at")
            result = result_of(process)
        if result["answered"] == 0:
            raise Failed("no request was answered")
        return {"time": used / 1e3 / elapsed / result["requests_per_second"]}, Generator.notes(result)
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
    """Nanoseconds on a processor: of the process and its children, with all their threads."""
    return clocks([pid, *children(pid)])


def clocks(processes):
    """The same of these processes. What /proc says is too coarse for a thousand processes that each do nearly nothing;
    the clocks of processes (clock_getcpuclockid(3)) are exact."""
    total = 0
    for each in processes:
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
    after = available()
    whole = ((before[2] + after) / 2 - during) / count
    notes = []
    # What others took or gave meanwhile shows before and after. A figure that is no larger is none.
    if whole <= abs(before[2] - after) / count:
        whole, notes = None, ["other programs took or gave more memory than this"]
    return {"private": own, "tables": tables, "whole": whole}, notes


def measure_shared_memory(running, scale):
    """The same of more connections, and of all the server's processes together: what they have more than before."""
    count = scale.many

    def own(kind):
        total = 0
        for pid in [running.pid, *children(running.pid)]:
            try:
                total += kind(pid)
            except OSError:
                pass  # It has just ended.
        return total

    for _ in range(5):
        connect(running).close()
    time.sleep(0.5)
    before = own(private), own(page_tables), available()
    connections = []
    try:
        for _ in range(count):
            connections.append(connect(running))
        time.sleep(1)
        during = own(private), own(page_tables), available()
    finally:
        for connection in connections:
            connection.close()
    return {"private": (during[0] - before[0]) / count, "tables": (during[1] - before[1]) / count,
            "whole": (before[2] - during[2]) / count}, []


def _beat(running, scale, count, every, parts=1):
    """Percent of one core for connections that do nothing but beat."""
    commands = [("--connections", str(count // parts + (part < count % parts)), "--in-flight", "0", "--ping-every",
                 _seconds(every), "--duration", "3600") for part in range(parts)]
    with contextlib.ExitStack() as stack:
        generators = [stack.enter_context(Started(running, *command)) for command in commands]
        wait_for(running, count, *generators)
        time.sleep(every + 1)
        start, used = time.monotonic(), processor_time(running.pid)
        time.sleep(scale.beating_for)
        used = processor_time(running.pid) - used
        elapsed = time.monotonic() - start
        for generator in generators:
            generator.send_signal(signal.SIGINT)
        results = [result_of(generator) for generator in generators]
    beats, broken = (sum(result[name] for result in results) for name in ("pongs", "failed"))
    broken += sum(result["connected"] for result in results) - count
    if beats < count:
        raise Failed(f"{beats} beats of {count} connections")
    return used / 1e7 / elapsed, [f"{broken} connections broke"] if broken > 0 else []


def measure_beating(running, scale):
    """As if they beat 2,000 times a second: 20,000 do that that beat every ten seconds."""
    every = scale.beating / scale.beats_per_second
    cores, notes = _beat(running, scale, scale.beating, every)
    return {"cores": cores * 2000 / scale.beats_per_second}, notes


def measure_all_beating(running, scale):
    """Twenty thousand, each with a connection of its own, but for those that a limit of 20,000 descriptors leaves no room
    for: the others beat as much more often."""
    parts = -(-scale.all_beating // Generator.most)
    cores, notes = _beat(running, scale, scale.all_beating, scale.all_beating / 2000, parts)
    return {"cores": cores}, notes


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
                   Target(POOL, "rate", "swiftnio", least=1.4),
                   Target(SHARED, "rate", LOOP, least=0.85), Target(SHARED, "rate", "swiftnio", least=1.4)]
        rows.append(Row(
            f"short-{connections}", f"short, {connections} at once", [OURS, POOL, SHARED, *FORKING, LOOP, "swiftnio"],
            THROUGHPUT, load("--mode", "short", "--connections", str(connections)), targets))
    least = {1: 1.1, 32: 1.0, 256: 0.9, 1024: 0.9}
    for in_flight in (1, 16):
        for size, text in ((32, "32 B"), (16384, "16 KiB")):
            for connections in (1, 32, 256, 1024, 8192):
                many = f"{connections:,} connections" if connections > 1 else "1 connection"
                targets = []
                if connections in least:
                    targets.append(
                        Target(OURS, "rate", "swiftnio", least=least[connections] if in_flight == 1 else 1.0))
                elif (in_flight, size) != (1, 32):
                    continue
                if connections > 1 and (size == 32 and (in_flight == 1 or connections in (32, 1024))
                                        or (connections, in_flight, size) == (256, 1, 16384)):
                    targets += [Target(SHARED, "rate", LOOP, least=0.85 if in_flight == 1 else 0.5),
                                Target(SHARED, "rate", "swiftnio", least=1.5 if in_flight == 1 else 1.3)]
                rows.append(Row(
                    f"long-{connections}x{in_flight}-{size}", f"long, {many}, {in_flight} in flight, {text}",
                    [OURS, SHARED, "c", LOOP, "swiftnio"], THROUGHPUT,
                    load("--connections", str(connections), "--in-flight", str(in_flight), "--size", str(size)),
                    targets))
    rows.append(Row(
        "busy-32", "long, 32 connections, 1 in flight, beside two busy programs", [OURS, SHARED, "c", LOOP, "swiftnio"],
        THROUGHPUT, beside_neighbours(load("--connections", "32")), [Target(OURS, "rate", "c", least=0.9)],
        own_session=False))
    rows.append(Row(
        "processor-1024", "long, 1,024 connections, 1 in flight: the server's time for a request",
        [OURS, SHARED, "c", LOOP, "swiftnio"], [Metric("time", "us", False, 2)], processor_of_load(connections=1024),
        [Target(SHARED, "time", LOOP, most=1.3)]))
    rows.append(Row(
        "ready", "connect to WELCOME, one at a time", [OURS, POOL, SHARED, *FORKING, LOOP, "swiftnio"],
        [Metric("ready", "us", False), Metric("p99", "us", False, has_ratio=False)], measure_ready))
    memory = [Metric("private", "KiB private", False, 1), Metric("whole", "KiB of the system", False, 1),
              Metric("tables", "KiB page tables", False, 1, has_ratio=False)]
    rows.append(Row(
        "memory", "an idle connection", [OURS, "c", "tcpserver", "swiftnio"], memory, measure_memory,
        [Target(OURS, "private", "c", most=1.25), Target(OURS, "private", None, most=48)]))
    rows.append(Row(
        "memory-8192", "an idle connection of 8,192", LOOPS, memory, measure_shared_memory,
        [Target(SHARED, "private", None, most=3)]))
    rows.append(Row(
        "beating", "20,000 that beat every 10 s", [OURS, "c", "swiftnio"],
        [Metric("cores", "% of a core", False, 2)], measure_beating, [Target(OURS, "cores", None, most=10)]))
    rows.append(Row(
        "beating-20000", "20,000 that beat every 10 s, all there", LOOPS,
        [Metric("cores", "% of a core", False, 2)], measure_all_beating, [Target(SHARED, "cores", LOOP, most=1.3)]))
    for name, title, flags in (
            ("drops", "1,000 that beat fall silent at once, dropped late by", ()),
            ("drops-together", "the same, with a last PING of all at once", ("--last-ping",))):
        rows.append(Row(
            name, title, [OURS, SHARED, "c", LOOP, "swiftnio"],
            [Metric("p99", "ms p99", False, 2, has_ratio=False), Metric("p50", "ms p50", False, 2, has_ratio=False),
             Metric("early", "early", False, has_ratio=False)], drops(*flags),
            [Target(OURS, "p99", None, most=10), Target(OURS, "early", None, most=0),
             Target(SHARED, "p99", None, most=20 if flags else 10), Target(SHARED, "early", None, most=0)]))
    return rows
