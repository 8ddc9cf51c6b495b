import Basics
import Framing

/// The PINGs that one side has sent and that are not answered yet (Protocol.md, section 5.4).
///
/// Nonces count from 1. A PONG may skip some, because of several PINGs the latest wins, and so answers all before it.
struct PingLedger: Sendable {
    /// Of more PINGs than this the oldest lose their round trip time, never their right to an answer.
    private static let timed = 64

    private(set) var lastSent: UInt64 = 0
    private var lastAnswered: UInt64 = 0
    private var lastLeft: UInt64 = 0
    /// When the last few left, or were queued where they have not left; the newest is last.
    private var sentAt: [Instant] = []

    /// Returns the nonce of the next PING.
    mutating func send(at now: Instant) -> UInt64 {
        if sentAt.count == PingLedger.timed { sentAt.removeFirst() }
        sentAt.append(now)
        lastSent += 1
        return lastSent
    }

    /// Records that the kernel has accepted the PINGs up to `nonce`: their round trips begin.
    mutating func left(_ nonce: UInt64, at now: Instant) {
        let first = sentAt.count - Int(clamping: lastSent - lastLeft)
        for index in max(0, first)..<max(0, sentAt.count - Int(clamping: lastSent - nonce)) { sentAt[index] = now }
        lastLeft = nonce
    }

    /// Returns the round trip time of a PONG; nil where 64 later PINGs have displaced its instant. Throws
    /// where the nonce answers no PING (5.4-5). A peer can guess the nonce of one that has not left.
    mutating func answered(_ nonce: UInt64, at now: Instant) throws(Violation) -> Duration? {
        guard nonce > lastAnswered, nonce <= lastLeft else {
            throw Violation(.protocolError, "PONG with the nonce \(nonce), which no unanswered PING has")
        }
        lastAnswered = nonce
        let later = Int(clamping: lastSent - nonce)
        guard later < sentAt.count else { return nil }
        let sent = sentAt[sentAt.count - 1 - later]
        sentAt.removeFirst(sentAt.count - later)
        return now - sent
    }
}
