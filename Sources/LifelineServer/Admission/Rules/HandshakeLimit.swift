/// How many connections may be before their HELLO at a time. From a soft limit on new ones are refused at random, so
/// that a client that holds many of them cannot keep all others out.
public struct HandshakeLimit: Equatable, Sendable, CustomStringConvertible {
    /// From this many on some are refused.
    let start: Int
    /// The percentage that is refused there; it grows evenly up to `full`.
    let rate: Int
    /// From this many on all are refused.
    let full: Int

    /// A limit with a soft one below it.
    ///
    /// - Parameters:
    ///   - start: From how many on some are refused; 1 or more.
    ///   - rate: The percentage that is refused there, from 1 to 100.
    ///   - full: From how many on all are refused; not below `start`.
    public init(start: Int, rate: Int, full: Int) {
        precondition(start >= 1 && (1...100).contains(rate) && full >= start)
        self.start = start
        self.rate = rate
        self.full = full
    }

    /// A limit without a soft one below it.
    public init(_ full: Int) { self.init(start: full, rate: 100, full: full) }

    /// The percentage of new connections that is refused while `handshakes` connections are before their HELLO.
    func refusedPercentage(at handshakes: Int) -> Int {
        guard handshakes >= start else { return 0 }
        guard handshakes < full else { return 100 }
        return rate + (100 - rate) * (handshakes - start) / (full - start)
    }

    /// `10:30:100`, or `100` without a soft limit.
    public var description: String { start == full ? "\(full)" : "\(start):\(rate):\(full)" }
}
