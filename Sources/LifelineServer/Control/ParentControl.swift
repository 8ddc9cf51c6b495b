import Basics
import Framing
import Posix

/// What the parent answers an operator, and what it does for one.
extension Parent {
    /// So many rows are made at a time.
    private static var rowsAtOnce: Int { 128 }

    func answer(_ request: ControlRequest) -> AdminConnections.Answer {
        switch request {
        case .connections: connectionRows()
        case .status: AdminConnections.Answer(bytes: status())
        case .drop(let id): AdminConnections.Answer(bytes: drop(id))
        case .drain: AdminConnections.Answer(bytes: beginDrain())
        case .reload: AdminConnections.Answer(bytes: readConfiguration())
        case .penalties: penalties()
        case .lift(let address): AdminConnections.Answer(bytes: lift(address))
        case .logLevel(let level): AdminConnections.Answer(bytes: setLogLevel(level))
        }
    }

    func metrics() -> String {
        look.totals.metrics(
            living: figures, pool: crew.map { ($0.waitingCount, $0.given) }, refused: admission.refused,
            uptime: .now - look.startedAt, version: lifelineVersion)
    }

    /// One after another: those of thousands at once would leave pages in the heap, which each fork pays for.
    private var figures: some Collection<ConnectionStatistics> {
        children.records.lazy.map { [slots] in ConnectionStatistics(slots[$0.slot]) }
    }

    private func status() -> [UInt8] {
        let now = Instant.now
        let work = look.totals.work(with: figures)
        return ControlAnswer.done { status in
            status.add("state", shutdown.isServing ? "serving" : "draining")
            status.add("pid", processID)
            status.add("version", lifelineVersion)
            status.add("address", address.description)
            status.add("uptime", now - look.startedAt)
            status.add("connections", children.count)
            status.add("max_connections", options.maxConnections)
            status.add("accepted", look.totals.accepted)
            status.add("refused", admission.refused.values.reduce(0, +))
            status.add("closed", look.totals.closed.values.reduce(0, +))
            status.add("requests", work.requests)
            status.add("in_flight", work.inFlight)
            status.add("bytes_in", work.bytesIn)
            status.add("bytes_out", work.bytesOut)
            if let crew {
                status.add("pool_waiting", crew.waitingCount)
                status.add("pool_wanted", crew.wanted)
                status.add("pool_served", crew.given)
            }
            status.add("log_level", orders.logLevel.rawValue)
        }
    }

    /// A row for each connection, by id. They are made as they are read: a connection that has ended by then has none.
    private func connectionRows() -> AdminConnections.Answer {
        var left = children.records.map { (id: $0.connection, pid: $0.pid) }.sorted { $0.id < $1.id }[...]
        var count: Int? = 0
        return AdminConnections.Answer(bytes: []) { [self] in
            guard !left.isEmpty else {
                defer { count = nil }
                return count.map { count in ControlAnswer.done { $0.add("connections", count) } }
            }
            let now = Instant.now
            var rows: [UInt8] = []
            for (id, pid) in left.prefix(Parent.rowsAtOnce) {
                guard let record = children[pid], record.connection == id else { continue }
                rows += ControlAnswer.line(
                    ControlAnswer.row(
                        id: id, pid: pid, peer: record.peer.description, acceptedAt: record.acceptedAt,
                        ConnectionStatistics(slots[record.slot]), at: now))
                count? += 1
            }
            left = left.dropFirst(Parent.rowsAtOnce)
            return rows
        }
    }

    private func drop(_ id: UInt64) -> [UInt8] {
        guard let record = children.records.first(where: { $0.connection == id }) else {
            return ControlAnswer.failed("unknown_connection", "there is no connection \(id)")
        }
        order(.kick, to: record.pid)
        log.write(.info, "kicked") {
            $0.number("connection", id)
            $0.number("pid", record.pid)
            $0.address("peer", record.peer)
        }
        return ControlAnswer.done {
            $0.add("id", id)
            $0.add("pid", record.pid)
            $0.add("peer", record.peer.description)
        }
    }

    private func beginDrain() -> [UInt8] {
        let isFirst = shutdown.isServing
        // What a second SIGTERM would do, to kill what is left, is not asked for.
        if isFirst { stop(at: .now) }
        return ControlAnswer.done {
            $0.add("connections", children.count)
            $0.add("began", isFirst)
        }
    }

    private func readConfiguration() -> [UInt8] {
        switch reload() {
        case .success(let kept):
            ControlAnswer.done {
                if let tokens = tokenFile?.tokens.count { $0.add("tokens", tokens) }
                $0.add("kept", kept.isEmpty ? nil : kept.joined(separator: ","))
            }
        case .failure(let error):
            ControlAnswer.failed("not_reloaded", "\(error); the configuration stays as it was")
        }
    }

    private func setLogLevel(_ level: LogLevel) -> [UInt8] {
        let before = orders.logLevel
        orders.logLevel = level
        log.write(.info, "log level") {
            $0.text("level", level.rawValue)
            $0.text("before", before.rawValue)
        }
        return ControlAnswer.done {
            $0.add("log_level", level.rawValue)
            $0.add("before", before.rawValue)
        }
    }

    /// What sources owe for handshakes that failed, the greatest debts first.
    private func penalties() -> AdminConnections.Answer {
        var left = admission.penalties.debts(at: .now)[...]
        let count = left.count
        var isOver = false
        return AdminConnections.Answer(bytes: []) {
            guard left.isEmpty else {
                defer { left = left.dropFirst(Parent.rowsAtOnce) }
                return left.prefix(Parent.rowsAtOnce).flatMap { ControlAnswer.line(ControlAnswer.row($0)) }
            }
            defer { isOver = true }
            return isOver ? nil : ControlAnswer.done { $0.add("penalties", count) }
        }
    }

    private func lift(_ text: String) -> [UInt8] {
        do throws(AddressRange.Mistake) {
            let count = admission.lift(try AddressRange(text), at: .now)
            log.write(.info, "penalties lifted") {
                $0.text("range", text)
                $0.number("count", count)
            }
            return ControlAnswer.done { $0.add("lifted", count) }
        } catch {
            return ControlAnswer.failed("bad_request", Escaping.plain(error.description, most: 200))
        }
    }
}
