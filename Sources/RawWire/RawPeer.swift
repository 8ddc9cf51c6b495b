import Glibc
import Synchronization

/// What went over one connection, piece by piece.
package final class Trace {
    /// Seen from the side that judges.
    package enum Direction: Sendable { case sent, received }

    package struct Piece: Sendable {
        package let direction: Direction
        /// Since the trace began.
        package let at: Duration
        package let bytes: [UInt8]
        /// How the stream of this direction has ended with it.
        package let ending: RawPeer.StreamEnd?

        package init(_ direction: Direction, at: Duration, _ bytes: [UInt8], ending: RawPeer.StreamEnd? = nil) {
            self.direction = direction
            self.at = at
            self.bytes = bytes
            self.ending = ending
        }
    }

    package let start = SuspendingClock.now
    package private(set) var entries: [Piece] = []

    package init() {}

    func note(_ direction: Direction, _ bytes: ArraySlice<UInt8>, ending: RawPeer.StreamEnd? = nil) {
        entries.append(Piece(direction, at: start.age, Array(bytes), ending: ending))
    }
}

/// How the bytes of a case are handed to the kernel.
package enum Chop: CaseIterable, CustomStringConvertible {
    case whole
    /// Every byte in a segment of its own.
    case bytes

    package var description: String { self == .whole ? "whole" : "every byte alone" }
}

