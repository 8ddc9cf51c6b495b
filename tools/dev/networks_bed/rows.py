"""Which networks, transfers and faults are tried: a row is one of each, with the sizes that follow from them."""

import dataclasses
import itertools
import random

from networks_bed.topology import PACKET, queue_bytes

DIMENSIONS = {
    "rate": [32_000, 128_000, 256_000, 1_000_000, 10_000_000, 100_000_000],  # bit/s
    "queue": [0.2, 2.0],  # Seconds at that rate.
    "dead_after": [2.0, 5.0, 30.0],
    "transfer": ["upload", "download", "both", "parts", "post", "push", "in-flight", "short"],
    "pair": ["ours", "peer-server", "peer-client", "delay", "bytes"],
    "fault": ["none", "cut", "up-lost", "down-lost"],
}
NEEDS_PROGRAM = ("download", "parts", "post", "push")
ECHOES = ("both", "in-flight", "short")
# What each side of peer.py can do without a change: its server has no program, its client sends no messages and does
# not wait for any.
PEER_SERVER, PEER_CLIENT = ("upload",) + ECHOES, ("upload", "download", "parts") + ECHOES
DELAY = 0.5  # Seconds that the relay adds, each way.
BYTES_RATE = 1_000_000  # The fastest link for the relay that hands on each byte by itself: it needs a processor there.
LENGTH = 2.5  # Times dead_after that a transfer takes.
MOST = 40_000_000  # Bytes of a transfer.
MESSAGE = 1_000_000  # Bytes of the longest message; the default limit is a little more.


