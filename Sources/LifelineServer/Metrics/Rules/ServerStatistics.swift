import Framing

/// What a server has counted since it began: what the parent does, and what of each child is counted once it is reaped.
struct ServerStatistics {
    /// What is added up over connections.
    struct Work {
        var requests: UInt64 = 0
        var inFlight: UInt64 = 0
        var bytesIn: UInt64 = 0
        var bytesOut: UInt64 = 0
        var roundTrips = Histogram()

        mutating func add(_ figures: ConnectionStatistics) {
            requests.add(figures.requests)
            inFlight.add(UInt64(figures.inFlight))
            bytesIn.add(figures.bytesIn)
            bytesOut.add(figures.bytesOut)
            if let others = figures.roundTrips { roundTrips += others }
        }
    }

    private(set) var accepted: UInt64 = 0
    private(set) var closed: [CloseReasonLabel: UInt64] = [:]
    private(set) var forksFailed: [String: UInt64] = [:]
    private(set) var acceptsFailed: [String: UInt64] = [:]
    private var work = Work()
    private var lateness = Histogram()

    /// A connection was given a process.
    mutating func accept() { accepted += 1 }
    /// fork(2) failed, for a reason such as EAGAIN.
    mutating func forkFailed(_ reason: String) { forksFailed[reason, default: 0] += 1 }
    /// accept(2) failed.
    mutating func acceptFailed(_ reason: String) { acceptsFailed[reason, default: 0] += 1 }

    /// A child was reaped: what it showed last is counted now, and never again.
    mutating func reap(_ figures: ConnectionStatistics) {
        let cause = figures.cause ?? .died
        closed[cause, default: 0] += 1
        work.add(figures)
        work.inFlight = 0
        if cause.reason == Code.silent.description, let lateness = figures.lateness { self.lateness.add(lateness) }
    }

    /// All that was ever done, with what the living show now.
    func work(with living: some Sequence<ConnectionStatistics>) -> Work {
        var sum = work
        for figures in living { sum.add(figures) }
        return sum
    }

    /// The text that Prometheus reads.
    func metrics(
        living: some Collection<ConnectionStatistics>, pool: (waiting: Int, served: UInt64)? = nil,
        refused: [Admission.Reason: UInt64], uptime: Duration, version: String
    ) -> String {
        var text = PrometheusText()
        let work = work(with: living)
        text.put(.info, [([version], 1)])
        text.put(.uptime, Escaping.seconds(uptime))
        text.put(.connectionsLive, living.count)
        text.put(.connectionsAccepted, accepted)
        text.put(
            .connectionsRefused,
            refused.sorted { $0.key.rawValue < $1.key.rawValue }.map { reason, count in
                ([reason.code.description, reason.rawValue], count)
            })
        text.put(
            .connectionsClosed,
            closed.sorted { $0.key < $1.key }.map { ([$0.key.reason, $0.key.by], $0.value) })
        if let pool {
            text.put(.poolWaiting, pool.waiting)
            text.put(.poolServed, pool.served)
        }
        text.put(.forksFailed, forksFailed.sorted { $0.key < $1.key }.map { ([$0.key], $0.value) })
        text.put(.acceptsFailed, acceptsFailed.sorted { $0.key < $1.key }.map { ([$0.key], $0.value) })
        text.put(.requests, work.requests)
        text.put(.requestsInFlight, work.inFlight)
        text.put(.receivedBytes, work.bytesIn)
        text.put(.sentBytes, work.bytesOut)
        text.put(.roundTrip, work.roundTrips)
        text.put(.silentDropLateness, lateness)
        return text.text
    }
}