/// One end of a connection that speaks raw bytes: a client of the server under test, or, accepted by a `RawListener`,
/// a server for the client under test. Every call has a deadline.
package final class RawPeer {
    /// How long anything may take that should take no time.
    package static var patience: Duration { .seconds(secondsOfPatience.load(ordering: .relaxed)) }
    /// More where much runs at the same time.
    package static let secondsOfPatience = Atomic(5)

    package enum StreamEnd: Equatable, Sendable {
        /// The other side shut down its writing.
        case end
        /// The connection was reset.
        case reset
    }

    package let descriptor: Int32
    /// What lies between the bytes and the socket; nil where nothing does.
    let stream: (any RawStream)?
    private var isClosed = false
    /// Whether this side has ended its stream.
    package private(set) var hasEnded = false
    /// What has come and has not been taken.
    package private(set) var unread: ArraySlice<UInt8> = []
    /// How the stream has ended, if it has.
    package private(set) var ending: StreamEnd?
    /// When bytes came last.
    package private(set) var heardAt = SuspendingClock.now
    /// How many bytes have come.
    package private(set) var received = 0

    /// Where what goes over the connection is noted, for a report.
    package var trace: Trace?
    /// Called with all bytes that the kernel has taken.
    package var didSend: ((ArraySlice<UInt8>) -> Void)?
    /// Called with each frame that is taken.
    package var didTake: ((RawFrame) -> Void)?

    /// Takes over a connected socket, and speaks through `stream` where there is one.
    package init(_ descriptor: Int32, through stream: (any RawStream)? = nil) {
        self.descriptor = descriptor
        self.stream = stream
        var on: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, 4)
    }

    deinit { close() }

    /// Connects; `receiveBuffer` is SO_RCVBUF, for a peer that is to be a slow reader soon, and `source` the address that
    /// it comes from, where that is not left to the system.
    package static func connect(
        to address: Address, from source: Address? = nil, receiveBuffer: Int32? = nil
    ) throws -> RawPeer {
        let descriptor = socket(address.family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw systemError("socket") }
        let peer = RawPeer(OpenDescriptors.add(descriptor))
        if var receiveBuffer { setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &receiveBuffer, 4) }
        if let source, source.withSockaddr({ Glibc.bind(descriptor, $0, $1) }) != 0 {
            throw systemError("bind to \(source)")
        }
        guard address.withSockaddr({ Glibc.connect(descriptor, $0, $1) }) == 0 else {
            throw systemError("connect to \(address)")
        }
        return peer
    }

    package var localPort: UInt16 { port(getsockname) }
    package var remotePort: UInt16 { port(getpeername) }

    private func port(
        _ call: (Int32, UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32
    ) -> UInt16 {
        // The port stands at the same place in the addresses of IPv4 and IPv6.
        var address = sockaddr_in6()
        var length = socklen_t(MemoryLayout<sockaddr_in6>.size)
        _ = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { call(descriptor, $0, &length) }
        }
        return UInt16(bigEndian: address.sin6_port)
    }

    // MARK: Sending

    package func send(_ frames: RawFrame..., chop: Chop = .whole) throws {
        try send(frames.flatMap(\.bytes), chop: chop)
    }

    /// Sends all of `bytes`, waiting where it must.
    package func send(_ bytes: [UInt8], chop: Chop = .whole, within limit: Duration = patience) throws {
        let deadline = SuspendingClock.now + limit
        var rest = bytes[...]
        while !rest.isEmpty {
            let sent = try push(chop == .whole ? rest : rest.prefix(1))
            rest = rest.dropFirst(sent)
            if sent == 0, !waitUntilReady(descriptor, POLLOUT, until: deadline) {
                throw Unexpected("\(rest.count) of \(bytes.count) bytes could not be sent within \(limit)")
            }
        }
    }

    /// Sends what the kernel takes now, and says how much that is.
    package func push(_ bytes: ArraySlice<UInt8>) throws -> Int {
        let sent = bytes.withUnsafeBytes { send($0) }
        if sent >= 0 {
            trace?.note(.sent, bytes.prefix(sent))
            didSend?(bytes.prefix(sent))
            return sent
        }
        guard errno == EAGAIN else { throw systemError("send") }
        return 0
    }

    /// Ends the stream of this side; the other may go on.
    package func shutdownWriting() {
        if let stream { stream.shutdownWriting() } else { shutdown(descriptor, Int32(SHUT_WR)) }
        hasEnded = true
        trace?.note(.sent, [], ending: .end)
    }

    package func close() {
        // Once: by now the number may belong to somebody else.
        if !isClosed { OpenDescriptors.close(descriptor) }
        isClosed = true
    }

    /// Ends the connection with a reset, and all that is on its way with it.
    package func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        close()
        trace?.note(.sent, [], ending: .reset)
    }

    // MARK: Receiving

    /// Reads once, waiting until `deadline`; false where nothing came and the stream has not ended.
    @discardableResult
    package func read(until deadline: Moment) throws -> Bool {
        guard ending == nil else { return true }
        guard waitUntilReady(descriptor, POLLIN, until: deadline) else { return false }
        let now = SuspendingClock.now
        let bytes = try [UInt8](unsafeUninitializedCapacity: 65536) { buffer, count in
            let got = receive(into: UnsafeMutableRawBufferPointer(buffer))
            if got == 0 { ending = .end }
            if got < 0, !(errno == EAGAIN && stream != nil) {
                guard errno == ECONNRESET else { throw systemError("recv") }
                ending = .reset
            }
            count = max(0, got)
        }
        if ending != nil { trace?.note(.received, [], ending: ending) }
        // The rest of a record of TLS is still on its way.
        guard !bytes.isEmpty || ending != nil else { return try read(until: deadline) }
        guard !bytes.isEmpty else { return true }
        trace?.note(.received, bytes[...])
        heardAt = now
        received += bytes.count
        unread = unread.isEmpty ? bytes[...] : unread + bytes
        return true
    }

    /// The next `count` bytes.
    package func take(_ count: Int, within limit: Duration = patience) throws -> [UInt8] {
        let deadline = SuspendingClock.now + limit
        while unread.count < count {
            if let ending { throw Unexpected("expected \(count) bytes, got '\(hex(unread.prefix(64)))' and \(ending)") }
            guard try read(until: deadline) else {
                throw Unexpected("expected \(count) bytes within \(limit), got '\(hex(unread.prefix(64)))'")
            }
        }
        defer { unread = unread.dropFirst(count) }
        return Array(unread.prefix(count))
    }

    package func takePreface(within limit: Duration = patience) throws {
        let preface = try take(8, within: limit)
        guard preface == RawFrame.preface else { throw Unexpected("expected the preface, got '\(hex(preface))'") }
    }

    /// The next frame, of whatever type.
    package func takeFrame(within limit: Duration = patience) throws -> RawFrame {
        guard let frame = try nextFrame(within: limit) else {
            throw Unexpected("expected a frame, got \(ending.map { "\($0)" } ?? "nothing within \(limit)")")
        }
        return frame
    }

    /// The next frame, which must be of this type.
    package func take(_ type: RawFrame.Kind, within limit: Duration = patience) throws -> RawFrame {
        let frame = try takeFrame(within: limit)
        guard frame.type == type else { throw Unexpected("expected \(type), got \(frame)") }
        return frame
    }

    /// The next frame; nil where none comes within the limit or the stream ends.
    package func nextFrame(within limit: Duration = patience) throws -> RawFrame? {
        let deadline = SuspendingClock.now + limit
        while true {
            if let frame = RawFrame(parsing: unread) {
                unread = unread.dropFirst(RawFrame.headerLength + frame.payload.count)
                didTake?(frame)
                return frame
            }
            guard ending == nil, try read(until: deadline) else { return nil }
        }
    }

    /// All frames up to and with the first of the type, with those before it.
    package func frames(upTo type: RawFrame.Kind, within limit: Duration = patience) throws -> [RawFrame] {
        let deadline = SuspendingClock.now + limit
        var frames: [RawFrame] = []
        while frames.last?.type != type {
            guard let frame = try nextFrame(within: max(.zero, SuspendingClock.now.duration(to: deadline))) else {
                throw Unexpected(
                    "expected \(type) within \(limit), got \(frames), then \(ending.map { "\($0)" } ?? "nothing")")
            }
            frames.append(frame)
        }
        return frames
    }

    /// Nothing comes any more but the end of the stream.
    package func takeEnd(within limit: Duration = patience) throws {
        let deadline = SuspendingClock.now + limit
        while ending == nil, unread.isEmpty {
            guard try read(until: deadline) else { throw Unexpected("the stream did not end within \(limit)") }
        }
        guard unread.isEmpty, ending == .end else {
            throw Unexpected(
                "expected the end of the stream, got '\(hex(unread.prefix(64)))' \(String(describing: ending))")
        }
    }

    /// CLOSE, and after it nothing but the end of the stream; what came before it is skipped.
    @discardableResult
    package func takeClose(within limit: Duration = patience) throws -> Notice {
        let close = try frames(upTo: .close, within: limit).last!
        try takeEnd(within: limit)
        guard let notice = close.notice else { throw Unexpected("\(close) is too short") }
        return notice
    }
}

/// Reads on all of `peers` at once until each has ended.
package func readAll(_ peers: [RawPeer], within limit: Duration) throws {
    let deadline = SuspendingClock.now + limit
    while true {
        let open = peers.filter { $0.ending == nil }
        guard !open.isEmpty else { return }
        var entries = open.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
        guard waitUntilReady(&entries, until: deadline) else {
            throw Unexpected("\(open.count) of \(peers.count) streams did not end within \(limit)")
        }
        for (peer, entry) in zip(open, entries) where entry.revents != 0 { try peer.read(until: .now) }
    }
}
