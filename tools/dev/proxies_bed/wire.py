"""A client of one connection, from the address and with the first bytes that it is told."""

import importlib.util
import os
import socket
import ssl
import struct

_spec = importlib.util.spec_from_file_location(
    "peer", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "peer.py"))
peer = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(peer)


def header_v2(source, port=1234, local=False):
    """A header of version 2, for TCP over IPv4 (HAProxy's proxy-protocol.txt, section 2.2)."""
    addresses = b"" if local else (
        socket.inet_aton(source) + socket.inet_aton("127.0.0.1") + struct.pack(">HH", port, 7443))
    return (b"\r\n\r\n\0\r\nQUIT\n" + (b"\x20\0" if local else b"\x21\x11") + struct.pack(">H", len(addresses))
            + addresses)


def context(bed, authority="ca.pem", certificate=None):
    made = ssl.create_default_context(cafile=bed.path(authority))
    if certificate:
        made.load_cert_chain(bed.path(certificate + ".pem"))
    return made


class Client:
    def __init__(self, port, source="127.0.0.1", tls=None, token=None, header=b""):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=5, source_address=(source, 0))
        self.port = self.socket.getsockname()[1]
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="server.test")
        options = peer.encode_option(peer.TOKEN, token.encode()) if token else b""
        self.bytes, self.has_begun, self.requests = b"", False, 0
        self.socket.sendall(header + peer.PREFACE + peer.hello(options=options))

    def frame(self):
        """The next frame: its type and payload; None at the end."""
        if not self.has_begun:
            if not self.fill(8):
                return None
            self.has_begun, self.bytes = True, self.bytes[8:]
        if not self.fill(12):
            return None
        length, kind = struct.unpack(">IB", self.bytes[:5])
        if not self.fill(12 + length):
            return None
        payload, self.bytes = self.bytes[12:12 + length], self.bytes[12 + length:]
        return kind, payload

    def fill(self, count):
        while len(self.bytes) < count:
            try:
                part = self.socket.recv(65536)
            except (ConnectionResetError, ssl.SSLError):
                return False
            if not part:
                return False
            self.bytes += part
        return True

    def verdict(self):
        """WELCOME, or the name of the code that the server closes with; "" where it says nothing."""
        seen = self.frame()
        if seen is None:
            return ""
        if seen[0] == peer.CLOSE:
            return peer.code_name(struct.unpack(">IH", seen[1][:6])[1])
        return "WELCOME" if seen[0] == peer.WELCOME else str(seen)

    def ask(self, text):
        """What the server answers to a request."""
        self.requests += 1
        self.socket.sendall(peer.encode(peer.REQUEST, text.encode(), self.requests))
        while (seen := self.frame()) is not None:
            if seen[0] == peer.RESPONSE:
                return seen[1].decode()
        return None

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
