import Basics
import Framing
import Testing

@testable import Liveness

/// A place on the clock of a test, in milliseconds.
func at(_ milliseconds: Double) -> Instant {
    Instant(sinceStart: .microseconds(Int64((milliseconds * 1000).rounded())))
}

/// An instant just before `instant`.
func justBefore(_ instant: Instant) -> Instant { Instant(sinceStart: instant.sinceStart - .nanoseconds(1)) }

/// ping_every 300 ms and dead_after 1 s.
let heartbeat = Heartbeat(pingEvery: .milliseconds(300), deadAfter: .milliseconds(1000))

/// Numbers that a test has chosen, one after the other; the last goes on for ever.
final class Chosen: @unchecked Sendable {
    private var numbers: [Double]
    init(_ numbers: [Double]) { self.numbers = numbers }

    func next() -> Double { numbers.count > 1 ? numbers.removeFirst() : numbers[0] }
}

/// A server that has sent WELCOME at 0 ms.
func welcomedServer(_ heartbeat: Heartbeat = heartbeat) -> ServerHeartbeat {
    var server = ServerHeartbeat(acceptedAt: at(0), handshakeTimeout: .seconds(10))
    server.welcomed(heartbeat, at: at(0))
    return server
}

/// A client that has got WELCOME at 0 ms and draws these numbers.
func welcomedClient(_ numbers: [Double] = [0.5], _ heartbeat: Heartbeat = heartbeat) -> ClientHeartbeat {
    let chosen = Chosen(numbers)
    var client = ClientHeartbeat(connectedAt: at(0), handshakeTimeout: .seconds(10)) { chosen.next() }
    client.welcomed(heartbeat, at: at(0))
    return client
}

extension ServerHeartbeat {
    /// The code with which the client is dropped at `now`, if it is.
    mutating func code(at now: Instant) -> Code? {
        if case .drop(let violation) = verdict(at: now) { violation.code } else { nil }
    }
}

extension ClientHeartbeat {
    /// The code with which the server is dropped at `now`, if it is.
    mutating func code(at now: Instant) -> Code? {
        if case .drop(let violation) = verdict(at: now) { violation.code } else { nil }
    }
    /// The verdict; a PING leaves at once.
    mutating func judge(at now: Instant) -> Verdict {
        let verdict = verdict(at: now)
        if case .ping(let nonce) = verdict { pingLeft(nonce, at: now) }
        return verdict
    }
    /// The nonce of the PING that is due at `now`, if one is; it leaves at once.
    mutating func ping(at now: Instant) -> UInt64? {
        if case .ping(let nonce) = judge(at: now) { nonce } else { nil }
    }
}
