import Framing
import Posix

/// The stages of a run: connect, warm up, measure, finish.
extension Generator {
    /// Opens the next connections, up to the limit or the rate. Starts the warm-up when all have been tried.
    mutating func openConnections(at now: Nanoseconds) {
        while opened < options.connections {
            if let rate = options.connectRate, started + .seconds(Double(opened) / rate) > now { break }
            guard mayConnect else { break }
            opened += 1
            connect(opened - 1, due: now, at: now)
            if error != nil { return }
        }
        guard opened == options.connections, Int(counters.handshakes.count) + failedAtFirst >= opened else { return }
        connectTime = now - started
        if worker != nil { return becomeReady() }
        guard counters.everConnected > 0 else { return fail(with: lastFailure) }
        startWarmUp(at: now)
    }

    /// Starts the load, not measured yet.
    mutating func startWarmUp(at now: Nanoseconds) {
        stage = .warmUp
        warmUpUntil = now + Nanoseconds(options.warmUp)
        load.isOn = options.inFlight > 0 && !options.isSilent
        load.start = now
        for index in 0..<options.connections {
            if !options.isShort {
                flush(index, at: now)
            } else if load.isOpenLoop {
                idle.append(index)
            } else {
                connect(index, due: now, at: now)
            }
        }
    }

    /// Starts the measurement; `isSilent` falls silent here.
    mutating func startMeasuring(at now: Nanoseconds) {
        stage = .measuring
        // Requests that were due before are not counted.
        counters.measuredFrom = now
        counters.measuredUntil = now + Nanoseconds(options.duration)
        nextTick = now + .seconds(1)
        _ = counters.nextInterval()
        if let requests = options.requests { load.budget = requests }
        processorTimeBefore = Nanoseconds(processorTime())
        waitingTimeBefore = Nanoseconds(runQueueTime())
        guard options.isSilent else { return }
        load.isSilenced = true
        // Each connection's silence begins at its own instant.
        for index in 0..<options.connections { flush(index, at: .now) }
    }

    /// Ends the measurement. No request begins; those in flight have `bound` for their answers.
    mutating func stopMeasuring(at now: Nanoseconds, within bound: Nanoseconds) {
        counters.measuredUntil = min(counters.measuredUntil, now)
        if counters.measuredFrom > now { counters.measuredFrom = now }
        processorTimeUsed = Nanoseconds(processorTime()) - processorTimeBefore
        waitingTimeUsed = Nanoseconds(runQueueTime()) - waitingTimeBefore
        // A fraction of a second is not counted as one.
        if now > nextTick - .milliseconds(10) {
            let interval = counters.nextInterval()
            counters.seconds.append(LoadCounters.Second(interval))
            tell(interval)
        }
        load.isOn = false
        stage = .finishing(until: now + bound)
        for index in 0..<options.connections {
            switch connections[index].phase {
            case .away, .over, .closing: break
            case .connecting, .greeting, .open:
                if options.isSilent || (!options.isShort && connections[index].phase != .open) {
                    connections[index].end(.finished, &counters, profile)
                    closeSocket(index, at: now)
                } else if !options.isShort {
                    connections[index].closeWhenAnswered()
                    flush(index, at: now)
                }
            }
        }
    }

    /// Closes the connections that have not ended in time, and ends the run.
    mutating func abortRemaining(at now: Nanoseconds) {
        for index in 0..<options.connections where connections[index].phase != .away {
            connections[index].end(.timeout, &counters, profile)
            closeSocket(index, at: now)
        }
        stage = .over
    }

    /// Ends the run with an error because no connection has succeeded.
    mutating func fail(with ending: LoadConnectionEnd?) {
        error = LoadError(ending, at: address)
    }

    /// Whether one more may be opened now. Beyond its backlog a server loses what clients send, and what they send again
    /// would keep it busy.
    var mayConnect: Bool { opened - Int(counters.handshakes.count) - failedAtFirst < mostConnecting }
    private var mostConnecting: Int { max(1, Generator.mostConnecting / options.processes) }
}

extension LoadError {
    /// The error of a run without a connection: the first one, or the last, has ended like this.
    init(_ ending: LoadConnectionEnd?, at address: SocketAddress) {
        let text = ending?.text ?? "nothing"
        self =
            switch ending {
            case .unreachable, nil: LoadError(kind: .unavailable, text: "no server answers at \(address): \(text)")
            case .refused(.busy), .refused(.shuttingDown):
                LoadError(kind: .busy, text: "the server at \(address) takes nobody now: \(text)")
            case .refused(.unauthorized):
                LoadError(kind: .unwanted, text: "the server at \(address) does not want this client: \(text)")
            case .dropped(.handshakeTimeout):
                // One that is mute may be a server that hangs, with TLS as without.
                LoadError(kind: .unavailable, text: "no whole WELCOME came from \(address) in time")
            case .tls: LoadError(kind: .protocolError, text: "no TLS with \(address): \(text)")
            default: LoadError(kind: .protocolError, text: "what answers at \(address) is no Lifeline server: \(text)")
            }
    }
}