@dataclasses.dataclass
class Row:
    rate: int
    queue: float
    dead_after: float
    transfer: str
    pair: str = "ours"
    fault: str = "none"
    count: int = 0
    size: int = 0
    in_flight: int = 0
    congestion: str = None  # TCP's congestion control, where it is not the whole run's.

    def __post_init__(self):
        if not self.count:
            self._choose_sizes()

    def _choose_sizes(self):
        """Sizes the transfer to LENGTH times dead_after; with a fault to twice that, so that the fault is in its
        midst."""
        total = min(MOST, int(self.rate / 8 * LENGTH * self.dead_after)) * (1 if self.fault == "none" else 2)
        if self.transfer in ("upload", "download", "parts"):
            self.in_flight, self.size = 1, min(MESSAGE, total)
        elif self.transfer == "both":
            self.in_flight, self.size = 4, min(MESSAGE, total // 4)
        elif self.transfer == "in-flight":
            self.in_flight, self.size = 16, min(65536, total // 32)
        elif self.transfer == "short":
            self.in_flight, self.size = 1, min(MESSAGE, total // 4)
            total //= 2  # It goes both ways, one way after the other.
        else:
            self.in_flight, self.size = 1, min(20000, total // 16)
        self.size = max(self.size, 100)
        self.count = max(1, round(total / self.size))

    @property
    def requests(self):
        """How many requests the client makes; in the others it sends or gets messages, and makes one request."""
        return 1 if self.transfer in ("post", "push") else self.count

    @property
    def seconds(self):
        """How long the transfer takes where nothing goes wrong and the link is full."""
        ways = 2 if self.transfer == "short" or self.transfer in ECHOES and self.count == 1 else 1
        return self.size * self.count * ways * 8 / self.rate + (2 if self.pair == "delay" else 0)

    @property
    def fault_at(self):
        """Seconds from the start of the client to the fault."""
        return max(0.5, 0.2 * self.seconds) + (2 if self.pair == "delay" else 0)

    @property
    def drain(self):
        """Seconds for which bytes still come after the fault: those in the router's queue, and what the relay holds."""
        return queue_bytes(self.rate, self.queue) * 8 / self.rate + (DELAY if self.pair == "delay" else 0)

    @property
    def relay_ahead(self):
        """Bytes that the relay reads ahead: what keeps the link full, and more than most proxies hold on a slow one."""
        return max(1 << 18, int(2 * DELAY * self.rate / 8))

    @property
    def least_round_trip(self):
        """Seconds of a round trip that waits for one packet each way and nothing else."""
        return 2 * PACKET * 8 / self.rate + (2 * DELAY if self.pair == "delay" else 0)

    @property
    def is_repeated(self):
        """Whether a packet takes longer than the time after which TCP, at first, sends it again (Protocol.md, 5.13)."""
        return PACKET * 8 / self.rate > 0.2

    @property
    def path_allows(self):
        """Whether a heartbeat under load can be answered within dead_after: half of a round trip is left for load."""
        return 1.5 * self.least_round_trip + (2 if self.is_repeated else 0) <= self.dead_after

    @property
    def path_allows_goal(self):
        """Whether a heartbeat under load can be answered within a quarter of dead_after."""
        return 6 * self.least_round_trip <= self.dead_after and not self.is_repeated

    @property
    def is_possible(self):
        return not (
            self.pair == "peer-server" and self.transfer not in PEER_SERVER
            or self.pair == "peer-client" and self.transfer not in PEER_CLIENT
            or self.pair == "bytes" and self.rate > BYTES_RATE)

    @property
    def weight(self):
        """How many of the slowest rows need as much of the processors as this one; None: it runs alone."""
        if self.rate > 10_000_000:
            return None
        return 3 if self.rate > 1_000_000 or self.pair == "bytes" else 1

    @property
    def link(self):
        rate = f"{self.rate // 1000}k" if self.rate < 1_000_000 else f"{self.rate // 1_000_000}m"
        return f"{rate}, {self.queue:g} s" + (f", {self.congestion}" if self.congestion else "")

    def __str__(self):
        return f"{self.link}, dead after {self.dead_after:g}, {self.transfer}, {self.pair}, {self.fault}"


def covering(values):
    """Rows in which every two values of different dimensions meet, where they can: a few dozen in place of the
    thousands of the product."""
    names = list(DIMENSIONS)
    rows = product(values)
    missing = set()
    pairs = {}
    for index, row in enumerate(rows):
        cells = [(name, getattr(row, name)) for name in names]
        pairs[index] = set(itertools.combinations(cells, 2))
        missing |= pairs[index]
    chosen, order = [], list(range(len(rows)))
    random.Random(1).shuffle(order)  # The same rows each time.
    while missing:
        best = max(order, key=lambda index: (len(pairs[index] & missing), -rows[index].seconds))
        missing -= pairs[best]
        chosen.append(rows[best])
    return chosen


def product(values):
    rows = [Row(*cells) for cells in itertools.product(*(values[name] for name in DIMENSIONS))]
    return [row for row in rows if row.is_possible]


def known():
    """Healthy links on which version 1.0 of the protocol lost the connection: the second with BBR, the others with CUBIC
    as well."""
    return [
        Row(256_000, 2.0, 5.0, "both", count=1, size=600_000, in_flight=1),
        Row(256_000, 2.0, 30.0, "both", count=4, size=1_000_000, in_flight=4, congestion="bbr"),
        Row(128_000, 2.0, 5.0, "upload", count=1, size=300_000, in_flight=1),
        Row(128_000, 2.0, 5.0, "download", count=1, size=300_000, in_flight=1),
        Row(64_000, 2.0, 10.0, "both", count=1, size=120_000, in_flight=1),
    ]


def quick():
    """About a minute: what is known to have failed, and each pair, transfer and fault once or more."""
    return [row for row in known() if row.seconds < 60] + [
        Row(256_000, 2.0, 5.0, "both"),
        Row(128_000, 2.0, 5.0, "in-flight"),
        Row(1_000_000, 2.0, 5.0, "push"),
        Row(256_000, 0.2, 5.0, "short"),
        Row(1_000_000, 0.2, 5.0, "parts", "delay"),
        Row(128_000, 0.2, 5.0, "upload", "bytes"),
        Row(256_000, 0.2, 5.0, "upload", "peer-server"),
        Row(256_000, 0.2, 5.0, "download", "peer-client"),
        Row(256_000, 2.0, 5.0, "upload", fault="cut"),
        Row(1_000_000, 0.2, 5.0, "post", fault="up-lost"),
        Row(256_000, 0.2, 5.0, "download", fault="down-lost"),
    ]
