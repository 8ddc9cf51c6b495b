import Basics
import Framing

/// A receiver's token bucket for frames that cost it more than their sender (Protocol.md, section 5.10).
struct PingBucket: Sendable {
    /// A PING is free where at least this many bytes of messages came since the one before it. It measures bulk then, and
    /// costs less than the bulk does.
    static let freeGap: UInt64 = 1024

    private var tokens: TokenBucket
    private let isBounded: Bool
    private var lastPing: UInt64 = 0

    /// A full bucket.
    init(_ heartbeat: Heartbeat) {
        tokens = TokenBucket(heartbeat)
        isBounded = heartbeat.isBounded
    }

    /// Takes out what the frame costs; throws where the bucket is empty.
    mutating func spend(for frame: ChargedFrame, at now: Instant) throws(Violation) {
        guard !isFree(frame) else { return }
        guard tokens.spend(at: now) else { throw .flood }
    }

    private mutating func isFree(_ frame: ChargedFrame) -> Bool {
        guard isBounded else { return false }
        switch frame {
        case .cancel: return false
        case .emptyMessage: return true
        case .ping(let behind):
            defer { lastPing = behind }
            return behind - lastPing >= PingBucket.freeGap
        }
    }
}

/// A frame that may cost its receiver's bucket a token.
public enum ChargedFrame: Sendable {
    /// A PING, and how many bytes of message frames, headers included, came before it on the connection.
    case ping(behind: UInt64)
    case cancel
    /// A MESSAGE of one frame without a byte.
    case emptyMessage
}

extension Violation {
    static let flood = Violation(
        .tooManyPings,
        "more PINGs, CANCELs and empty MESSAGEs than \(TokenBucket.pingCapacity) and one each ping_every / 2")
}
