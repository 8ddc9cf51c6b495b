#!/usr/bin/env python3
"""Deliberately wrong servers and clients: tools/peer.py with one thing broken in each.

    tools/dev/mutants.py list
    tools/dev/mutants.py serve NAME [flags of peer.py server]
    tools/dev/mutants.py client NAME [flags of peer.py client]

`tools/dev/mutants` runs the conformance suite against them and shows which case catches each. peer.py itself
stays clean: what is wrong is put over its methods here, in the process of the one mutant that runs.
"""

import collections
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
import peer  # noqa: E402

Mutant = collections.namedtuple("Mutant", "name side breaks meant only what apply")
MUTANTS = {}


def mutant(side, breaks, meant, only=""):
    """The side, the requirement broken, the cases meant to catch it, and the sections to run (all)."""

    def add(apply):
        name = apply.__name__.replace("_", "-")
        MUTANTS[name] = Mutant(name, side, breaks, meant.split(), only.split(), apply.__doc__, apply)
        return apply

    return add


def instead(owner, name):
    """Puts a function in place of a method; it is given that method, and then what that would be given."""
    original = getattr(owner, name)

    def put(function):
        setattr(owner, name, lambda *given, **named: function(original, *given, **named))

    return put


def judge_as(change):
    """Judges another header than the one that came: `change` gives length, type, flags, zero and id."""

    @instead(peer.Connection, "_judge")
    def _(original, self, length, type, flags, zero, id, now):
        header = original(self, *change(self, length, type, flags, zero, id), now)
        return header._replace(length=length)


def deadlines_as(change):
    @instead(peer.Connection, "_deadlines")
    def _(original, self):
        for at, act in original(self):
            at = change(self, at, act)
            if at is not None:
                yield at, act


def greets_with(count, body=b"", short=False):
    """Puts so many MESSAGEs behind WELCOME, whatever the rules say, where no request came with HELLO."""

    @instead(peer.ServerConnection, "receive")
    def _(original, self, data, now):
        was_greeted = self.greeted
        original(self, data, now)
        if self.greeted and not was_greeted and self.short == short and not self.highest:
            for _ in range(count):
                self.outbox.put_message(peer.MESSAGE, body, 0, now)


def greets_as(owner, change):
    """Reads another minor in the greeting of the peer than the one that came."""
    instead(owner, "_take_greeting")(lambda original, self, body, now: original(
        self, body[:1] + bytes([change(body[1])]) + body[2:], now))


def bounds_always():
    """Bounds what is unproved in 1.0 too."""

    @instead(peer.Connection, "_agree")
    def _(original, self, *given):
        original(self, *given)
        self.outbox.window.bind(self.dead_after)


def pings_behind(bulk):
    """Judges a PING of 1.1 as if so many bytes of messages lay before it."""

    @instead(peer.Connection, "_whole")
    def _(original, self, frame, *given):
        if frame.type == peer.PING and self.minor >= 1:
            self.bulk = bulk(self)
        original(self, frame, *given)


# --------------------------------------------------------------------------------------------------- controls


@mutant("server", "-", "")
def right_server():
    """nothing is broken: no case may fail"""


@mutant("client", "-", "", "3.6 3.7 3.8 4.1 4.2 4.11 5.3 5.4 5.6 5.9-3 5.10 5.12 7.1 7.3 7.4 6")
def right_client():
    """nothing is broken: no case may fail"""


# ---------------------------------------------------------------------------------------------------- servers


@mutant("server", "5.5-1", "5.5/1 5.5/3 5.5/8")
def drops_early():
    """a silent client is dropped after 0.9 x dead_after"""
    deadlines_as(lambda c, at, act: at - c.dead_after * 0.1 if act.__name__ == "_silent" else at)


@mutant("server", "5.5-1", "5.5/1 5.5/3")
def drops_late():
    """a silent client is dropped after 1.4 x dead_after"""
    deadlines_as(lambda c, at, act: at + c.dead_after * 0.4 if act.__name__ == "_silent" else at)


@mutant("server", "5.5-2", "5.5/10")
def silence_after_end():
    """silence is judged after the client's end of stream, while answers wait"""

    @instead(peer.Connection, "_deadlines")
    def _(original, self):
        yield from original(self)
        if self.greeted and self.ended and self.outbox and self.state != peer.CLOSED:
            yield self.heard + self.dead_after, self._give_up


@mutant("server", "5.3-1", "5.3/1 5.3/4")
def no_ping():
    """the server sends no PING, neither after hearing nothing nor after sending nothing"""
    deadlines_as(lambda c, at, act: None if act.__name__ == "_ping" else at)


@mutant("server", "5.3-1", "5.3/1")
def ping_late():
    """the server's PING comes just before dead_after in place of half of it"""
    deadlines_as(lambda c, at, act: at + 0.45 * c.dead_after if act.__name__ == "_ping" else at)


@mutant("server", "5.4-1", "5.4/1")
def wrong_nonce():
    """PONG has the nonce of the PING plus one"""

    @instead(peer.Outbox, "put_pong")
    def _(original, self, data, now):
        original(self, data[:19] + bytes([data[19] + 1 & 255]) + data[20:], now)


@mutant("server", "5.4-1", "5.4/8")
def narrow_nonce():
    """PONG has the low 32 bits of the nonce alone"""

    @instead(peer.Outbox, "put_pong")
    def _(original, self, data, now):
        original(self, data[:12] + bytes(4) + data[16:], now)


@mutant("server", "5.4-6", "5.4/20")
def pongs_a_pong():
    """a PONG is answered with a PONG"""

    @instead(peer.Connection, "_take_pong")
    def _(original, self, fields, now):
        original(self, fields, now)
        self.outbox.put_pong(peer.encode(peer.PONG, peer.struct.pack(">QIII", *fields)), now)


@mutant("server", "5.4-3", "5.4/10 5.4/11")
def pong_queued():
    """a PONG waits behind all responses"""

    class Queued(peer.Message):
        def cut(self, at, chunk):
            return peer.Out(self.body, peer.PONG, 0, True, self, len(self.body))

    @instead(peer.Outbox, "put_pong")
    def _(original, self, data, now):
        self.put(self.messages, Queued(peer.PONG, 0, data), now)


@mutant("server", "5.4-4", "5.4/12")
def pongs_all():
    """each PING is answered, also when a later one has come already"""

    @instead(peer.Outbox, "put_pong")
    def _(original, self, data, now):
        self.put(self.urgent, peer.Out(data, peer.PONG), now)


@mutant("server", "4.4-1", "4.4/3")
def no_load():
    """PONG always says that nothing is in flight"""
    peer.ServerConnection._load = peer.Connection._load


