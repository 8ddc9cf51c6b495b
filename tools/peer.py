#!/usr/bin/env python3
"""A second implementation of Lifeline, client and server, written from Protocol.md alone.

    tools/peer.py server [flags]                  serves; --help tells the flags
    tools/peer.py client [flags] [MESSAGE ...]    sends messages and prints the replies, a line each
    tools/peer.py selftest                        tries itself against Protocol.md and against itself

Two implementations of one text show what the text leaves open, so this one shares nothing with the other and imports
nothing but the standard library. It is to be read from the top: the bytes, what waits to be sent, a connection (the
rules that both sides keep), the server's side and the client's. Up to there nothing touches a socket or a clock: bytes
and instants go in, bytes and deadlines come out. Below come the loops, the command line, and the tests. A number in a
comment is that of the requirement, or the row of section 9, that is carried out there.
"""

import argparse
import collections
import errno
import heapq
import hmac
import os
import random
import re
import selectors
import signal
import socket
import struct
import sys
import time

# ---------------------------------------------------------------------------------------------------------- the bytes

PREFACE = b"LIFELINE"
HELLO, WELCOME, PING, PONG, REQUEST, RESPONSE, MESSAGE, CANCEL, FAILURE, GOAWAY, CLOSE, CREDIT = range(1, 13)
MINOR = 1  # the version is 1.1; where either side says 1.0, the rules of 1.0 hold (4.2-2)
MORE, IGNORABLE = 0x01, 0x80
SHORT = 0x0001
TOKEN, NAME, AGENT, FIRST_LIMIT, ANSWERS = range(1, 6)  # options; FIRST_LIMIT is the one called CREDIT
CHUNK = 16384  # 3.3-10
EARLY_CHUNK, EARLY_MOST = 256, 16384  # 6-7, 6-8
LINGER = 1.0  # 7.1-3, 7.5-2
LEAST_WINDOW, FIRST_WINDOW = 2048, 16384  # 5.12-3
LEAST_STEP, MOST_STEP = 1024, 1048576  # of messages between two PINGs (5.10, 5.12)
TCP_NOTSENT_LOWAT, NOTSENT = getattr(socket, "TCP_NOTSENT_LOWAT", 25), 16384  # bytes that may lie unsent in the kernel
U32 = 4294967295

CODES = (
    "NORMAL PROTOCOL_ERROR BAD_PREFACE UNSUPPORTED_VERSION FRAME_TOO_LARGE MESSAGE_TOO_LARGE HANDSHAKE_TIMEOUT SILENT "
    "FRAME_TIMEOUT SLOW_READER TOO_MANY_PINGS NO_ROUND_TRIP BUSY SHUTTING_DOWN UNAUTHORIZED UNSUPPORTED_OPTION "
    "HANDLER_FAILED CANCELLED REFUSED KICKED INTERNAL"
).split()
(NORMAL, PROTOCOL_ERROR, BAD_PREFACE, UNSUPPORTED_VERSION, FRAME_TOO_LARGE, MESSAGE_TOO_LARGE, HANDSHAKE_TIMEOUT,
 SILENT, FRAME_TIMEOUT, SLOW_READER, TOO_MANY_PINGS, NO_ROUND_TRIP, BUSY, SHUTTING_DOWN, UNAUTHORIZED,
 UNSUPPORTED_OPTION, HANDLER_FAILED, CANCELLED, REFUSED, KICKED, INTERNAL) = range(21)

# name, who sends it, whether it has the id of a request, least and most payload (None: max_frame), MORE allowed
Kind = collections.namedtuple("Kind", "name senders has_id least most more")
KINDS = {
    HELLO: Kind("HELLO", "client", False, 20, 1024, False),
    WELCOME: Kind("WELCOME", "server", False, 36, 1024, False),
    PING: Kind("PING", "both", False, 8, 8, False),
    PONG: Kind("PONG", "both", False, 20, 20, False),
    REQUEST: Kind("REQUEST", "client", True, 0, None, True),
    RESPONSE: Kind("RESPONSE", "server", True, 0, None, True),
    MESSAGE: Kind("MESSAGE", "both", False, 0, None, True),
    CANCEL: Kind("CANCEL", "client", True, 0, 0, False),
    FAILURE: Kind("FAILURE", "server", True, 8, 520, False),
    GOAWAY: Kind("GOAWAY", "both", False, 12, 524, False),
    CLOSE: Kind("CLOSE", "both", False, 12, 524, False),
    CREDIT: Kind("CREDIT", "both", False, 16, 16, False),  # where it is in force, else a type that is not known (M5)
}
MESSAGES = (REQUEST, RESPONSE, MESSAGE)
OF_REQUESTS = (REQUEST, RESPONSE, CANCEL, FAILURE)  # both sides send them where section 3.7 holds

Header = collections.namedtuple("Header", "length type flags id")
Limits = collections.namedtuple("Limits", "max_frame max_message max_in_flight max_queued")
DEFAULTS = Limits(16384, 1048576, 256, 4194304)
ROOM = 65536  # for MESSAGEs that wait here: what is offered to the peer (3.8)


def code_name(code):
    """A code for a person; one that is not known is treated like INTERNAL and shown as its number (4.9-4)."""
    return CODES[code] if code < len(CODES) else "INTERNAL(%d)" % code


def encode(type, payload=b"", id=0, flags=0):
    return struct.pack(">IBBHI", len(payload), type, flags, 0, id) + payload


def encode_text(text):
    return text.encode()[:512].decode("utf-8", "ignore").encode()  # whole characters, at most 512 bytes


def encode_close(code, text="", last_id=0, retry_after=0):
    return encode(CLOSE, struct.pack(">IHHI", last_id, code, 0, retry_after) + encode_text(text))


def encode_goaway(code, text="", retry_after=0, spread=0):
    return encode(GOAWAY, struct.pack(">HHII", code, 0, retry_after, spread) + encode_text(text))


def encode_failure(id, code, text="", retry_after=0):
    return encode(FAILURE, struct.pack(">HHI", code, 0, retry_after) + encode_text(text), id)


def encode_credit(limit, handled):
    return encode(CREDIT, struct.pack(">QQ", limit, handled))


def cost(body):
    """What a MESSAGE takes of the credit (3.8)."""
    return len(body) + 12


def encode_option(tag, value):
    return struct.pack(">HH", tag, len(value)) + value


