"""A TCP relay that runs in the router of the test bed.

    relay.py LISTEN-PORT SERVER PORT --delay SECONDS AHEAD    hands on what comes after this time, each way
    relay.py LISTEN-PORT SERVER PORT --bytes                  hands on each byte by a write of its own

It reads AHEAD bytes of what it can hand on, as proxies do: neither end sees in its own kernel how much waits here.
"""

import collections
import selectors
import socket
import sys
import time

AT_ONCE = 256  # Bytes that one way hands on before the others get their turn.


class Way:
    """One direction of a connection: from the socket `source` to the socket `sink`."""

    def __init__(self, source, sink, delay, ahead):
        self.source, self.sink, self.delay = source, sink, delay
        self.ahead, self.each = ahead or 1 << 16, not ahead
        self.waiting = collections.deque()  # (when it is due, bytes); no bytes: the end of the stream
        self.size, self.has_ended = 0, False

    def wants_to_read(self):
        return not self.has_ended and self.size < self.ahead

    def wants_to_write(self, now):
        return bool(self.waiting) and self.waiting[0][0] <= now

    def read(self, now):
        try:
            data = self.source.recv(65536)
        except BlockingIOError:
            return
        self.size += len(data)
        self.has_ended = not data
        self.waiting.append((now + self.delay, memoryview(data)))

    def write(self, now):
        for _ in range(AT_ONCE):
            if not self.wants_to_write(now):
                return
            due, data = self.waiting.popleft()
            if not data:
                self.sink.shutdown(socket.SHUT_WR)
                continue
            try:
                count = self.sink.send(data[:1] if self.each else data)
            except BlockingIOError:
                count = 0
            self.size -= count
            if count < len(data):
                self.waiting.appendleft((due, data[count:]))
            if not count:
                return


def main(port, server, server_port, delay=0.0, ahead=0):
    listener = socket.create_server(("", port))
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    print("listening", flush=True)
    pairs = []
    while True:
        now = time.monotonic()
        due = [way.waiting[0][0] for pair in pairs for way in pair if way.waiting and way.waiting[0][0] > now]
        masks = collections.Counter()
        for way in (way for pair in pairs for way in pair):
            if way.wants_to_read():
                masks[way.source] |= selectors.EVENT_READ
            if way.wants_to_write(now):
                masks[way.sink] |= selectors.EVENT_WRITE
        for pair in pairs:
            for sock in (pair[0].source, pair[0].sink):
                known = selector.get_map().get(sock)
                if known and not masks[sock]:
                    selector.unregister(sock)
                elif masks[sock] and not known:
                    selector.register(sock, masks[sock])
                elif known and known.events != masks[sock]:
                    selector.modify(sock, masks[sock])
        ready = {key.fileobj: mask for key, mask in selector.select(min(due) - now if due else None)}
        now = time.monotonic()
        if listener in ready:
            client, _ = listener.accept()
            there = socket.create_connection((server, server_port))
            for sock in (client, there):
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pairs.append((Way(client, there, delay, ahead), Way(there, client, delay, ahead)))
        for pair in list(pairs):
            try:
                for way in pair:
                    if ready.get(way.source, 0) & selectors.EVENT_READ and way.wants_to_read():
                        way.read(now)
                    way.write(now)
                is_over = all(way.has_ended and not way.waiting for way in pair)
            except OSError:  # A reset: both connections end.
                is_over = True
            if is_over:
                pairs.remove(pair)
                for sock in (pair[0].source, pair[0].sink):
                    if sock in selector.get_map():
                        selector.unregister(sock)
                    sock.close()


if __name__ == "__main__":
    port, server, server_port, _, *times = sys.argv[1:]
    main(int(port), server, int(server_port), *(kind(text) for kind, text in zip((float, int), times)))
