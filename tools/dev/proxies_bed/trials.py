"""What is tried.

Each trial makes the servers and proxies that it needs, fails with what it saw, and returns a fact or two.
"""

import json
import os
import re
import signal
import socket
import threading
import time

from . import wire
from .bed import HAProxy, Server, eventually, expect, free_port


class Trials:
    def __init__(self, bed, certificates, is_quick):
        self.bed, self.certificates, self.is_quick = bed, certificates, is_quick
        self.tls = wire.context(bed)

    # ---- the command client

    def client(self, port, *flags, input=b"", server="server.test", ca="ca.pem", within=20):
        words = [self.bed.command("client"), "--tls", "--ca", self.bed.path(ca), "--server-name", server, "--port",
                 port, "--retries", "0", *flags]
        return self.bed.run("client", *words, input=input, within=within)

    def bench(self, port, *flags, name="bench"):
        return self.bed.start(
            name, self.bed.command("client"), "bench", "--port", port, "--json", "--warm-up", "0", *flags)

    def bench_tls(self, port, *flags):
        return self.bench(port, "--tls", "--ca", self.bed.path("ca.pem"), "--server-name", "server.test", *flags)

    def result(self, bench, within=30):
        bench.wait(within)
        with open(bench.out) as file:
            text = file.read()
        expect(text.startswith("{"), "client bench says its result", bench.said())
        return json.loads(text)

    # ---- trials

    def client_over_tls(self):
        """client --tls through HAProxy as it was generated: long, short, and each way to be refused."""
        tokens = self.bed.path("tokens")
        with open(tokens, "w") as file:
            file.write("0123456789abcdef0123 till-1\nfedcba9876543210fedc till-2\n")
        for name, token in (("token-1", "0123456789abcdef0123"), ("token-2", "fedcba9876543210fedc")):
            with open(self.bed.path(name), "w") as file:
                file.write(token + "\n")
            os.chmod(self.bed.path(name), 0o600)
        server = Server(self.bed, "--token-file", tokens)
        front = HAProxy(self.bed, server, self.bed.path("server.pem"))
        token = ("--token-file", self.bed.path("token-1"))
        for mode in ("long", "short"):
            status, said = self.client(front.port, "--mode", mode, *token, "hello", "how are you")
            expect(status == 0 and said == "hello\nhow are you\n", f"client --tls --mode {mode}", status, said)
        expired = HAProxy(self.bed, server, self.bed.path("expired.pem"), name="expired")
        faults = []
        for what, port, flags, more in (
                ("wrong name", front.port, (), {"server": "other.test"}),
                ("expired", expired.port, (), {}),
                ("unknown authority", front.port, (), {"ca": "other-ca.pem"}),
                ("no TLS there", server.port, (), {})):
            status, said = self.client(port, *token, *flags, "hello", **more)
            expect(status not in (0, None), what, said)
            faults.append(f"{what}: {status} {said.strip().splitlines()[-1]}")
        # A token that is taken out of the file.
        self.client(front.port, "--token-file", self.bed.path("token-2"), "hello")
        with open(tokens, "w") as file:
            file.write("0123456789abcdef0123 till-1\n")

        def revoked():
            status, said = self.client(front.port, "--token-file", self.bed.path("token-2"), "hello")
            return (status, said) if status else None
        status, said = eventually(revoked, "a revoked token is refused")
        faults.append(f"revoked token: {status} {said.strip().splitlines()[-1]}")
        return faults

    def client_certificates(self):
        """A certificate's name stands for a token; none, a revoked one, and one that nobody has proved do not."""
        server = Server(self.bed, "--token-from-cn")
        front = HAProxy(self.bed, server, self.bed.path("server.pem"))
        with wire.Client(front.port, "127.0.0.21", wire.context(self.bed, certificate="till-7")) as client:
            expect(client.verdict() == "WELCOME", "a proved name is let in", server.log())
            seen = eventually(server.connections, "ctl connections")[0]
        expect("token=till-7" in server.line("cn=till-7"), "the name is the token's", server.log())
        status, said = self.client(front.port, "--cert", self.bed.path("till-7.crt"), "--key",
                                   self.bed.path("till-7.key"), "hello")
        expect(status == 0 and said == "hello\n", "client --cert", status, said)
        facts = []
        for what, certificate in (("no certificate", None), ("revoked", "till-8")):
            flags = () if certificate is None else (
                "--cert", self.bed.path(certificate + ".crt"), "--key", self.bed.path(certificate + ".key"))
            status, said = self.client(front.port, *flags, "hello")
            expect(status != 0, what, said)
            facts.append(f"{what}: {status} {said.strip().splitlines()[-1]}")
        # A certificate is revoked, and HAProxy reloaded: through its socket 2.6 takes a list, and then no certificate.
        self.certificates.revoke("till-7")
        front.start("-x", front.socket, "-sf", str(front.program.process.pid))
        status, said = self.client(front.port, "--cert", self.bed.path("till-7.crt"), "--key",
                                   self.bed.path("till-7.key"), "hello")
        expect(status != 0 and "revoked" in said, "revoked, and HAProxy reloaded", status, said)
        # With verify optional HAProxy says verify 0 where there is no certificate at all. That proves no name.
        optional = HAProxy(self.bed, server, self.bed.path("server.pem"), name="optional",
                           change=lambda text: text.replace("verify required", "verify optional"))
        with wire.Client(optional.port, "127.0.0.22", self.tls) as client:
            verdict = client.verdict()
            expect(verdict == "UNAUTHORIZED", "without a certificate, and verify optional", verdict)
        return facts + [f"ctl: {json.dumps(seen)[:200]}"]

    def addresses(self):
        """The client's address in the log, in ctl connections and in a program's environment; HAProxy's id in the log."""
        server = Server(self.bed, name="program", program=(
            "--exec", "sh", "-c", 'while read -r line; do env | grep -E "^(TCP|LIFELINE_)" | sort | tr "\\n" " "; '
            'echo; done'))
        front = HAProxy(self.bed, server, self.bed.path("server.pem"))
        with wire.Client(front.port, "127.0.0.9", self.tls) as client:
            expect(client.verdict() == "WELCOME", "a client at 127.0.0.9", server.log())
            said = client.ask("who") or ""
            for text in ("TCPREMOTEIP=127.0.0.9 ", f"TCPREMOTEPORT={client.port} ", f"TCPLOCALPORT={front.port} ",
                         "TCPPROXYIP=127.0.0.1 ", "LIFELINE_TLS_VERSION=TLSv1.3", "LIFELINE_TLS_SNI=server.test"):
                expect(text in said, f"the program's {text}", said)
            expect("LIFELINE_TLS_CN" not in said, "no certificate, no name", said)
            seen = server.connections()
            expect(len(seen) == 1 and seen[0]["peer"] == f"127.0.0.9:{client.port}", "ctl connections", seen)
        line = server.line(" closed ", "peer=127.0.0.9:")
        for text in ("via=127.0.0.1:", "unique_id=", "tls=TLSv1.3"):
            expect(text in line, f"{text} in the log", line)
        number = re.search(r"unique_id=(\S+)", line)[1]
        eventually(lambda: f"unique_id={number}" in front.log(), "HAProxy logs the same number")
        return [line.partition(" ")[2][:240]]

    def unix_socket(self):
        """HAProxy connects to a Unix socket, whose permissions say who is a proxy."""
        path = self.bed.path("front")
        server = Server(self.bed, proxies=("--listen", f"unix:{path}", "--proxy-from", "unix"))
        front = HAProxy(self.bed, server, self.bed.path("server.pem"))
        with wire.Client(front.port, "127.0.0.11", self.tls) as client:
            expect(client.verdict() == "WELCOME", "through a Unix socket", server.log())
            seen = server.connections()
            expect(seen[0]["peer"] == f"127.0.0.11:{client.port}", "the client's address", seen)
        return [server.line("peer=127.0.0.11:", "unique_id=").partition(" ")[2][:160]]

    def limits(self):
        """--max-per-source and penalties go by the client's address, and never by the proxy's."""
        with open(self.bed.path("limit-tokens"), "w") as file:
            file.write("0123456789abcdef0123 till-1\n")
        server = Server(self.bed, "--max-per-source", "2", "--exempt", "::1", "--token-file",
                        self.bed.path("limit-tokens"))
        front = HAProxy(self.bed, server, self.bed.path("server.pem"))
        def connect(source, token="0123456789abcdef0123"):
            client = wire.Client(front.port, source, self.tls, token)
            return client, client.verdict()
        held = [connect("127.0.0.31") for _ in range(2)]
        expect([verdict for _, verdict in held] == ["WELCOME"] * 2, "two of one address", held)
        same, refused = connect("127.0.0.31")
        other, admitted = connect("127.0.0.32")
        expect(refused == "BUSY", "the third of one address", refused)
        expect(admitted == "WELCOME", "the third through the proxy, from another address", admitted)
        expect("127.0.0.31" in server.line("limit=max-per-source"), "the limit names the client's address")
        for client in [*(client for client, _ in held), same, other]:
            client.close()
        wrong = 0
        while True:
            client, verdict = connect("127.0.0.33", "00000000000000000000")
            client.close()
            wrong += 1
            if verdict == "BUSY":
                break
            expect(verdict == "UNAUTHORIZED" and wrong < 20, "a wrong token", verdict, wrong)
        client, verdict = connect("127.0.0.34")
        client.close()
        expect(verdict == "WELCOME", "another client through the same proxy has no penalty", verdict)
        owed = server.ctl("penalties")
        expect("127.0.0.33" in owed and "127.0.0.1 " not in owed, "penalties", owed)
        return [f"refused by penalty at attempt {wrong}"]

    def forgeries(self):
        """Headers from elsewhere, none at all, broken ones, and one that comes byte by byte."""
        server = Server(self.bed, "--exempt", "::1")
        with wire.Client(server.port, "127.0.0.41", header=wire.header_v2("192.0.2.1")) as client:
            verdict = client.verdict()
            expect(verdict == "UNAUTHORIZED", "a header from outside the range", verdict)
        line = server.line("limit=proxy-from", "127.0.0.41")
        expect("192.0.2.1" not in server.log(), "a forged address is never read", line)
        with wire.Client(server.port, "127.0.0.1") as client:
            verdict = client.verdict()
            expect(verdict in ("", "PROTOCOL_ERROR"), "no header", verdict)
        server.line("reason=PROTOCOL_ERROR", "via=127.0.0.1")
        header = wire.header_v2("192.0.2.2")
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as link:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in header + wire.peer.PREFACE + wire.peer.hello():
                link.sendall(bytes([byte]))
                time.sleep(0.005)
            expect(link.recv(8) == wire.peer.PREFACE, "a header that comes byte by byte")
            expect(any(seen["peer"] == "192.0.2.2:1234" for seen in server.connections()), "its address",
                   server.connections())
        begun = time.monotonic()
        with socket.create_connection(("127.0.0.1", server.port), timeout=8) as link:
            link.sendall(header[:10])
            while link.recv(4096):
                pass
        took = time.monotonic() - begun
        expect(2.9 < took < 4, "a header that stops is given up at --handshake-timeout 3", took)
        expect("192.0.2." not in server.ctl("penalties"), "nobody owes for these", server.ctl("penalties"))
        return [f"a header that stops: {took:.2f} s"]

    def health_checks(self):
        """Checks by LOCAL headers, by plain connections and at the metrics: quiet, and nobody owes for them."""
        server = Server(self.bed, "--exempt", "::1", "--max-rate", "1000")
        front = HAProxy(self.bed, server, self.bed.path("server.pem"), change=lambda text: text + f"""
backend local
    mode tcp
    server a 127.0.0.1:{server.port} send-proxy-v2 check inter 50ms
    server b 127.0.0.1:{server.port} check-send-proxy check inter 50ms
    server c 127.0.0.1:{server.port} check inter 50ms
""")
        def up():
            rows = [line.split(",") for line in front.tell("show stat").splitlines()]
            names = rows[0]
            checks = {row[names.index("svname")]: (row[names.index("status")], row[names.index("check_status")])
                      for row in rows[1:] if len(row) > 40 and row[names.index("check_status")]}
            return checks if {"a", "b", "c", "lifeline"} <= set(checks) else None
        eventually(up, "HAProxy checks")
        time.sleep(1)  # Some twenty checks of each kind.
        checks = up()
        expect(all(status.startswith("UP") for status, _ in checks.values()), "all servers are up", checks)
        expect(checks["lifeline"][1] == "L7OK", "the generated check asks over HTTP", checks)
        expect("127." not in server.ctl("penalties"), "no penalty", server.ctl("penalties"))
        told = [line for line in server.log().splitlines()
                if any(word in line for word in (" closed ", " refused ", " warning "))]
        expect(not told, "checks are quiet", len(told), *told[:3])
        return [f"{name}: {status} {how}" for name, (status, how) in sorted(checks.items())]

    def renewal(self):
        """A certificate is renewed under 500 connections through the stats socket."""
        server = Server(self.bed, "--log-level", "warning")
        certificate = self.bed.copy("server.pem", "live.pem")
        front = HAProxy(self.bed, server, certificate)
        before = self.serial(front.port)
        bench = self.bench_tls(front.port, "--connections", "500", "--duration", "5" if self.is_quick else "15",
                               "--rate", "1000", "--sources", "1", "--stay-away", "--verify")
        eventually(lambda: len(server.connections()) == 500, "500 connections", 20)
        with open(self.bed.path("renewed.pem")) as new:
            text = new.read().strip()
        said = front.tell(f"set ssl cert {certificate} <<\n{text}\n") + front.tell(f"commit ssl cert {certificate}")
        expect("Success" in said, "commit ssl cert", said)
        after = self.serial(front.port)
        expect(after != before, "new connections get the renewed certificate", before, after)
        expect(len(server.connections()) >= 500, "the old connections stay", len(server.connections()))
        result = self.result(bench)
        expect_clean(result)
        return [f"{summary(result)}; serial {before} before, {after} after"]

    def serial(self, port):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as link:
            with self.tls.wrap_socket(link, server_hostname="server.test") as secure:
                return secure.getpeercert()["serialNumber"]

    def restarts(self):
        """HAProxy is reloaded, and killed, under load: each request has an answer or an error."""
        server = Server(self.bed, "--log-level", "error")
        front = HAProxy(self.bed, server, self.bed.path("server.pem"))
        facts = []
        old = front.program
        bench = self.bench_tls(front.port, "--connections", "50", "--duration", "3", "--rate", "500", "--sources", "1",
                               "--verify")
        eventually(lambda: len(server.connections()) == 50, "50 connections", 20)
        front.start("-x", front.socket, "-sf", str(old.process.pid))
        with wire.Client(front.port, "127.0.0.51", self.tls) as client:
            expect(client.verdict() == "WELCOME", "the new process serves new clients")
        expect(old.is_running(), "the old process keeps its connections")
        result = self.result(bench)
        expect_clean(result)
        facts.append(f"reload: {summary(result)}")
        eventually(lambda: not old.is_running(), "the old process ends with its last connection")
        bench = self.bench_tls(front.port, "--connections", "50", "--duration", "4", "--rate", "500", "--sources", "1",
                               "--verify")
        eventually(lambda: len(server.connections()) == 50, "50 connections", 20)
        front.program.process.send_signal(signal.SIGKILL)
        front.program.process.wait()
        eventually(lambda: not server.connections(), "the server drops what was cut")
        front.start()
        result = self.result(bench)
        expect_all_told(result)
        facts.append(f"kill -9: {summary(result)}")
        return facts

    def killed_under_client(self):
        """The command client sends 20,000 requests; HAProxy is killed in the middle. Each line is answered or told."""
        server = Server(self.bed, "--log-level", "error")
        front = HAProxy(self.bed, server, self.bed.path("server.pem"))
        count = 20000
        lines = "".join(f"{number}\n" for number in range(count)).encode()
        words = [self.bed.command("client"), "--tls", "--ca", self.bed.path("ca.pem"), "--server-name", "server.test",
                 "--port", front.port, "--retries", "20", "--json"]
        done = {}
        feed = threading.Thread(target=lambda: done.update(seen=self.bed.run("pipe", *words, input=lines, within=30)))
        feed.start()
        eventually(lambda: any(seen["requests"] > 1000 for seen in server.connections()), "a thousand requests")
        front.program.process.send_signal(signal.SIGKILL)
        front.program.process.wait()
        front.start()
        feed.join()
        status, said = done["seen"]
        return [f"{count} requests: status {status}, {count_events(said, count)}"]

    def conformance(self):
        """The suite for servers through HAProxy, over TCP and over TLS twice."""
        server = Server(self.bed, "--log-level", "error")
        front = HAProxy(self.bed, server, self.bed.path("server.pem"))
        ports = [free_port(), free_port()]
        HAProxy(self.bed, server, self.bed.path("server.pem"), name="hops", change=lambda text: text + f"""
listen plain
    bind 127.0.0.1:{ports[0]}
    server lifeline 127.0.0.1:{server.port} send-proxy-v2
listen towards-tls
    bind 127.0.0.1:{ports[1]}
    server lifeline 127.0.0.1:{front.port} ssl ca-file {self.bed.path('ca.pem')} verifyhost server.test
""")
        facts = self.judge(ports[0], "plain HAProxy") + self.judge(ports[1], "two hops of TLS")
        for version in ("v1", "v2"):
            facts += self.judge(server.port, f"the suite's own header, {version}", "--proxy", version, allowed=())
        return facts

    def judge(self, port, what, *flags, allowed=None):
        which = ("--only", "4.", "--only", "3.6") if self.is_quick else ()
        report = self.bed.path(f"report-{port}.json")
        status, said = self.bed.run(
            "conformance", self.bed.command("conformance"), "server", f"127.0.0.1:{port}", "--scale", "0.2",
            "--jobs", "8", "--again", "1", "--handshake-timeout", "3", "--json", report, *which, *flags, within=120)
        last = said.strip().splitlines()[-1]
        with open(report) as file:
            cases = json.load(file)
        failed = [case["id"] for case in cases["cases"] if not case["passed"] and case["behaviour"] != "skipped"]
        allowed = KNOWN_BEHIND_PROXY if allowed is None else set(allowed)
        expect(set(failed) <= allowed, f"conformance through {what}", failed, last)
        return [f"{what}: {last}; failed: {' '.join(failed) or 'none'}"]

    def hitch(self):
        """hitch in front, with PROXY version 2: the client's address and TLS, by another program."""
        server = Server(self.bed)
        port, certificate = free_port(), self.bed.copy("server.pem", "hitch.pem")
        with open(self.bed.path("hitch.conf"), "w") as file:
            file.write(f'frontend = {{ host = "127.0.0.1" port = "{port}" }}\nbackend = "[127.0.0.1]:{server.port}"\n'
                       f'pem-file = "{certificate}"\nwrite-proxy-v2 = on\nworkers = 1\n'
                       'tls-protos = TLSv1.2 TLSv1.3\n' + ('user = "nobody"\n' if os.geteuid() == 0 else ""))
        hitch = self.bed.start("hitch", "hitch", "--config", self.bed.path("hitch.conf"))
        eventually(lambda: accepts(port), "hitch accepts")
        with wire.Client(port, "127.0.0.61", self.tls) as client:
            expect(client.verdict() == "WELCOME" and client.ask("hello") == "hello", "through hitch", server.log())
            peers = [seen["peer"] for seen in server.connections()]
            expect(f"127.0.0.61:{client.port}" in peers, "the client's address", peers)
            # A reload renews the certificate, and leaves the connections to the old worker.
            before = self.serial(port)
            self.bed.copy("renewed.pem", "hitch.pem")
            hitch.process.send_signal(signal.SIGHUP)
            eventually(lambda: self.serial(port) != before, "the renewed certificate")
            expect(client.ask("again") == "again", "the connection outlives the reload")
        line = server.line("peer=127.0.0.61:")
        status, said = self.client(port, "hello")
        expect(status == 0 and said == "hello\n", "client --tls through hitch", status, said)
        return [line.partition(" ")[2][:200]]

    def stunnel(self):
        """stunnel in front, which speaks version 1."""
        server = Server(self.bed)
        port = free_port()
        with open(self.bed.path("stunnel.conf"), "w") as file:
            file.write(f"foreground = yes\npid =\n[lifeline]\naccept = 127.0.0.1:{port}\n"
                       f"connect = 127.0.0.1:{server.port}\ncert = {self.bed.path('server.pem')}\nprotocol = proxy\n")
        self.bed.start("stunnel", "stunnel4", self.bed.path("stunnel.conf"))
        eventually(lambda: accepts(port), "stunnel accepts")
        with wire.Client(port, "127.0.0.71", self.tls) as client:
            expect(client.verdict() == "WELCOME" and client.ask("hello") == "hello", "through stunnel", server.log())
            peers = [seen["peer"] for seen in server.connections()]
            expect(f"127.0.0.71:{client.port}" in peers, "the client's address", peers)
        return ["PROXY version 1"]


