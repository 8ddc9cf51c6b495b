import Basics
import Framing

/// The two durations that both sides agreed on (Protocol.md, section 6).
public struct Heartbeat: Equatable, Sendable {
    /// The client proves the round trip at least this often.
    public let pingEvery: Duration
    /// A side that has heard nothing for this long drops the other.
    public let deadAfter: Duration
    /// Whether both sides speak 1.1 (section 13): they ask when they have sent nothing, and have a send window.
    public let isBounded: Bool
    /// Half of `deadAfter`: a side that has heard or sent nothing for this long sends a PING (section 5.3), and a client
    /// reports that an answer is late. It is stored, because the division of a Duration divides 128 bits.
    let half: Duration
    /// A side that resumed later than this after its deadline was itself stopped or starved. It starts all deadlines anew
    /// before it drops the peer (section 5.11).
    let ownLateness: Duration

    /// The times that a WELCOME puts in force.
    public init(_ welcome: Welcome) {
        self.init(
            pingEvery: .milliseconds(welcome.pingEvery), deadAfter: .milliseconds(welcome.deadAfter),
            isBounded: welcome.minor >= 1)
    }

    /// These times.
    public init(pingEvery: Duration, deadAfter: Duration, isBounded: Bool = false) {
        self.pingEvery = pingEvery
        self.deadAfter = deadAfter
        self.isBounded = isBounded
        half = deadAfter.half
        ownLateness = Duration(attoseconds: deadAfter.attoseconds / 10) + .milliseconds(50)
    }
}

extension TokenBucket {
    /// How many tokens a receiver's bucket holds (section 5.10).
    public static var pingCapacity: Int { 20 }

    /// The bucket that pays for PINGs, CANCELs and empty MESSAGEs (section 5.10). It gains one token each ping_every /
    /// 2.
    ///
    /// These frames cost the receiver more than the sender. A sender keeps a bucket of less `capacity`, so that jitter
    /// on the way breaks no rule.
    public init(_ heartbeat: Heartbeat, capacity: Int = TokenBucket.pingCapacity) {
        self.init(capacity: capacity, refill: heartbeat.pingEvery.half)
    }
}

extension Duration {
    /// Half of it: a shift, where `/` divides 128 bits and first makes its divisor of any integer.
    fileprivate var half: Duration { Duration(attoseconds: attoseconds >> 1) }
}
