import Basics
import Framing
import Posix

/// Carries out what an operator asks for on the control socket, and answers with JSON lines; makes the metrics too.
struct ControlCommands {
    /// Up to this many rows are made at a time.
    private static var rowsAtOnce: Int { 128 }

    private let startedAt = Instant.now
    /// Since 1970: a time stamp for the metrics alone.
    private let startTime = timeSince1970()
    private let registry: ChildRegistry
    private let acceptor: ConnectionAcceptor
    private let shutdown: ParentShutdown
    private let reload: ServerReload
    /// Whether there is anybody to publish to.
    private let hasTopics: Bool
    private let log: Log

    init(
        _ registry: ChildRegistry, _ acceptor: ConnectionAcceptor, _ shutdown: ParentShutdown, _ reload: ServerReload,
        hasTopics: Bool, log: Log
    ) {
        self.registry = registry
        self.acceptor = acceptor
        self.shutdown = shutdown
        self.reload = reload
        self.hasTopics = hasTopics
        self.log = log
    }

    /// The answer to a request that was carried out.
    func answer(_ request: ControlRequest) -> AdminConnections.Answer {
        switch request {
        case .connections: connectionRows()
        case .status: AdminConnections.Answer(bytes: status())
        case .drop(let id): AdminConnections.Answer(bytes: drop(id))
        case .drain: AdminConnections.Answer(bytes: drain())
        case .reload: AdminConnections.Answer(bytes: readConfiguration())
        case .penalties: penalties()
        case .lift(let address): AdminConnections.Answer(bytes: lift(address))
        case .logLevel(let level): AdminConnections.Answer(bytes: setLogLevel(level))
        case .push: push()
        }
    }

    /// The document that Prometheus reads.
    func metrics() -> String {
        registry.statistics.metrics(
            living: registry.livingStatistics, pool: registry.pool.map { ($0.waitingCount, $0.assignedCount) },
            processes: registry.shared.map { ($0.openCount, $0.count - $0.openCount) },
            refused: acceptor.admission.refused,
            listeners: zip(acceptor.listeners, acceptor.accepted).map { ($0.address.description, $1) },
            uptime: .now - startedAt, version: lifelineVersion, memoryBudget: registry.budget.limit,
            logLinesLost: log.linesLost, router: registry.router.map { ($0.counts, $0.deaths) },
            process: processFigures())
    }

    private func processFigures() -> ProcessFigures {
        let memory = SystemFigures.memory
        return ProcessFigures(
            processorTime: processorTime(), startedAt: startTime, residentBytes: memory?.resident,
            virtualBytes: memory?.virtual, openDescriptors: openDescriptors(),
            mostDescriptors: ProcessLimit.files.current)
    }

    /// Those of the parent; nil where the system does not tell.
    private func openDescriptors() -> Int? {
        guard let count = try? DescriptorCount() else { return nil }
        let all = count.now
        return all > 0 ? all - 1 : nil  // The count itself has one.
    }

    private func status() -> [UInt8] {
        let now = Instant.now
        let statistics = registry.statistics
        let traffic = statistics.traffic(with: registry.livingStatistics)
        return ControlAnswer.done { status in
            status.add("state", shutdown.isServing ? "serving" : "draining")
            status.add("pid", processID)
            status.add("version", lifelineVersion)
            status.add("address", acceptor.listeners.text)
            status.add("uptime", now - startedAt)
            status.add("connections", registry.liveConnections)
            status.add("max_connections", acceptor.admission.maxConnections)
            status.add("accepted", statistics.accepted)
            status.add("refused", acceptor.admission.refused.values.reduce(0, +))
            status.add("closed", statistics.closed.values.reduce(0, +))
            status.add("probes", statistics.closed[.probe] ?? 0)
            status.add("requests", traffic.requests)
            status.add("failed", traffic.counts.failed)
            status.add("cancelled", traffic.counts.cancelled)
            status.add("refused_requests", traffic.counts.refused)
            status.add("unanswered", traffic.counts.unanswered)
            for (outcome, count) in traffic.serverRequests.byOutcome { status.add("server_requests_\(outcome)", count) }
            status.add("messages_in", traffic.counts.messagesIn)
            status.add("messages_out", traffic.counts.messagesOut)
            status.add("messages_unhandled", traffic.counts.unhandled)
            status.add("log_lines_lost", log.linesLost)
            status.add("in_flight", traffic.inFlight)
            status.add("queued_bytes", traffic.held)
            if let budget = registry.budget.limit { status.add("memory_budget", budget) }
            status.add("bytes_in", traffic.bytesIn)
            status.add("bytes_out", traffic.bytesOut)
            if let shared = registry.shared {
                status.add("processes", shared.count)
                status.add("processes_leaving", shared.count - shared.openCount)
            }
            if let router = registry.router { add(router, lost: traffic.counts.lost, to: &status) }
            if let pool = registry.pool {
                status.add("pool_waiting", pool.waitingCount)
                status.add("pool_wanted", pool.wanted)
                status.add("pool_served", pool.assignedCount)
            }
            status.add("log_level", registry.commands.logLevel.rawValue)
        }
    }

