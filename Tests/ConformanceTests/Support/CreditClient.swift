import Glibc
import RawWire

/// A client that sends one-way messages and keeps to its credit, or not (Protocol.md, section 3.8).
final class CreditClient {
    private static let credit = RawFrame.Kind(number: 0x0C)

    let peer: RawPeer
    /// Whether the server offers credit.
    let hasCredit: Bool
    private(set) var limit: UInt64 = 0
    /// How many messages the server has said to be handled.
    private(set) var handled: UInt64 = 0
    private var begun: UInt64 = 0
    private(set) var sent = 0
    /// What came beside PING and CREDIT.
    private(set) var frames: [RawFrame] = []

    /// A client that has said HELLO, with credit for `window` bytes of messages to it, and got WELCOME.
    init(_ server: ServerProcess, window: UInt64? = 1 << 20) throws {
        let option = window.map { bigEndian(UInt16(4)) + bigEndian(UInt16(8)) + bigEndian($0) } ?? []
        peer = try server.connect()
        let hello = RawFrame.hello().with { hello in
            hello.payload[1] = 1
            hello.payload += option
        }
        try peer.send(RawFrame.preface + hello.bytes)
        try peer.takePreface()
        let welcome = try peer.take(.welcome).payload.dropFirst(36)
        hasCredit = !welcome.isEmpty
        if hasCredit { limit = UInt64(bigEndian: welcome.dropFirst(4)) }
    }

    /// Whether the server has ended the connection.
    var isClosed: Bool { frames.last?.type == .close }

    /// Takes what has come: waits for up to `limit` for the first frame.
    func takeFrames(within limit: Duration = .zero) throws {
        var limit = limit
        while !isClosed, let frame = try peer.nextFrame(within: limit) {
            limit = .zero
            switch frame.type {
            case .ping: try? peer.send(.pong(to: frame))
            case CreditClient.credit:
                self.limit = max(self.limit, UInt64(bigEndian: frame.payload[...]))
                handled = max(handled, UInt64(bigEndian: frame.payload[8...]))
            default: frames.append(frame)
            }
        }
    }

    /// Sends `count` messages that are numbered from `sent` on, as `number padding`; returns early where the server has
    /// ended the connection.
    func send(_ count: Int, length: Int = 30, keepsToCredit: Bool = true, within limit: Duration = .seconds(60)) throws
    {
        let deadline = SuspendingClock.now + limit
        let end = sent + count
        while sent < end, !isClosed {
            var batch: [UInt8] = []
            while sent < end, batch.count < 16384, !keepsToCredit || !hasCredit || begun < self.limit {
                let text = "\(sent) "
                let payload = Array((text + String(repeating: "x", count: max(0, length - text.count))).utf8)
                batch += RawFrame.message(payload).bytes
                begun += UInt64(payload.count) + 12
                sent += 1
            }
            if batch.isEmpty {
                guard SuspendingClock.now < deadline else { throw Unexpected("no credit within \(limit)") }
                try takeFrames(within: RawPeer.patience)
            } else {
                try push(batch, until: deadline)
                try takeFrames()
            }
        }
    }

    /// Sends all of `bytes`, and reads meanwhile, unless the server ends the connection.
    private func push(_ bytes: [UInt8], until deadline: Moment) throws {
        var rest = bytes[...]
        while !rest.isEmpty, !isClosed {
            let count = (try? peer.push(rest)) ?? rest.count
            rest = rest.dropFirst(count)
            if count == 0, !waitUntilReady(peer.descriptor, POLLIN | POLLOUT, until: deadline) {
                throw Unexpected("\(rest.count) bytes could not be sent")
            }
            if count == 0 { try takeFrames() }
        }
    }

    /// Takes what comes up to CLOSE, and returns that.
    func takeClose(within limit: Duration = .seconds(60)) throws -> RawFrame {
        let deadline = SuspendingClock.now + limit
        while !isClosed {
            guard SuspendingClock.now < deadline, peer.ending == nil else { throw Unexpected("no CLOSE: \(frames)") }
            try takeFrames(within: .milliseconds(100))
        }
        return frames.last!
    }

    /// Waits until the server has said that so many are handled.
    func waitForHandled(_ count: UInt64, within limit: Duration = .seconds(60)) throws {
        let deadline = SuspendingClock.now + limit
        while handled < count {
            guard SuspendingClock.now < deadline, !isClosed else { throw Unexpected("\(handled) of \(count) handled") }
            try takeFrames(within: .milliseconds(100))
        }
    }
}
