import Framing

/// What a server has counted since it began: what the parent does itself, and what each child has shown when its
/// connection was over.
struct ServerStatistics {
    /// The sums over connections.
    struct Traffic {
        var requests: UInt64 = 0
        var inFlight: UInt64 = 0
        var bytesIn: UInt64 = 0
        var bytesOut: UInt64 = 0
        var roundTrips = Histogram()

        mutating func add(_ connection: ConnectionStatistics) {
            requests.add(connection.requests)
            inFlight.add(UInt64(connection.inFlight))
            bytesIn.add(connection.bytesIn)
            bytesOut.add(connection.bytesOut)
            if let others = connection.roundTrips { roundTrips += others }
        }
    }

    private(set) var accepted: UInt64 = 0
    private(set) var closed: [CloseReasonLabel: UInt64] = [:]
    private(set) var forksFailed: [String: UInt64] = [:]
    private(set) var acceptsFailed: [String: UInt64] = [:]
    private var traffic = Traffic()
    private(set) var lateness = Histogram()

    /// A connection was given a process.
    mutating func accept() { accepted += 1 }
    /// fork(2) failed, for a reason such as EAGAIN.
    mutating func forkFailed(_ reason: String) { forksFailed[reason, default: 0] += 1 }
    /// accept(2) failed.
    mutating func acceptFailed(_ reason: String) { acceptsFailed[reason, default: 0] += 1 }

    /// A connection is over: what its child showed last is counted now, and never again.
    mutating func reap(_ connection: ConnectionStatistics) {
        let cause = connection.cause ?? .died
        closed[cause, default: 0] += 1
        traffic.add(connection)
        traffic.inFlight = 0
        if cause.reason == Code.silent.description, let lateness = connection.lateness { self.lateness.add(lateness) }
    }

    /// The traffic of all connections that ever were, with what the living show now.
    func traffic(with living: some Sequence<ConnectionStatistics>) -> Traffic {
        var sum = traffic
        for connection in living { sum.add(connection) }
        return sum
    }
}