    private func add(_ router: RouterSupervisor, lost: UInt64, to status: inout JSONObject) {
        let counts = router.counts
        if let pid = router.pid { status.add("router_pid", pid) }
        status.add("router_deaths", router.deaths)
        status.add("router_queued_bytes", counts.queuedBytes)
        status.add("reachable", counts.connections)
        status.add("topics", counts.topics)
        status.add("subscriptions", counts.subscriptions)
        status.add("published", counts.published)
        status.add("sent", counts.sent)
        status.add("requested", counts.requests)
        status.add("deliveries", counts.delivered)
        status.add("lost_at_router", counts.dropped)
        status.add("lost_at_connections", lost)
    }

    /// A row for each connection, by id. A row is made when it is read: a connection that has ended by then has none.
    private func connectionRows() -> AdminConnections.Answer {
        var left = registry.records.map { (id: $0.connection, slot: $0.slot) }.sorted { $0.id < $1.id }[...]
        var count: Int? = 0
        return AdminConnections.Answer(bytes: []) { [registry] in
            guard !left.isEmpty else {
                defer { count = nil }
                return count.map { count in ControlAnswer.done { $0.add("connections", count) } }
            }
            let now = Instant.now
            var rows: [UInt8] = []
            for (id, slot) in left.prefix(ControlCommands.rowsAtOnce) {
                guard let record = registry.record(ofSlot: slot, connection: id) else { continue }
                rows += ControlAnswer.line(
                    ControlAnswer.row(
                        id: id, pid: record.pid, peer: record.peer.description, via: record.via?.description,
                        acceptedAt: record.acceptedAt,
                        ConnectionStatistics(registry.slot(record.slot)), at: now))
                count? += 1
            }
            left = left.dropFirst(ControlCommands.rowsAtOnce)
            return rows
        }
    }

    /// Hands the connection over, to be that of a back-end.
    private func push() -> AdminConnections.Answer {
        if let (error, text) = obstacleToPush {
            return AdminConnections.Answer(bytes: ControlAnswer.failed(error, text))
        }
        return AdminConnections.Answer(bytes: ControlAnswer.done()) {
            nil
        } handOver: { [acceptor] socket in
            acceptor.serveBackEnd(handedOver: socket, at: .now)
        }
    }

    private var obstacleToPush: (error: String, text: String)? {
        if !hasTopics { return ("no_topics", "the server has no topics: start it with --topics") }
        if !shutdown.isServing { return ("shutting_down", "the server is shutting down") }
        if !acceptor.mayServeBackEnd {
            return ("busy", "\(ConnectionAcceptor.mostBackEnds) back-ends are connected, and no more may be")
        }
        return nil
    }

    private func drop(_ id: UInt64) -> [UInt8] {
        guard let record = registry.records.first(where: { $0.connection == id }) else {
            return ControlAnswer.failed("unknown_connection", "there is no connection \(id)")
        }
        registry.send(.kick, to: record)
        log.write(.kicked) {
            $0.number(.connection, id)
            $0.number(.pid, record.pid)
            $0.address(.peer, record.peer)
            if let via = record.via { $0.address(.via, via) }
        }
        return ControlAnswer.done {
            $0.add("id", id)
            $0.add("pid", record.pid)
            $0.add("peer", record.peer.description)
            $0.add("via", record.via?.description)
        }
    }

    private func drain() -> [UInt8] {
        let isFirst = shutdown.isServing
        // A second SIGTERM would kill what is left, and an operator does not ask for that here.
        if isFirst { shutdown.terminate(at: .now) }
        return ControlAnswer.done {
            $0.add("connections", registry.liveConnections)
            $0.add("began", isFirst)
        }
    }

    private func readConfiguration() -> [UInt8] {
        switch reload.run() {
        case .success(let kept):
            ControlAnswer.done {
                if let tokens = reload.tokenCount { $0.add("tokens", tokens) }
                $0.add("kept", kept.isEmpty ? nil : kept.joined(separator: ","))
            }
        case .failure(let error):
            ControlAnswer.failed("not_reloaded", "\(error); the configuration stays as it was")
        }
    }

    private func setLogLevel(_ level: LogLevel) -> [UInt8] {
        let before = registry.commands.logLevel
        registry.commands.logLevel = level
        log.write(.logLevel) {
            $0.text(.level, level.rawValue)
            $0.text(.before, before.rawValue)
        }
        return ControlAnswer.done {
            $0.add("log_level", level.rawValue)
            $0.add("before", before.rawValue)
        }
    }

    /// The penalties of sources, the greatest first.
    private func penalties() -> AdminConnections.Answer {
        var left = acceptor.admission.penalties.debts(at: .now)[...]
        let count = left.count
        var isOver = false
        return AdminConnections.Answer(bytes: []) {
            guard left.isEmpty else {
                defer { left = left.dropFirst(ControlCommands.rowsAtOnce) }
                return left.prefix(ControlCommands.rowsAtOnce).flatMap { ControlAnswer.line(ControlAnswer.row($0)) }
            }
            defer { isOver = true }
            return isOver ? nil : ControlAnswer.done { $0.add("penalties", count) }
        }
    }

    private func lift(_ text: String) -> [UInt8] {
        do throws(AddressRangeError) {
            let count = acceptor.admission.lift(try AddressRange(text), at: .now)
            log.write(.penaltiesLifted) {
                $0.text(.range, text)
                $0.number(.count, count)
            }
            return ControlAnswer.done { $0.add("lifted", count) }
        } catch {
            return ControlAnswer.failed("bad_request", Escaping.plain(error.description, most: 200))
        }
    }
}