def negotiate(wish_ping, wish_dead, timeout, heartbeat=60000):
    """The formula of section 6, in whole milliseconds (3.1-2): ping_every and dead_after."""
    dead = min(max(wish_dead, 100), timeout) if wish_dead else timeout
    return min(max(wish_ping or dead // 3, 20), dead // 2, heartbeat), dead


def escape(text):
    """Text of the peer, fit for a log or a terminal (11-3). str.isprintable knows controls and right-to-left marks."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def looks_like(first):
    """What speaks in place of Lifeline (3.2-5)."""
    if re.match(rb"(GET|HEAD|POST|PUT|DELETE|OPTIONS|TRACE|CONNECT|PATCH|PRI|HTTP)( |/)", first):
        return "this looks like HTTP"
    if first.startswith(b"\x16\x03"):
        return "this looks like TLS"
    if first.startswith(b"SSH-"):
        return "this looks like SSH"
    if first.startswith((b"PROXY ", ProxyHeader.signature[:7])):
        return "this looks like a header of the PROXY protocol, which is not taken here"
    return "got " + first.hex(" ")


class Drop(Exception):
    """The peer broke a rule: the connection ends with this code (7.5)."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code, self.text = code, text


# ----------------------------------------------------------------------------------------------- what waits to be sent


class Out:
    """A frame on its way. It is begun when the kernel has taken a byte of it (7.5-1)."""

    __slots__ = ("data", "sent", "type", "id", "last", "message", "end", "position")

    def __init__(self, data, type=0, id=0, last=False, message=None, end=0):
        self.data, self.sent, self.type, self.id, self.last = data, 0, type, id, last
        self.message, self.end = message, end  # what it was cut from, and up to which byte
        self.position = 0  # bytes of messages that were begun before it


class Message:
    """A message that waits. Its frames are cut when there is room for them, as long as the path bears then."""

    __slots__ = ("type", "id", "body", "at")

    def __init__(self, type, id, body):
        self.type, self.id, self.body, self.at = type, id, bytes(body), 0

    def cut(self, at, chunk):
        end = min(at + chunk, len(self.body))
        last = end == len(self.body)
        frame = encode(self.type, self.body[at:end], self.id, 0 if last else MORE)
        return Out(frame, self.type, self.id, last, self, end)


class Window:
    """The send window (5.12): how many bytes of messages may be on the way that no PONG has proved.

    A frame counts with all of its bytes when it is begun. Before WELCOME nobody knows how long dead_after is, so the
    least window holds for what a client sends then; it counts from `bind` on. After `free` nothing is held back.
    """

    def __init__(self):
        self.early, self.bound = True, False
        self.size = FIRST_WINDOW
        self.sent = self.proved = self.mark = 0  # bytes of messages; mark: those ahead of the newest PING
        self.least = None  # the least round trip
        self.queue_seen = False
        self.above = []  # round trips in a row above the target, with the least window

    def bind(self, dead_after):
        self.early, self.bound, self.dead_after = False, True, dead_after
        self.size = min(max(int(dead_after * 1000), LEAST_WINDOW), FIRST_WINDOW)  # 5.12-3

    def free(self):
        self.early = self.bound = False  # 5.12-5

    @property
    def unproved(self):
        return self.sent - self.proved

    @property
    def closed(self):
        return self.bound and self.unproved >= self.size  # 5.12-1

    @property
    def chunk(self):
        return int(self.size // 4) if self.bound else U32

    def _until_ping(self):
        step = min(max(self.size / 8, LEAST_STEP), MOST_STEP)
        return max(step - (self.sent - self.mark), self.size / 2 - self.unproved)

    @property
    def wants_ping(self):
        return self.bound and self._until_ping() <= 0  # 5.12-2

    @property
    def room(self):
        """Frames may be begun while this is more than 0. It ends at the next PING too, which goes among messages."""
        if self.early:
            return LEAST_WINDOW - self.sent
        return min(self.size - self.unproved, self._until_ping()) if self.bound else float("inf")

    def target(self):
        return max(self.dead_after / 10, min(1.5 * self.least, self.least + self.dead_after / 8))

    def prove(self, position, ahead, trip, held):
        """A PONG came: to a PING with `ahead` unproved bytes before it, after a round trip of `trip`. `held`: messages
        were held back since that PING. Says whether it proved a byte (5.12-4)."""
        news = position > self.proved
        self.proved = max(self.proved, position)
        self.least = trip if self.least is None else min(self.least, trip)
        self.queue_seen = self.queue_seen or trip > 1.25 * self.least
        if not self.bound:
            return news
        target = self.target()
        if trip > target:
            self.above = self.above + [trip] if self.size == LEAST_WINDOW else []
            self.size = min(self.size, max(LEAST_WINDOW, ahead * target / trip))
            if len(self.above) == 3:  # the path is longer by itself
                self.least, self.above = min(self.above), []
        else:
            self.above = []
            if held:
                factor = 4 if 4 * trip <= target else target / trip
                self.size = max(self.size, ahead * max(factor, 0 if self.queue_seen else 2))
        return news


class Outbox:
    """The order in which frames go: what is begun, the handshake, CREDIT, PONG, other control frames, messages, the
    GOAWAY of who leaves, CLOSE.

    Nothing is staged. Each write offers the front of the line anew, so a PONG waits for the rest of one frame at most,
    whatever else has been put here (5.4-3). It is true where there is something to write; messages that the window
    holds back are none, but they wait (`waits`).
    """

    def __init__(self):
        self.begun = self.credit = self.pong = self.leave = self.close = None
        self.greeting, self.urgent, self.messages = (collections.deque() for _ in range(3))
        self.window, self.chunk = Window(), EARLY_CHUNK
        self.progress = 0.0  # when the kernel last took a byte, or when the line ceased to be empty (5.9-1)
        self.messages_progress = 0.0  # the same of messages alone, and when a PONG last proved some
        self.spoke = 0.0  # when the kernel last took a byte (5.3-2)
        self.held_at = float("-inf")  # when the window last held a message back

    def line(self):
        """What may be written, in order; frames of messages are cut as they are asked for."""
        yield from filter(None, (self.begun,))
        yield from self.greeting
        yield from filter(None, (self.credit, self.pong))  # 3.8-8
        yield from self.urgent
        room, chunk = self.window.room, min(self.chunk, self.window.chunk)
        for message in self.messages:
            at, last = message.at, False
            while not last:
                if room <= 0:
                    return
                out = message.cut(at, chunk)
                yield out
                room -= len(out.data)
                at, last = out.end, out.last
        yield from filter(None, (self.leave, self.close))

    def __bool__(self):
        if self.begun or self.greeting or self.credit or self.pong or self.urgent:
            return True
        return self.window.room > 0 if self.messages else bool(self.leave or self.close)

    @property
    def waits(self):
        return bool(self) or bool(self.messages)

    @property
    def held(self):
        return bool(self.messages) and self.window.closed

    def look(self, now):
        """Notes whether messages are held back, before and after whatever may change that."""
        if self.held:
            self.held_at = now

    def _comes(self, now):
        if not self:
            self.progress = now

    def put(self, queue, out, now):
        self._comes(now)
        queue.append(out)

    def put_pong(self, data, now):
        self._comes(now)
        self.pong = Out(data, PONG)  # in place of one that is not begun: the latest answers all (5.4-4)

    def put_credit(self, data, now):
        self._comes(now)
        self.credit = Out(data, CREDIT)  # in place of one that is not begun: it says all that the other did (3.8)

    def put_leave(self, data, now):
        self._comes(now)
        self.leave = Out(data, GOAWAY)

    def put_close(self, data, now):
        self._comes(now)
        self.close = Out(data, CLOSE)

    def put_message(self, type, body, id, now):
        self._comes(now)
        if not self.messages:
            self.messages_progress = now
        self.messages.append(Message(type, id, body))

    def offer(self, most=65536):
        parts, size = [], 0
        for out in self.line():
            parts.append(out.data[out.sent :] if out.sent else out.data)
            size += len(parts[-1])
            if size >= most:
                break
        return b"".join(parts)

    def take(self, count, now):
        """The kernel took so many bytes of what was offered. Gives the frames of which it took the first one or more,
        and those of which it took the last."""
        touched, done = [], []
        while count:
            self.progress = self.spoke = now
            out = next(self.line())
            part = min(count, len(out.data) - out.sent)
            if out is not self.begun:
                touched.append(out)
                out.position = self.window.sent
                self._begin(out)
            if out.message:
                self.messages_progress = now
            out.sent += part
            count -= part
            if out.sent == len(out.data):
                self.begun = None
                done.append(out)
        return touched, done

    def _begin(self, out):
        self.begun = out
        if out.message:
            out.message.at = out.end
            self.window.sent += len(out.data)
            if out.last:
                self.messages.popleft()
        elif self.greeting:
            self.greeting.popleft()
        elif out is self.credit:
            self.credit = None
        elif out is self.leave:
            self.leave = None
        elif out is self.pong:
            self.pong = None
        elif self.urgent:
            self.urgent.popleft()
        else:
            self.close = None

    def withdraw(self, type, id):
        """Takes back what is not begun of a message; says whether its last chunk was among that."""
        kept = [message for message in self.messages if (message.type, message.id) != (type, id)]
        cut = len(kept) != len(self.messages)
        self.messages = collections.deque(kept)
        return cut

    def discard(self):
        """All that waits and is not begun (7.5-1), but for the preface (3.2-2) and HELLO (3.3-6): nothing may go before
        them."""
        self.greeting = collections.deque(out for out in self.greeting if out.type in (0, HELLO))
        self.credit = self.pong = self.leave = None
        self.urgent.clear()
        self.messages.clear()


class Bucket:
    """Section 5.10. Counted in parts of one frame, so that nothing is rounded."""

    def __init__(self, size, interval, now):
        self.size = self.level = float(size)
        self.interval, self.at = interval, now

    def fill(self, now):
        if self.interval:
            self.level = min(self.size, self.level + (now - self.at) / self.interval)
        self.at = now

    def take(self, now):
        self.fill(now)
        if self.level < 1 - 1e-9:
            return False
        self.level = max(0.0, self.level - 1)
        return True

    def ready_at(self):
        return self.at + max(0.0, 1 - self.level) * self.interval


# -------------------------------------------------------------------------------------------------------- a connection

PREFACE_STATE, GREETING, OPEN, CLOSING, CLOSED = "PREFACE", "GREETING", "OPEN", "CLOSING", "CLOSED"


class Beat:
    """A PING that is unanswered: when its last byte was with the kernel (None: it waits), and the bytes of messages
    that went before it, all and those that were unproved."""

    __slots__ = ("nonce", "left", "position", "ahead")

    def __init__(self, nonce):
        self.nonce, self.left, self.position, self.ahead = nonce, None, 0, 0


class Connection:
    """What both sides do alike. DRAINING and ENDED of section 2.3 are OPEN with `goaway_got`, `goaway_sent`, `ended`.

    Bytes that came go to `receive`, an end of stream to `end_of_stream`, an error to `lose`; `outbox.offer` says what
    to write and `taken` is told how much of it the kernel took. `deadline` says when `tick` is to be called next, with
    how much later than asked for that was. `wants_shutdown` asks for the end of writing, state CLOSED for that of the
    socket. All that has come is to be handed over before `tick` is called (5.1-2).
    """

    role = None
    first_types = ()

    def __init__(self, now, limits, handshake_timeout, rng, minor, room):
        self.limits, self.rng, self.minor = limits, rng, minor  # minor: the one offered, then the one in force
        self.room = room if minor >= 1 else None  # for MESSAGEs that wait here; None: no credit is offered
        self.credit = False  # credit is in force (3.8)
        self.answers = False  # the client answers requests of the server (3.7)
        self.state, self.made = PREFACE_STATE, now
        self.handshake_timeout = handshake_timeout
        self.outbox = Outbox()
        self.greeted = False  # WELCOME has been sent (server) or received (client)
        self.short = False
        self.deaf = False  # nothing that comes is taken for frames any more (7.1-5, 9-3)
        self.ended = False  # the peer's end of stream
        self.mute = False  # own writing is shut down, or will be when all is sent, without CLOSE
        self.dropped = False
        self.peer_closed = False
        self.close_sent = None  # when CLOSE was with the kernel
        self.goaway_sent = self.goaway_got = False
        self.end = None  # (code, "server" or "client", text), once
        self.lost = None  # why, where the connection ended without CLOSE
        self.notes = []  # (what, ...) for the log
        # The decoder.
        self.matched = 0
        self.head, self.frame, self.left, self.body = bytearray(), None, 0, bytearray()
        self.frame_since = None
        self.open, self.open_length, self.message = None, 0, None
        # The heartbeat.
        self.heard, self.pinged, self.nonce = now, False, 0
        self.beats = collections.deque()  # PINGs that are unanswered
        self.bulk = 0  # bytes of frames of messages that came since the last PING (5.10)
        self.bucket = self.own_bucket = None
        self.held = collections.deque()  # what waits for one's own bucket: functions
        self.bytes_in = self.bytes_out = 0
        # MESSAGEs that come. `inbox` waits for the handler, which has one of them while `busy`.
        self.take_message = lambda connection, body, now: True
        self.inbox, self.busy = collections.deque(), None
        self.come, self.granted = 0, self.room or 0  # what those that began cost; the highest limit that was told
        self.handled = self.handled_cost = self.told = 0  # told: of `handled`
        # MESSAGEs that go. `letters` wait for credit.
        self.letters = collections.deque()
        self.taken_over = 0  # by `send_message`
        self.limit = self.spent = self.posted = self.confirmed = 0  # posted: those that are with the kernel

    # -- in

    def receive(self, data, now):
        self.bytes_in += len(data)
        self.heard, self.pinged = now, False  # 5.1-1
        if not self.deaf and self.state != CLOSED:
            try:
                self._decode(memoryview(data), now)
            except Drop as drop:
                self.drop(drop.code, drop.text, now)
        self._settle(now)

    def _decode(self, data, now):
        while not self.deaf:
            if self.state == PREFACE_STATE:
                if not len(data):
                    return
                for byte in data[: 8 - self.matched]:
                    if byte != PREFACE[self.matched]:  # 3.2-3, 3.2-4
                        raise Drop(BAD_PREFACE, looks_like(PREFACE[: self.matched] + bytes(data[:8])))
                    self.matched += 1
                    data = data[1:]
                if self.matched == 8:
                    self.state = GREETING
            elif self.frame is None:
                if not len(data):
                    return
                if not self.head:
                    self.frame_since = now
                piece = data[: 12 - len(self.head)]
                self.head += piece
                data = data[len(piece) :]
                if len(self.head) == 12:
                    self.frame = self._judge(*struct.unpack(">IBBHI", self.head), now)
                    self.head.clear()
                    self.left = self.frame.length
            else:
                piece = data[: self.left]
                if self.left and not len(piece):
                    return
                data = data[len(piece) :]
                self.left -= len(piece)
                if not self._kind(self.frame.type):
                    pass  # 3.4-4
                elif self.frame.type not in MESSAGES:
                    self.body += piece
                elif self.message is not None:
                    self.message += piece
                if not self.left:
                    frame, body = self.frame, bytes(self.body)
                    self.frame, self.frame_since = None, None
                    self.body.clear()
                    self._whole(frame, body, now)

    def _kind(self, type):
        return KINDS.get(type) if type != CREDIT or self.credit else None  # M5

    def _judge(self, length, type, flags, zero, id, now):
        """A header, in the order of section 9 (9-2, 3.3-4)."""
        kind = self._kind(type)
        name = kind.name if kind else "type 0x%02x" % type

        def violation(what):
            return Drop(PROTOCOL_ERROR, "%s: %s" % (name, what))

        if zero:  # H1, 3.3-1
            raise violation("bytes 6 and 7 of the header are not 0")
        if flags & ~(MORE | IGNORABLE):  # H2, 3.4-1
            raise violation("flags 0x%02x" % flags)
        if not kind and not flags & IGNORABLE:  # H3, 3.4-3
            raise violation("unknown, and not IGNORABLE")
        if flags & MORE and not (kind and kind.more):  # H4, 3.4-2
            raise violation("MORE is not for this type")
        if kind and kind.senders == self.role and not (self.answers and type in OF_REQUESTS):  # H5, R20; 3.3-5, 3.7-1
            raise violation("only a %s sends it" % self.role)
        if not self.greeted and type not in self.first_types:  # H6, H7; 3.3-6, 3.3-7, 3.4-5
            raise violation("expected " + " or ".join(KINDS[t].name for t in self.first_types))
        if self.greeted and type in (HELLO, WELCOME):  # H8, 3.3-8
            raise violation("a second time")
        if kind and bool(id) != kind.has_id:  # H9, 3.3-2
            raise violation("id %d" % id)
        most = kind.most if kind and kind.most is not None else self.limits.max_frame
        if length > most:  # H10, 3.3-3, 3.3-9
            raise Drop(FRAME_TOO_LARGE, "%s of %d bytes, at most %d" % (name, length, most))
        if kind and length < kind.least:  # H11
            raise violation("%d bytes, at least %d" % (length, kind.least))
        header = Header(length, type, flags, id)
        if type in MESSAGES:
            if flags & MORE and not length:  # H12, 3.5-1
                raise violation("MORE and no byte")
            if self.open and self.open != (type, id):  # H13, 3.5-2, 3.5-3
                raise violation("inside of %s %d" % (KINDS[self.open[0]].name, self.open[1]))
            first = not self.open
            if first:
                self._judge_first(header, violation)  # H14
            total = length if first else self.open_length + length
            if total > self.limits.max_message:  # H15, 3.5-5
                raise Drop(MESSAGE_TOO_LARGE, "%s of %d bytes or more, at most %d"
                           % (name, total, self.limits.max_message))
            self._judge_side(header, violation, first)  # H16
            if type == MESSAGE and first and not flags & MORE and not length and self.minor < 1:
                self._pay(name, now)  # 5.10
            self.bulk += 12 + length
            self.open, self.open_length = (type, id), total
            if first:
                self.message = bytearray()
            self._chunk(header, first, now)
        else:
            self._judge_side(header, violation, False)  # H16
        return header  # H17, H18

    def _pay(self, name, now):
        if not self.bucket.take(now):  # 5.10-1, F7
            raise Drop(TOO_MANY_PINGS, "%s, and the bucket is empty" % name)

    def _whole(self, frame, body, now):
        type = frame.type
        if type in MESSAGES:
            if not frame.flags & MORE:
                message, self.open, self.message = self.message, None, None
                if message is not None and not (self.state == CLOSING and self.role == "server"):
                    self._complete(type, frame.id, bytes(message), now)
        elif type == CLOSE:
            last_id, code, zero, retry = struct.unpack(">IHHI", body[:12])
            self._take_close(last_id, code, retry, self._text("CLOSE", zero, body[12:]), now)
        elif type in (HELLO, WELCOME):
            self._take_greeting(body, now)
        elif type == PING and self._speaks:
            if self.minor < 1 or self.bulk < LEAST_STEP:
                self._pay("PING", now)
            self.bulk = 0
            if not self.wants_shutdown:
                if self.handled > self.told:
                    self._grant(now)  # 3.8-8
                self.outbox.put_pong(encode(PONG, body + self._load(now)), now)  # 5.4-1
        elif type == PONG and self._speaks:
            self._take_pong(struct.unpack(">QIII", body), now)
        elif type == CREDIT and self.credit:
            self._take_credit(*struct.unpack(">QQ", body), now)
        elif self.state != OPEN and type != FAILURE:
            pass  # CLOSING: discarded, but the client may take endings and CREDIT (E9)
        elif type == GOAWAY:
            code, zero, retry, spread = struct.unpack(">HHII", body[:12])
            self._take_goaway(code, retry, spread, self._text("GOAWAY", zero, body[12:]), now)
        elif type == CANCEL:
            self._pay("CANCEL", now)
            self._take_cancel(frame.id, now)
        elif type == FAILURE:
            code, zero, retry = struct.unpack(">HHI", body[:8])
            self._take_failure(frame.id, code, retry, self._text("FAILURE", zero, body[8:]), now)

    @staticmethod
    def _text(name, zero, raw):
        if zero:  # F1, 4.9-1
            raise Drop(PROTOCOL_ERROR, "%s: `zero` is %d" % (name, zero))
        return Connection._utf8(name + ": its text", raw)

    @staticmethod
    def _utf8(what, raw):
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:  # F2, G15; 3.1-3
            raise Drop(PROTOCOL_ERROR, what + " is not UTF-8") from None

    def _options(self, raw, judged):
        """Options, one after the other as they stand: G12 to G18, G22, G23. `judged` gives the most bytes of each known
        tag."""
        found, at = {}, 0
        while at < len(raw):
            if len(raw) - at < 4:  # 4.12-1
                raise Drop(PROTOCOL_ERROR, "%d bytes left over behind the options" % (len(raw) - at))
            tag, length = struct.unpack_from(">HH", raw, at)
            value = raw[at + 4 : at + 4 + length]
            if len(value) < length:
                raise Drop(PROTOCOL_ERROR, "option 0x%04x reaches beyond the end" % tag)
            at += 4 + length
            if tag in judged:
                if tag in found:  # G13, 4.12-2
                    raise Drop(PROTOCOL_ERROR, "option 0x%04x twice" % tag)
                if length > judged[tag]:  # G14, 4.12-3, 4.12-4
                    raise Drop(PROTOCOL_ERROR, "option 0x%04x of %d bytes, at most %d" % (tag, length, judged[tag]))
                if tag in (FIRST_LIMIT, ANSWERS) and length != 8:  # G22, 4.12-9
                    raise Drop(PROTOCOL_ERROR, "option 0x%04x of %d bytes, and not 8" % (tag, length))
                if tag == FIRST_LIMIT:
                    found[tag] = struct.unpack(">Q", value)[0]
                elif tag == ANSWERS:
                    found[tag] = struct.unpack(">II", value)
                    if not found[tag][0]:  # G23, 4.12-10
                        raise Drop(PROTOCOL_ERROR, "ANSWERS: max_in_flight 0")
                else:
                    found[tag] = value if tag == TOKEN else self._utf8("option 0x%04x" % tag, value)
            elif tag & 0x8000:  # G16, 4.12-5
                raise Drop(UNSUPPORTED_OPTION, "option 0x%04x is not known here" % tag)
        return found  # G17, G18: others are skipped (4.12-6, 4.12-7)

    def _take_pong(self, fields, now):
        nonce, out = fields[0], self.outbox
        if nonce not in (beat.nonce for beat in self.beats if beat.left is not None):  # F4, 5.4-5
            raise Drop(PROTOCOL_ERROR, "PONG: nonce %d is that of no unanswered PING" % nonce)
        while True:
            beat = self.beats.popleft()  # it answers all before it (F5, 5.4-4)
            if beat.nonce == nonce:
                break
        trip = now - beat.left
        out.look(now)
        if out.window.prove(beat.position, beat.ahead, trip, out.held_at >= beat.left):
            out.messages_progress = now  # 5.9-3
        self.notes.append(("pong", nonce, trip) + fields[1:])
        self._proof(now)

    # -- messages and their credit (3.8)

    def _take_message(self, body, now):
        self.inbox.append(body)
        self._work(now)

    def _work(self, now):
        """Gives the handler one MESSAGE after another. It returns False where it is done later: see `message_done`."""
        while self.inbox and self.busy is None:
            self.busy = self.inbox.popleft()
            if self.take_message(self, self.busy, now):
                self._done(now)

    def message_done(self, now):
        """The handler is done with the MESSAGE that it was given."""
        self._done(now)
        self._work(now)
        self._message_handled(now)
        self._settle(now)

    def _done(self, now):
        self.handled += 1  # 3.8-6
        self.handled_cost += cost(self.busy)
        self.busy = None
        if self.credit and (self.come >= self.granted or self.handled_cost + self.room / 2 >= self.granted):
            self._grant(now)  # 3.8-4, 3.8-5

    def _grant(self, now):
        if self.credit and (self.state == OPEN or self.outbox.close):
            self.granted, self.told = max(self.granted, self.handled_cost + self.room), self.handled
            self.outbox.put_credit(encode_credit(self.granted, self.handled), now)

    def _message_handled(self, now):
        """Nothing may wait any more (3.8-9)."""

    @property
    def works(self):
        """The handler is to have what came before the end (3.8-9)."""
        return self.credit and (self.busy is not None or bool(self.inbox))

    def _take_credit(self, limit, handled, now):
        self.limit = max(self.limit, limit)  # M3, 3.8-7
        self.confirmed = max(self.confirmed, min(handled, self.posted))  # M4
        self._post(now)

    def _post(self, now):
        """Puts in line what the credit allows."""
        while self.letters and self.state == OPEN and self.spent < self.limit:  # 3.8-1
            body = self.letters.popleft()
            self.spent += cost(body)
            self.outbox.put_message(MESSAGE, body, 0, now)

    # -- what the sides add

    def _judge_first(self, header, violation):
        """H14: the first chunk of a message."""

    def _judge_side(self, header, violation, first):
        """H16: what a side forbids by type and id alone."""
        if header.type == MESSAGE and first and self.credit and self.come >= self.granted:  # M1, 3.8-2
            raise violation("beyond the limit %d of the credit" % self.granted)

    def _chunk(self, header, first, now):
        """A chunk begins; `self.message = None` discards it."""
        if header.type == MESSAGE:
            self.come += header.length + 12 * first

    def _complete(self, type, id, body, now):
        """A message is whole."""
        if type == MESSAGE:
            self._take_message(body, now)

    def _proof(self, now):
        """The round trip is proved (5.2)."""

    def _load(self, now):
        return struct.pack(">III", 0, 0, 0)

    # -- out

    def taken(self, count, now):
        self.bytes_out += count
        touched, done = self.outbox.take(count, now)
        for out in touched:
            self._begun(out)
        for out in done:
            if out.type == CLOSE:
                self.close_sent = now
            elif out.type == PING:
                beat = next(beat for beat in self.beats if beat.left is None)
                beat.left, beat.position = now, out.position
                beat.ahead = max(0, out.position - self.outbox.window.proved)
                self._left(now)
            else:
                self._sent(out, now)
        self._settle(now)

    def _begun(self, out):
        pass

    def _left(self, now):
        """The last byte of a PING is with the kernel."""

    def _sent(self, out, now):
        if out.type == MESSAGE and out.last:
            self.posted += 1

    @property
    def wants_shutdown(self):
        return self.close_sent is not None or (self.mute and not self.outbox.waits)  # 7.1-2

    @property
    def _speaks(self):
        """PING and PONG go on, also while CLOSE waits behind messages (E9)."""
        return self.state == OPEN or (self.state == CLOSING and self.greeted and self.close_sent is None)

    def _put(self, frame, now):
        self.outbox.put(self.outbox.urgent, Out(frame, frame[4]), now)

    def _ping(self, now):
        self.nonce += 1  # 4.3-1
        self.beats.append(Beat(self.nonce))
        self._put(encode(PING, struct.pack(">Q", self.nonce)), now)
        self.outbox.window.mark = self.outbox.window.sent  # it goes before any other frame of a message

    def send_message(self, body, now):
        """One way. False where the peer would not take it."""
        if self.state != OPEN or self.short or self.mute or len(body) > self.peer_max_message:
            return False  # 7.3-1, 7.3-2, 3.5-4
        put = lambda at: self.outbox.put_message(MESSAGE, body, 0, at)
        self.taken_over += 1
        if self.credit:
            self.letters.append(body)
            self._post(now)
        elif body or self.minor >= 1:
            put(now)
        else:
            self._hold_back(put, now)
        return True

    def _hold_back(self, send, now):
        """Runs `send` when the own bucket allows it (5.10-2)."""
        if not self.held and self.own_bucket.take(now):
            send(now)
        else:
            self.held.append(send)

    def _release(self, now):
        self.own_bucket.fill(now)
        while self.held and self.own_bucket.take(now):
            self.held.popleft()(now)

    # -- time

    def _agree(self, ping_every, dead_after, now):
        """The handshake is done."""
        self.greeted, self.state = True, OPEN
        self.ping_every, self.dead_after = ping_every / 1000, dead_after / 1000
        self.heard, self.welcomed = now, now
        self.bucket = Bucket(20, self.ping_every / 2, now)
        self.own_bucket = Bucket(12, self.ping_every / 2, now)
        self.outbox.chunk = min(CHUNK, self.peer_max_frame)
        if self.minor >= 1:
            self.outbox.window.bind(self.dead_after)
        else:
            self.outbox.window.free()

    def deadline(self):
        return min((at for at, _ in self._deadlines()), default=None)

    def tick(self, now, late=0.0):
        if self.greeted and self.state == OPEN and late > self.dead_after / 10 + 0.05:
            self._start_anew(now)
        while True:
            at, act = min(self._deadlines(), key=lambda each: each[0], default=(None, None))
            if at is None or at > now:
                break
            act(now)
        self._settle(now)

    def _deadlines(self):
        """Every deadline that runs: when, and what is done then."""
        if self.state in (PREFACE_STATE, GREETING):
            yield self.made + self.handshake_timeout, self._handshake_timeout  # 5.8; own lateness is no excuse (5.8-3)
        elif self.state == OPEN:
            if self.outbox.waits:
                yield self._unread_since() + self.dead_after, self._slow_reader  # 5.9-1, 5.9-2
            if self.held:
                yield self.own_bucket.ready_at(), self._release
            if not self.ended and not self.mute:  # 5.5-2, 5.5-3
                yield self.heard + self.dead_after, self._silent  # 5.5-1
                if self.minor >= 1 and not (self.beats and self.beats[-1].left is None):
                    yield self.outbox.spoke + self.dead_after / 2, self._ping  # 5.3-2
            if not self.ended and self.frame_since is not None:
                yield self.frame_since + self._frame_time(), self._frame_timeout  # 5.7-1, 5.7-2
            yield from self._side_deadlines()
        elif self.state == CLOSING:  # 7.1-4: of section 5 nothing but T5, until CLOSE is with the kernel
            if self.close_sent is not None:
                yield self.close_sent + LINGER, self._give_up  # 7.1-3
            elif self.dropped or not self.greeted:
                yield self.closing_since + LINGER, self._give_up  # 7.5-2
            else:
                yield self._unread_since() + self.dead_after, self._give_up  # T5

    def _side_deadlines(self):
        return ()

    def _unread_since(self):
        """5.9-3: messages that the window holds back wait for a PONG. PINGs and PONGs that the kernel takes meanwhile
        say nothing about a peer that does not read."""
        out = self.outbox
        return min([out.progress] * bool(out) + [out.messages_progress] * out.held, default=out.progress)

    def _frame_time(self):
        return self.dead_after + (self.frame.length / 1000 if self.frame else 0)

    def _start_anew(self, now):
        """This side was late itself (5.11): what it did not see is not the peer's fault."""
        self.heard, self.pinged = now, True  # 5.11-2; the PING below is the one for this silence (5.3-1)
        self.outbox.progress = self.outbox.messages_progress = now
        if self.frame_since is not None:
            self.frame_since = now
        if not self.ended and not self.mute:
            self._ping(now)  # 5.11-3
        self.notes.append(("late",))

    def _handshake_timeout(self, now):
        self.drop(HANDSHAKE_TIMEOUT, "no whole handshake within %g seconds" % self.handshake_timeout, now)

    def _slow_reader(self, now):
        self.drop(SLOW_READER, "nothing was read for %g seconds" % self.dead_after, now)

    def _silent(self, now):
        self.drop(SILENT, "nothing was heard for %g seconds" % self.dead_after, now)

    def _frame_timeout(self, now):
        self.drop(FRAME_TIMEOUT, "a frame was not whole after %g seconds" % self._frame_time(), now)

    def _give_up(self, now):
        self._closed()

    # -- ends

    def drop(self, code, text, now):
        """7.5. What comes after a violation is nothing (9-3)."""
        self.deaf = True
        if self.state in (CLOSING, CLOSED):
            return
        self.outbox.discard()
        self.held.clear()
        self.dropped = True
        self._close(code, text, now)

    def _close(self, code, text, now, last_id=None, retry_after=0, by=None):
        """Puts CLOSE behind all that waits (7.1-1)."""
        if self.state in (CLOSING, CLOSED):
            return  # 7.1-8
        self._preface(now)  # 3.2-2
        if not self.greeted:
            self.deaf = True
        if self.handled > self.told and not self.dropped:
            self._grant(now)  # 3.8-9
        self.state, self.closing_since, self.mute = CLOSING, now, False
        self.end = self.end or (code, by or self.role, text)
        last_id = self._last_id() if last_id is None else last_id
        self.outbox.put_close(encode_close(code, text, last_id, retry_after), now)

    def _preface(self, now):
        pass

    def lose(self, why):
        """A reset or another error (7.2-6, E4), or an end of stream at the client (7.2-5, E3)."""
        if self.state != CLOSED:
            if not self.end:
                self.lost = why
            self._closed()

    def _settle(self, now):
        if self.ended or self.peer_closed or (self.role == "client" and self.state == CLOSING):
            self.outbox.window.free()  # 5.12-5
        self.outbox.look(now)
        if self.outbox.window.wants_ping and self._speaks and not (self.dropped or self.wants_shutdown):
            self._ping(now)  # 5.12-2
        if self.state == CLOSING and self.close_sent is not None and (self.peer_closed or self.ended):
            self._closed()

    def _closed(self):
        self.state = CLOSED


# ------------------------------------------------------------------------------------- requests, in both directions


class Request:
    """A request of this side, and what became of it (7.7-1). `done` is called with it then."""

    def __init__(self, body, done=None):
        self.body, self.id, self.done = body, None, done
        self.begun = self.sent = self.cancelled = False
        self.outcome = self.code = self.response = None
        self.text, self.retry_after, self.too_long = "", 0, False


class Asker(Connection):
    """The requests of this side: of a client, and of a server where section 3.7 holds."""

    def __init__(self, *given):
        super().__init__(*given)
        self.waiting = collections.deque()  # not given an id yet
        self.sent_requests = {}  # id: Request, that have no ending
        self.next_id, self.asked = 1, 0  # 3.7-3; asked: the highest that the kernel has a byte of
        self.peer_limits = None  # max_in_flight and max_queued of the peer
        self.last_id, self.last_id_wrong = None, False

    def request(self, body, now, done=None):
        request = Request(body, done)
        self.waiting.append(request)
        self._pump(now)
        return request

    def _may_ask(self):
        """Whether this side may begin a request at all."""

    def _may_begin(self, body):
        """Whether the peer's limits allow another request now."""
        queued = sum(len(r.body) for r in self.sent_requests.values()) + len(body)
        most = self.peer_limits
        return len(self.sent_requests) < most.max_in_flight and (not self.sent_requests or queued <= most.max_queued)

    def _too_long(self, body):
        return self.greeted and len(body) > self.peer_max_message  # 7.7-3

    def _pump(self, now):
        """Sends what the peer's limits allow."""
        while self.waiting:
            request = self.waiting[0]
            if not self._may_ask() or self.next_id > U32:
                self._tell(self.waiting.popleft(), "NOT_SENT")  # 7.4-2, 7.4-4, 3.6-2, 3.7-6, 7.7-2
                continue
            if self._too_long(request.body):
                request.too_long = True
                self._tell(self.waiting.popleft(), "NOT_SENT")
                continue
            if not self._may_begin(request.body):
                return
            self.waiting.popleft()
            request.id, self.next_id = self.next_id, self.next_id + 1  # 3.6-1
            self.sent_requests[request.id] = request
            self.outbox.put_message(REQUEST, request.body, request.id, now)

    def _begun(self, out):
        if out.type == REQUEST and out.id in self.sent_requests:
            self.sent_requests[out.id].begun = True
            self.asked = max(self.asked, out.id)

    def _sent(self, out, now):
        super()._sent(out, now)
        if out.type == REQUEST and out.last and out.id in self.sent_requests:
            self.sent_requests[out.id].sent = True

    def cancel(self, request, now):
        if request.outcome or request.cancelled:
            return
        if not request.begun:  # 7.7-2
            if request.id is None:
                self.waiting.remove(request)
            self._take_back(request)
            self._tell(request, "NOT_SENT")
            return
        request.cancelled = True  # it stays unanswered until its ending comes (3.6-6)
        self._send_cancel(request, now)

    def _send_cancel(self, request, now):
        def send(at):
            cut = self.outbox.withdraw(REQUEST, request.id)  # 4.8-4
            if self.state == OPEN and not self.mute and (cut or not request.outcome):
                self._put(encode(CANCEL, b"", request.id), at)
        self._hold_back(send, now) if self.own_bucket else send(now)

    def _take_back(self, request):
        if request.id is not None:
            self.outbox.withdraw(REQUEST, request.id)
            self.sent_requests.pop(request.id, None)

    def _take_back_unbegun(self):
        for request in [r for r in self.sent_requests.values() if not r.begun]:
            self._take_back(request)  # 7.4-2, 3.7-6
            self._tell(request, "NOT_SENT")

    def _tell(self, request, outcome, code=None, text="", retry_after=0):
        request.outcome, request.code, request.text, request.retry_after = outcome, code, text, retry_after
        self.notes.append(("outcome", request))
        if request.done:
            request.done(request)

    def _judge_side(self, header, violation, first):
        super()._judge_side(header, violation, first)
        if header.type in (RESPONSE, FAILURE):
            request = self.sent_requests.get(header.id)
            if request is None or not request.begun:  # R2, R3; 3.6-5, 3.6-3
                ended = header.id <= self.asked
                raise violation("id %d %s" % (header.id, "has its ending" if ended else "was never sent"))
            if header.type == RESPONSE and not request.sent:  # R4, 3.6-4
                raise violation("id %d is not sent to its end" % header.id)

    def _complete(self, type, id, body, now):
        if type != RESPONSE:
            return super()._complete(type, id, body, now)
        request = self.sent_requests.pop(id)
        request.response = body
        self._tell(request, "DONE")
        self._after_ending(now)

    def _take_failure(self, id, code, retry, text, now):
        request = self.sent_requests.pop(id)
        if self.open == (RESPONSE, id):  # R9, 4.9-2
            self.open = self.message = None
        self._tell(request, "REFUSED" if code == REFUSED else "FAILED", code, text, retry)  # 7.7-4, R16
        if not request.sent and not request.cancelled:  # R10, 3.6-11, 3.6-12
            self._send_cancel(request, now)
        self._after_ending(now)

    def _after_ending(self, now):
        """A request of this side, or of the peer, has its ending."""

    def _give_up_all(self):
        """No ending comes any more."""
        for request in list(self.waiting) + list(self.sent_requests.values()):
            if not request.begun:
                self._tell(request, "NOT_SENT")  # 7.7-2
            elif self.last_id is not None and not self.last_id_wrong and request.id > self.last_id:
                self._tell(request, "REFUSED", retry_after=self.retry_after)  # 7.7-4
            else:
                self._tell(request, "UNKNOWN")  # 7.7-5
        self.waiting.clear()
        self.sent_requests.clear()

    retry_after = 0  # of the peer

    def _closed(self):
        super()._closed()
        self.outbox.discard()
        self._give_up_all()


class Incoming:
    """A request in flight: from its first frame until the last byte of its ending is with the kernel (3.6-7)."""

    __slots__ = ("size", "whole", "given", "answered")

    def __init__(self):
        self.size, self.whole, self.given, self.answered = 0, False, None, False


class Side(Asker):
    """The requests of the peer, beside those of this side. `handler(connection, id, bytes, now)` is given each whole
    request and calls `answer` or `fail` at once or later."""

    def __init__(self, *given):
        super().__init__(*given)
        self.handler = None
        self.own_limits = self.limits  # max_in_flight and max_queued
        self.requests = {}  # id: Incoming, in the order of ids
        self.queued = 0
        self.highest = self.given = self.served = 0
        self.refusals = 0  # that wait unsent

    def _judge_first(self, header, violation):
        if header.type == REQUEST and header.id <= self.highest:  # 3.6-1, 4.8-4
            raise violation("id %d is not above %d" % (header.id, self.highest))

    def _judge_side(self, header, violation, first):
        super()._judge_side(header, violation, first)
        if header.type == CANCEL and header.id > self.highest:  # R1, 4.8-1
            raise violation("id %d is above every id sent" % header.id)

    def _chunk(self, header, first, now):
        super()._chunk(header, first, now)
        if header.type != REQUEST:
            return
        if first:
            self.highest = header.id
            if self.state == OPEN:
                if len(self.requests) + 1 > self.own_limits.max_in_flight:  # R12, 3.6-8
                    return self._refuse(header.id, "too many requests in flight", now)
                self.requests[header.id] = Incoming()
        request = self.requests.get(header.id)
        if request is None or request.answered or self.state != OPEN:
            self.message = None  # R11, 3.6-10
            return
        if self.queued + header.length > self.own_limits.max_queued:
            return self._refuse(header.id, "too many bytes in flight", now)
        request.size += header.length
        self.queued += header.length

    def _refuse(self, id, text, now):
        self._forget(id)  # a refused request counts neither in flight nor as queued
        self.message = None
        self.refusals += 1
        if self.refusals > 4096:  # R13
            raise Drop(BUSY, "more than 4096 refusals wait unread")
        self.outbox.put(self.outbox.urgent, Out(encode_failure(id, REFUSED, text), FAILURE), now)

    def _forget(self, id):
        request = self.requests.pop(id, None)
        if request:
            self.queued -= request.size

    def _complete(self, type, id, body, now):
        if type != REQUEST:
            return super()._complete(type, id, body, now)
        request = self.requests[id]
        request.whole, request.given = True, now
        self.given = id
        self.handler(self, id, body, now)  # in the order of the bytes: 9-3, 7.5-3

    def answer(self, id, body, now):
        request = self.requests.get(id)
        if request is None or request.answered or self.state != OPEN:
            return  # cancelled, or the connection ends (4.8-2, 7.1-7)
        if len(body) > self.peer_max_message:  # R14, 3.5-6
            return self.fail(id, MESSAGE_TOO_LARGE, "the response has %d bytes" % len(body), now)
        self.outbox.put_message(RESPONSE, body, id, now)
        self._answered(request, id, now)

    def fail(self, id, code, text, now):
        request = self.requests.get(id)
        if request is None or request.answered or self.state != OPEN:
            return
        self.outbox.put(self.outbox.urgent, Out(encode_failure(id, code, text), FAILURE, id, True), now)
        self._answered(request, id, now)

    def _answered(self, request, id, now):
        request.answered = True
        self.served += 1
        self._after_ending(now)

    def _sent(self, out, now):
        super()._sent(out, now)
        if out.type in (RESPONSE, FAILURE) and out.last:
            self._forget(out.id)
        elif out.type == FAILURE:
            self.refusals -= 1

    def _take_cancel(self, id, now):
        request = self.requests.get(id)
        if self.open == (REQUEST, id):  # the request is over as a message (4.8-4)
            self.open = self.message = None
        if request and not request.answered:  # R6, 4.8-2; else R7, 4.8-3
            self.fail(id, CANCELLED, "", now)
            self.notes.append(("cancelled", id))

    @property
    def unanswered(self):
        return [r for r in self.requests.values() if not r.answered]

    def _message_handled(self, now):
        self._after_ending(now)

    def _last_id(self):
        return self.given  # 4.11-1, 4.11-2, 4.11-3, 4.11-4


# ---------------------------------------------------------------------------------------------------------- the server


class ProxyHeader:
    """What a proxy writes before the client's first byte: the PROXY protocol, versions 1 and 2 (section 12)."""

    signature = b"\r\n\r\n\0\r\nQUIT\n"
    most = 4096  # bytes behind the first 16 of version 2
    once = (1, 2, 3, 5, 0x20), (0x21, 0x22, 0x23)  # fields that are read: of the header, and within SSL

    def __init__(self):
        self.data, self.whole, self.local = bytearray(), False, False

    def take(self, data):
        """Returns the client's bytes; none before the header is whole."""
        self.data += data
        try:
            length = self._length(bytes(self.data))
        except ValueError as error:
            self.whole = True  # no byte is looked at any more
            raise Drop(PROTOCOL_ERROR, "a header of the PROXY protocol was expected: %s" % error)  # 12-6, 12-7
        if not length:
            return b""
        self.whole = True
        return bytes(self.data[length:])

    def _length(self, data):
        """How long the header is; 0 where more has to come."""
        if not data:
            return 0
        return self._line(data) if data[:1] == b"P" else self._binary(data)

    def _line(self, data):
        line, end, rest = data[:107].partition(b"\r")
        if rest[:1] not in (b"", b"\n") or not rest and len(data) >= 107:
            raise ValueError("a line with CR and LF within 107 bytes")
        text = line.decode("latin-1")
        unknown = "PROXY UNKNOWN"
        if not text.startswith(unknown):
            parts = text.split(" ")
            if end and len(parts) != 6:
                raise ValueError("six parts with one space between two, not %s" % escape(text))
            for index, part in enumerate(parts):
                last = index == len(parts) - 1 and not end
                if index > 5 or not self._part(parts, index, part, last):
                    raise ValueError("%s" % escape(part))
        return len(line) + 2 if rest else 0

    @staticmethod
    def _part(parts, index, part, partly):
        if index < 2:
            words = ("PROXY",) if not index else ("TCP4", "TCP6", "UNKNOWN") if partly else ("TCP4", "TCP6")
            return any(word.startswith(part) if partly else word == part for word in words)
        if index > 3:
            return bool(re.fullmatch("0|[1-9][0-9]{0,4}" + "|" * partly, part)) and int(part or 0) < 65536
        four = parts[1] == "TCP4"
        if partly:
            return bool(re.fullmatch("[0-9.]{0,15}" if four else "[0-9a-fA-F:.]{0,45}", part))
        try:
            return bool(socket.inet_pton(socket.AF_INET if four else socket.AF_INET6, part))
        except (OSError, ValueError):
            return False

    def _binary(self, data):
        if data[:12] != self.signature[: len(data)]:
            raise ValueError(looks_like(data[:16]))
        self.local = data[12:13] == b"\x20"
        if data[12:13] not in (b"", b"\x20", b"\x21"):
            raise ValueError("version and command 0x%02x" % data[12])
        addresses = {0: 0, 0x11: 12, 0x21: 36, 0x31: 216}
        if len(data) > 13 and not self.local and data[13] not in addresses:
            raise ValueError("family 0x%02x" % data[13])
        if len(data) < 16:
            return 0
        length, skipped = struct.unpack(">H", data[14:16])[0], self.local or not data[13]  # 12-8, 12-9
        if length > self.most or not skipped and length < addresses[data[13]]:
            raise ValueError("%d bytes behind the first 16" % length)
        if len(data) < 16 + length:
            return 0
        if not skipped:
            self._fields(data[: 16 + length], 16 + addresses[data[13]])
        return 16 + length

    def _fields(self, header, at):
        for type, value, start in self._each(header, at, len(header), self.once[0]):
            if type == 3:
                if len(value) != 4:
                    raise ValueError("a checksum of %d bytes" % len(value))
                self._check(header[:start] + bytes(4) + header[start + 4 :], struct.unpack(">I", value)[0])
            elif type == 5 and len(value) > 128:
                raise ValueError("a unique id of %d bytes" % len(value))
            elif type == 0x20:
                if len(value) < 5:
                    raise ValueError("a field SSL of %d bytes" % len(value))
                collections.deque(self._each(header, start + 5, start + len(value), self.once[1]), 0)

    @staticmethod
    def _each(header, at, end, once):
        seen = set()
        while at < end:
            if end - at < 3:
                raise ValueError("%d bytes for a field" % (end - at))
            type, length = struct.unpack(">BH", header[at : at + 3])
            at += 3
            if at + length > end:
                raise ValueError("field 0x%02x has %d bytes, and %d are left" % (type, length, end - at))
            if type in seen:
                raise ValueError("field 0x%02x stands twice" % type)
            if type in once:
                seen.add(type)
            yield type, header[at : at + length], at
            at += length

    def _check(self, header, said):  # 12-5
        rest = U32
        for byte in header:
            rest ^= byte
            for _ in range(8):
                rest = rest >> 1 ^ (0x82F63B78 if rest & 1 else 0)
        if rest ^ U32 != said:
            raise ValueError("the checksum 0x%08x" % said)


class ServerConnection(Side):
    """The server's side."""

    role = "server"
    first_types = (HELLO,)

    def __init__(self, now, number=1, timeout=30000, limits=DEFAULTS, handshake_timeout=10.0, handler=None, token=None,
                 rng=random, minor=MINOR, heartbeat=60000, room=ROOM, proxied=False):
        if proxied:
            handshake_timeout = max(handshake_timeout, 3.0)  # 12-3
        super().__init__(now, limits, handshake_timeout, rng, minor, room)
        self.proxy = ProxyHeader() if proxied else None
        self.number, self.timeout, self.handler, self.token = number, timeout, handler, token
        self.heartbeat = heartbeat
        self.name = ""
        self.preface_put = False
        self.cut = False  # the stream ended inside a frame or a message (7.2-4)
        self.stopping = False

    def receive(self, data, now):
        if self.proxy and not self.proxy.whole:
            try:
                data = self.proxy.take(data)
            except Drop as drop:
                self.drop(drop.code, drop.text, now)
                return self._settle(now)
            if not data:
                return
        super().receive(data, now)

    def _preface(self, now):
        if not self.preface_put:
            self.preface_put = True
            self.outbox.put(self.outbox.greeting, Out(PREFACE), now)

    def _take_greeting(self, body, now):
        major, minor, flags, ping, dead, max_frame, max_message = struct.unpack(">BBHIIII", body[:20])
        if major != 1:  # G1, 4.1-1, 4.1-2
            raise Drop(UNSUPPORTED_VERSION, "version %d, this is 1" % major)
        if flags & ~SHORT:  # G4, 4.1-3
            raise Drop(PROTOCOL_ERROR, "HELLO: flags 0x%04x" % flags)
        if max_frame < 256:  # G5, 4.1-4
            raise Drop(PROTOCOL_ERROR, "HELLO: max_frame %d, at least 256" % max_frame)
        options = self._options(body[20:], {TOKEN: 256, NAME: 64, AGENT: 1024, FIRST_LIMIT: 8, ANSWERS: 8})
        if self.token is not None:  # G20, 4.12-8
            if TOKEN not in options:
                raise Drop(UNAUTHORIZED, "a TOKEN is asked for")
            if not hmac.compare_digest(options[TOKEN], self.token):  # 11-1
                raise Drop(UNAUTHORIZED, "this TOKEN is not accepted")
        self.short, self.name = bool(flags & SHORT), options.get(NAME, "")
        self.peer_max_frame, self.peer_max_message = max_frame, max_message
        ping, dead = negotiate(ping, dead, self.timeout, self.heartbeat)  # G7, 6-1
        self._preface(now)
        self.minor = min(self.minor, minor)  # G2, 4.2-2
        welcome = struct.pack(">BBHIIIIIIQ", 1, self.minor, 0, ping, dead, *self.limits, self.number)  # 4.2-1
        if self.minor >= 1 and not self.short:
            if FIRST_LIMIT in options and self.room is not None:  # 3.8-3
                self.credit, self.limit = True, options[FIRST_LIMIT]
                welcome += encode_option(FIRST_LIMIT, struct.pack(">Q", self.room))
            if ANSWERS in options:  # 3.7-1
                self.answers, self.peer_limits = True, Limits(None, None, *options[ANSWERS])
        self.outbox.put(self.outbox.greeting, Out(encode(WELCOME, welcome), WELCOME), now)
        self._agree(ping, dead, now)

    # -- requests

    def _judge_side(self, header, violation, first):
        super()._judge_side(header, violation, first)
        if header.type == REQUEST and first and self.goaway_got:  # R5, 7.4-4
            raise violation("a new request after GOAWAY")
        if self.short:
            if header.type == REQUEST and first and self.highest:  # S1, 7.3-1
                raise violation("a second request on a short connection")
            if header.type in (MESSAGE, GOAWAY):  # S2
                raise violation("not on a short connection")

    def _may_ask(self):
        return self.answers and self.state == OPEN and not (self.goaway_got or self.ended)  # 3.7-1, 3.7-6

    def _too_long(self, body):
        return super()._too_long(body) or len(body) > self.peer_limits.max_queued  # 3.7-4

    def _after_ending(self, now):
        self._pump(now)
        self._may_end(now)

    def _answered(self, request, id, now):
        if self.short:  # 7.3-3
            request.answered = True
            self.served += 1
            self._close(PROTOCOL_ERROR if self.cut else NORMAL, self._cut_text(), now, last_id=id)
        else:
            super()._answered(request, id, now)

    # -- heartbeat

    def _load(self, now):
        """4.4-1."""
        waiting = [r.given for r in self.requests.values() if r.given is not None and not r.answered]
        longest = int((now - min(waiting)) * 1000) if waiting else 0
        return struct.pack(">III", self.queued, len(self.requests), min(longest, U32))

    def _side_deadlines(self):
        if not self.pinged and not self.ended:  # 5.5-2
            yield self.heard + self.dead_after / 2, self._ping

    def _ping(self, now):
        self.pinged = self.pinged or now >= self.heard + self.dead_after / 2  # 5.3-1: one PING does for 5.3-2 too
        super()._ping(now)

    # -- ends

    def _cut_text(self):
        return "the stream ended inside a frame or a message" if self.cut else ""

    def _may_end(self, now):
        """Sends CLOSE at once where nothing is left to wait for."""
        if self.state != OPEN or self.works:  # 3.8-9
            return
        left = self.unanswered
        if self.ended and not left:  # 7.2-3, 7.2-4, E1, E2
            self._close(PROTOCOL_ERROR if self.cut else NORMAL, self._cut_text(), now)
        elif self.goaway_got and not left and not self.sent_requests:  # 7.4-5
            self._close(NORMAL, "", now)
        elif self.stopping and not self.ended and not any(r.whole for r in left):  # 7.4-7, 7.4-8
            self._close(SHUTTING_DOWN, "the server is ending", now, retry_after=1000)

    def _take_goaway(self, code, retry, spread, text, now):
        self.goaway_got = True  # F8: from a client its times mean nothing
        self._take_back_unbegun()
        self._after_ending(now)

    def _take_close(self, last_id, code, retry, text, now):
        self.peer_closed = self.deaf = True  # 7.1-5, E8
        self.last_id, self.last_id_wrong = last_id, last_id > self.asked  # F9, 4.11-4
        if self.state == CLOSING:
            return  # 7.1-8, E7
        self.end = (code, "client", text)
        wrong = self.last_id_wrong and "last_id %d is above every id sent" % last_id
        self._close(PROTOCOL_ERROR if wrong else NORMAL, wrong or "", now)  # 7.1-6, 7.1-7, E5

    def end_of_stream(self, now):
        if self.ended or self.state == CLOSED:
            return
        self.ended = True
        proxy = self.proxy
        if proxy and self.state == PREFACE_STATE and not self.matched and (not proxy.data or proxy.local and proxy.whole):
            return self.lose("a proxy has looked whether this server is there")  # 12-8
        if proxy and not proxy.whole:  # 12-4
            self._close(PROTOCOL_ERROR, "the stream ended within a header of the PROXY protocol", now)
        elif self.state == PREFACE_STATE and not self.matched:  # P2, 7.2-1
            self._close(NORMAL, "", now, by="client")
        elif self.state in (PREFACE_STATE, GREETING):  # P3, 7.2-2
            self._close(PROTOCOL_ERROR, "the stream ended before HELLO was whole", now)
        elif self.state == OPEN:
            self.cut = bool(self.head or self.frame or self.open)
            if self.open and self.open[0] == REQUEST and not self.requests.get(self.open[1], Incoming()).answered:
                self._forget(self.open[1])  # 7.2-4: it never becomes whole
            self.frame_since = None
            self._give_up_all()
            self._may_end(now)  # S4 too
        self._settle(now)

    def refuse(self, code, text, now):
        """7.6-1, P6, P7: it cannot be served."""
        self._close(code, text, now, last_id=0, retry_after=1000)  # 7.6-2

    def stop(self, now):
        """The server is told to stop: 7.4-7, 7.4-8."""
        self.stopping = True
        if self.state in (PREFACE_STATE, GREETING):
            self.refuse(SHUTTING_DOWN, "the server is ending", now)
        elif self.state == OPEN and not self.ended:
            if not self.short:
                self.goaway_sent = True
                self._put(encode_goaway(SHUTTING_DOWN, "the server is ending", 1000, 5000), now)
            self._may_end(now)
        self._settle(now)

    def stop_waiting(self, now):
        """The bound of 7.4-7 and 3.8-9 has passed: what is unanswered, or waits, is given up."""
        self._close(SHUTTING_DOWN, "the server is ending", now, retry_after=1000)
        self._settle(now)


# ---------------------------------------------------------------------------------------------------------- the client


class ClientConnection(Side):
    """The client's side. `request` gives a Request whose `outcome` is set once. With a `handler` it answers requests of
    the server."""

    role = "client"
    first_types = (WELCOME, CLOSE)

    def __init__(self, now, short=False, ping_every=0, dead_after=0, limits=DEFAULTS, handshake_timeout=10.0, name="",
                 token=None, rng=random, minor=MINOR, room=ROOM, handler=None):
        super().__init__(now, limits, handshake_timeout, rng, minor, None if short else room)
        self.short, self.asked_dead_after = short, dead_after
        self.handler = handler
        self.unproved = self.told_late = None
        self.proofs, self.told_far = 0, False
        self.hello_left = now
        self.spread = 0
        self.leaving = False
        self.take_message = lambda connection, body, now: self.notes.append(("message", body)) or True
        self.offers_answers = handler is not None and minor >= 1 and not short
        options = b"".join(encode_option(tag, value) for tag, value in (
            (TOKEN, token), (NAME, name.encode()), (FIRST_LIMIT, self.room is not None and struct.pack(">Q", self.room)),
            (ANSWERS, self.offers_answers and struct.pack(">II", *limits[2:]))) if value)
        hello = struct.pack(">BBHIIII", 1, minor, SHORT if short else 0, ping_every, dead_after, *limits[:2]) + options
        self.outbox.put(self.outbox.greeting, Out(PREFACE), now)  # 3.2-1
        self.outbox.put(self.outbox.greeting, Out(encode(HELLO, hello), HELLO), now)

    def _take_greeting(self, body, now):
        fields = struct.unpack(">BBHIIIIIIQ", body[:36])
        major, minor, flags, ping, dead = fields[:5]
        limits = Limits(*fields[5:9])
        if major != 1:  # G1
            raise Drop(UNSUPPORTED_VERSION, "version %d, this is 1" % major)
        for wrong, what in (
            (minor > self.minor, "minor %d, asked for %d" % (minor, self.minor)),  # G3, 4.2-3
            (flags, "flags 0x%04x" % flags),  # G4, 4.2-4
            (limits.max_frame < 256, "max_frame %d" % limits.max_frame),  # G5, 4.1-4
            (dead < 100, "dead_after %d" % dead),  # G8, 6-3
            (not 20 <= ping <= dead // 2, "ping_every %d, dead_after %d" % (ping, dead)),  # G9, 6-4
            (limits.max_in_flight < 1, "max_in_flight 0"),  # G10, 4.2-5
        ):
            if wrong:
                raise Drop(PROTOCOL_ERROR, "WELCOME: " + what)
        options = self._options(body[36:], {AGENT: 1024, FIRST_LIMIT: 8})
        if self.asked_dead_after and dead > max(self.asked_dead_after, 100):  # G19, 6-5
            raise Drop(PROTOCOL_ERROR, "WELCOME: dead_after %d, asked for %d" % (dead, self.asked_dead_after))
        if FIRST_LIMIT in options and (self.room is None or minor < 1):  # G24, 3.8-3
            raise Drop(PROTOCOL_ERROR, "WELCOME: CREDIT, which cannot be in force")
        self.peer_limits, self.minor = limits, minor
        self.credit, self.limit = FIRST_LIMIT in options, options.get(FIRST_LIMIT, 0)
        self.answers = self.offers_answers and minor >= 1
        self.outbox.window.least = now - self.hello_left  # the one round trip with nothing of our own ahead of it
        self.peer_max_frame, self.peer_max_message = limits.max_frame, limits.max_message
        self._agree(ping, dead, now)
        self.ping_at = now + self.rng.random() * self.ping_every  # 5.2-1
        self.first_ping = True
        self.notes.append(("welcome", ping, dead, fields[9]))
        self._pump(now)

    # -- requests

    def _may_ask(self):
        return not (self.goaway_got or self.goaway_sent or self.leaving or self.mute or self.state in (CLOSING, CLOSED))

    def _may_begin(self, body):
        if self.greeted:
            return super()._may_begin(body)
        return not self.sent_requests and len(body) <= EARLY_MOST  # 6-8; in frames of 256 bytes: the first chunk (6-7)

    def _sent(self, out, now):
        super()._sent(out, now)
        if out.type == HELLO:
            self.hello_left = now

    def _judge_side(self, header, violation, first):
        super()._judge_side(header, violation, first)
        if self.short and header.type == MESSAGE:  # S3, 7.3-2
            raise violation("not on a short connection")

    def _chunk(self, header, first, now):
        super()._chunk(header, first, now)
        if header.type == RESPONSE and first:
            self._proof(now)  # 5.2: its header is enough

    def _after_ending(self, now):
        self._pump(now)
        if self.goaway_got and not self.sent_requests and not self.unanswered and not self.works:
            self.leave(now)  # 7.4-3, 3.7-7, 3.8-9

    # -- heartbeat

    def _proof(self, now):
        self.proofs += 1
        self.unproved = self.told_late = None
        if not self.first_ping:
            self.ping_at = now + self.ping_share * self.ping_every  # 5.2-2

    def _side_deadlines(self):
        if not self.mute:
            yield self.ping_at, self._ping  # 5.2-3
            if self.unproved is not None:
                yield self.unproved + self.dead_after, self._no_round_trip  # 5.6-1
                if not self.told_late:
                    yield self.unproved + self.dead_after / 2, self._late_beat  # 5.6-2

    def _ping(self, now):
        super()._ping(now)
        self.first_ping = False
        self.ping_share = self.rng.uniform(0.8, 1)
        self.ping_at = now + self.ping_share * self.ping_every

    def _left(self, now):
        if self.unproved is None:
            self.unproved = now

    def _take_pong(self, fields, now):
        super()._take_pong(fields, now)
        least = self.outbox.window.least
        if least > self.dead_after / 2 and not self.told_far:  # 5.13-1
            self.told_far = True
            self.notes.append(("far", least, self.dead_after))

    def _start_anew(self, now):
        if self.unproved is not None:
            self.unproved, self.told_late = now, None
        super()._start_anew(now)

    def _no_round_trip(self, now):
        self.drop(NO_ROUND_TRIP, "no PING was answered for %g seconds" % self.dead_after, now)

    def _late_beat(self, now):
        self.told_late = True
        self.notes.append(("late beat", now - self.unproved))

    # -- ends

    def _take_goaway(self, code, retry, spread, text, now):
        self.goaway_got = True
        self.retry_after, self.spread = retry, spread  # 7.4-6
        self.notes.append(("goaway", code, text))
        self._take_back_unbegun()  # 7.4-2
        self._after_ending(now)

    def _take_close(self, last_id, code, retry, text, now):
        self.peer_closed = self.deaf = True
        self.last_id, self.last_id_wrong = last_id, last_id > self.asked  # F10, 4.11-3
        self.retry_after = max(self.retry_after, retry)
        if self.state == CLOSING:
            return
        self.end = (code, "server", text)
        if self.short:
            self._closed()  # 7.3-5, E6, G21
            return
        self.outbox.discard()
        if self.last_id_wrong:
            self.end = None
            self._close(PROTOCOL_ERROR, "last_id %d is above every id sent" % last_id, now)
        else:
            self._close(NORMAL, "", now)  # 7.1-6, E5, G21

    def end_of_stream(self, now):
        self.ended = True
        self.lose("the stream ended without CLOSE")  # 7.2-5, E3, P4

    def close(self, now):
        """The program leaves at once."""
        self._close(NORMAL, "", now)
        self._settle(now)

    @property
    def unhandled(self):
        """Messages that nobody has said to be handled."""
        return self.taken_over - self.confirmed

    def leave(self, now):
        """The program has no more to send: GOAWAY goes behind its messages, and the server's CLOSE says that they are
        handled (3.8-10)."""
        if not self.credit or not self.unhandled:
            if not self.leaving:
                self.close(now)
        elif not self.leaving:
            self.leaving = True
            self._settle(now)

    def _settle(self, now):
        if self.leaving and not self.letters and not self.goaway_sent and self.state == OPEN:
            self.goaway_sent = True
            self.outbox.put_leave(encode_goaway(NORMAL), now)
        super()._settle(now)

    def end_writing(self, now):
        """Shuts down writing without CLOSE; the answers still come (7.2, 5.5-3)."""
        self.mute = True

    def say_goaway(self, now):
        self.goaway_sent = True
        self._put(encode_goaway(NORMAL), now)


# ----------------------------------------------------------------------------------------------------------- the loops

clock = time.monotonic  # 5.11-1


class Link:
    """A connection and its socket."""

    def __init__(self, sock, connection, peer):
        self.sock, self.connection, self.peer = sock, connection, peer
        self.due, self.mask, self.shut, self.reading, self.drained = None, 0, False, True, True
        self.born, self.signed_off = clock(), False


class Loop:
    """One thread, one selector, and a heap of deadlines for any number of links."""

    def __init__(self, selector):
        self.selector, self.heap, self.count = selector, [], 0
        self.links = set()
        self.signals = 0
        self.wake, woken = socket.socketpair()
        for end in (self.wake, woken):
            end.setblocking(False)
        signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
        self.woken = woken
        self.lead = None
        self.suspended()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signal)
        self.selector.register(self.wake, selectors.EVENT_READ, self._woken)

    def _signal(self, number, frame):
        self.signals += 1

    def _woken(self, mask, now):
        self.wake.recv(4096)

    def at(self, when, what):
        self.count += 1
        heapq.heappush(self.heap, (when, self.count, what))

    def add(self, sock, connection, peer):
        sock.setblocking(False)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # 3.2-6
            sock.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOTSENT)
        link = Link(sock, connection, peer)
        self.links.add(link)
        return link

    def suspended(self):
        """Whether the machine was suspended since the last call (5.11-4): CLOCK_BOOTTIME went on, and clock() did not.

        What passes between the reads counts as no suspend."""
        before, sleepless = clock(), time.clock_gettime(time.CLOCK_BOOTTIME)
        was = self.lead is not None and sleepless - clock() - self.lead > 0.001
        if was or self.lead is None:
            self.lead = sleepless - before
        return was

    def turn(self):
        """Waits once, reads what has come, then judges the deadlines (5.1-2), then writes."""
        asked = self.heap[0][0] if self.heap else None
        ready = self.selector.select(None if asked is None else max(0, asked - clock()))
        now = clock()
        late = max(0.0, now - asked) if asked is not None else 0.0
        if self.suspended():
            late = float("inf")
        for key, mask in ready:
            if isinstance(key.data, Link):
                link = key.data
                if mask & selectors.EVENT_READ:
                    self._read(link, now)
                self.settle(link)
            else:
                key.data(mask, now)
        if late > 0.06:  # the least that any connection calls late (5.11)
            for link in list(self.links):
                if not link.drained:
                    continue
                link.connection.tick(now, late)
                self.settle(link)
        due = []
        while self.heap and self.heap[0][0] <= now:
            due.append(heapq.heappop(self.heap)[2])
        for what in due:
            if isinstance(what, Link):
                what.due = None
                self.settle(what)  # what the kernel has room for now is not the fault of a slow reader (5.9-1)
                if what in self.links and what.drained:
                    what.connection.tick(now)
                    self.settle(what)
            else:
                what(now)
        return now

    def _read(self, link, now):
        link.drained = False
        for _ in range(16):
            try:
                data = link.sock.recv(65536)
            except BlockingIOError:
                link.drained = True
                return
            except OSError as error:
                link.connection.lose(error.strerror)
                return
            if not data:
                link.reading, link.drained = False, True
                link.connection.end_of_stream(now)
                return
            link.connection.receive(data, now)

    def settle(self, link):
        """Writes what there is, and does what the connection asks of its socket."""
        if link not in self.links:
            return
        connection = link.connection
        while connection.outbox and connection.state != CLOSED:
            try:
                taken = link.sock.send(connection.outbox.offer())
            except BlockingIOError:
                break
            except OSError as error:
                if link.reading:
                    self._read(link, clock())  # the reason may have come
                connection.lose(error.strerror)
                break
            connection.taken(taken, clock())
        if connection.state in (CLOSING, CLOSED) and not link.signed_off:
            link.signed_off = True
            self.ended(link)  # at once, not when the socket is closed
        if connection.state == CLOSED:
            return self._close(link)
        if connection.wants_shutdown and not link.shut:
            link.shut = True
            try:
                link.sock.shutdown(socket.SHUT_WR)  # 7.1-2
            except OSError:
                pass
        mask = selectors.EVENT_READ * link.reading | selectors.EVENT_WRITE * bool(connection.outbox)
        if mask != link.mask:
            if not link.mask:
                self.selector.register(link.sock, mask, link)
            elif mask:
                self.selector.modify(link.sock, mask, link)
            else:
                self.selector.unregister(link.sock)
            link.mask = mask
        due = connection.deadline()
        if due is not None and (link.due is None or due < link.due):
            link.due = due
            self.at(due, link)

    def _close(self, link):
        if link not in self.links:
            return
        self.links.remove(link)
        if link.mask:
            self.selector.unregister(link.sock)
        try:
            if link.connection.close_sent is not None and not link.shut:
                link.sock.shutdown(socket.SHUT_WR)
            while link.reading and link.sock.recv(65536):
                pass  # what is unread would make a reset of the end (7.1-3)
        except OSError:
            pass
        link.sock.close()

    def ended(self, link):
        """The connection is lost, or its CLOSE is on the way."""


def say(text):
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except OSError:
        pass


class ServerLoop(Loop):
    def __init__(self, args):
        super().__init__(selectors.DefaultSelector())
        self.args, self.number, self.stopping = args, 0, False
        if args.unix:
            self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            if os.path.exists(args.unix):
                os.unlink(args.unix)
            self.listener.bind(args.unix)
        else:
            family = socket.AF_INET6 if ":" in args.host else socket.AF_INET
            self.listener = socket.socket(family, socket.SOCK_STREAM)
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind((args.host, args.port))
        self.listener.listen(1024)
        self.listener.setblocking(False)
        self.selector.register(self.listener, selectors.EVENT_READ, self._accept)

    def run(self):
        if self.args.unix:
            where = "unix:" + self.args.unix
        else:
            host, port = self.listener.getsockname()[:2]
            where = "%s:%d" % ("[%s]" % host if ":" in host else host, port)
        print("listening on " + where, flush=True)
        while not self.stopping or self.links:
            now = self.turn()
            if self.signals and not self.stopping:
                self._stop(now)
            if self.signals > 1:
                say("stopped by a second signal, %d connections are cut" % len(self.links))
                return 1
        return 0

    def _accept(self, mask, now):
        while True:
            try:
                sock, peer = self.listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                say("accept failed: %s" % error.strerror)
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS):
                    self.selector.unregister(self.listener)
                    self.at(now + 0.1, self._listen_again)
                return
            self.number += 1
            args = self.args
            connection = ServerConnection(now, self.number, args.timeout, args.limits, args.handshake_timeout / 1000,
                                          self._handler(), args.token, minor=args.minor, heartbeat=args.heartbeat,
                                          room=args.credit, proxied=args.proxy)
            connection.take_message = self._message
            link = self.add(sock, connection, "%s:%d" % peer[:2] if isinstance(peer, tuple) and peer else "unix")
            if self.stopping:
                connection.refuse(SHUTTING_DOWN, "the server is ending", now)  # P7
            elif len(self.links) > args.max_connections:
                connection.refuse(BUSY, "the server has %d connections" % args.max_connections, now)  # P6
            self.settle(link)

    def _listen_again(self, now):
        if not self.stopping:
            self.selector.register(self.listener, selectors.EVENT_READ, self._accept)

    def _handler(self):
        """A handler of its own for each connection."""
        count = 0

        def answer(connection, id, body, now):
            nonlocal count
            if self.args.handler == "talk" and body.startswith(b"ask "):
                return self._ask(connection, id, body[4:], now)
            if self.args.handler == "talk" and body.startswith(b"tell "):
                body = body[5:]
                connection.send_message(body, now)
            if self.args.handler == "ack":
                body = b"ok"
            elif self.args.handler == "count":
                body = b"This is server send message:%d" % count
            count += 1
            if self.args.delay:
                self.at(now + self.args.delay / 1000, lambda at: self._answer_late(connection, id, body, at))
            else:
                connection.answer(id, body, now)

        return answer

    def _settle_all(self, connection):
        for link in [each for each in self.links if each.connection is connection]:
            self.settle(link)

    def _answer_late(self, connection, id, body, now):
        connection.answer(id, body, now)
        self._settle_all(connection)

    def _ask(self, connection, id, body, now):
        """The client has asked to be asked: it gets what it said itself, or what became of the request."""

        def done(request):
            if request.outcome == "DONE":
                connection.answer(id, request.response, clock())
            else:
                code = "" if request.code is None else "(%s)" % code_name(request.code)
                connection.fail(id, HANDLER_FAILED, "asked, and got " + request.outcome + code, clock())

        connection.request(body, now, done)

    def _message(self, connection, body, now):
        """A MESSAGE `hold N` keeps its handler busy for N ms."""
        match = self.args.handler == "talk" and re.fullmatch(rb"hold (\d{1,6})", body)
        if not match:
            return True

        def wake(at):
            connection.message_done(at)
            self._settle_all(connection)

        self.at(now + int(match[1]) / 1000, wake)
        return False

    def _stop(self, now):
        self.stopping = True
        self._accept(0, now)  # those that were connected already are told (7.6-1)
        try:
            self.selector.unregister(self.listener)
        except KeyError:
            pass
        self.listener.close()
        if self.args.unix:
            os.unlink(self.args.unix)
        for link in list(self.links):
            if link.reading:
                self._read(link, now)  # requests that have come whole are answered (7.4-7)
            link.connection.stop(now)
            self.settle(link)
        self.at(now + self.args.grace / 1000, self._end_of_grace)

    def _end_of_grace(self, now):
        for link in list(self.links):
            link.connection.stop_waiting(now)
            self.settle(link)

    def ended(self, link):
        c = link.connection
        code, by, text = c.end or (None, None, c.lost or "")
        waiting = len(c.inbox) + (c.busy is not None)
        say("closed connection=%d peer=%s name=\"%s\" reason=%s by=%s age=%.3fs requests=%d messages=%d unhandled=%d "
            "bytes_in=%d bytes_out=%d text=\"%s\""
            % (c.number, link.peer, escape(c.name), "LOST" if by is None else code_name(code), by or "-",
               clock() - link.born, c.served, c.handled + waiting, waiting, c.bytes_in, c.bytes_out, escape(text)))


class Item:
    """A message of the command line, its place in the order, and its latest request."""

    def __init__(self, body):
        self.body, self.request, self.since, self.done = body, None, None, False


class ClientLoop(Loop):
    NO_POINT = {PROTOCOL_ERROR: 76, BAD_PREFACE: 76, UNSUPPORTED_VERSION: 76, FRAME_TOO_LARGE: 76,
                MESSAGE_TOO_LARGE: 76, TOO_MANY_PINGS: 76, UNSUPPORTED_OPTION: 76, UNAUTHORIZED: 77, KICKED: 77}

    def __init__(self, args):
        super().__init__(selectors.PollSelector())
        self.args, self.status, self.printed = args, 0, 0
        # The first AHEAD that are not printed are items, and what was read beyond them waits as lines: whatever looks at
        # all items costs the same for every message, and no message's time begins before its turn.
        self.items, self.lines = [], collections.deque(os.fsencode(text) for text in args.message)
        self.input, self.watched, self.partial = not args.message, False, bytearray()
        self._take()

    AHEAD = 256

    def _take(self):
        """Forgets what is printed, and takes lines, or reads more, where there is room."""
        del self.items[:self.printed]
        self.printed = 0
        if self.lines and len(self.items) < self.AHEAD:
            self.at(clock(), lambda now: None)  # the next turn does not wait: there is something to send
        while self.lines and len(self.items) < self.AHEAD:
            self.items.append(Item(self.lines.popleft()))
        watch = self.input and not self.lines and len(self.items) < self.AHEAD
        if watch and not self.watched:
            self.selector.register(0, selectors.EVENT_READ, self._input)
        elif self.watched and not watch:
            self.selector.unregister(0)
        self.watched = watch

    def _input(self, mask, now):
        # It is ready, so it stays a blocking descriptor: standard output may be the same terminal, and would lose answers.
        data = os.read(0, 65536)
        first, newline, rest = data.partition(b"\n")
        self.partial += first
        if newline or (not data and self.partial):
            lines = rest.split(b"\n")
            self.lines.append(bytes(self.partial))
            self.lines.extend(lines[:-1])
            self.partial = bytearray(lines[-1])
        self.input = bool(data)
        self._take()

    def failed(self, status, text):
        self.status = self.status or status
        say(text)

    def run(self):
        attempts = 0
        while not self.signals:
            todo = [item for item in self.items if not item.done]
            if not todo and self.input and self.args.mode == "short":
                self.turn()
                continue
            if not todo and (self.args.mode == "short" or (attempts and not self.input)):
                break
            link = self._connect()
            if link:
                self._session(link)
            c = link and link.connection
            if c and c.proofs and clock() - link.born > c.dead_after:
                attempts = 0  # 7.7-9
            code = c.end[0] if c and c.end else None
            left = self.input or any(not item.done for item in self.items)
            if c and self.args.mode == "short" and todo[0].done:
                continue
            if code in (NORMAL, SHUTTING_DOWN) and not left:
                break
            why = self._why(c) if c else "no server answers"
            if code in self.NO_POINT or attempts >= self.args.again:
                for item in todo:
                    if not item.done:
                        item.done = True
                        say("not answered: " + (item.request.outcome if item.request else "NOT_SENT"))
                for _ in self.lines:
                    say("not answered: NOT_SENT")
                self.failed(self.NO_POINT.get(code, 75 if c else 69), "no connection: " + why)
                break
            wait = random.uniform(0, min(30, 0.5 * 2 ** attempts))  # 7.7-8
            if c:
                wait += (c.retry_after + random.uniform(0, c.spread)) / 1000  # 7.7-7
            attempts += 1
            say("%s; the next attempt in %.1f seconds" % (why, wait))
            until = clock() + wait
            self.at(until, lambda now: None)
            while clock() < until and not self.signals:
                self.turn()
        return 130 if self.signals and not self.status else self.status

    def ended(self, link):
        c = link.connection
        if c.lost or c.end[0] != NORMAL:
            say("the connection ended: " + self._why(c))

    @staticmethod
    def _why(c):
        return "%s by the %s: %s" % (code_name(c.end[0]), c.end[1], escape(c.end[2])) if c.end else c.lost

    def _connect(self):
        args = self.args
        try:
            if args.unix:
                sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                sock.connect(args.unix)
            else:
                sock = socket.create_connection((args.host, args.port), args.timeout / 1000)
        except socket.gaierror as error:
            self.failed(68, "%s: %s" % (args.host, error.strerror))
            return None
        except OSError as error:
            if self.args.again == 0:
                self.failed(69, "cannot connect: %s" % error)
            return None
        c = ClientConnection(clock(), args.mode == "short", args.ping_every, args.dead_after, args.limits,
                             args.handshake_timeout / 1000, args.name, args.token, minor=args.minor, room=args.credit,
                             handler={"echo": self._echo, "fail": self._fail}.get(args.answer))
        return self.add(sock, c, "")

    @staticmethod
    def _echo(connection, id, body, now):
        connection.answer(id, body, now)

    @staticmethod
    def _fail(connection, id, body, now):
        connection.fail(id, HANDLER_FAILED, "this client fails as it was told", now)

    def _send(self, c, now):
        """Every line is a message, one way. What was sent is not sent again, whatever becomes of the connection."""
        while c.greeted and c.state == OPEN and self.printed < len(self.items):
            item = self.items[self.printed]
            self.printed += 1
            item.done = True
            if not c.send_message(item.body, now):
                self.failed(65, "not sent: a message of %d bytes is too long" % len(item.body))

    def _session(self, link):
        """One connection, from its first byte to its last."""
        c, mine, free_since = link.connection, [], None
        while c.state != CLOSED:
            now = clock()
            if self.args.send:
                self._send(c, now)
            for item in self.items:
                if self.args.send or item.done or item in mine or (self.args.mode == "short" and mine):
                    continue
                item.request, item.since = c.request(item.body, now), now
                mine.append(item)
                self.at(now + self.args.timeout / 1000 + 0.001, lambda at: None)
            self.settle(link)
            self._notes(c, now)
            left = [item for item in mine if item.request.outcome is None]
            if self.args.mode == "long":
                mine = [item for item in mine if not item.done]
            for item in left:
                if now - item.since > 2 * self.args.timeout / 1000:
                    c.close(now)
                elif now - item.since > self.args.timeout / 1000 and not item.request.cancelled:
                    self.at(now + self.args.timeout / 1000 + 0.001, lambda at: None)
                    c.cancel(item.request, now)
            if self.signals:
                c.close(now)
            if not left and not self.input and self.args.mode == "long" and c.greeted:
                if free_since is None:
                    free_since = now
                    self.at(now + self.args.hold / 1000, lambda at: None)
                if now - free_since >= self.args.hold / 1000:
                    c.leave(now)
            self.settle(link)
            self._notes(c, now)
            if c.state != CLOSED:
                self.turn()
        self._notes(c, clock())
        if self.args.send and c.credit and c.unhandled:
            self.failed(75, "nothing is known of %d messages of %d" % (c.unhandled, c.taken_over))

    def _notes(self, c, now):
        for what, *rest in c.notes:
            if what == "message":
                say("message: " + escape(rest[0].decode("utf-8", "backslashreplace")))
            elif what == "goaway":
                say("the server sends this client away: %s %s" % (code_name(rest[0]), escape(rest[1])))
            elif what == "late beat":
                say("late beat: no PING was answered for %.3f seconds" % rest[0])
            elif what == "far":
                say("a round trip takes %.3f seconds at the least, and dead_after is %g" % tuple(rest))
            elif self.args.verbose and what == "pong":
                say("beat %d: %.3f ms, queued %d, in flight %d, longest %d ms"
                    % (rest[0], rest[1] * 1000, rest[2], rest[3], rest[4]))
            elif self.args.verbose and what == "welcome":
                say("connection %d: ping_every %d ms, dead_after %d ms" % (rest[2], rest[0], rest[1]))
            elif self.args.verbose and what == "late":
                say("this side was late itself")
        c.notes.clear()
        while not self.args.send and self.printed < len(self.items):
            item = self.items[self.printed]
            request = item.request
            if item.done:
                self.printed += 1
                continue
            if request is None or request.outcome is None:
                break
            if request.outcome in ("NOT_SENT", "REFUSED") and not request.too_long and self.args.again:
                break  # 7.7-6: only what nobody processed is sent again
            item.done = True
            self.printed += 1
            if request.outcome == "DONE":
                reply = request.response
                if sys.stdout.isatty():
                    reply = escape(reply.decode("utf-8", "backslashreplace")).encode()
                sys.stdout.buffer.write(reply + b"\n")
                sys.stdout.buffer.flush()
            else:
                code = "" if request.code is None else "(%s)" % code_name(request.code)
                status = self.NO_POINT.get(c.end[0], 75) if c.end else 75
                if request.outcome == "FAILED":
                    status = 75 if request.code == CANCELLED else 70
                text = escape(request.text) or (c.end and escape(c.end[2])) or c.lost or ""
                self.failed(status, ("not answered: %s%s %s" % (request.outcome, code, text)).rstrip())
        self._take()


# ---------------------------------------------------------------------------------------------------- the command line


def duration(text):
    """30, 2.5, 500ms, 2m, 1h: whole milliseconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)?", text)
    if not match:
        raise argparse.ArgumentTypeError("%r is not a duration like 30, 2.5, 500ms or 2m" % text)
    value = int(float(match[1]) * {"ms": 1, None: 1000, "s": 1000, "m": 60000, "h": 3600000}[match[2]])
    if value > U32:
        raise argparse.ArgumentTypeError("%r is more than %d ms" % (text, U32))
    return value


def size(text):
    match = re.fullmatch(r"(\d+)([km]?)", text)
    value = int(match[1]) * {"": 1, "k": 1024, "m": 1048576}[match[2]] if match else -1
    if not 0 <= value <= U32:
        raise argparse.ArgumentTypeError("%r is not a number of bytes like 16384, 16k or 1m" % text)
    return value


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.print_usage(sys.stderr)
        self.exit(64, "%s: %s\n" % (self.prog, message))


def arguments(argv):
    parser = Parser(prog="peer.py", description="A second implementation of Lifeline, written from Protocol.md alone.")
    sides = parser.add_subparsers(dest="side", required=True, parser_class=Parser)
    server, client = sides.add_parser("server"), sides.add_parser("client")
    sides.add_parser("selftest")
    for side in (server, client):
        side.add_argument("--host", default="127.0.0.1")
        side.add_argument("--port", type=int, default=7400)
        side.add_argument("--unix", metavar="PATH", help="a Unix socket in place of host and port")
        side.add_argument("--timeout", type=duration, default=30000, metavar="DURATION")
        side.add_argument("--handshake-timeout", type=duration, default=10000, metavar="DURATION")
        side.add_argument("--token", type=os.fsencode)
        side.add_argument("--max-frame", type=size, default=DEFAULTS.max_frame, metavar="BYTES")
        side.add_argument("--minor", type=int, choices=(0, 1), default=MINOR, help="the minor version that it speaks")
        side.add_argument("--max-message", type=size, default=DEFAULTS.max_message, metavar="BYTES")
        side.add_argument("--credit", type=size, default=ROOM, metavar="BYTES", help="room for messages that wait here")
        side.add_argument("--no-credit", dest="credit", action="store_const", const=None, help="offer no credit")
    server.add_argument("--proxy", action="store_true", help="connections begin with a header of the PROXY protocol")
    server.add_argument("--heartbeat", type=duration, default=60000, metavar="DURATION", help="the longest ping_every")
    server.add_argument(
        "--handler", choices=("echo", "ack", "count", "talk"), default="echo",
        help="talk: an echo, but a request `ask X` is answered with what the client says to X, `tell X` sends X as a "
             "message too, and a message `hold N` keeps the handler of messages busy for N ms")
    server.add_argument("--delay", type=duration, default=0, metavar="DURATION", help="before each answer")
    server.add_argument("--max-in-flight", type=int, default=DEFAULTS.max_in_flight, metavar="N")
    server.add_argument("--max-queued", type=size, default=DEFAULTS.max_queued, metavar="BYTES")
    server.add_argument("--max-connections", type=int, default=10000, metavar="N")
    server.add_argument("--grace", type=duration, default=10000, metavar="DURATION", help="a drain's bound")
    client.add_argument("--mode", choices=("long", "short"), default="long")
    client.add_argument("--ping-every", type=duration, default=0, metavar="DURATION")
    client.add_argument("--dead-after", type=duration, default=0, metavar="DURATION")
    client.add_argument("--name", default="")
    client.add_argument("--hold", type=duration, default=0, metavar="DURATION", help="stay for so long after the last")
    client.add_argument("--again", type=int, default=0, metavar="N", help="attempts in a row to connect again")
    client.add_argument("--send", action="store_true", help="send messages, to which there is no answer")
    client.add_argument("--answer", choices=("echo", "fail"), help="answer requests of the server")
    client.add_argument("--verbose", action="store_true")
    client.add_argument("message", nargs="*", metavar="MESSAGE")
    args = parser.parse_args(argv)
    if args.side == "selftest":
        return args
    in_flight, queued = (args.max_in_flight, args.max_queued) if args.side == "server" else DEFAULTS[2:]
    args.limits = Limits(args.max_frame, args.max_message, in_flight, queued)
    for wrong, text in (
        (not 0 <= args.port <= 65535, "--port is 0 to 65535"),
        (args.max_frame < 256, "--max-frame is 256 or more"),  # 4.1-4
        (args.token is not None and len(args.token) > 256, "--token is 256 bytes at most"),  # 4.12-3
        (args.handshake_timeout < 1, "--handshake-timeout is 1ms or more"),
        (args.side == "server" and args.timeout < 100, "--timeout is 100ms or more"),  # 6-2
        (args.side == "server" and args.heartbeat < 20, "--heartbeat is 20ms or more"),  # 6-4
        (args.side == "server" and not 1 <= in_flight <= U32, "--max-in-flight is 1 or more"),  # 4.2-5
        (args.side == "server" and queued < args.max_message, "--max-queued is --max-message or more"),  # 4.2-6
        (args.side == "client" and len(getattr(args, "name", "").encode("utf-8", "replace")) > 64,
         "--name is 64 bytes at most"),  # 4.12-4
        (args.credit == 0, "--credit is 1 or more; --no-credit offers none"),
        (args.side == "client" and args.send and args.mode == "short", "--send goes with --mode long"),  # 7.3-1
    ):
        if wrong:
            parser.error(text)
    return args


def main(argv):
    args = arguments(argv)
    if args.side == "selftest":
        return selftest()
    try:
        return (ServerLoop if args.side == "server" else ClientLoop)(args).run()
    except BrokenPipeError:
        return 74
    except OSError as error:
        say("peer.py: %s" % error)
        return 69 if error.errno == errno.EADDRINUSE else 71


# ---------------------------------------------------------------------------------------------------------- the tests


def hello(major=1, minor=1, flags=0, ping=0, dead=0, max_frame=16384, max_message=1048576, options=b""):
    return encode(HELLO, struct.pack(">BBHIIII", major, minor, flags, ping, dead, max_frame, max_message) + options)


def welcome(major=1, minor=1, flags=0, ping=10000, dead=30000, max_frame=16384, in_flight=256, queued=4194304,
            options=b""):
    fields = (major, minor, flags, ping, dead, max_frame, 1048576, in_flight, queued, 1)
    return encode(WELCOME, struct.pack(">BBHIIIIIIQ", *fields) + options)


def header(length, type, flags=0, id=0, zero=0):
    return struct.pack(">IBBHI", length, type, flags, zero, id)


def server_rows():
    """Rows of section 9 that a server shows: the row, the client's bytes, whether its stream ends then, the codes of
    the FAILUREs and that of the CLOSE which the server sends (None: none). Its limits are 1024 bytes a frame, 4096 a
    message, 2 requests, 5000 bytes, its TOKEN is not asked for, and requests of it are answered at once."""
    P, L, S = PREFACE, PREFACE + hello(), PREFACE + hello(flags=SHORT)
    L0 = PREFACE + hello(minor=0)
    ping, opt = encode(PING, bytes(8)), encode_option
    both = opt(FIRST_LIMIT, bytes(8)) + opt(ANSWERS, bytes([0, 0, 0, 1] + [0] * 4))
    LB, LB0, SB = (PREFACE + hello(options=both), PREFACE + hello(minor=0, options=both),
                   PREFACE + hello(flags=SHORT, options=both))
    R = lambda id, body=b"x", flags=0: encode(REQUEST, body, id, flags)
    M = lambda body=b"x", flags=0: encode(MESSAGE, body, 0, flags)
    close, goaway = encode_close(NORMAL), encode_goaway(NORMAL)
    E, N = PROTOCOL_ERROR, NORMAL
    bad = b"\xff"
    big = b"y" * 1024
    return [
        ("P1 http", b"GET / HTTP/1.1\r\n", 0, [], BAD_PREFACE),
        ("P1 tls", b"\x16\x03\x01\x02", 0, [], BAD_PREFACE),
        ("P1 ssh", b"SSH-2.0-x\r\n", 0, [], BAD_PREFACE),
        ("P1 last byte", b"LIFELINX", 0, [], BAD_PREFACE),
        ("P2", b"", 1, [], N),
        ("P3 one byte", b"L", 1, [], E),
        ("P3 preface", P, 1, [], E),
        ("P3 half HELLO", L[:25], 1, [], E),
        ("H1", L + header(0, REQUEST, 0, 1, 1), 0, [], E),
        ("H1 second byte", L + header(8, PING, 0, 0, 256), 0, [], E),
        ("H1 before H6", P + header(8, PING, 0, 0, 256), 0, [], E),
        ("H2", L + header(0, REQUEST, 0x02, 1), 0, [], E),
        ("H2 on unknown", L + header(0, 0x55, 0xC0), 0, [], E),
        ("H3", L + header(0, 0x55), 0, [], E),
        ("H3 type 0", L + header(0, 0), 0, [], E),
        ("H3 type 0x0c", L + header(0, 12), 0, [], E),
        ("H3 too long, first", L + header(20000, 0x55), 0, [], E),
        ("H4 PING", L + header(8, PING, MORE), 0, [], E),
        ("H4 unknown", L + header(0, 0x55, MORE | IGNORABLE), 0, [], E),
        ("H4 CANCEL", L + header(0, CANCEL, MORE, 1), 0, [], E),
        ("H5 WELCOME", L + header(36, WELCOME), 0, [], E),
        ("H5 RESPONSE", L + header(0, RESPONSE, 0, 1), 0, [], E),
        ("H5 FAILURE", L + header(8, FAILURE, 0, 1), 0, [], E),
        ("H5 WELCOME first", P + header(36, WELCOME), 0, [], E),
        ("H6 PING", P + ping, 0, [], E),
        ("H6 CLOSE", P + close, 0, [], E),
        ("H6 REQUEST", P + R(1), 0, [], E),
        ("H6 IGNORABLE", P + header(0, 0x55, IGNORABLE), 0, [], E),
        ("H8", L + hello(), 0, [], E),
        ("H9 REQUEST 0", L + header(0, REQUEST), 0, [], E),
        ("H9 CANCEL 0", L + header(0, CANCEL), 0, [], E),
        ("H9 PING 1", L + header(8, PING, 0, 1), 0, [], E),
        ("H9 MESSAGE 1", L + header(0, MESSAGE, 0, 1), 0, [], E),
        ("H9 HELLO 1", P + header(20, HELLO, 0, 1), 0, [], E),
        ("H9 before H10", L + header(2000, REQUEST), 0, [], E),
        ("H10 REQUEST", L + header(1025, REQUEST, 0, 1), 0, [], FRAME_TOO_LARGE),
        ("H10 over both", L + header(5000, REQUEST, 0, 1), 0, [], FRAME_TOO_LARGE),
        ("H10 MESSAGE", L + header(1025, MESSAGE), 0, [], FRAME_TOO_LARGE),
        ("H10 unknown", L + header(1025, 0x55, IGNORABLE), 0, [], FRAME_TOO_LARGE),
        ("H10 PING", L + header(9, PING), 0, [], FRAME_TOO_LARGE),
        ("H10 PONG", L + header(21, PONG), 0, [], FRAME_TOO_LARGE),
        ("H10 CANCEL", L + header(1, CANCEL, 0, 1), 0, [], FRAME_TOO_LARGE),
        ("H10 HELLO", P + header(1025, HELLO), 0, [], FRAME_TOO_LARGE),
        ("H10 GOAWAY", L + header(525, GOAWAY), 0, [], FRAME_TOO_LARGE),
        ("H10 CLOSE", L + header(525, CLOSE), 0, [], FRAME_TOO_LARGE),
        ("H10 most", L + header(U32, REQUEST, 0, 1), 0, [], FRAME_TOO_LARGE),
        ("H11 PING", L + header(7, PING), 0, [], E),
        ("H11 PONG", L + header(19, PONG), 0, [], E),
        ("H11 HELLO", P + header(19, HELLO), 0, [], E),
        ("H11 GOAWAY", L + header(11, GOAWAY), 0, [], E),
        ("H11 CLOSE", L + header(11, CLOSE), 0, [], E),
        ("H12", L + header(0, REQUEST, MORE, 1), 0, [], E),
        ("H12 MESSAGE", L + header(0, MESSAGE, MORE), 0, [], E),
        ("H12 later chunk", L + R(1, b"a", MORE) + header(0, REQUEST, MORE, 1), 0, [], E),
        ("H13 id", L + R(1, b"a", MORE) + R(2), 0, [], E),
        ("H13 MESSAGE", L + R(1, b"a", MORE) + M(), 0, [], E),
        ("H13 REQUEST", L + M(b"a", MORE) + R(1), 0, [], E),
        ("H14 same", L + R(1) + R(1), 0, [], E),
        ("H14 lower", L + R(7) + R(6), 0, [], E),
        ("H14 cancelled", L + R(1, b"a", MORE) + header(0, CANCEL, 0, 1) + R(1), 0, None, E),
        ("H15 REQUEST", L + R(1, big, MORE) * 4 + R(1, b"a"), 0, [], MESSAGE_TOO_LARGE),
        ("H15 MESSAGE", L + M(big, MORE) * 4 + M(b"a"), 0, [], MESSAGE_TOO_LARGE),
        ("H15 just at", L + R(1, big, MORE) * 4 + R(1, b"") + close, 0, [], N),
        ("H17", L + encode(0x55, b"abc", 9, IGNORABLE) + encode(0xFF, b"", 0, IGNORABLE) + close, 0, [], N),
        ("H17 between chunks", L + R(1, b"a", MORE) + encode(0x55, b"abc", 9, IGNORABLE) + R(1) + close, 0, [], N),
        ("H18", L + encode(REQUEST, b"x", 1, IGNORABLE) + encode(CLOSE, bytes(12), 0, IGNORABLE), 0, [], N),
        ("H18 HELLO", P + header(20, HELLO, IGNORABLE) + hello()[12:] + close, 0, [], N),
        ("G1 0", P + hello(major=0, flags=9), 0, [], UNSUPPORTED_VERSION),
        ("G1 2", P + hello(major=2, max_frame=1), 0, [], UNSUPPORTED_VERSION),
        ("G2", P + hello(minor=9) + close, 0, [], N),
        ("G4", P + hello(flags=2), 0, [], E),
        ("G4 high", P + hello(flags=0x8001), 0, [], E),
        ("G5", P + hello(max_frame=255), 0, [], E),
        ("G5 just", P + hello(max_frame=256) + close, 0, [], N),
        ("G6", P + hello(max_message=0) + R(1) + R(2, b"") + close, 0, [MESSAGE_TOO_LARGE], N),
        ("G7", P + hello(ping=U32, dead=1) + close, 0, [], N),
        ("G12 3 bytes", P + hello(options=b"\0\2\0"), 0, [], E),
        ("G12 beyond", P + hello(options=b"\0\2\0\4abc"), 0, [], E),
        ("G12 beyond, unknown", P + hello(options=b"\x80\2\0\4abc"), 0, [], E),
        ("G13 TOKEN", P + hello(options=opt(TOKEN, b"") * 2), 0, [], E),
        ("G13 NAME", P + hello(options=opt(NAME, b"a") + opt(9, b"") + opt(NAME, b"a")), 0, [], E),
        ("G13 AGENT", P + hello(options=opt(AGENT, b"a") * 2), 0, [], E),
        ("G14 TOKEN", P + hello(options=opt(TOKEN, b"a" * 257)), 0, [], E),
        ("G14 TOKEN 256", P + hello(options=opt(TOKEN, bad * 256)) + close, 0, [], N),
        ("G14 NAME", P + hello(options=opt(NAME, b"a" * 65)), 0, [], E),
        ("G14 NAME 64", P + hello(options=opt(NAME, b"a" * 64)) + close, 0, [], N),
        ("G15 NAME", P + hello(options=opt(NAME, bad)), 0, [], E),
        ("G15 AGENT", P + hello(options=opt(AGENT, b"\xed\xa0\x80")), 0, [], E),
        ("G15 overlong", P + hello(options=opt(NAME, b"\xc0\x80")), 0, [], E),
        ("G15 zero and newline", P + hello(options=opt(NAME, b"a\0\nb")) + close, 0, [], N),
        ("G16", P + hello(options=opt(0x8000, b"")), 0, [], UNSUPPORTED_OPTION),
        ("G16 before G15", P + hello(options=opt(0x8000, b"") + opt(NAME, bad)), 0, [], UNSUPPORTED_OPTION),
        ("G15 before G16", P + hello(options=opt(NAME, bad) + opt(0x8000, b"")), 0, [], E),
        ("G5 before G16", P + hello(max_frame=1, options=opt(0x8000, b"")), 0, [], E),
        ("G17", P + hello(options=opt(9, b"a") * 2 + opt(0x7FFF, bad)) + close, 0, [], N),
        ("G13 CREDIT", P + hello(options=opt(FIRST_LIMIT, bytes(8)) * 2), 0, [], E),
        ("G13 ANSWERS", P + hello(options=opt(ANSWERS, b"\0\0\0\1" * 2) * 2), 0, [], E),
        ("G22 CREDIT, 7", P + hello(options=opt(FIRST_LIMIT, bytes(7))), 0, [], E),
        ("G22 CREDIT, 9, 1.0", P + hello(minor=0, options=opt(FIRST_LIMIT, bytes(9))), 0, [], E),
        ("G22 ANSWERS, 4", P + hello(options=opt(ANSWERS, b"\0\0\0\1")), 0, [], E),
        ("G22 ANSWERS, 12, SHORT", P + hello(flags=SHORT, options=opt(ANSWERS, b"\0\0\0\1" * 3)), 0, [], E),
        ("G23", P + hello(options=opt(ANSWERS, bytes(7) + b"\1")), 0, [], E),
        ("G23, 1.0", P + hello(minor=0, options=opt(ANSWERS, bytes(8))), 0, [], E),
        ("G16 before G23", P + hello(options=opt(0x8000, b"") + opt(ANSWERS, bytes(8))), 0, [], UNSUPPORTED_OPTION),
        ("M3", LB + encode_credit(9, 0) + encode_credit(3, 0) + close, 0, [], N),
        ("M4", LB + encode_credit(9, 77) + close, 0, [], N),
        ("M5", L + encode_credit(9, 0), 0, [], E),
        ("M5, 1.0", LB0 + encode_credit(9, 0), 0, [], E),
        ("M5, SHORT", SB + encode_credit(9, 0), 0, [], E),
        ("M5, first", P + encode_credit(9, 0), 0, [], E),
        ("M5 IGNORABLE", L + encode(CREDIT, b"x", 7, IGNORABLE) + close, 0, [], N),
        ("H4 CREDIT", LB + header(16, CREDIT, MORE), 0, [], E),
        ("H9 CREDIT", LB + header(16, CREDIT, 0, 1), 0, [], E),
        ("H10 CREDIT", LB + header(17, CREDIT), 0, [], FRAME_TOO_LARGE),
        ("H11 CREDIT", LB + header(15, CREDIT), 0, [], E),
        ("R20 RESPONSE, 1.0", LB0 + header(0, RESPONSE, 0, 1), 0, [], E),
        ("R20 FAILURE, SHORT", SB + header(8, FAILURE, 0, 1), 0, [], E),
        ("R2 RESPONSE", LB + header(0, RESPONSE, 0, 1), 0, [], E),
        ("R2 FAILURE", LB + header(8, FAILURE, 0, 1), 0, [], E),
        ("R1", L + header(0, CANCEL, 0, 1), 0, [], E),
        ("R1 after", L + R(5) + header(0, CANCEL, 0, 6), 0, [], E),
        ("R5", L + R(1, b"a", MORE) + goaway + R(1) + R(2), 0, [], None),
        ("R5 open", L + R(1, b"a", MORE) + goaway + M(), 0, [], E),
        ("R6 not whole", L + R(1, b"a", MORE) + header(0, CANCEL, 0, 1) + R(2) + close, 0, [CANCELLED], N),
        ("R7", L + R(5) + header(0, CANCEL, 0, 5) * 2 + header(0, CANCEL, 0, 3) + close, 0, [], N),
        ("R11", P + hello() + R(1, big, MORE) + header(0, CANCEL, 0, 1) * 2 + R(2) + close, 0, [CANCELLED], N),
        ("R17", L + R(1) + R(2) + close, 0, [], N),
        ("S1", S + R(1, b"a", MORE) + R(2), 0, [], E),
        ("S2 MESSAGE", S + M(), 0, [], E),
        ("S2 GOAWAY", S + goaway, 0, [], E),
        ("S2 chunk", S + R(1, b"a", MORE) + M(), 0, [], E),
        ("S4", S, 1, [], N),
        ("SHORT", S + R(9), 0, [], N),
        ("SHORT, end", S + R(9), 1, [], N),
        ("SHORT, ping", S + ping + R(9), 0, [], N),
        ("SHORT, CANCEL", S + R(9, b"a", MORE) + header(0, CANCEL, 0, 9), 0, [CANCELLED], N),
        ("SHORT, CLOSE", S + close, 0, [], N),
        ("SHORT, cut", S + R(9, b"a", MORE), 1, [], E),
        ("F1 GOAWAY", L + encode(GOAWAY, b"\0\0\0\1" + bytes(8)), 0, [], E),
        ("F1 CLOSE", L + encode(CLOSE, bytes(6) + b"\0\1" + bytes(4)), 0, [], E),
        ("F2 GOAWAY", L + encode(GOAWAY, bytes(12) + bad), 0, [], E),
        ("F2 CLOSE", L + encode(CLOSE, bytes(12) + bad), 0, [], E),
        ("F3 GOAWAY", L + encode_goaway(999), 0, [], N),
        ("F3 CLOSE", L + encode_close(999), 0, [], N),
        ("F4", L + encode(PONG, bytes(20)), 0, [], E),
        ("F6", L + ping * 3 + close, 0, [], N),
        ("F7 PING", L + ping * 21, 0, [], TOO_MANY_PINGS),
        ("F7 PING, 20", L + ping * 20 + close, 0, [], N),
        ("F7 CANCEL", L + R(1) + header(0, CANCEL, 0, 1) * 21, 0, [], TOO_MANY_PINGS),
        ("F7 MESSAGE, 1.0", L0 + M(b"") * 21, 0, [], TOO_MANY_PINGS),
        ("F7 MESSAGE", L + M(b"") * 90 + close, 0, [], N),
        ("F7 long MESSAGE", L0 + (M(b"a", MORE) + M(b"")) * 30 + close, 0, [], N),
        ("F7 mixed, 1.0", L0 + ping * 19 + M(b"") + M(b""), 0, [], TOO_MANY_PINGS),
        ("F7 mixed", L + ping * 20 + M(b"") * 9 + ping, 0, [], TOO_MANY_PINGS),
        ("F7 behind 1024 bytes", L + (M(bytes(1012)) + ping) * 90 + close, 0, [], N),
        ("F7 behind 1024 bytes, 1.0", L0 + (M(bytes(1012)) + ping) * 21, 0, [], TOO_MANY_PINGS),
        ("F7 behind two frames", L + (M(bytes(500), MORE) + M(bytes(500)) + ping) * 90 + close, 0, [], N),
        ("F7 behind 1023 bytes", L + (M(bytes(1011)) + ping) * 21, 0, [], TOO_MANY_PINGS),
        ("F7 one is behind, one is not", L + (M(bytes(1012)) + ping * 2) * 21, 0, [], TOO_MANY_PINGS),
        ("F7 behind what is skipped", L + (encode(0x55, bytes(1012), 0, IGNORABLE) + ping) * 21, 0, [], TOO_MANY_PINGS),
        ("F8", L + R(1, b"a", MORE) + goaway + goaway + R(1), 0, [], N),
        ("F9", L + R(1) + encode_close(NORMAL, "", 1), 0, [], E),
        ("E1", L, 1, [], N),
        ("E1 answered", L + R(3), 1, [], N),
        ("E1 GOAWAY", L + R(3) + goaway, 1, [], N),
        ("E2 header", L + R(1) + header(8, PING)[:5], 1, [], E),
        ("E2 payload", L + R(1) + header(8, PING), 1, [], E),
        ("E2 skipped", L + header(8, 0x55, IGNORABLE), 1, [], E),
        ("E2 chunks", L + R(1) + R(2, b"a", MORE), 1, [], E),
        ("E2 MESSAGE", L + M(b"a", MORE), 1, [], E),
        ("E5", L + close, 0, [], N),
        ("E5 end", L + close, 1, [], N),
        ("E5 between chunks", L + R(1, b"a", MORE) + close, 0, [], N),
        ("E8", L + R(1) + close + b"\xff" * 40, 0, [], N),
        ("GOAWAY", L + R(1) + goaway, 0, [], N),
        ("E2 GOAWAY", L + R(4, b"a", MORE) + goaway, 1, [], E),
        ("E5 GOAWAY", L + R(4, b"a", MORE) + goaway + close + R(4), 0, [], N),
    ]


def client_rows():
    """Rows that a client shows: the row, the server's bytes behind its preface, the code of the client's CLOSE (None:
    it sends none). It is long, has asked for dead_after 1000, and has sent request 1 whole and nothing else."""
    W, opt = welcome(ping=300, dead=1000), encode_option
    F = lambda code=20, id=1, tail=b"": encode(FAILURE, struct.pack(">HHI", code, 0, 0) + tail, id)
    R = lambda id=1, body=b"x", flags=0: encode(RESPONSE, body, id, flags)
    E, N = PROTOCOL_ERROR, NORMAL
    w = lambda **changes: welcome(**dict(dict(ping=300, dead=1000), **changes))
    return [
        ("H5", W + header(20, HELLO), E),
        ("H5 REQUEST", W + header(0, REQUEST, 0, 1), E),
        ("H5 CANCEL", W + header(0, CANCEL, 0, 1), E),
        ("H7 PING", encode(PING, bytes(8)), E),
        ("H7 IGNORABLE", header(0, 0x55, IGNORABLE), E),
        ("H8", W + W, E),
        ("H10 WELCOME", header(1025, WELCOME), FRAME_TOO_LARGE),
        ("H10 FAILURE", W + header(521, FAILURE, 0, 1), FRAME_TOO_LARGE),
        ("H10 RESPONSE", W + header(16385, RESPONSE, 0, 1), FRAME_TOO_LARGE),
        ("H11 WELCOME", header(35, WELCOME), E),
        ("H13", W + R(1, b"x", MORE) + encode(MESSAGE, b"x"), E),
        ("H15", W + R(1, bytes(16384), MORE) * 64 + R(), MESSAGE_TOO_LARGE),
        ("G1", w(major=2, minor=5, ping=0), UNSUPPORTED_VERSION),
        ("G3", w(minor=2), E),
        ("G3, 1.0", w(minor=0) + encode_close(0, "", 1), N),
        ("G4", w(flags=1), E),
        ("G5", w(max_frame=255), E),
        ("G8", w(dead=99, ping=20), E),
        ("G9 low", w(ping=19), E),
        ("G9 high", w(ping=501), E),
        ("G10", w(in_flight=0), E),
        ("G11", w(queued=0) + encode_close(0, "", 1), N),
        ("G12", w(options=b"\0"), E),
        ("G13", w(options=opt(AGENT, b"a") * 2), E),
        ("G15", w(options=opt(AGENT, b"\xff")), E),
        ("G16", w(options=opt(0x8001, b"")), UNSUPPORTED_OPTION),
        ("G18", w(options=opt(TOKEN, bytes(300)) * 2 + opt(NAME, b"\xff" * 80)) + encode_close(0, "", 1), N),
        ("G19", w(dead=1001), E),
        ("G16 before G19", w(dead=1001, options=opt(0x8001, b"")), UNSUPPORTED_OPTION),
        ("G21", encode_close(BUSY), N),
        ("H5 REQUEST, 1.0", w(minor=0) + header(0, REQUEST, 0, 1), E),
        ("G13 CREDIT", w(options=opt(FIRST_LIMIT, bytes(8)) * 2), E),
        ("G18 ANSWERS", w(options=opt(ANSWERS, bytes(3)) * 2) + encode_close(0, "", 1), N),
        ("G22", w(options=opt(FIRST_LIMIT, bytes(7))), E),
        ("G24, 1.0", w(minor=0, options=opt(FIRST_LIMIT, bytes(8))), E),
        ("M5", W + encode_credit(9, 0), E),
        ("M5 IGNORABLE", W + encode(CREDIT, bytes(3), 4, IGNORABLE) + encode_close(0, "", 1), N),
        ("M3, M4", w(options=opt(FIRST_LIMIT, bytes(8))) + encode_credit(9, 5) + encode_credit(0, 0)
         + encode_close(0, "", 1), N),
        ("R2", W + R(2), E),
        ("R2 FAILURE", W + F(id=2), E),
        ("R3", W + R() + R(), E),
        ("R3 FAILURE", W + F() + F(), E),
        ("R9", W + R(1, b"x", MORE) + F() + R(), E),
        ("F1", W + encode(FAILURE, b"\0\1\0\1" + bytes(4), 1), E),
        ("F2", W + F(tail=b"\xff"), E),
        ("F4", W + encode(PONG, bytes(20)), E),
        ("F7", W + encode(PING, bytes(8)) * 21, TOO_MANY_PINGS),
        ("F10", W + encode_close(0, "", 2), E),
        ("E5", W + encode_close(0, "", 1), N),
        ("E8", W + encode_close(0, "", 1) + b"\xff" * 20, N),
    ]


ROW_LIMITS = Limits(1024, 4096, 2, 5000)


def echo(connection, id, body, now):
    connection.answer(id, body, now)


def drain(connection, now):
    """What the connection writes, where the kernel takes it all."""
    written = b""
    while connection.outbox and connection.state != CLOSED:
        data = connection.outbox.offer()
        connection.taken(len(data), now)
        written += data
    return written


def frames(stream):
    """[(type, flags, id, payload)] of whole frames."""
    found, at = [], 0
    while len(stream) - at >= 12:
        length, type, flags, _, id = struct.unpack_from(">IBBHI", stream, at)
        found.append((type, flags, id, stream[at + 12 : at + 12 + length]))
        at += 12 + length
    return found


def hexdumps():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Protocol.md")
    with open(path, encoding="utf-8") as file:
        blocks = re.findall(r"```hexdump\n# (\w+)\n(.*?)```", file.read(), re.S)
    result = {}
    for name, block in blocks:
        parts = []  # (side, bytes of one frame)
        for line in block.splitlines():
            data, comment = (line[2:].split(";") + [""])[:2]
            if data.strip() == "end":
                continue
            if comment:
                parts.append([line[0], b""])
            parts[-1][1] += bytes.fromhex(data)
        result[name] = parts
    return result


def chops(data, rng):
    yield [data]
    yield [data[i : i + 1] for i in range(len(data))]
    for cut in range(1, len(data)):
        yield [data[:cut], data[cut:]]
    for _ in range(100):
        pieces, at = [], 0
        while at < len(data):
            step = rng.choice((1, 2, 3, 12, 40))
            pieces.append(data[at : at + step])
            at += step
        yield pieces


def selftest():
    """Quick: no socket, no sleep, no clock but a number."""
    rng = random.Random(7)
    checks = 0

    def check(what, got, expected):
        nonlocal checks
        checks += 1
        if got != expected:
            raise SystemExit("selftest: %s: got %r, expected %r" % (what, got, expected))

    # Section 6.
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Protocol.md"), encoding="utf-8") as file:
        table = re.findall(r"^\| (\d+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|", file.read(), re.M)
    check("the table of section 6 has rows", len(table) >= 14, True)
    for row in table:
        ping, dead, timeout, ping_every, dead_after = map(int, row)
        check("negotiation %r" % (row,), negotiate(ping, dead, timeout), (ping_every, dead_after))
    check("negotiation under a short heartbeat", negotiate(0, 0, 30000, 2500), (2500, 30000))

    # The appendices: the server answers them byte for byte, however they are cut.
    dumps = hexdumps()
    check("the appendices", sorted(dumps), ["long", "short"])
    for name, parts in dumps.items():
        sent = b"".join(data for side, data in parts if side == "C")
        expected = b"".join(data for side, data in parts if side == "S")
        for pieces in chops(sent, rng):
            server, written = ServerConnection(0, handler=echo), b""
            for piece in pieces:
                server.receive(piece, 0)
                written += drain(server, 0)
            server.end_of_stream(0)
            check("appendix %s, cut %r" % (name, [len(p) for p in pieces][:9]), (written, server.state),
                  (expected, CLOSED))

    # The short one is what the client says, and what it understands, however it is cut.
    sent = b"".join(data for side, data in dumps["short"] if side == "C")
    for pieces in chops(b"".join(data for side, data in dumps["short"] if side == "S"), rng):
        client = ClientConnection(0, short=True, room=None)
        request = client.request(b"hello", 0)
        check("short client", drain(client, 0), sent)
        for piece in pieces:
            client.receive(piece, 0)
        check("short client's end", (client.state, request.outcome, request.response, drain(client, 0)),
              (CLOSED, "DONE", b"hello", b""))

    # The long one, frame by frame.
    client, now, requests = ClientConnection(0, name="till-7", rng=rng, room=None), 0, []
    for side, data in dumps["long"]:
        if side == "S":
            client.receive(data, now)
            continue
        if data[:4] == b"LIFE":
            check("long client", drain(client, now), PREFACE + dumps["long"][1][1])
        elif data[4] == PING:
            now = client.deadline()
            check("first PING within ping_every", now <= 10, True)
            client.tick(now)
        elif data[4] == REQUEST:
            requests += [client.request((b"hello", b"hello", b"")[len(requests)], now)] if not client.outbox else []
        elif data[4] == MESSAGE:
            client.send_message(b"note", now)
        elif data[4] == CLOSE:
            client.close(now)
        if data[:4] != b"LIFE" and data[4] != HELLO:
            client.outbox.chunk = 3 if len(requests) == 2 else CHUNK
            offered = client.outbox.offer()
            check("long client", offered[: len(data)], data)
            client.taken(len(data), now)
    check("long client's end", (client.state, [r.outcome for r in requests], requests[1].response),
          (CLOSED, ["DONE"] * 3, b"hello"))

    # Section 9, whole and byte by byte.
    for row, data, ends, failures, code in server_rows():
        for step in (len(data) or 1, 1):
            server, written = ServerConnection(0, limits=ROW_LIMITS, handler=echo), b""
            for at in range(0, len(data), step):
                server.receive(data[at : at + step], 0)
                written += drain(server, 0)
            if ends:
                server.end_of_stream(0)
            written += drain(server, 0)
            got = frames(written[8:])
            check(row + " preface", written[:8] in (PREFACE, b""), True)
            closes = [struct.unpack(">H", payload[4:6])[0] for type, _, _, payload in got if type == CLOSE]
            if code is not None:
                check(row, closes, [code])
                check(row + ", last", got[-1][0], CLOSE)
            if failures is not None:
                codes = [struct.unpack(">H", payload[:2])[0] for type, _, _, payload in got if type == FAILURE]
                check(row + ", failures", codes, failures)
    for row, data, code in client_rows():
        for step in (len(data), 1):
            if step == 1 and len(data) > 10000:
                continue
            client = ClientConnection(0, dead_after=1000, rng=rng)
            client.request(b"x", 0)
            written = drain(client, 0)
            for at in range(0, len(PREFACE + data), step):
                client.receive((PREFACE + data)[at : at + step], 0)
                written = drain(client, 0) or written
            closes = [struct.unpack(">H", payload[4:6])[0] for type, _, _, payload in frames(written) if type == CLOSE]
            check("client " + row, closes, [code])

    selftest_requests(check)
    selftest_both_ways(check)
    selftest_credit(check)
    selftest_proxy(check, rng)
    selftest_time(check)
    selftest_window(check)
    print("peer.py: %d checks, all is well" % checks)
    return 0


def handshaken(now=0.0, short=False, handler=None, **wish):
    """A server and a client that have greeted each other."""
    later = []
    limits = wish.pop("limits", DEFAULTS)
    server = ServerConnection(now, limits=limits, handler=handler or (lambda c, id, body, at: later.append((id, body))),
                              room=wish.get("room", ROOM))
    client = ClientConnection(now, short=short, rng=random.Random(3), **wish)
    exchange(client, server, now)
    exchange(client, server, now)
    return client, server, later


def exchange(client, server, now):
    for a, b in ((client, server), (server, client)):
        data = drain(a, now)
        if data:
            b.receive(data, now)
        if a.wants_shutdown or a.state == CLOSED:
            if not b.ended:
                b.end_of_stream(now)


def selftest_requests(check):
    # Limits, refusals, CANCEL, the load in PONG.
    client, server, later = handshaken(limits=Limits(1024, 4096, 2, 5000))
    raw = lambda id, body, flags=0: encode(REQUEST, body, id, flags)
    server.receive(raw(1, b"a" * 1000) + raw(2, b"b") + raw(3, b"c"), 1.0)
    got = frames(drain(server, 1.0))
    check("R12", [(t, i, p[:2]) for t, _, i, p in got], [(FAILURE, 3, b"\0\x12")])
    server.receive(encode(PING, bytes(7) + b"\1"), 3.5)
    check("the load", frames(drain(server, 3.5))[0][3][8:], struct.pack(">III", 1001, 2, 2500))
    server.receive(encode(CANCEL, b"", 1), 3.5)
    check("R6", [(t, i, p[:2]) for t, _, i, p in frames(drain(server, 3.5))], [(FAILURE, 1, b"\0\x11")])
    server.answer(1, b"late", 3.5)
    check("an answer after CANCEL", drain(server, 3.5), b"")
    for part in range(4):
        server.receive(raw(4, b"d" * 1024, MORE), 3.5)
    server.receive(raw(4, b""), 3.5)
    server.answer(2, b"", 3.5)
    check("3.6-7: in flight until it is with the kernel", (len(server.requests), server.queued), (2, 4097))
    drain(server, 3.5)
    check("3.6-7", (len(server.requests), server.queued), (1, 4096))
    server.receive(raw(5, b"e" * 904) + raw(6, b"f"), 3.5)
    check("max_in_flight and max_queued", [i for t, _, i, _ in frames(drain(server, 3.5)) if t == FAILURE], [6])
    server.answer(4, b"", 4)
    server.answer(5, b"", 4)
    drain(server, 4)
    server.receive(raw(7, b"g" * 1024, MORE) * 4 + raw(7, b"") + raw(8, b"h" * 900, MORE) + raw(8, b"h" * 5, MORE)
                   + raw(8, b"h"), 4)
    check("refused at a later chunk", [i for t, _, i, _ in frames(drain(server, 4)) if t == FAILURE], [8])
    check("the refused one counts for nothing", (len(server.requests), server.queued), (1, 4096))
    server.stop(4)
    check("7.4-8", [t for t, _, _, _ in frames(drain(server, 4))], [GOAWAY])
    server.receive(raw(9, b"x" * 900), 4)
    server.answer(7, b"7", 5)
    server.answer(9, b"9", 5)
    got = frames(drain(server, 5))
    check("7.4-1, 7.4-7", [(t, i) for t, _, i, _ in got], [(RESPONSE, 7), (RESPONSE, 9), (CLOSE, 0)])
    check("last_id", struct.unpack(">IH", got[-1][3][:6]), (9, SHUTTING_DOWN))

    # A thousand messages over a small window, of many sizes, both directions cut at random.
    rng = random.Random(5)
    client, server, _ = handshaken(handler=echo, limits=Limits(256, 60000, 3, 70000))
    requests = [client.request(rng.randbytes(rng.choice((0, 1, 255, 256, 257, 3000, 60000))), 0) for _ in range(300)]
    too_long = client.request(bytes(60001), 0)
    while client.outbox or server.outbox:
        for a, b in ((client, server), (server, client)):
            data = a.outbox.offer()[: rng.choice((1, 11, 300, 20000, 65536))]
            if data:
                a.taken(len(data), 0)
                b.receive(data, 0)
    check("outcomes", [r.outcome == "DONE" and r.response == r.body for r in requests], [True] * 300)
    check("7.7-3", (too_long.outcome, too_long.too_long), ("NOT_SENT", True))

    # Cancelling before, in the midst of, and after a request.
    client, server, later = handshaken(minor=0)
    a, b, c = (client.request(bytes(20000), 0) for _ in range(3))
    client.taken(100, 0)
    client.cancel(a, 0)
    client.cancel(c, 0)
    check("7.7-2", (c.outcome, a.outcome), ("NOT_SENT", None))
    line = [(out.type, out.id, out.last) for out in client.outbox.line()]
    check("4.8-4", line, [(REQUEST, 1, False), (CANCEL, 0, False), (REQUEST, 2, False), (REQUEST, 2, True)])

    # Outcomes at the end.
    client, server, later = handshaken()
    a, b = client.request(b"a", 0), client.request(b"b", 0)
    drain(client, 0)
    c = client.request(b"c", 0)
    client.receive(encode_close(BUSY, "", 1), 0)
    drain(client, 0)
    check("7.7", (a.outcome, b.outcome, c.outcome, client.state), ("UNKNOWN", "REFUSED", "NOT_SENT", CLOSED))

    # A half-closed client gets its answers, and then CLOSE.
    client, server, later = handshaken()
    a = client.request(b"a", 0)
    client.end_writing(0)
    exchange(client, server, 0)
    check("7.2", (client.wants_shutdown, server.ended, server.state), (True, True, OPEN))
    client.tick(1000)
    check("5.5-3", client.state, OPEN)
    server.answer(1, b"a", 0)
    exchange(client, server, 1000)
    check("7.2-3", (a.outcome, client.end[:2]), ("DONE", (NORMAL, "server")))


def selftest_both_ways(check):
    # The server asks while the client does: the ids are independent (3.7-3), and neither holds up the other (3.7-8).
    asked = []
    client, server, later = handshaken(handler=None, limits=Limits(1024, 4096, 2, 5000))
    check("3.7-1", (server.answers, server.request(b"x", 0).outcome), (False, "NOT_SENT"))
    client = ClientConnection(0, handler=lambda c, id, body, at: asked.append((id, body)),
                              limits=Limits(1024, 4096, 2, 5000), rng=random.Random(3))
    server = ServerConnection(0, handler=lambda c, id, body, at: later.append((id, body)))
    for _ in range(2):
        exchange(client, server, 0)
    check("3.7", (server.answers, client.answers, server.peer_limits[2:]), (True, True, (2, 5000)))
    mine, theirs = client.request(b"c", 0), server.request(b"s", 0)
    exchange(client, server, 0)
    exchange(client, server, 0)
    check("R21", (later, asked), ([(1, b"c")], [(1, b"s")]))
    server.answer(1, b"C", 0)
    exchange(client, server, 0)
    check("3.7-8", (mine.response, theirs.outcome), (b"C", None))
    client.answer(1, b"S", 0)
    exchange(client, server, 0)
    check("an answer of the client", (theirs.outcome, theirs.response), ("DONE", b"S"))

    # Limits: the server keeps to them (3.7-4), and the client refuses what is beyond (R12).
    several = [server.request(body, 0) for body in (b"a" * 3000, b"b", b"c", bytes(4097), bytes(5001))]
    check("3.7-4", [(r.id, r.outcome) for r in several], [(2, None), (3, None), (None, None)] + [(None, None)] * 2)
    exchange(client, server, 0)
    exchange(client, server, 0)
    for id in (2, 3):
        client.fail(id, HANDLER_FAILED, "no", 0)
    exchange(client, server, 0)
    exchange(client, server, 0)
    client.answer(4, b"", 0)
    exchange(client, server, 0)
    check("outcomes", [(r.outcome, r.code) for r in several],
          [("FAILED", HANDLER_FAILED)] * 2 + [("DONE", None)] + [("NOT_SENT", None)] * 2)
    client.receive(b"".join(encode(REQUEST, b"x", id) for id in (5, 6, 7)), 0)
    check("R12", [(t, i, p[:2]) for t, _, i, p in frames(drain(client, 0))], [(FAILURE, 7, b"\0\x12")])

    # CANCEL by the server; an ending that the server does not wait for is a violation.
    client.receive(encode(CANCEL, b"", 5), 0)
    check("R6", [(t, i, p[:2]) for t, _, i, p in frames(drain(client, 0))], [(FAILURE, 5, b"\0\x11")])
    client.receive(encode(CANCEL, b"", 8), 0)
    check("R1", client.end[0], PROTOCOL_ERROR)
    server.receive(encode(RESPONSE, b"", 9), 0)
    check("R2", server.end[0], PROTOCOL_ERROR)

    # GOAWAY and CLOSE. The client answers what it works on before it goes (3.7-7), and says what it has seen (4.11-4).
    def pair():
        asked.clear()
        client = ClientConnection(0, handler=lambda c, id, body, at: asked.append((id, body)), rng=random.Random(3))
        server = ServerConnection(0, handler=echo)
        for _ in range(2):
            exchange(client, server, 0)
        return client, server

    client, server = pair()
    theirs = server.request(b"s", 0)
    exchange(client, server, 0)
    exchange(client, server, 0)
    server.stop(0)
    check("7.4-7", server.state, CLOSING)  # nothing of the client is unanswered: what the server asked is given up
    client, server = pair()
    theirs = server.request(b"s", 0)
    exchange(client, server, 0)
    exchange(client, server, 0)
    client.receive(encode_goaway(SHUTTING_DOWN), 0)
    check("3.7-7", client.state, OPEN)
    client.answer(1, b"S", 0)
    check("3.7-7, then", [(t, i) for t, _, i, _ in frames(drain(client, 0))], [(RESPONSE, 1), (CLOSE, 0)])
    check("4.11-4", client._last_id(), 1)
    client, server = pair()
    theirs = server.request(b"s", 0)
    exchange(client, server, 0)
    exchange(client, server, 0)
    client.say_goaway(0)
    exchange(client, server, 0)
    check("7.4-5", (server.state, server.request(b"t", 0).outcome), (OPEN, "NOT_SENT"))
    client.answer(1, b"S", 0)
    exchange(client, server, 0)
    exchange(client, server, 0)
    check("7.4-5, then", (theirs.outcome, server.state), ("DONE", CLOSED))
    for last_id, outcome, code in ((0, "REFUSED", NORMAL), (1, "UNKNOWN", NORMAL), (2, "UNKNOWN", PROTOCOL_ERROR)):
        client, server = pair()
        theirs = server.request(b"s", 0)
        drain(server, 0)
        server.receive(encode_close(NORMAL, "", last_id), 0)
        closing = frames(drain(server, 0))[-1]
        server.lose("")
        check("F9, 7.7", (theirs.outcome, struct.unpack(">H", closing[3][4:6])[0]), (outcome, code))


def selftest_proxy(check, rng):
    """Headers of a proxy: however they are cut, the client's bytes are those behind them (section 12)."""
    fields = b"\x20\0\x0f\1\0\0\0\0\x21\0\7TLSv1.3\4\0\0"
    binary = ProxyHeader.signature + b"\x21\x11" + struct.pack(">H", 12 + len(fields)) + bytes(12) + fields
    right = [b"PROXY TCP4 192.0.2.7 192.0.2.1 50000 0\r\n", b"PROXY TCP6 ::1 2001:db8::ffff:1.2.3.4 1 65535\r\n",
             b"PROXY UNKNOWN what\never\r\n", binary, ProxyHeader.signature + b"\x20\xee\0\3\x20\xff\xff"]
    for header in right:
        for pieces in chops(header + PREFACE, rng):
            reader = ProxyHeader()
            rest = b"".join(piece if reader.whole else reader.take(piece) for piece in pieces)
            check("what is behind %r" % header, rest, PREFACE)
    # The last byte is the one that makes it wrong.
    for wrong in (b"L", b"PROXI", b"PROXY TCP5", b"PROXY  ", b"PROXY TCP4 1.2.3.4 1.2.3.4 00", b"PROXY TCP4 1.2.3.256 ",
                  b"PROXY TCP4 1.2.3.4 1.2.3.4 65536", b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r", b"PROXY UNKNOWN\rx",
                  binary[:11] + b"\0", binary[:12] + b"\x22", binary[:13] + b"\x12", binary[:14] + b"\0\x0b",
                  binary[:14] + b"\x10\1", binary[:-1] + b"\1"):
        try:
            check("all but the last byte of %r" % wrong, ProxyHeader().take(wrong[:-1]), b"")
        except Drop as drop:
            raise SystemExit("selftest: all but the last byte of %r: %s" % (wrong, drop.text))
        try:
            ProxyHeader().take(wrong)
            check("%r" % wrong, "taken", "refused")
        except Drop as drop:
            check("%r" % wrong, drop.code, PROTOCOL_ERROR)


def selftest_credit(check):
    def waiting(room, **wish):
        """A server whose handler of messages is busy until it is told."""
        client, server, _ = handshaken(handler=echo, room=room, **wish)
        server.take_message = lambda connection, body, now: False
        return client, server

    posted = lambda data: [p for t, _, _, p in frames(data) if t == MESSAGE]
    # 30 bytes: the third message begins at 26 and ends beyond the limit, the fourth waits.
    client, server = waiting(30)
    check("in force", (client.credit, server.credit, client.limit, server.limit), (True, True, 30, 30))
    for body in (b"a", b"b", b"cc", b"d"):
        client.send_message(body, 0)
    data = drain(client, 0)
    check("3.8-1", (posted(data), len(client.letters), client.unhandled), ([b"a", b"b", b"cc"], 1, 4))
    server.receive(data, 0)
    check("M2", (server.state, server.come, len(server.inbox)), (OPEN, 40, 2))
    check("nothing is handled", drain(server, 0), b"")
    server.message_done(0)
    check("3.8-4", frames(drain(server, 0)), [(CREDIT, 0, 0, struct.pack(">QQ", 43, 1))])
    client.receive(encode_credit(43, 1) + encode_credit(20, 0), 0)  # M3
    check("M3", (posted(drain(client, 0)), client.confirmed, client.limit), ([b"d"], 1, 43))
    client.receive(encode_credit(0, 99), 0)
    check("M4", client.confirmed, 4)
    server.receive(encode(MESSAGE, b"d"), 0)
    check("M1, not before", server.state, OPEN)
    server.receive(encode(MESSAGE, b"e"), 0)
    check("M1", (server.end[0], frames(drain(server, 0))[-1][0]), (PROTOCOL_ERROR, CLOSE))

    # CREDIT goes ahead of a PONG, and half of the room is enough for one.
    client, server = waiting(1000)
    server.receive(encode(MESSAGE, b"x") * 2 + encode(PING, bytes(8)), 0)
    server.message_done(0)
    check("3.8-8, none", [t for t, _, _, _ in frames(drain(server, 0))], [PONG])
    server.receive(encode(PING, bytes(7) + b"\1"), 0)
    check("3.8-8", [t for t, _, _, _ in frames(drain(server, 0))], [CREDIT, PONG])
    server.message_done(0)
    server.receive(encode(MESSAGE, bytes(600)), 0)
    server.message_done(0)
    check("3.8-5", frames(drain(server, 0)), [(CREDIT, 0, 0, struct.pack(">QQ", 1638, 3))])

    # The end in order: the handler has what came, and the client learns of it.
    client, server = waiting(1000)
    for body in (b"x", b"y"):
        client.send_message(body, 0)
    client.leave(0)
    exchange(client, server, 0)
    check("3.8-9", (server.goaway_got, server.state, client.state), (True, OPEN, OPEN))
    server.message_done(0)
    check("3.8-9, one waits", server.state, OPEN)
    server.message_done(0)
    check("3.8-9, then", [t for t, _, _, _ in frames(server.outbox.offer())], [CREDIT, CLOSE])
    exchange(client, server, 0)
    exchange(client, server, 0)
    check("3.8-10", (client.unhandled, client.state, client.end[:2]), (0, CLOSED, (NORMAL, "server")))
    client, server = waiting(1000)
    server.receive(encode(MESSAGE, b"x"), 0)
    server.stop(0)
    check("3.8-9, stop", ([t for t, _, _, _ in frames(drain(server, 0))], server.state), ([GOAWAY], OPEN))
    server.message_done(0)
    check("3.8-9, stopped", [t for t, _, _, _ in frames(drain(server, 0))], [CREDIT, CLOSE])
    client, server = waiting(1000)
    server.receive(encode(MESSAGE, b"x"), 0)
    server.end_of_stream(0)
    check("3.8-9, end of stream", server.state, OPEN)
    server.message_done(0)
    check("3.8-9, ended", server.state, CLOSING)

    # The other way, with nothing to hold the program up: all arrive, in order.
    client, server, _ = handshaken(handler=echo, room=100)
    for number in range(200):
        server.send_message(b"%d" % number, 0)
    check("3.8-1 of a server", (server.spent >= 100, server.spent < 114, len(server.letters) > 100), (True, True, True))
    while client.outbox or server.outbox:
        exchange(client, server, 0)
    got = [note[1] for note in client.notes if note[0] == "message"]
    check("all come", (got, server.confirmed > 190), ([b"%d" % number for number in range(200)], True))

    # Where it is not in force nothing of it is there: a server of 1.0, and one that offers none.
    for changes in (dict(minor=0), dict(room=None)):
        client, server, _ = handshaken(handler=echo, **changes)
        client.send_message(b"x", 0)
        check("no credit", (client.credit, server.credit, posted(drain(client, 0))), (False, False, [b"x"]))


def selftest_time(check):
    def run(client, server, until, cut=float("inf"), now=0.0, step=None):
        """Lets time pass from deadline to deadline; from `cut` on nothing gets through."""
        seen = []
        while now < until and not (client.state == server.state == CLOSED):
            if now < cut:
                exchange(client, server, now)
            else:
                for side in (client, server):
                    for type, _, _, payload in frames(drain(side, now)):
                        seen.append((round(now, 3), side.role, type, payload))
            due = [d for d in (client.deadline(), server.deadline()) if d is not None]
            now = min(due + [until])
            for side in (client, server):
                side.tick(now)
        return seen

    # Idle for an hour: PINGs in their bounds, from the client alone.
    client, server, _ = handshaken()
    pings = []
    original = client._ping
    client._ping = lambda now: (pings.append(now), original(now))
    run(client, server, 3600)
    check("healthy", (client.state, server.state, server.nonce), (OPEN, OPEN, 0))
    check("5.2-1", pings[0] <= 10, True)
    check("5.2-2", all(8 <= b - a <= 10 for a, b in zip(pings, pings[1:])), True)

    # A cut path: both drop with SILENT, 30 s after the last byte; a late beat; PING of the server after 15 s.
    client, server, _ = handshaken()
    seen = run(client, server, 200, cut=13.0)
    closes = {role: (at, struct.unpack(">H", p[4:6])[0]) for at, role, type, p in seen if type == CLOSE}
    heard = round(closes["server"][0] - 30, 3)
    check("5.5-1", closes, {"server": (heard + 30, SILENT), "client": (heard + 30, SILENT)})
    check("5.3-1", [at for at, role, type, _ in seen if (role, type) == ("server", PING)], [heard + 15])
    check("5.6-2", [n[0] for n in client.notes if n[0] == "late beat"], ["late beat"])

    # Bytes come, but no proof: NO_ROUND_TRIP.
    client, server, _ = handshaken(dead_after=1000)
    now, first = 0.0, None
    while client.state == OPEN:
        for type, _, _, _ in frames(drain(client, now)):
            first = now if first is None else first
        now = round(now + 0.01, 3)
        client.receive(encode(MESSAGE, b"x"), now)
        client.tick(now)
    check("5.6-1", (client.end[0], 0.999 <= now - first <= 1.011), (NO_ROUND_TRIP, True))

    # A frame that trickles, a skipped one too; alive, but not for ever.
    for head in (encode(REQUEST, b"x" * 100, 1), encode(0x55, b"x" * 100, 0, IGNORABLE), bytes(11)):
        client, server, _ = handshaken(dead_after=1000)
        now, at = 0.0, 0
        while server.state == OPEN:
            server.receive(head[at : at + 1], now) if now % 0.5 == 0 and at < len(head) else None
            at += now % 0.5 == 0
            drain(server, now)
            now = round(now + 0.01, 3)
            server.tick(now)
        check("5.7-1", (server.end[0], now), (FRAME_TIMEOUT, 1.0))
    client, server, _ = handshaken(dead_after=1000)
    server.receive(encode(REQUEST, b"x" * 100, 1)[:12], 0.0)
    server.receive(b"x", 0.9)
    server.tick(1.099)
    check("5.7-1, not before", server.state, OPEN)
    server.tick(1.1)
    check("5.7-1, then", server.end[0], FRAME_TIMEOUT)

    # A slow reader, and what a drop then does: what is begun is finished, the rest is gone, one second is left for it.
    client, server, _ = handshaken(dead_after=1000, handler=echo)
    server.receive(encode(REQUEST, b"x" * 9000, 1) + encode(REQUEST, b"y", 2), 0.5)
    server.taken(20, 0.6)
    for at in (1.0, 1.5):
        server.receive(encode(MESSAGE, b"z"), at)
        server.tick(at)
    server.tick(1.6)
    check("5.9-1", (server.end[0], [out.type for out in server.outbox.line() if out.type != PING]),
          (SLOW_READER, [RESPONSE, CLOSE]))
    server.tick(2.5)
    check("7.5-2", server.state, CLOSING)
    server.tick(2.6)
    check("7.5-2", server.state, CLOSED)

    # Late itself: nobody is judged by what one did not see, and a PING goes at once.
    for minor in (0, 1):
        client, server, _ = handshaken(dead_after=1000, minor=minor)
        for side in (client, server):
            nonce = side.nonce
            side.tick(5.0, late=4.0)
            check("5.11-2, 5.11-3", (side.state, side.nonce), (OPEN, nonce + 1))
            drain(side, 5.0)
            side.tick(5.6)
            check("5.3-1: that PING is the one for this silence; 5.3-2 has another", server.nonce <= 1 + minor, True)
            side.tick(6.0)
            check("5.5-1 again", side.end and side.end[0] in (SILENT, NO_ROUND_TRIP), True)
    client, server, _ = handshaken(dead_after=1000)
    server.tick(1.15, late=0.15)
    check("5.11: 150 ms are not late", server.end[0], SILENT)

    # Handshake timeout, and the second of lingering.
    server = ServerConnection(0.0, handler=echo)
    server.receive(PREFACE, 9.99)
    server.tick(9.999)
    check("5.8-1, not before", server.state, GREETING)
    server.tick(10.0, late=5.0)
    check("5.8-1", frames(drain(server, 10.0)[8:])[0][3][4:6], b"\0\6")
    server.receive(b"what comes is discarded", 10.5)
    server.tick(10.99)
    check("7.1-3", server.state, CLOSING)
    server.tick(11.0)
    check("7.1-3", server.state, CLOSED)

    # The bucket refills by one each ping_every / 2.
    client, server, _ = handshaken(dead_after=1000)
    ping = encode(PING, bytes(8))
    server.receive(ping * 20, 0.5)
    server.receive(ping, 0.5 + 0.1665)
    check("5.10", server.state, OPEN)
    server.receive(ping, 0.5 + 0.1665 * 2 - 0.001)
    check("5.10-1", server.end[0], TOO_MANY_PINGS)
    for minor in (0, 1):
        client, server, _ = handshaken(dead_after=1000, minor=minor)
        for _ in range(13):
            client.send_message(b"", 0.4)
        sent = frames(drain(client, 0.4))
        check("5.10-2: in 1.1 they cost nothing", [f[0] for f in sent].count(MESSAGE), 12 + minor)
        client.tick(0.6)
        check("5.10-2, later", [f[0] for f in frames(drain(client, 0.6))].count(MESSAGE), 1 - minor)

    # PONG overtakes what waits, and the latest answers all.
    client, server, _ = handshaken(handler=echo)
    server.receive(encode(REQUEST, bytes(16384), 1) + encode(REQUEST, bytes(16384), 2), 0.0)
    server.taken(5, 0.0)
    server.receive(encode(PING, bytes(7) + b"\1") + encode(PING, bytes(7) + b"\2"), 0.0)
    check("5.4-3, 5.4-4", [(out.type, out.data[19] if out.type == PONG else 0) for out in server.outbox.line()],
          [(RESPONSE, 0), (PONG, 2), (RESPONSE, 0)])


def selftest_window(check):
    """What is new in 1.1, and that a peer that speaks 1.0 does not notice."""
    opened = lambda connection: [f[0] for f in frames(drain(connection, 0.0))]

    # Minor versions: the lower one is in force.
    for own, other in ((0, 0), (0, 1), (1, 0), (1, 1)):
        server, client = ServerConnection(0, minor=own), ClientConnection(0, minor=other)
        exchange(client, server, 0)
        exchange(client, server, 0)
        both = min(own, other)
        check("4.2-2", (client.state, server.state, client.minor, server.minor), (OPEN, OPEN, both, both))
        check("a window in 1.1", (client.outbox.window.bound, server.outbox.window.bound), (bool(both), bool(both)))
    server = ServerConnection(0)
    server.receive(PREFACE + hello(minor=7), 0)
    check("G2", drain(server, 0)[20:22], b"\1\1")

    # 5.3-2: who hears much and says nothing asks. A server hears MESSAGEs, a client what answers its request in parts.
    for minor in (0, 1):
        client, server, _ = handshaken(dead_after=1000, minor=minor)
        asked, now = [], 0.0
        while now < 2.2:
            server.receive(encode(MESSAGE, b"x"), now)
            server.tick(now)
            asked += [now for type, _, _, _ in frames(drain(server, now)) if type == PING]
            now = round(now + 0.01, 3)
        check("5.3-2, server", asked, [0.5, 1.0, 1.5, 2.0] * minor)
        client, server, _ = handshaken(dead_after=1000, ping_every=500, minor=minor)
        requests = [client.request(b"", 0.0) for _ in range(80)]
        client.tick(0.5)  # the first PING, at the latest
        drain(client, 0.5)
        asked, now = [], 0.5
        for request in requests:
            now = round(now + 0.025, 3)
            client.receive(encode(RESPONSE, b"", request.id), now)  # each is a proof, and puts the next beat off
            client.tick(now)
            asked += [now for type, _, _, _ in frames(drain(client, now)) if type == PING]
        check("5.3-2, client", asked, [1.0, 1.5, 2.0, 2.5] * minor)
    client, server, _ = handshaken(dead_after=1000)
    server.receive(encode(REQUEST, bytes(9000), 1), 0.0)
    server.answer(1, bytes(9000), 0.0)
    server.taken(5, 0.0)
    server.tick(0.9)
    server.tick(0.95)
    check("5.3-2: one PING, where the kernel takes none", server.nonce, 1)

    # 5.6-1: the time counts from when the last byte of the PING was with the kernel.
    client, server, _ = handshaken(dead_after=1000, ping_every=20)
    client.tick(0.02)
    client.taken(19, 0.1)
    client.receive(encode(MESSAGE, b"x"), 0.9)
    client.taken(1, 0.9)
    client.receive(encode(MESSAGE, b"x"), 1.8)
    client.tick(1.899)
    drain(client, 1.899)
    check("5.6-1, not before", (client.state, client.told_late), (OPEN, True))
    client.tick(1.9)
    check("5.6-1", client.end[0], NO_ROUND_TRIP)

    # The first window, and that PINGs stand among what it lets go.
    for dead_after, first in ((100, 2048), (2048, 2048), (5000, 5000), (16384, 16384), (30000, 16384)):
        client, server, _ = handshaken(dead_after=dead_after)
        client.send_message(bytes(200000), 0.0)
        held = frames(drain(client, 0.0))
        sizes = [12 + len(payload) if type == MESSAGE else 0 for type, _, _, payload in held]
        check("5.12-1, 5.12-3", (first <= sum(sizes) < first + max(sizes), max(sizes)), (True, first // 4 + 12))
        behind = 0
        for size in sizes:
            behind = behind + size if size else 0
            check("5.12-2", behind <= first / 2 + max(sizes), True)
        check("what waits is not offered", (bool(client.outbox), client.outbox.waits), (False, True))
        client.close(0.0)
        check("5.12-5: a client that leaves", (opened(client)[-1], client.outbox.waits), (CLOSE, False))
    client, server, _ = handshaken(minor=0)
    client.send_message(bytes(200000), 0.0)
    check("1.0 has no window", opened(client), [MESSAGE] * 13)
    client, server, later = handshaken(short=True)
    client.request(b"", 0.0)
    exchange(client, server, 0.0)
    server.answer(1, bytes(200000), 0.0)
    check("5.12-1, SHORT", (opened(server)[0], server.state, server.outbox.waits), (RESPONSE, CLOSING, True))
    server.receive(encode(PING, bytes(8)), 0.0)
    check("E9: a PING is answered while CLOSE waits", opened(server), [PONG])
    server.receive(encode(PONG, struct.pack(">QIII", server.nonce, 0, 0, 0)), 0.0)
    check("so is a PONG taken", opened(server)[0], RESPONSE)
    server.end_of_stream(0.0)
    check("5.12-5: a peer that has ended", (opened(server)[-1], server.outbox.waits), (CLOSE, False))
    for minor, sent in ((1, [PING]), (0, [REQUEST])):
        client = ClientConnection(0.0)
        client.request(bytes(16384), 0.0)
        early = drain(client, 0.0)[8:]
        check("little goes before WELCOME", 2048 < len(early) < 2400, True)
        client.receive(PREFACE + welcome(minor=minor, ping=333, dead=1000), 0.0)
        check("and counts from then on", (opened(client), client.outbox.window.closed), (sent, minor == 1))

    client = ClientConnection(0.0)
    drain(client, 0.1)
    client.receive(PREFACE + welcome(), 0.4)
    check("the first round trip is that of HELLO and WELCOME", round(client.outbox.window.least, 3), 0.3)

    # The window follows the path.
    window = Window()
    window.bind(5.0)
    window.sent = 100000
    sized = lambda ahead, trip, held=True: (window.prove(window.proved + 1000, ahead, trip, held), window.size)[1]
    check("fourfold at most", sized(4000, 0.01), 16000)
    check("nothing waited", sized(16000, 0.01, False), 16000)
    check("never less by growing", sized(1000, 0.01), 16000)
    check("the target is dead_after / 10 at the least", (window.target(), sized(16000, 0.25)), (0.5, 32000))
    check("above it", sized(32000, 1.0), 16000)
    check("no more than it was", sized(40000, 1.0), 16000)
    check("the least", [sized(2000, 1.0), sized(2000, 0.8), sized(2000, 0.9)], [2048] * 3)
    check("three above it are the new least", (window.least, window.target()), (0.01, 0.5))
    check("the third", (sized(2000, 1.0), window.least, round(window.target(), 3)), (2048, 0.8, 1.2))
    check("0 s", (sized(2048, 0.0), window.least), (8192, 0.0))
    window = Window()
    window.bind(2.0)
    window.sent = 100000
    sizes = [round(sized(*each)) for each in ((2048, 0.4), (4096, 0.5), (8192, 0.55), (8000, 0.55))]
    check("doubled until a queue shows", sizes, [4096, 8192, 8937, 8937])

    # A client that beats and does not read: PONGs that the kernel takes are no sign that the messages are read.
    client, server, _ = handshaken(dead_after=1000)
    server.send_message(bytes(200000), 0.0)
    drain(server, 0.0)
    now = 0.0
    while server.state == OPEN:
        now = round(now + 0.1, 3)
        server.receive(encode(PING, struct.pack(">Q", int(now * 10))), now)
        drain(server, now)
        server.tick(now)
    check("5.9-3", (server.end[0], now), (SLOW_READER, 1.0))

    # 5.13-1: told once.
    client = ClientConnection(0.0, ping_every=20, dead_after=1000)
    drain(client, 0.0)
    client.receive(PREFACE + welcome(ping=20, dead=1000), 0.6)
    for now in (0.7, 1.4, 2.1):
        client.tick(now)
        nonce = client.nonce
        drain(client, now)
        client.receive(encode(PONG, struct.pack(">QIII", nonce, 0, 0, 0)), now + 0.6)
    check("5.13-1", [note[0] for note in client.notes].count("far"), 1)

    # Paths: bytes a second, and seconds each way. Nobody is dropped, a beat returns in less than dead_after / 2, and
    # most of the rate is used. 1.0 loses the connection on the slow one.
    def transfer(dead_after, rate, delay, size, both, minor=1):
        ack = lambda connection, id, body, now: connection.answer(id, b"", now)
        server = ServerConnection(0.0, handler=echo if both else ack)
        client = ClientConnection(0.0, dead_after=dead_after, minor=minor, rng=random.Random(3))
        client.request(bytes(size), 0.0)
        now, flights = 0.0, {client: [], server: []}  # what comes to each: (when, bytes)
        free = {client: 0.0, server: 0.0}  # when the path to each has carried what is on it
        while now < 600 and not (client.notes and client.notes[-1][0] == "outcome") and client.state != CLOSED:
            for side, other in ((client, server), (server, client)):
                while side.outbox and side.state != CLOSED:
                    data = side.outbox.offer(1400)
                    free[other] = max(free[other], now) + len(data) / rate
                    flights[other].append((free[other] + delay, data))
                    side.taken(len(data), now)
            due = [side.deadline() for side in (client, server)] + [flight[0][0] for flight in flights.values() if flight]
            now = min(at for at in due if at is not None)
            for side, flight in flights.items():
                while flight and flight[0][0] <= now:
                    side.receive(flight.pop(0)[1], now)
            for side in (client, server):
                side.tick(now)
        trips = sorted(note[2] for note in client.notes if note[0] == "pong")
        return client.notes[-1][0] == "outcome" and client.notes[-1][1].outcome, now, trips[len(trips) * 9 // 10:]

    check("1.0, 64 kbit/s", transfer(5000, 8000, 0.03, 200000, False, minor=0)[0] == "DONE", False)
    for dead_after, rate, delay, size, both in (
        (2000, 8000, 0.01, 200000, False), (2000, 8000, 0.01, 200000, True), (5000, 4000, 0.03, 200000, True),
        (5000, 32000, 0.3, 600000, False), (30000, 32000, 0.3, 1000000, True), (5000, 125000, 0.01, 1000000, True),
        (2000, 1250000, 0.3, 1000000, False), (30000, 1250000, 0.02, 1000000, True),
    ):
        outcome, took, trips = transfer(dead_after, rate, delay, size, both)
        path = "dead_after %d, %d B/s, %g s, %d B, %s" % (dead_after, rate, delay, size, "both" if both else "up")
        check(path, outcome, "DONE")
        check(path + ": it is used", took <= 1.5 * size / rate * (1 + both) + 20 * delay, True)
        check(path + ": nine beats in ten", trips[0] <= dead_after / 2000, True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