# These ask what lies in the kernel and in the outbox alone, and a proxy has buffers of its own behind both. 7.2/1 ends its
# stream before the first byte: now and then HAProxy ends the connection before the server's answer is through.
KNOWN_BEHIND_PROXY = {"5.4/10", "5.4/11", "5.4/12", "7.2/1", "7.5/1", "7.5/2"}


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def expect_clean(result):
    expect(result["answered"] > 0 and result["failed"] == 0 and not result["requests_by_outcome"]
           and not result["connections_by_ending"], "no connection and no request is lost", facts_of(result))


def expect_all_told(result):
    """Each request that did not get an answer has another outcome, and each connection that ended has a reason."""
    expect(result["answered"] > 0 and result["connections_by_ending"], "connections were cut", facts_of(result))
    expect(result["failed"] == sum(result["requests_by_outcome"].values()), "each failure has its outcome",
           facts_of(result))


def facts_of(result):
    return {key: result[key] for key in ("connected", "answered", "failed", "never_sent", "requests_by_outcome",
                                         "connections_by_ending")}


def summary(result):
    return ", ".join(f"{key} {value}" for key, value in facts_of(result).items() if value not in (0, {}))


def count_events(text, count):
    """The command client's lines of JSON: each request has one line, an answer or a failure."""
    seen, events = {}, {}
    for line in text.splitlines():
        if line.startswith("{"):
            event = json.loads(line)
            events[event["event"]] = events.get(event["event"], 0) + 1
            if event["event"] in ("answer", "failure"):
                seen.setdefault(event["number"], []).append(event["event"])
    missing = [number for number in range(1, count + 1) if len(seen.get(number, [])) != 1]
    expect(not missing, "each request has one outcome", len(missing), missing[:5], events)
    return ", ".join(f"{name} {number}" for name, number in sorted(events.items()))
