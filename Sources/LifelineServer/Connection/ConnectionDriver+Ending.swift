import Basics
import Framing
import Posix

// The end of a connection, and the wait for its runner.
extension ConnectionDriver {
    /// Whether CLOSE is written, or nothing can be written any more.
    @inline(__always) var isDoneSending: Bool { connection.hasSaidAll }

    /// Whether the server has dropped the client because it was silent.
    @inline(__always) var hasDroppedSilent: Bool {
        if case .closed(.silent, _, by: .server) = connection.closeReason { true } else { false }
    }

    /// Whether the client has failed the handshake.
    var hasFailedHandshake: Bool { connection.hasFailedHandshake }

    /// The driver `isDoneSending`: ends the stream, reports the end once no message waits any more, and tells the runner when
    /// that has been given all.
    mutating func finishSending() {
        endWriting()
        if !connection.hasPendingMessages { reportEnd() }
        guard !runnerKnowsEnd, connection.hasDispatchedAll else { return }
        runnerKnowsEnd = true
        becomeUnreachable()
        if connection.hasGreeted { runner.closed(connection.closeReason) }
    }

    /// The driver `isDoneSending`: ends the stream and nothing else, where a loop with others reports later.
    mutating func endWriting() {
        guard endedAt == nil else { return }
        endedAt = .now
        transport.endWriting()
    }

    /// Ends the connection as the parent says; nil is a signal of somebody else, and means the same as `end`.
    ///
    /// The requests that have come are answered. A client that is sent away goes by itself; else the connection is closed.
    mutating func end(_ command: ChildCommands.ChildCommand?, at now: Instant) {
        switch command {
        case .kick:
            connection.kick(at: now)
        case .sendAway(let milliseconds) where clientReturnsAt == nil:
            clientReturnsAt = now + .milliseconds(milliseconds)
            connection.sendAway(
                GoAway(.shuttingDown, ConnectionDriver.shutdownText, retryAfter: milliseconds))
        case .sendAway, .end, nil:
            let (goAway, retryAfter) = shutdownNotice(at: now)
            let time = ShutdownGrace(grace)
            connection.terminate(goAway, retryAfter: retryAfter, within: time.handling, at: now)
            patience.shorten(to: time, at: now)
        }
    }

    /// Ends the connection at once. The client receives CLOSE if the transport takes it now.
    mutating func quit(at now: Instant) {
        let (goAway, retryAfter) = shutdownNotice(at: now)
        connection.quit(goAway, retryAfter: retryAfter, at: now)
    }

    /// The notice for a client that was not sent away before, which lets it return at a random instant. The retry_after is
    /// for a client that receives CLOSE alone, which has no spread.
    private func shutdownNotice(at now: Instant) -> (GoAway, retryAfter: UInt32) {
        let spread = milliseconds(from: now, to: now + DrainSchedule.leastReturn)
        return (
            GoAway(.shuttingDown, ConnectionDriver.shutdownText, spread: spread),
            clientReturnsAt.map { milliseconds(from: now, to: $0) } ?? .random(in: 0...spread)
        )
    }

    /// Whether nothing is left to wait for: the connection is over, and the runner is over or given up.
    mutating func isOver(at now: Instant) -> Bool {
        guard connection.isOver else { return false }
        if isDone || connection.isStuck { return true }
        switch patience.verdict(at: now, handlingUntil: connection.handlingUntil ?? now + grace) {
        case .waits: break
        case .lastCall:
            connection.dropMessages()
            finishSending()
        case .over: return true
        }
        transport.shutDown()
        return false
    }

    private var isDone: Bool { runnerKnowsEnd && (!connection.hasGreeted || runner.isOver) }

    /// Whether nothing of this connection still runs.
    var hasLeftNothing: Bool { isDone && !connection.isStuck }

    /// Ends the runner and gives the slot back. The driver does nothing any more.
    mutating func close() {
        runner.cancelAll()
        leaveRouter()
        reportEnd()
        publishStatistics(at: .now)
        memory.close()
        // The descriptor's number may soon be another connection's.
        crashNotice?.arm(false, number: 0)
        slot.isFinished = true
    }
}