@mutant("server", "5.10-1", "5.10/5 5.10/6 5.10/7 5.10/8")
def bucket_of_40():
    """the bucket holds 40"""
    instead(peer.Bucket, "__init__")(lambda original, self, size, *rest: original(self, 40, *rest))


@mutant("server", "5.10-1", "5.10/1 5.10/2 5.10/3 5.10/4")
def bucket_of_15():
    """the bucket holds 15"""
    instead(peer.Bucket, "__init__")(lambda original, self, size, *rest: original(self, 15, *rest))


@mutant("server", "5.7-1", "5.7/1 5.7/2 5.7/3 5.7/4")
def frame_timeout_refreshed():
    """each byte starts the frame timeout anew"""

    @instead(peer.Connection, "receive")
    def _(original, self, data, now):
        if self.frame_since is not None:
            self.frame_since = now
        original(self, data, now)


@mutant("server", "5.8-3", "5.8/5")
def handshake_refreshed():
    """each byte starts the handshake timeout anew"""

    @instead(peer.Connection, "receive")
    def _(original, self, data, now):
        self.made = now
        original(self, data, now)


@mutant("server", "3.3-1", "3.3/1 3.3/16 3.3/17 3.3/18")
def reserved_bit():
    """bytes 6 and 7 of a header may be anything"""
    judge_as(lambda c, length, type, flags, zero, id: (length, type, flags, 0, id))


@mutant("server", "3.4-1", "3.4/1 3.4/2 3.4/12")
def unknown_flag():
    """flags that are not defined are taken no notice of"""
    judge_as(lambda c, length, type, flags, zero, id: (length, type, flags & 0x81, zero, id))


@mutant("server", "3.4-3", "3.4/22 3.4/25")
def skips_unknown():
    """a type that is not known is skipped without IGNORABLE too"""
    judge_as(lambda c, length, type, flags, zero, id: (
        length, type, flags if type in peer.KINDS else flags | peer.IGNORABLE, zero, id))


@mutant("server", "3.4-4", "3.4/23 3.4/26")
def drops_ignorable():
    """a type that is not known ends the connection with IGNORABLE too"""
    judge_as(lambda c, length, type, flags, zero, id: (
        length, type, flags if type in peer.KINDS else flags & ~peer.IGNORABLE, zero, id))


@mutant("server", "3.6-1", "3.6/2 3.6/3 3.6/4")
def falling_ids():
    """the ids of requests need not rise"""
    peer.ServerConnection._judge_first = lambda self, header, violation: None


@mutant("server", "3.3-9", "3.3/73 3.3/75 3.3/77")
def oversize_frame():
    """a frame over max_frame is taken"""

    @instead(peer.Connection, "_judge")
    def _(original, self, *header):
        limits, self.limits = self.limits, self.limits._replace(max_frame=peer.U32)
        try:
            return original(self, *header)
        finally:
            self.limits = limits


