"""Three network namespaces, client - router - server, and the slow links between them."""

import os
import signal
import subprocess

PREFIX = "lifeline"
CLIENT, ROUTER, SERVER = "10.0.1.2", "10.0.1.1", "10.0.2.2"
PACKET = 1514  # Bytes of a full packet, with its Ethernet header.
LEAST_QUEUE = 3 * PACKET  # A link that queues less than a few packets carries no TCP.


class NotAllowed(Exception):
    """This system makes no namespaces or no slow links for this user."""


def run(*command):
    """Runs a command to its end. A signal to the terminal's process group does not cut it short."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True)
    if done.returncode:
        raise NotAllowed(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def queue_bytes(rate, queue):
    """The bytes that the queue of a link holds: `queue` seconds at `rate` bit/s, and at least a few packets."""
    return max(int(rate * queue / 8), LEAST_QUEUE)


class Topology:
    """The namespaces of one row. Packets wait in the router's two egress queues, which no sender's kernel sees."""

    def __init__(self, number):
        self.names = {who: f"{PREFIX}-{os.getpid()}-{number}-{who}" for who in ("client", "router", "server")}
        self.blackholes = set()

    def make(self, rate, queue, congestion):
        # A namespace may not choose a default that the system does not allow for all users; a route may.
        for name in self.names.values():
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "dev", "lo", "up")
        router = self.names["router"]
        run("ip", "netns", "exec", router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        for side, address in (("client", CLIENT), ("server", SERVER)):
            name, gateway, link = self.names[side], address[:-1] + "1", "to-" + side
            run("ip", "link", "add", link, "netns", router, "type", "veth", "peer", "name", "eth0", "netns", name)
            for where, what, own in ((router, link, gateway), (name, "eth0", address)):
                run("ip", "-n", where, "addr", "add", own + "/24", "dev", what)
                run("ip", "-n", where, "link", "set", "dev", what, "up")
            run("ip", "-n", name, "route", "add", "default", "via", gateway, "congctl", congestion)
            # The relay's connections leave from the router.
            run("ip", "-n", router, "route", "replace", address, "dev", link, "congctl", congestion)
            # The burst is a packet, or what comes within one tick of the slowest kernels.
            burst = max(PACKET + 86, int(rate / 8 / 100))
            run("tc", "-n", router, "qdisc", "add", "dev", link, "root", "tbf", "rate", f"{rate}bit", "burst",
                str(burst), "limit", str(queue_bytes(rate, queue) + burst))

    def command(self, who, *command):
        return ["ip", "netns", "exec", self.names[who], *command]

    def cut(self, *towards):
        """From now on the router discards in silence what comes for these sides. What waits in its queues still goes."""
        for side in towards:
            address = {"client": CLIENT, "server": SERVER}[side]
            run("ip", "-n", self.names["router"], "route", "replace", "blackhole", address)

    def pids(self):
        """The processes in these namespaces."""
        found = []
        for name in self.names.values():
            try:
                found += map(int, run("ip", "netns", "pids", name).split())
            except NotAllowed:
                pass
        return found

    def remove(self):
        for name in self.names.values():
            if os.path.exists("/run/netns/" + name):
                run("ip", "netns", "del", name)  # Its links go with it.


def remove_stale():
    """Removes what a test bed left that was killed: namespaces whose name has the number of no process."""
    try:
        names = [line.split()[0] for line in run("ip", "netns", "list").splitlines() if line]
    except (NotAllowed, OSError):
        return
    for name in names:
        parts = name.split("-")
        if len(parts) == 4 and parts[0] == PREFIX and parts[1].isdigit() and not os.path.exists("/proc/" + parts[1]):
            for pid in run("ip", "netns", "pids", name).split():
                os.kill(int(pid), signal.SIGKILL)
            run("ip", "netns", "del", name)


def check(congestion):
    """Raises NotAllowed where this user cannot have what a row needs."""
    topology = Topology("check")
    try:
        topology.make(1000000, 0.2, congestion)
    except FileNotFoundError as error:
        raise NotAllowed(f"{error.filename} is missing (install iproute2)")
    finally:
        topology.remove()
