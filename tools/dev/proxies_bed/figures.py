"""What TLS through HAProxy costs: rates, latencies, processor time and memory, as rows of a table for a document."""

import os
import resource
import statistics

from .bed import HAProxy, Server, eventually, free_port

TICK = os.sysconf("SC_CLK_TCK")


def processor(pid):
    """Seconds of processor time that the process has used."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def memory(pid):
    """Private and resident memory in KiB."""
    kinds = {}
    with open(f"/proc/{pid}/smaps_rollup") as file:
        for line in file:
            name, _, rest = line.partition(":")
            if rest.strip().endswith("kB"):
                kinds[name] = int(rest.split()[0])
    return kinds["Private_Clean"] + kinds["Private_Dirty"], kinds["Rss"]


def figures(room, seconds=3, runs=3):
    bed = room.bed
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    direct, plain = free_port(), free_port()
    server = Server(bed, "--listen", f"127.0.0.1:{direct},direct", "--log-level", "error", "--timeout", "60",
                    "--max-connections", "4000")
    front = HAProxy(bed, server, bed.path("server.pem"), change=lambda text: text + f"""
listen plain
    bind 127.0.0.1:{plain}
    server lifeline 127.0.0.1:{server.port} send-proxy-v2
""")
    ways = [("direct", direct, room.bench), ("HAProxy", plain, room.bench), ("HAProxy with TLS", front.port,
                                                                             room.bench_tls)]
    rows = []
    for mode in ("long", "short"):
        seen = {name: [] for name, _, _ in ways}
        for _ in range(runs):
            for name, port, bench in ways:
                before = processor(front.program.process.pid)
                result = room.result(bench(port, "--mode", mode, "--connections", "16", "--duration", str(seconds),
                                           "--sources", "1"))
                used = processor(front.program.process.pid) - before
                answered = max(result["answered"], 1)
                seen[name].append((answered / result["measured_seconds"], result["latency"]["p50"] * 1e6,
                                   result["latency"]["p99"] * 1e6, used / answered * 1e6, result["failed"]))
        for name, runs_seen in seen.items():
            rate, p50, p99, used, failed = (statistics.median(values) for values in zip(*runs_seen))
            what = "requests" if mode == "long" else "connections"
            rows.append(f"{mode:5} {name:17} {rate:8.0f} {what}/s  p50 {p50:6.0f} us  p99 {p99:6.0f} us  "
                        f"HAProxy {used:4.0f} us each  failed {failed:.0f}")
    front.program.end()
    front.start()
    base = memory(front.program.process.pid)
    held = []
    for count in (500, 2000):
        held.append(room.bench_tls(front.port, "--connections", str(count - sum(500 for _ in held)), "--duration", "60",
                                   "--rate", "1", "--connect-rate", "200", "--sources", "1"))
        eventually(lambda: len(server.connections()) >= count, f"{count} connections", 40)
        private, resident = memory(front.program.process.pid)
        rows.append(f"{count} idle TLS connections: HAProxy {private - base[0]} KiB private more, "
                    f"{(private - base[0]) / count:.1f} KiB each; resident {resident} KiB")
    return rows
