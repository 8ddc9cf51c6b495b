import Framing

/// What a server has counted since it began: what the parent does itself, and what each child has shown when its
/// connection was over.
struct ServerStatistics {
    /// The sums over connections.
    struct Traffic {
        /// Requests that have a response.
        var answered: UInt64 = 0
        var counts = ConnectionCounts()
        var serverRequests = ServerRequestCounts()
        var inFlight: UInt64 = 0
        var bytesIn: UInt64 = 0
        var bytesOut: UInt64 = 0
        var roundTrips = Histogram()
        var handlerTimes = Histogram(.handlerTimes)
        /// What the living hold, in bytes.
        var held: UInt64 = 0

        /// Requests that got their ending, but for those that were refused.
        var requests: UInt64 { counts.requests(answered: answered) }

        mutating func add(_ connection: ConnectionStatistics) {
            answered.add(connection.answered)
            counts.add(connection.counts)
            serverRequests.add(connection.serverRequests)
            inFlight.add(UInt64(connection.inFlight))
            bytesIn.add(connection.bytesIn)
            bytesOut.add(connection.bytesOut)
            held.add(UInt64(connection.held))
            if let others = connection.roundTrips { roundTrips += others }
            handlerTimes += connection.handlerTimes
        }
    }

    private(set) var accepted: UInt64 = 0
    // Each series that is known beforehand exists from the start: a rate needs a value before the first event.
    private(set) var closed = Dictionary(uniqueKeysWithValues: CloseReasonLabel.all.map { ($0, UInt64(0)) })
    private(set) var forksFailed: [String: UInt64] = ["EAGAIN": 0, "ENOMEM": 0]
    private(set) var acceptsFailed: [String: UInt64] = ["EMFILE": 0, "ENFILE": 0, "ENOMEM": 0, "ENOBUFS": 0]
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
        // A process that died told nobody of them.
        if cause == .died { traffic.counts.unanswered.add(UInt64(connection.inFlight)) }
        traffic.inFlight = 0
        traffic.held = 0
        if cause.reason == Code.silent.description, let lateness = connection.lateness { self.lateness.add(lateness) }
    }

    /// The traffic of all connections that ever were, with what the living show now.
    func traffic(with living: some Sequence<ConnectionStatistics>) -> Traffic {
        var sum = traffic
        for var connection in living {
            // They may be handled yet: what never falls counts them when it is known.
            if connection.cause == nil { connection.counts.unhandled = 0 }
            sum.add(connection)
        }
        return sum
    }

    /// The document that Prometheus reads.
    ///
    /// - Parameters:
    ///   - living: What each living connection shows now.
    ///   - pool: How many processes wait, and how many connections such processes got; nil without a pool.
    ///   - processes: How many processes with several connections get further ones, and how many leave with their last; nil
    ///     where each has one.
    ///   - refused: How many clients were refused, by reason.
    ///   - listeners: Where the server listens, and how many connections came there.
    ///   - uptime: How long the server has run.
    ///   - version: The server's version.
    ///   - memoryBudget: What all connections may hold, in bytes; nil for any amount.
    ///   - logLinesLost: How many lines the log did not take.
    ///   - router: What the routers have counted, and how many have died; nil where there is none.
    ///   - process: The parent's own figures.
    func metrics(
        living: some Collection<ConnectionStatistics>, pool: (waiting: Int, served: UInt64)? = nil,
        processes: (open: Int, leaving: Int)? = nil,
        refused: [Admission.Reason: UInt64], listeners: [(address: String, accepted: UInt64)] = [], uptime: Duration,
        version: String, memoryBudget: Int? = nil, logLinesLost: UInt64 = 0,
        router: (counts: RouterCounts, deaths: UInt64)? = nil, process: ProcessFigures? = nil
    ) -> String {
        var text = PrometheusText()
        let traffic = traffic(with: living)
        text.put(.info, [([version], 1)])
        text.put(.uptime, Escaping.seconds(uptime))
        text.put(.connectionsLive, living.count)
        text.put(.connectionsAccepted, accepted)
        text.put(.listenerAccepted, listeners.map { ([$0.address], $0.accepted) })
        text.put(
            .connectionsRefused,
            Admission.Reason.allCases.sorted { $0.rawValue < $1.rawValue }.map { reason in
                ([reason.code.description, reason.rawValue], refused[reason] ?? 0)
            })
        text.put(
            .connectionsClosed,
            closed.sorted { $0.key < $1.key }.map { ([$0.key.reason, $0.key.by], $0.value) })
        if let pool {
            text.put(.poolWaiting, pool.waiting)
            text.put(.poolServed, pool.served)
        }
        if let processes {
            text.put(.processes, [(["open"], UInt64(processes.open)), (["leaving"], UInt64(processes.leaving))])
        }
        text.put(.forksFailed, forksFailed.sorted { $0.key < $1.key }.map { ([$0.key], $0.value) })
        text.put(.acceptsFailed, acceptsFailed.sorted { $0.key < $1.key }.map { ([$0.key], $0.value) })
        text.put(
            .requests,
            [
                (["answered"], traffic.answered), (["failed"], traffic.counts.failed),
                (["cancelled"], traffic.counts.cancelled), (["refused"], traffic.counts.refused),
                (["unanswered"], traffic.counts.unanswered),
            ])
        text.put(.requestsInFlight, traffic.inFlight)
        text.put(.serverRequests, traffic.serverRequests.byOutcome.map { ([$0.outcome], $0.count) })
        text.put(.requestsOverBudget, traffic.counts.overBudget)
        text.put(.handlerTime, traffic.handlerTimes)
        text.put(.queuedBytes, traffic.held)
        if let memoryBudget { text.put(.memoryBudget, memoryBudget) }
        text.put(.messagesReceived, traffic.counts.messagesIn)
        text.put(.messagesSent, traffic.counts.messagesOut)
        text.put(.messagesUnhandled, traffic.counts.unhandled)
        if let router { put(router.counts, deaths: router.deaths, lost: traffic.counts.lost, in: &text) }
        text.put(.receivedBytes, traffic.bytesIn)
        text.put(.sentBytes, traffic.bytesOut)
        text.put(.roundTrip, traffic.roundTrips)
        text.put(.silentDropLateness, lateness)
        text.put(.logLinesLost, logLinesLost)
        if let process { text.put(process) }
        return text.text
    }

    /// Puts what the routers have counted; connections have lost so many publications.
    private func put(_ counts: RouterCounts, deaths: UInt64, lost: UInt64, in text: inout PrometheusText) {
        text.put(.publicationsLost, [(["router"], counts.dropped), (["connection"], lost)])
        text.put(.topics, counts.topics)
        text.put(.topicSubscriptions, counts.subscriptions)
        text.put(.reachable, counts.connections)
        text.put(
            .topicMessages,
            [(["published"], counts.published), (["sent"], counts.sent), (["requested"], counts.requests)])
        text.put(.topicDeliveries, counts.delivered)
        text.put(.routerQueuedBytes, counts.queuedBytes)
        text.put(.routerDeaths, deaths)
    }
}