@mutant("server", "6-1", "6/5 6/11 6/16")
def wrong_clamp():
    """a dead_after under 100 that is asked for is granted"""

    @instead(peer, "negotiate")
    def _(original, wish_ping, wish_dead, timeout, heartbeat):
        dead = min(wish_dead, timeout) if wish_dead else timeout
        return min(max(wish_ping or dead // 3, 20), dead // 2, heartbeat), dead


@mutant("server", "6-1", "6/1 6/4 6/7", "6")
def no_interval():
    """ping_every may be longer than the server's own interval"""
    instead(peer, "negotiate")(lambda original, ping, dead, timeout, heartbeat: original(ping, dead, timeout))


@mutant("server", "4.11-3", "4.11/14")
def last_id_one_more():
    """last_id is one above every id that the client has sent, where more than one was answered"""
    above = lambda self: min(self.highest + 1, peer.U32)
    peer.ServerConnection._last_id = lambda self: above(self) if self.served > 1 else self.given


@mutant("server", "4.11-1", "4.11/14 4.11/15")
def last_id_one_less():
    """last_id is one below the last request, where more than one was answered"""
    peer.ServerConnection._last_id = lambda self: max(self.given - (self.served > 1), 0)


@mutant("server", "4.8-2", "4.8/4 4.8/5", "3.6 4.8 7.4")
def ignores_cancel():
    """CANCEL is taken and nothing is done"""
    peer.ServerConnection._take_cancel = lambda self, id, now: None


@mutant("server", "7.1-2", "7.1/2", "7.1")
def no_shutdown():
    """the end of stream does not follow CLOSE; the socket is closed when the second has passed"""
    peer.Connection.wants_shutdown = False


@mutant("server", "7.1-3", "7.1/3 7.1/5", "7.1 7.5")
def no_linger():
    """the socket is closed as soon as CLOSE is sent"""
    peer.LINGER = 0.0


@mutant("server", "7.1-6", "4.11/3 4.11/5")
def echoes_close_code():
    """CLOSE is answered with its own code"""

    @instead(peer.ServerConnection, "_take_close")
    def _(original, self, last_id, code, retry, text, now):
        self.peer_closed = self.deaf = True
        self._close(peer.PROTOCOL_ERROR if last_id else code, "", now)


@mutant("server", "7.3-3", "7.3/12 7.3/13", "7.3 7.4")
def short_stays():
    """a short connection stays open behind a FAILURE"""

    @instead(peer.ServerConnection, "fail")
    def _(original, self, *given):
        short, self.short = self.short, False
        original(self, *given)
        self.short = short


@mutant("server", "7.4-5", "7.4/1 7.4/2", "7.3 7.4")
def goaway_then_silence():
    """the client's GOAWAY is taken and nothing follows, no CLOSE"""
    peer.ServerConnection._take_goaway = lambda self, code, retry, spread, text, now: None


@mutant("server", "4.12-5", "4.12/17 4.12/19 4.12/21")
def skips_critical_option():
    """an option that must be understood is skipped"""

    @instead(peer.Connection, "_options")
    def _(original, self, raw, judged):
        try:
            return original(self, raw, judged)
        except peer.Drop as drop:
            if drop.code == peer.UNSUPPORTED_OPTION:
                return {}
            raise


@mutant("server", "3.1-3", "3.1/32 3.1/33", "3.1 8")
def text_cut_off():
    """the text of CLOSE ends in the middle of a character"""
    peer.encode_text = lambda text: text.encode()[:500] + b"\xe2\x82" if text else b""


@mutant("server", "3.4-1", "3.4/44", "3.4-1 5.4-1")
def flag_on_pong():
    """PONG has a flag that is not defined"""

    @instead(peer.Outbox, "put_pong")
    def _(original, self, data, now):
        original(self, data[:5] + bytes([data[5] | 0x10]) + data[6:], now)


@mutant("server", "3.5-1", "3.5/29 3.5/30 3.5/31", "3.5")
def empty_chunk():
    """a message in chunks has an empty one with MORE before its last"""

    @instead(peer.Message, "cut")
    def _(original, self, at, chunk):
        count = len(self.body)
        if count < chunk:
            return original(self, at, chunk)
        end, last = min(at + chunk, count), at > count
        if at >= count:
            end = count + 1
        frame = peer.encode(self.type, self.body[at:end], self.id, 0 if last else peer.MORE)
        return peer.Out(frame, self.type, self.id, last, self, end)


@mutant("server", "4.3-1", "4.4/1", "4.3 5.3 5.4 5.5")
def nonce_again():
    """each third PING has the nonce of the one before"""

    @instead(peer.Connection, "_ping")
    def _(original, self, now):
        self.beats = getattr(self, "beats", 0) + 1
        self.nonce -= self.beats % 3 == 0
        original(self, now)


@mutant("server", "5.4-5", "5.4/21", "5.4")
def pong_of_highest():
    """of several PINGs the one with the highest nonce is answered"""

    @instead(peer.Outbox, "put_pong")
    def _(original, self, data, now):
        if not self.pong or data[12:20] > self.pong.data[12:20]:
            original(self, data, now)


@mutant("server", "5.4-5", "5.4/22", "3.5 5.4")
def pong_unasked():
    """a PONG comes behind a MESSAGE, though no PING did"""

    for owner in (peer.ServerConnection, peer.ClientConnection):

        @instead(owner, "_complete")
        def _(original, self, type, id, body, now):
            original(self, type, id, body, now)
            if type == peer.MESSAGE:
                self.outbox.put_pong(peer.encode(peer.PONG, bytes(20)), now)


@mutant("server", "5.10-2", "5.10/18", "5.10")
def speaks_in_blanks():
    """15 empty MESSAGEs come at once, more than a sender's bucket holds"""
    greets_with(15)


@mutant("server", "5.10-1", "5.4/1 5.10/18", "5.4-1 5.10")
def floods_in_blanks():
    """30 empty MESSAGEs come at once: a client drops such a server"""
    greets_with(30)


@mutant("server", "7.3-2", "7.3/21", "7.3")
def message_in_short():
    """a short connection gets a MESSAGE too"""
    greets_with(1, b"welcome", short=True)


@mutant("server", "4.11-2", "4.11/20 4.11/21", "4.11")
def drop_takes_all_back():
    """last_id is 0 where the client was dropped"""

    @instead(peer.ServerConnection, "_last_id")
    def _(original, self):
        return 0 if self.dropped else original(self)


@mutant("server", "8-2", "8/1 8/7 8/8 8/9 8/10 8/11", "8")
def drop_without_text():
    """the CLOSE of a drop has no text"""
    instead(peer.Connection, "drop")(lambda original, self, code, text, now: original(self, code, "", now))


@mutant("server", "4.2-2", "4.2/2", "4.2")
def raises_minor():
    """WELCOME says 1.1 to a HELLO that says 1.0"""
    greets_as(peer.ServerConnection, lambda minor: 1)


@mutant("server", "4.2-2", "4.2/4 4.2/5", "4.2")
def echoes_minor():
    """WELCOME has the minor of HELLO, whatever that is"""

    @instead(peer.ServerConnection, "_take_greeting")
    def _(original, self, body, now):
        original(self, body, now)
        for out in self.outbox.greeting:
            if out.type == peer.WELCOME:
                out.data = out.data[:13] + body[1:2] + out.data[14:]


@mutant("server", "4.2-2", "4.2/3 4.2/4 4.2/5", "4.2")
def speaks_1_0():
    """WELCOME says 1.0 to every HELLO"""
    greets_as(peer.ServerConnection, lambda minor: 0)


@mutant("server", "5.12-1", "5.12/1 5.12/2 5.12/3", "5.12")
def no_window():
    """no message is held back, but PINGs come among them"""
    peer.Window.closed = False
    peer.Window.room = property(lambda self: self._until_ping() if self.bound else float("inf"))


@mutant("server", "5.12-3", "5.12/1 5.12/2", "5.12")
def window_of_16384():
    """the first window has 16384 bytes, however short dead_after is"""

    @instead(peer.Window, "bind")
    def _(original, self, dead_after):
        original(self, dead_after)
        self.size = 16384


@mutant("server", "5.12-3", "5.12/1 5.12/2 5.12/3", "5.12")
def window_of_32768():
    """the first window has 32768 bytes"""

    @instead(peer.Window, "bind")
    def _(original, self, dead_after):
        original(self, dead_after)
        self.size = 32768


@mutant("server", "5.12-2", "5.12/7 5.12/8", "5.12")
def window_stays_shut():
    """a PONG proves nothing to the sender of messages"""
    peer.Window.prove = lambda self, position, ahead, trip, held: False


@mutant("server", "5.12-2", "5.12/7", "5.12")
def no_pings_in_bulk():
    """no PING comes among the messages"""
    peer.Window._until_ping = lambda self: float("inf")


@mutant("server", "5.12-2", "5.12/1 5.12/2 5.12/3", "5.12")
def ping_at_end_of_window():
    """a PING comes when the window is full, in place of half of it"""
    peer.Window._until_ping = lambda self: max(self.size - self.unproved, 1 - (self.sent - self.mark))


@mutant("server", "5.10-1", "5.12/4 5.12/8", "5.12")
def pings_too_often():
    """a PING comes behind each 256 bytes of messages, which no bucket pays for"""
    peer.Window._until_ping = lambda self: 256 - (self.sent - self.mark)


@mutant("server", "5.12-1", "5.12/6", "5.12")
def window_in_1_0():
    """the send window holds in 1.0 too"""
    bounds_always()


@mutant("server", "5.12-4", "5.12/9", "5.12")
def window_only_grows():
    """each PONG doubles the window, whatever the round trip"""

    @instead(peer.Window, "prove")
    def _(original, self, *given):
        size = self.size
        news = original(self, *given)
        self.size = 2 * size if news else size
        return news


@mutant("server", "5.12-5", "5.12/10 5.12/11 5.12/12", "5.12")
def window_after_end():
    """the send window holds after the client's end of stream, when no PONG can come"""
    instead(peer.Window, "free")(lambda original, self: None if self.bound else original(self))


@mutant("server", "5.9-3", "5.9/8", "5.9-3")
def waits_for_proof():
    """a client that proves nothing is kept for ever, as long as the kernel takes PINGs"""
    peer.Connection._unread_since = lambda self: self.outbox.progress


@mutant("server", "5.9-3", "5.9/10", "5.9-3")
def any_pong_is_proof():
    """a PONG that proves no byte keeps a slow reader"""
    instead(peer.Window, "prove")(lambda original, self, *given: original(self, *given) or True)


@mutant("server", "5.3-2", "5.3/7 5.3/8", "5.3")
def no_quiet_ping():
    """no PING comes because nothing was sent"""
    half = lambda c, at, since: at == since + c.dead_after / 2
    deadlines_as(lambda c, at, act: None if act.__name__ == "_ping" and half(c, at, c.outbox.spoke)
                 and not half(c, at, c.heard) else at)


@mutant("server", "5.3-2", "5.3/7", "5.3")
def quiet_ping_late():
    """the PING of 5.3-2 comes just before dead_after in place of half of it"""
    half = lambda c, at, since: at == since + c.dead_after / 2
    deadlines_as(lambda c, at, act: at + 0.45 * c.dead_after if act.__name__ == "_ping" and half(c, at, c.outbox.spoke)
                 and not half(c, at, c.heard) else at)


@mutant("server", "5.3-1", "5.3/9", "5.3")
def quiet_ping_in_1_0():
    """a client of 1.0 gets a PING because nothing was sent"""

    @instead(peer.Connection, "_deadlines")
    def _(original, self):
        yield from original(self)
        if self.state == peer.OPEN and self.minor < 1 and not self.ended:
            yield self.outbox.spoke + self.dead_after / 2, self._ping


@mutant("server", "5.10-1", "5.10/19 5.10/20", "5.10")
def charges_free_ping():
    """a PING costs one in 1.1, whatever lies before it"""
    pings_behind(lambda self: 0)


@mutant("server", "5.10-1", "5.10/22 5.10/23 5.10/24", "5.10")
def all_pings_free():
    """no PING costs anything in 1.1"""
    pings_behind(lambda self: peer.LEAST_STEP)


@mutant("server", "5.10-1", "5.10/27", "5.10")
def free_pings_in_1_0():
    """a PING behind 1024 bytes of messages is free in 1.0 too"""

    @instead(peer.Connection, "_whole")
    def _(original, self, frame, *given):
        minor = self.minor
        if frame.type == peer.PING:
            self.minor = 1
        original(self, frame, *given)
        self.minor = minor


@mutant("server", "5.10-1", "5.10/24", "5.10")
def bulk_pays_twice():
    """the bytes before a PING make the next one free too"""

    @instead(peer.Connection, "_whole")
    def _(original, self, frame, *given):
        bulk = self.bulk
        original(self, frame, *given)
        self.bulk = bulk


@mutant("server", "5.10-1", "5.10/25", "5.10")
def skipped_bytes_pay():
    """frames that are skipped make a PING free"""

    @instead(peer.Connection, "_judge")
    def _(original, self, *header):
        judged = original(self, *header)
        if judged.type not in peer.KINDS:
            self.bulk += 12 + judged.length
        return judged


@mutant("server", "5.10-1", "5.10/21", "5.10")
def charges_empty_message():
    """an empty MESSAGE costs one in 1.1 too"""

    for owner in (peer.ServerConnection, peer.ClientConnection):

        @instead(owner, "_chunk")
        def _(original, self, header, first, now):
            original(self, header, first, now)
            if header.type == peer.MESSAGE and first and not header.length and self.minor >= 1:
                self._pay("MESSAGE", now)


@mutant("server", "5.10-1", "5.10/26", "5.10")
def free_cancels():
    """a CANCEL behind 1024 bytes of messages is free in 1.1"""
    instead(peer.Connection, "_pay")(lambda original, self, name, now: (
        None if name == "CANCEL" and self.minor >= 1 and self.bulk >= peer.LEAST_STEP else original(self, name, now)))


@mutant("server", "3.7-1", "3.7/3 3.7/6 3.7/9", "3.7")
def asks_anyone():
    """a client that says no ANSWERS is asked too"""

    @instead(peer.ServerConnection, "_take_greeting")
    def _(original, self, body, now):
        original(self, body, now)
        self.peer_limits = self.peer_limits or peer.DEFAULTS

    peer.ServerConnection._may_ask = lambda self: self.state == peer.OPEN


@mutant("server", "3.7-2", "3.7/4 3.7/5", "3.7")
def takes_answers_of_anyone():
    """RESPONSE and FAILURE of a client that says no ANSWERS are taken, and thrown away"""
    judge_as(lambda c, length, type, flags, zero, id: (
        (length, 0x55, flags | peer.IGNORABLE, zero, id) if type in (peer.RESPONSE, peer.FAILURE) and not c.answers
        else (length, type, flags, zero, id)))


@mutant("server", "3.7-3", "3.7/15", "3.7")
def shares_ids():
    """the server goes on with the ids of the client"""

    @instead(peer.ServerConnection, "_pump")
    def _(original, self, now):
        self.next_id = max(self.next_id, self.highest + 1)
        original(self, now)


@mutant("server", "3.7-3", "3.7/16", "3.7")
def ends_by_id_alone():
    """a response of the client ends the client's own request with that id"""

    @instead(peer.ServerConnection, "_complete")
    def _(original, self, type, id, body, now):
        if type == peer.RESPONSE and id in self.requests:
            self.answer(id, b"", now)
        original(self, type, id, body, now)


@mutant("server", "3.7-4", "3.7/23", "3.7")
def asks_too_many():
    """max_in_flight of ANSWERS is not kept to"""
    peer.ServerConnection._may_begin = lambda self, body: True


@mutant("server", "3.7-4", "3.7/24", "3.7")
def asks_too_much():
    """max_queued of ANSWERS is not kept to"""
    peer.ServerConnection._too_long = lambda self, body: False


@mutant("server", "3.7-6", "3.7/28", "3.7")
def asks_after_goaway():
    """the server begins requests after the client's GOAWAY"""
    peer.ServerConnection._may_ask = lambda self: self.answers and self.state == peer.OPEN


@mutant("server", "3.7-8", "3.7/26", "3.7")
def asks_and_waits():
    """no PING is answered while the server waits for the ending of a request of its own"""

    @instead(peer.Outbox, "put_pong")
    def _(original, self, data, now):
        if not self.asks:
            original(self, data, now)

    @instead(peer.ServerConnection, "_whole")
    def _(original, self, *given):
        self.outbox.asks = bool(self.sent_requests)
        original(self, *given)


@mutant("server", "3.6-5", "3.7/10 3.7/11 3.7/12 3.7/20", "3.7")
def takes_any_ending():
    """an ending of the client to no request of the server is skipped"""
    judge_as(lambda c, length, type, flags, zero, id: (
        (length, 0x55, flags | peer.IGNORABLE, zero, id)
        if type in (peer.RESPONSE, peer.FAILURE) and c.answers and id and id not in c.sent_requests
        else (length, type, flags, zero, id)))


@mutant("server", "7.4-5", "3.7/29", "3.7")
def goaway_forgets_own():
    """GOAWAY is answered with CLOSE, though the server waits for the ending of its own request"""

    @instead(peer.ServerConnection, "_may_end")
    def _(original, self, now):
        if self.state == peer.OPEN and self.goaway_got and self.sent_requests:
            self._close(peer.NORMAL, "", now)
        original(self, now)


@mutant("server", "4.11-4", "3.7/32", "3.7 4.11")
def last_id_must_be_0():
    """every last_id of a client but 0 is a violation, though it was asked"""

    @instead(peer.ServerConnection, "_take_close")
    def _(original, self, last_id, *given):
        original(self, last_id and peer.U32, *given)


@mutant("server", "4.11-4", "3.7/33", "3.7 4.11")
def takes_any_last_id():
    """a last_id of a client is not looked at"""

    @instead(peer.ServerConnection, "_take_close")
    def _(original, self, last_id, *given):
        original(self, 0, *given)


@mutant("server", "3.8-1", "3.8/30 3.8/31", "3.8")
def ignores_credit():
    """the server sends messages whatever the client's limit"""

    @instead(peer.ServerConnection, "_post")
    def _(original, self, now):
        self.limit = peer.U32
        original(self, now)


@mutant("server", "3.8-1", "3.8/19", "3.8")
def judges_end_of_message():
    """a message that ends beyond the limit is a violation"""

    @instead(peer.ServerConnection, "_chunk")
    def _(original, self, header, first, now):
        original(self, header, first, now)
        if header.type == peer.MESSAGE and self.credit and self.come > self.granted:
            raise peer.Drop(peer.PROTOCOL_ERROR, "MESSAGE: over the limit")


@mutant("server", "3.8-2", "3.8/24 3.8/25", "3.8")
def judges_no_credit():
    """a message at the limit is taken"""

    @instead(peer.ServerConnection, "_judge_side")
    def _(original, self, header, violation, first):
        granted, self.granted = self.granted, float("inf")
        try:
            original(self, header, violation, first)
        finally:
            self.granted = granted


@mutant("server", "3.8-3", "3.8/1 3.8/4 3.8/7", "3.8")
def credit_unasked():
    """every WELCOME has CREDIT"""

    @instead(peer.ServerConnection, "_take_greeting")
    def _(original, self, body, now):
        original(self, body, now)
        for out in self.outbox.greeting:
            if out.type == peer.WELCOME and not self.credit:
                option = peer.encode_option(peer.FIRST_LIMIT, bytes(8))
                out.data = peer.encode(peer.WELCOME, out.data[12:] + option)


@mutant("server", "3.8-4", "3.8/17", "3.8")
def grants_nothing():
    """no CREDIT is ever sent"""
    peer.Connection._grant = lambda self, now: None


@mutant("server", "3.8-5", "3.8/18", "3.8")
def grants_at_the_limit():
    """CREDIT comes when the client may begin no further message, and not before"""

    @instead(peer.Connection, "_grant")
    def _(original, self, now):
        if self.come >= self.granted or self.state != peer.OPEN:
            original(self, now)


@mutant("server", "3.8-6", "3.8/26", "3.8")
def handled_when_come():
    """a message counts as handled when it has come"""

    @instead(peer.Connection, "_take_message")
    def _(original, self, body, now):
        self.handled += 1
        original(self, body, now)

    @instead(peer.Connection, "_done")
    def _(original, self, now):
        self.handled -= 1
        original(self, now)


@mutant("server", "3.8-6", "3.8/21", "3.8")
def handled_by_chunks():
    """each chunk counts as a message that is handled"""

    @instead(peer.Connection, "_chunk")
    def _(original, self, header, first, now):
        original(self, header, first, now)
        if header.type == peer.MESSAGE and not first:
            self.handled += 1


@mutant("server", "3.8-7", "3.8/30 3.8/32", "3.8")
def last_credit_counts():
    """a CREDIT takes back what the one before has said"""

    @instead(peer.Connection, "_take_credit")
    def _(original, self, limit, handled, now):
        self.limit = 0
        original(self, limit, handled, now)


@mutant("server", "3.8-8", "3.8/20 3.8/21", "3.8")
def pongs_without_credit():
    """CREDIT does not come ahead of a PONG"""

    @instead(peer.Connection, "_whole")
    def _(original, self, frame, *given):
        told = self.told
        if frame.type == peer.PING:
            self.told = self.handled
        original(self, frame, *given)
        self.told = told if frame.type == peer.PING else self.told


@mutant("server", "3.8-9", "3.8/27", "3.8")
def goaway_ends_at_once():
    """GOAWAY is answered with CLOSE while messages wait for the handler"""
    peer.Connection.works = False


@mutant("server", "3.8-9", "3.8/22", "3.8")
def closes_without_count():
    """no CREDIT comes ahead of CLOSE"""

    @instead(peer.Connection, "_close")
    def _(original, self, *given, **named):
        self.told = self.handled
        original(self, *given, **named)


@mutant("server", "4.12-9", "4.12/35 4.12/36 4.12/38 4.12/41", "4.12")
def options_of_any_length():
    """CREDIT and ANSWERS may have any length"""

    @instead(peer.Connection, "_options")
    def _(original, self, raw, judged):
        try:
            return original(self, raw, judged)
        except peer.Drop as drop:
            if "and not 8" in drop.text:
                return {}
            raise


@mutant("server", "4.12-10", "4.12/31 4.12/32", "4.12")
def answers_none():
    """a max_in_flight of 0 in ANSWERS is taken"""

    @instead(peer.Connection, "_options")
    def _(original, self, raw, judged):
        try:
            return original(self, raw, judged)
        except peer.Drop as drop:
            if "max_in_flight 0" in drop.text:
                return {}
            raise


@mutant("server", "3.4-3", "3.8/2 3.8/5 3.8/8", "3.8")
def credit_always_in_force():
    """the frame CREDIT is taken where it is not in force"""
    peer.Connection._kind = lambda self, type: peer.KINDS.get(type)


# ------------------------------------------------------------------------------------ servers behind a proxy


def wrong_is_right(*words):
    """Takes for right, and skips, a part of a header that would be wrong for one of these reasons."""

    @instead(peer.ProxyHeader, "_length")
    def _(original, self, data):
        try:
            return original(self, data)
        except ValueError as error:
            if not any(word in str(error) for word in words):
                raise
            return data.index(b"\r\n") + 2 if data[:1] == b"P" else 16 + int.from_bytes(data[14:16], "big")


@mutant("server", "-", "", "12")
def right_server_behind_proxy():
    """nothing is broken: no case may fail"""


@mutant("server", "12-1", "12/24", "12")
def header_optional():
    """a connection without a header is served"""

    @instead(peer.ProxyHeader, "take")
    def _(original, self, data):
        if data[:1] == b"L":
            self.whole = True
            return data
        return original(self, data)


@mutant("server", "12-3", "12/18 12/19 12/20", "12")
def header_in_a_second():
    """the handshake timeout is not raised to 3 s"""

    @instead(peer.ServerConnection, "__init__")
    def _(original, self, *given, **named):
        original(self, *given, **named)
        self.handshake_timeout = 1.0


@mutant("server", "12-3", "12/23", "12")
def header_timeout_refreshed():
    """each byte of a header starts the handshake timeout anew"""

    @instead(peer.ServerConnection, "receive")
    def _(original, self, data, now):
        self.made = now
        original(self, data, now)


@mutant("server", "12-2", "12/1 12/5", "12")
def reads_line_alone():
    """what comes in the segment of a line is taken for the line's"""

    @instead(peer.ProxyHeader, "take")
    def _(original, self, data):
        rest = original(self, data)
        return b"" if self.data[:1] == b"P" else rest


@mutant("server", "12-4", "12/45 12/51", "12")
def zeros_in_front():
    """ports and octets may have leading zeros"""

    @instead(peer.ProxyHeader, "_line")
    def _(original, self, data):
        line = data.split(b"\r\n")[0]
        short = re.sub(rb"([ .])0+(?=[0-9])", rb"\1", line)
        length = original(self, data.replace(line, short, 1))
        return length and length + len(line) - len(short)


@mutant("server", "12-4", "12/30", "12")
def line_of_any_length():
    """a line may be as long as it wants"""
    wrong_is_right("within 107 bytes")


@mutant("server", "12-4", "12/83 12/85", "12")
def header_of_any_length():
    """version 2 may announce 65,535 bytes"""
    peer.ProxyHeader.most = 65535


@mutant("server", "12-4", "12/86 12/90", "12")
def fields_beyond_the_end():
    """a field may go beyond the end of what it stands in"""
    wrong_is_right("are left")


@mutant("server", "12-4", "12/93", "12")
def last_field_counts():
    """of two fields of TLS the last one is believed"""
    peer.ProxyHeader.once = (), ()


@mutant("server", "12-5", "12/94 12/96", "12")
def no_checksum():
    """the checksum is not looked at"""
    peer.ProxyHeader._check = lambda self, header, said: None


@mutant("server", "12-6", "12/28 12/29", "12")
def waits_for_a_line():
    """nothing is judged before 16 bytes have come"""
    instead(peer.ProxyHeader, "_length")(
        lambda original, self, data: 0 if len(data) < 15 else original(self, data))


@mutant("server", "12-8", "12/105 12/107", "12")
def refuses_local():
    """a proxy that speaks for itself is turned away"""

    @instead(peer.ProxyHeader, "_length")
    def _(original, self, data):
        length = original(self, data)
        if length and self.local:
            raise ValueError("LOCAL")
        return length


@mutant("server", "12-8", "12/106 12/107", "12")
def skips_nothing():
    """LOCAL is taken for a header of 16 bytes"""

    @instead(peer.ProxyHeader, "_length")
    def _(original, self, data):
        length = original(self, data)
        return 16 if length and self.local else length


@mutant("server", "12-8", "12/104 12/112", "12")
def answers_probes():
    """a proxy that only looks gets the preface and CLOSE"""
    peer.ServerConnection.lose = lambda self, why: self._close(peer.NORMAL, why, self.made)


@mutant("server", "12-9", "12/115 12/116", "12")
def needs_an_address():
    """a header without an address is wrong"""

    @instead(peer.ProxyHeader, "_binary")
    def _(original, self, data):
        if data[13:14] == b"\0" and data[12:13] == b"\x21":
            raise ValueError("no address")
        return original(self, data)


# ---------------------------------------------------------------------------------------------------- clients


@mutant("client", "5.5-1", "5.5/1 5.5/2 5.5/3", "5.5 5.6")
def client_drops_early():
    """a silent server is dropped after 0.9 x dead_after"""
    drops_early()


@mutant("client", "5.5-1", "5.5/1 5.5/2 5.5/3", "5.5 5.6")
def client_drops_late():
    """a silent server is dropped after 1.4 x dead_after"""
    drops_late()


@mutant("client", "5.6-1", "5.6/1 5.6/2", "5.5 5.6")
def no_round_trip_missing():
    """the client never says NO_ROUND_TRIP"""
    deadlines_as(lambda c, at, act: None if act.__name__ == "_no_round_trip" else at)


@mutant("client", "5.2-3", "5.6/3 5.2/10", "5.2 5.6")
def chunks_are_proof():
    """later chunks of a response count as proof of the round trip"""

    @instead(peer.ClientConnection, "_chunk")
    def _(original, self, header, first, now):
        if header.type == peer.RESPONSE:
            self._proof(now)


@mutant("client", "5.6-1", "5.6/1 5.2/8", "5.2 5.6")
def messages_are_proof():
    """a MESSAGE counts as proof of the round trip"""

    @instead(peer.ClientConnection, "_chunk")
    def _(original, self, header, first, now):
        if first:
            self._proof(now)


@mutant("client", "5.2-1", "5.2/3", "5.2 5.6")
def first_ping_at_once():
    """the first PING comes right behind WELCOME, not at random"""

    @instead(peer.ClientConnection, "_take_greeting")
    def _(original, self, body, now):
        original(self, body, now)
        self.ping_at = now


@mutant("client", "5.2-3", "5.2/14", "5.2 5.5")
def pings_only_when_proved():
    """no PING is sent while another is unanswered"""
    deadlines_as(lambda c, at, act: None if act.__name__ == "_ping" and c.unproved is not None else at)


@mutant("client", "5.4-1", "5.4/1", "5.4")
def client_wrong_nonce():
    """PONG has the nonce of the PING plus one"""
    wrong_nonce()


@mutant("client", "5.4-6", "5.4/14", "5.4")
def client_pongs_a_pong():
    """a PONG is answered with a PONG"""
    pongs_a_pong()


@mutant("client", "7.1-6", "7.1/10 7.1/11", "7.1")
def client_ignores_close():
    """CLOSE is taken, and none is sent"""

    @instead(peer.ClientConnection, "_take_close")
    def _(original, self, last_id, code, retry, text, now):
        self.peer_closed = self.deaf = True
        self.end = self.end or (code, "server", text)
        self._closed()


@mutant("client", "4.11-4", "4.11/4", "4.11 7.1")
def client_last_id():
    """last_id in the client's CLOSE is the highest that it has sent, where there were more than two"""
    peer.ClientConnection._last_id = lambda self: self.asked if self.asked > 2 else 0


@mutant("client", "7.4-2", "7.4/5", "7.4")
def requests_after_goaway():
    """requests go on after the server's GOAWAY"""

    @instead(peer.ClientConnection, "_pump")
    def _(original, self, now):
        got, self.goaway_got = self.goaway_got, False
        original(self, now)
        self.goaway_got = got


@mutant("client", "3.6-8", "3.6/8", "3.6 3.5")
def over_max_in_flight():
    """max_in_flight is not kept to"""

    @instead(peer.ClientConnection, "_take_greeting")
    def _(original, self, body, now):
        original(self, body, now)
        self.peer_limits = self.peer_limits._replace(max_in_flight=peer.U32)
        self._pump(now)


@mutant("client", "3.3-9", "3.3/54 3.3/55 3.3/56", "3.3-9 3.3-10 3.5")
def over_max_frame():
    """chunks have 16384 bytes whatever the server's max_frame"""

    peer.Window.chunk = peer.CHUNK

    @instead(peer.Connection, "_agree")
    def _(original, self, *given):
        original(self, *given)
        self.outbox.chunk = peer.CHUNK


@mutant("client", "6-7", "6/12 6/13", "6")
def early_chunk():
    """an early request has chunks of 16384 bytes"""
    peer.EARLY_CHUNK = peer.CHUNK


@mutant("client", "7.3-5", "7.3/9", "7.3")
def short_client_closes():
    """a short client answers CLOSE with CLOSE"""

    @instead(peer.ClientConnection, "_take_close")
    def _(original, self, *given):
        short, self.short = self.short, False
        original(self, *given)
        self.short = short


@mutant("client", "3.3-1", "3.3/1 3.3/2 3.3/3 3.3/4 3.3/5", "3.3-1 3.4-1")
def client_reserved_bit():
    """bytes 6 and 7 of a header may be anything"""
    reserved_bit()


@mutant("client", "3.6-5", "3.6/3 3.6/5", "3.6")
def unknown_endings():
    """a RESPONSE to no request is skipped"""

    @instead(peer.ClientConnection, "_judge_side")
    def _(original, self, header, violation, first):
        if header.id in self.sent_requests or header.type not in (peer.RESPONSE, peer.FAILURE):
            original(self, header, violation, first)

    @instead(peer.ClientConnection, "_complete")
    def _(original, self, type, id, body, now):
        if type != peer.RESPONSE or id in self.sent_requests:
            original(self, type, id, body, now)


@mutant("client", "3.1-3", "3.1/8 3.1/9 3.1/10", "3.1")
def client_text_cut_off():
    """the text of CLOSE ends in the middle of a character"""
    text_cut_off()


@mutant("client", "3.4-1", "3.4/27", "3.4-1 5.4")
def client_flag_on_pong():
    """PONG has a flag that is not defined"""
    flag_on_pong()


@mutant("client", "3.5-1", "3.5/18 3.5/19 3.5/20", "3.5")
def client_empty_chunk():
    """a message in chunks has an empty one with MORE before its last"""
    empty_chunk()


@mutant("client", "4.3-1", "4.3/1", "4.3 5.2")
def client_nonce_again():
    """each third PING has the nonce of the one before"""
    nonce_again()


@mutant("client", "4.8-4", "4.8/2", "3.6-11 4.8")
def chunks_after_cancel():
    """the chunks of a request that was cancelled still come"""
    peer.Outbox.withdraw = lambda self, type, id: True


@mutant("client", "5.4-3", "5.4/6 5.4/15", "5.4")
def client_pong_queued():
    """a PONG waits behind the whole request"""
    pong_queued()


@mutant("client", "5.4-4", "5.4/8", "5.4")
def client_pongs_all():
    """each PING is answered, also when a later one has come already"""
    pongs_all()


@mutant("client", "5.4-5", "5.4/16", "5.4")
def client_pong_of_highest():
    """of several PINGs the one with the highest nonce is answered"""
    pong_of_highest()


@mutant("client", "5.4-5", "5.4/17", "3.5 5.4")
def client_pong_unasked():
    """a PONG comes behind a MESSAGE, though no PING did"""
    pong_unasked()


@mutant("client", "5.10-2", "5.10/11", "3.6-11 5.10")
def cancels_without_bucket():
    """a CANCEL is never held back"""
    peer.Connection._hold_back = lambda self, send, now: send(now)


@mutant("client", "7.5-1", "7.5/1", "7.5")
def drop_finishes_request():
    """a drop finishes the request that is begun, where the frame alone may be"""

    @instead(peer.Outbox, "discard")
    def _(original, self):
        messages = self.messages.copy()
        original(self)
        self.messages.extend(messages)


@mutant("client", "8-2", "8/2 8/3 8/4 8/7", "8")
def client_drop_without_text():
    """the CLOSE of a drop has no text"""
    drop_without_text()


@mutant("client", "4.1-2", "4.1/1", "4.1")
def client_asks_for_1_0():
    """HELLO says 1.0"""
    instead(peer.ClientConnection, "__init__")(
        lambda original, self, *given, **named: original(self, *given, **dict(named, minor=0)))


@mutant("client", "4.2-3", "4.2/1 4.2/2", "4.2")
def takes_any_minor():
    """a WELCOME with a minor above HELLO's is taken"""
    greets_as(peer.ClientConnection, lambda minor: min(minor, peer.MINOR))


@mutant("client", "5.12-1", "5.12/1 5.12/2 5.12/3", "5.12")
def client_no_window():
    """no message is held back, but PINGs come among them"""
    no_window()


@mutant("client", "5.12-3", "5.12/1 5.12/2", "5.12")
def client_window_of_16384():
    """the first window has 16384 bytes, however short dead_after is"""
    window_of_16384()


@mutant("client", "5.12-2", "5.12/6 5.12/7", "5.12")
def client_window_stays_shut():
    """a PONG proves nothing to the sender of messages"""
    window_stays_shut()


@mutant("client", "5.12-2", "5.12/6", "5.12")
def client_no_pings_in_bulk():
    """no PING comes among the messages"""
    no_pings_in_bulk()


@mutant("client", "5.10-1", "5.12/7", "5.12")
def client_pings_too_often():
    """a PING comes behind each 256 bytes of messages, which no bucket pays for"""
    pings_too_often()


@mutant("client", "5.12-1", "5.12/5", "5.12")
def client_window_in_1_0():
    """the send window holds in 1.0 too"""
    window_in_1_0()


@mutant("client", "5.12-4", "5.12/8", "5.12")
def client_window_only_grows():
    """each PONG doubles the window, whatever the round trip"""
    window_only_grows()


@mutant("client", "5.9-3", "5.9/3", "5.9-3")
def client_waits_for_proof():
    """a server that proves nothing is no slow reader, as long as the kernel takes PINGs"""
    waits_for_proof()


@mutant("client", "5.3-2", "5.3/1", "5.3")
def client_no_quiet_ping():
    """no PING comes because nothing was sent"""
    deadlines_as(lambda c, at, act: None if act.__name__ == "_ping" and at != c.ping_at else at)


@mutant("client", "5.10-1", "5.10/12", "5.10-1")
def client_charges_free_ping():
    """a PING costs one in 1.1, whatever lies before it"""
    charges_free_ping()


@mutant("client", "5.10-1", "5.10/13", "5.10-1")
def client_charges_empty():
    """an empty MESSAGE costs one in 1.1 too"""
    charges_empty_message()


@mutant("client", "5.10-1", "5.10/14 5.10/15 5.10/16", "5.10-1")
def client_all_pings_free():
    """no PING costs anything in 1.1"""
    all_pings_free()


@mutant("client", "5.10-1", "5.10/17", "5.10-1")
def client_free_pings_in_1_0():
    """a PING behind 1024 bytes of messages is free in 1.0 too"""
    free_pings_in_1_0()


@mutant("client", "3.7-1", "3.7/1 3.7/4", "3.7")
def answers_in_1_0():
    """a server of 1.0 is answered"""
    answers_always()


@mutant("client", "3.7-2", "3.7/7", "3.7")
def response_in_1_0():
    """a server of 1.0 gets a RESPONSE, before it is dropped"""
    answers_always()

    @instead(peer.ClientConnection, "answer")
    def _(original, self, *given):
        original(self, *given)
        if self.minor < 1:
            self._close(peer.PROTOCOL_ERROR, "REQUEST: only a client sends it", given[-1])


def answers_always():
    @instead(peer.ClientConnection, "_take_greeting")
    def _(original, self, body, now):
        original(self, body, now)
        self.answers = self.offers_answers


@mutant("client", "3.7-3", "3.7/10", "3.7")
def client_shares_ids():
    """a request of the server with an id that the client has used is a violation"""

    @instead(peer.ClientConnection, "_judge_first")
    def _(original, self, header, violation):
        original(self, header, violation)
        if header.type == peer.REQUEST and header.id <= self.asked:
            raise violation("id %d is used" % header.id)


@mutant("client", "3.7-3", "3.7/11", "3.7")
def client_goes_on_with_ids():
    """the client goes on with the ids of the server"""

    @instead(peer.ClientConnection, "_pump")
    def _(original, self, now):
        self.next_id = max(self.next_id, self.highest + 1)
        original(self, now)


@mutant("client", "3.6-3", "3.7/9", "3.7")
def client_never_answers():
    """a request of the server is taken and has no ending"""
    peer.ClientConnection.answer = lambda self, id, body, now: None


@mutant("client", "3.6-1", "3.7/14 3.7/15", "3.7")
def client_takes_any_id():
    """the ids of the server need not rise"""
    peer.ClientConnection._judge_first = lambda self, header, violation: None


@mutant("client", "4.8-2", "3.7/20", "3.7")
def client_ignores_cancel():
    """CANCEL of a request of the server is taken and nothing is done"""
    peer.ClientConnection._take_cancel = lambda self, id, now: None


@mutant("client", "3.7-7", "3.7/23", "3.7")
def goaway_before_answer():
    """GOAWAY is answered with CLOSE, without the ending of the server's request"""

    @instead(peer.ClientConnection, "answer")
    def _(original, self, id, body, now):
        self.put_off = getattr(self, "put_off", []) + [(id, body)]

    @instead(peer.ClientConnection, "_settle")
    def _(original, self, now):
        if self.goaway_got:
            self._close(peer.NORMAL, "", now)
        original(self, now)


@mutant("client", "4.11-4", "3.7/25", "3.7")
def client_last_id_is_0():
    """last_id is 0, though the client has answered requests of the server"""
    peer.ClientConnection._last_id = lambda self: 0


@mutant("client", "3.8-1", "3.8/23 3.8/24", "3.8")
def client_ignores_credit():
    """the client sends messages whatever the server's limit"""

    @instead(peer.ClientConnection, "_post")
    def _(original, self, now):
        self.limit = peer.U32
        original(self, now)


@mutant("client", "3.8-3", "3.8/1", "3.8")
def client_takes_credit_in_1_0():
    """CREDIT in a WELCOME of 1.0 is taken"""

    @instead(peer.ClientConnection, "_take_greeting")
    def _(original, self, body, now):
        original(self, body[:36] if body[1] == 0 else body, now)


@mutant("client", "3.8-4", "3.8/18", "3.8")
def client_grants_nothing():
    """no CREDIT is ever sent"""
    grants_nothing()


@mutant("client", "3.8-6", "3.8/20", "3.8")
def client_counts_chunks():
    """each chunk counts as a message that is handled"""
    handled_by_chunks()


@mutant("client", "3.8-7", "3.8/23 3.8/25", "3.8")
def client_last_credit_counts():
    """a CREDIT takes back what the one before has said"""
    last_credit_counts()


@mutant("client", "3.8-8", "3.8/20 3.8/21", "3.8")
def client_pongs_without_credit():
    """CREDIT does not come ahead of a PONG"""
    pongs_without_credit()


@mutant("client", "3.8-9", "3.8/22", "3.8")
def client_closes_without_count():
    """no CREDIT comes ahead of CLOSE, nor ahead of a PONG"""
    pongs_without_credit()
    closes_without_count()


@mutant("client", "3.8-10", "3.8/27 3.8/28", "3.8")
def client_leaves_at_once():
    """the client says CLOSE when its messages are sent, whether they are handled or not"""
    peer.ClientConnection.leave = lambda self, now: self.close(now)


@mutant("client", "3.4-3", "3.8/11", "3.8")
def client_credit_always_in_force():
    """the frame CREDIT is taken where it is not in force"""
    credit_always_in_force()


def main(argv):
    if argv[:1] == ["list"] and len(argv) == 1:
        for each in MUTANTS.values():
            print("%-24s %-7s %-7s %s" % (each.name, each.side, each.breaks, each.what))
        return 0
    sides = {"serve": "server", "client": "client"}
    if len(argv) < 2 or argv[0] not in sides or argv[1] not in MUTANTS:
        sys.stderr.write(__doc__)
        return 64
    chosen = MUTANTS[argv[1]]
    if chosen.side != sides[argv[0]]:
        sys.stderr.write("mutants.py: %s is a %s\n" % (chosen.name, chosen.side))
        return 64
    chosen.apply()
    return peer.main([chosen.side] + argv[2:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
