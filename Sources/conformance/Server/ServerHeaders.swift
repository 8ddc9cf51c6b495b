import Posix
import RawWire

/// In which segments a header and the client's first bytes come.
enum HeaderDelivery: Sendable { case together, apart, trickled }

/// Cases about a header of a proxy, which are made by the dozen.
extension Case<ServerBench> {
    static func served(
        _ requirement: String, _ sentence: String, _ header: [UInt8], _ way: HeaderDelivery = .together
    ) -> Case {
        .of(requirement, "\(sentence): the client is served") { bench in
            try bench.needProxy()
            let peer = try bench.connectWithoutHeader(header.count)
            let greeting = RawFrame.preface + RawFrame.hello().bytes
            switch way {
            case .together: try peer.send(header + greeting)
            case .trickled: try peer.send(header + greeting, chop: .bytes)
            case .apart:
                try peer.send(header)
                bench.pause(.milliseconds(20))
                try peer.send(greeting)
            }
            _ = try bench.takeWelcome(on: peer)
            try bench.expectServed(1, on: peer)
        }
    }

    static func wrong(_ requirement: String, _ sentence: String, _ bytes: [UInt8]) -> Case {
        .of(requirement, "\(sentence): the connection ends at once, without WELCOME") { bench in
            try bench.needProxy()
            let peer = try bench.connectWithoutHeader()
            let start = SuspendingClock.now
            bench.push(bytes, on: peer)
            try bench.expectRefused(peer, within: .seconds(2), of: [.protocolError, .badPreface])
            bench.expect(start.age < .seconds(2), "the end at once", got: "\(start.age)")
        }
    }

    static func cut(_ name: String, _ bytes: [UInt8]) -> Case {
        .of("12-4", "The end of the stream within a header of \(name): the connection ends, without WELCOME") { bench in
            try bench.needProxy()
            let peer = try bench.connectWithoutHeader()
            try peer.send(bytes)
            peer.shutdownWriting()
            try bench.expectRefused(peer, within: .seconds(2), of: [.protocolError, .badPreface])
        }
    }

    static func late(_ name: String, _ bytes: [UInt8]) -> Case {
        .of("12-3", "A proxy that sends \(name) is dropped at the handshake timeout, not before") { bench in
            try bench.needProxy()
            try bench.needHandshakeTimeout()
            try bench.expectEnds { try $0.send(bytes) }
        }
    }

    static func quiet(_ name: String, _ bytes: [UInt8]) -> Case {
        .of("12-8", "\(name): the server ends the stream, and sends no byte") { bench in
            try bench.needProxy()
            let peer = try bench.connectWithoutHeader()
            try peer.send(bytes)
            peer.shutdownWriting()
            try peer.takeEnd(within: .seconds(2))
        }
    }
}

extension ServerBench {
    /// Skips the case where the server demands no header.
    func needProxy() throws {
        guard known.proxy != nil else { throw Skip("the server demands no header of a proxy (--proxy)") }
    }

    /// A connection whose header, of this many bytes, the case writes by itself.
    func connectWithoutHeader(_ headerLength: Int = 0) throws -> RawPeer {
        trace(try RawPeer.connect(to: address), behind: headerLength)
    }

    /// Sends what a server may refuse before it has read all of it.
    func push(_ bytes: [UInt8], on peer: RawPeer) { try? send(bytes, on: peer) }

    /// The end of the connection, with CLOSE of one of `codes` before it or without a byte; with WELCOME it is a fault.
    func expectRefused(_ peer: RawPeer, within limit: Duration, of codes: [RawCode]) throws {
        let deadline = SuspendingClock.now + limit
        while peer.ending == nil, peer.unread.count < RawFrame.preface.count {
            guard try peer.read(until: deadline) else { return fail("expected the end within \(limit), got nothing") }
        }
        // A server that reads no more may reset the connection.
        guard !peer.unread.isEmpty else { return }
        try peer.takePreface()
        let frame = try peer.takeFrame()
        guard frame.type == .close, let notice = frame.notice, codes.contains(notice.code) else {
            return fail("expected CLOSE(\(codes[0])) or the end of the stream, got \(frame)")
        }
        try peer.takeEnd(within: .seconds(3))
    }

    /// The end at the handshake timeout of what is not whole by then.
    func expectEnds(_ send: (RawPeer) throws -> Void) throws {
        let time = known.wholeHandshakeTimeout
        try expectBetween("the end", time, time * 1.1 + Times.machine, samples: 1) {
            // The server counts from accept, which is not before this.
            let start = SuspendingClock.now
            let peer = try connectWithoutHeader()
            try send(peer)
            guard try peer.read(until: start + time * 1.2 + .seconds(1)) else {
                throw Unexpected("expected the end at \(time), got nothing")
            }
            let age = start.duration(to: peer.ending == nil ? peer.heardAt : .now)
            try expectRefused(peer, within: .seconds(3), of: [.handshakeTimeout, .protocolError])
            return age
        }
    }
}
