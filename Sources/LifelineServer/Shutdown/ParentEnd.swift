import Basics
import Framing
import Posix

/// The end of the server: who is told what, and who is waited for.
extension Parent {
    /// A handshake that had begun when the drain did is given so long to end: more than a round trip.
    private static var lastHandshakes: Duration { .milliseconds(250) }

    func take(_ step: ShutdownState.Step, at now: Instant) {
        switch step {
        case .none, .leave:
            break
        case .drain:
            crew?.letAllGo()
            report("draining") { $0.seconds("over", options.drain) }
            let sent = options.drain > .zero ? children.records.map(\.pid) : []
            drain = DrainSchedule(of: sent, over: options.drain, from: now) { .random(in: 0..<1) }
            supervisor.tell(.stopping(connections: children.count))
            supervisor.accepted()  // No one waits for it any more, whatever it did.
            stopListening(at: now)
        case .end:
            if options.drain > .zero { report("drained") }
            for child in children.records { order(.end, to: child.pid) }
        case .quit:
            crew?.letAllGo()
            report("quitting")
            supervisor.tell(.stopping(connections: children.count))
            drain = DrainSchedule(of: [], over: .zero, from: now) { 0 }
            for child in children.records { sendSignal(Signal.quit, to: child.pid) }
            stopListening(at: now, waits: false)
        case .kill:
            log.write(.warning, "killing") { $0.number("children", children.count) }
            for pid in processes { sendSignal(Signal.kill, to: pid) }
            listener.close()
            listensUntil = nil
        }
    }

    /// What a first SIGTERM does.
    func stop(at now: Instant) { take(shutdown.signalled(at: now), at: now) }

    private func report(_ event: String, _ fields: (inout LogLine) -> Void = { _ in }) {
        log.write(.info, event) {
            $0.number("children", children.count)
            fields(&$0)
        }
    }

    /// Says farewell to those whose turn in the drain has come.
    func sendAway(at now: Instant) {
        while let farewell = drain?.next(at: now) {
            order(.sendAway(retryAfter: farewell.retryAfter), to: farewell.child)
        }
    }

    /// Of signals that wait the kernel keeps one, so what it was sent for stands where the child reads it.
    func order(_ order: ChildCommands.Order, to pid: ProcessID) {
        guard let record = children[pid] else { return }
        // The signal is for this connection, and may come late.
        crew?.letGo(pid)
        orders.give(order, to: record.slot)
        sendSignal(Signal.terminate, to: pid)
    }

    /// Closing a listener resets the clients that are queued on it, and those whose handshake is half done. So no new
    /// ones are let in, and the listener is kept until the others have come and been told.
    ///
    /// One that a supervisor has too is let go of at once: who is queued on it waits for the next server.
    private func stopListening(at now: Instant, waits: Bool = true) {
        guard !isHandedOver else { return listener.close() }
        if address.isUnix {
            socketFile?.remove()
            listensUntil = now
        } else {
            listener.dropNewHandshakes()
            listensUntil = waits ? now + Parent.lastHandshakes : now
        }
        refuseLatecomers(at: now)
    }

    func refuseLatecomers(at now: Instant) {
        guard let listensUntil else { return }
        while let accepted = try? listener.accept() {
            var refusal = admission.refuse(.shutdown, using: &random)
            if let drain { refusal.retryAfter = drain.retryAfter(at: now) { .random(in: 0..<1) } }
            refuse(accepted.connection, refusal, at: now)
        }
        guard listensUntil <= now else { return }
        listener.close()
        self.listensUntil = nil
    }
}
