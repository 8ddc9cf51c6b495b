import Basics
import Framing
import Posix

// The connection's figures in the scoreboard, and its lines in the log.
extension ConnectionDriver {
    /// What the connection does now.
    @inline(__always) var activity: ConnectionActivity { connection.activity }

    /// Publishes the connection's figures: a few stores, once a turn.
    mutating func publishStatistics(at now: Instant) {
        slot.publish(
            answered: connection.requestsAnswered, bytesIn: connection.bytesIn, bytesOut: connection.outbox.sent,
            inFlight: UInt32(clamping: connection.inFlight), activity: connection.activity)
        for time in connection.fetchRoundTrips() { slot.add(roundTrip: time) }
        if connection.isAskable, let counts = connection.asks?.counts { slot.serverRequests = counts }
        if connection.requests.handlerTimes.hasChanged { slot.publish(&connection.requests.handlerTimes) }
        memory.publish(connection, at: now, log)
        guard connection.counts != publishedCounts else { return }
        publishedCounts = connection.counts
        slot.counts = publishedCounts
    }

    /// Reports the end once, in the log and for the statistics.
    mutating func reportEnd() {
        guard !hasReported else { return }
        hasReported = true
        slot.lateness = connection.lateness
        let isProbe = connection.isProbe
        slot.closeReason =
            isProbe ? CloseReasonLabel.probeNumbers : CloseReasonLabel.numbers(of: connection.closeReason)
        let isWarning = connection.counts.unhandled > 0
        if isProbe { report(.probed) } else { report(.closed, at: isWarning ? .warning : connection.closeReason.level) }
        let unpaid = connection.unpaidMessages
        guard unpaid > 0 else { return }
        log.write(.discarded, reason: "unpaidMessages", most: 1) { line in
            line.number(.connection, id)
            line.number(.pid, processID)
            line.text(
                .text, "\(unpaid) empty messages: the client need not have taken them before the end (5.10-2)")
        }
    }

    /// Changes nothing; but where it could not, the whole driver would be copied for the closure.
    mutating func report(
        _ event: LogEvent, at level: LogLevel? = nil, for limit: ConnectionLifetime.Limit? = nil
    ) {
        log.write(event, at: level, reason: hasReported ? connection.closeReason.kind : "") { line in
            line.number(.connection, id)
            line.number(.pid, processID)
            line.address(.peer, peer)
            if let client { line.put(client) }
            if let name = connection.clientName { line.text(.name, name) }
            if let name = connection.tokenName { line.text(.token, name) }
            if let limit {
                line.text(.limit, limit.rawValue)
                line.seconds(.age, .now - acceptedAt)
            }
            guard hasReported else { return }
            line.put(connection.closeReason, isProbe: connection.isProbe)
            line.seconds(.age, (endedAt ?? .now) - acceptedAt)
            line.number(.requests, connection.requestsServed)
            for (field, count) in connection.counts.shown where count > 0 { line.number(field, count) }
            line.number(.bytesIn, connection.bytesIn)
            line.number(.bytesOut, connection.outbox.sent)
            if !connection.closeReason.text.isEmpty { line.text(.text, connection.closeReason.text) }
        }
    }
}
