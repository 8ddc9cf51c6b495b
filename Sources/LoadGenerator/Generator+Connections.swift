import Framing
import Posix
import SystemTLS

/// What happens on one connection: connect, read, write, close, and connect again.
extension Generator {
    /// Opens a socket for connection `index`. `due` is the instant at which a SHORT connection's request was due.
    mutating func connect(_ index: Int, due: Nanoseconds, at now: Nanoseconds) {
        connections[index].connect(due: due, random: random.share(), at: now)
        if options.isShort { load.budget -= 1 }
        let source = sources.isEmpty ? nil : sources[nextSource]
        nextSource = nextSource + 1 < sources.count ? nextSource + 1 : 0
        do throws(SystemError) {
            let engine: TLSEngine?
            do throws(TLSError) {
                engine = try options.tls.map { tls throws(TLSError) in
                    try TLSEngine(tls.context, name: tls.name, sessionKey: "\(address)")
                }
            } catch {
                self.error = LoadError(kind: .options, text: error.text)
                return
            }
            sockets[index].open(try .connecting(to: address, from: source), engine)
            flush(index, at: now, isNew: true)
            guard let number = sockets[index].number else { return }
            try events.add(
                number, key: sockets[index].key(index), reading: true, writing: sockets[index].waitsToWrite)
            timers.set(index, connections[index].deadline(profile, at: now))
        } catch {
            if error.isBacklogFull {
                // A Unix socket does not wait for room.
                if options.isShort { load.budget += 1 }
                connections[index].postpone()
                return timers.set(index, now + .milliseconds(1))
            }
            connections[index].end(.unreachable(error: error.name), &counters, profile)
            closeSocket(index, at: now)
        }
    }

    /// Handles an event of a socket, or a signal.
    mutating func handle(_ event: ReadyEvent) {
        if event.key == Generator.signalKey { return readSignals() }
        if event.key == Generator.workerKey { return receiveCommands() }
        let index = Int(truncatingIfNeeded: event.key & 0xFFFF_FFFF)
        guard sockets[index].generation == UInt32(truncatingIfNeeded: event.key >> 32) else { return }
        if connections[index].phase == .connecting, event.isWritable {
            do throws(SystemError) {
                try sockets[index].checkConnected()
                connections[index].connected()
            } catch {
                connections[index].end(.unreachable(error: error.name), &counters, profile)
                return closeSocket(index, at: .now)
            }
        }
        guard event.isReadable else { return flush(index, at: .now) }
        do throws(SystemError) {
            let result = try sockets[index].receive(into: input)
            let now = Nanoseconds.now
            switch result {
            case .bytes(let count):
                let before = connections[index].phase
                connections[index].receive(
                    UnsafeRawBufferPointer(rebasing: input[..<count]), profile, &counters, at: now)
                if connections[index].phase != before { phaseChanged(index, at: now) }
            case .end: connections[index].streamEnded(&counters, profile)
            case .wouldBlock: break
            }
            flush(index, at: now)
        } catch {
            connections[index].end(end(of: error, sockets[index].tlsError), &counters, profile)
            closeSocket(index, at: .now)
        }
    }

    /// Handles a change of phase that the bytes of the server have caused.
    mutating func phaseChanged(_ index: Int, at now: Nanoseconds) {
        timers.set(index, connections[index].deadline(profile, at: now))
        guard connections[index].phase == .open else { return }
        if options.size > Int(connections[index].maxMessage) {
            error = LoadError(
                kind: .options,
                text:
                    "the server takes messages of at most \(connections[index].maxMessage) bytes; take a --size of that"
            )
        }
        if Int(connections[index].maxInFlight) < options.inFlight { allowedInFlight = connections[index].maxInFlight }
        if case .finishing = stage, !options.isShort { connections[index].closeWhenAnswered() }
    }

    /// Handles the timer of connection `index`.
    mutating func timerFired(_ index: Int, at now: Nanoseconds) {
        if connections[index].phase == .away {
            if case .finishing = stage { return }
            guard !options.isShort || load.isOn else { return }
            return connect(index, due: now, at: now)
        }
        connections[index].timerFired(
            profile, &counters, asked: timers.deadline(of: index), random: random.share(), at: now)
        timers.set(index, connections[index].deadline(profile, at: now))
        flush(index, at: now)
    }

    /// Sends what connection `index` has to send, as far as the kernel accepts it. Closes the socket if it is over.
    mutating func flush(_ index: Int, at now: Nanoseconds, isNew: Bool = false) {
        do throws(SystemError) {
            try sockets[index].flush()
            while connections[index].phase != .over, connections[index].phase != .away {
                if sockets[index].hasPending {
                    if connections[index].phase == .connecting, !isNew { break }
                    let result = try sockets[index].sendPending()
                    let count = if case .bytes(let count) = result { count } else { 0 }
                    connections[index].sent(count, waits: sockets[index].hasPending, at: now)
                    if sockets[index].hasPending { break }
                    continue
                }
                buffer.clear()
                connections[index].fill(&buffer, &load, profile, &counters, at: now)
                guard buffer.count > 0 else { break }
                let result = try sockets[index].send(buffer.bytes)
                let count = if case .bytes(let count) = result { count } else { 0 }
                let waits = count < buffer.count
                if waits { sockets[index].keep(UnsafeRawBufferPointer(rebasing: buffer.bytes[count...])) }
                connections[index].sent(count, waits: waits, at: now)
                if waits { break }
            }
        } catch {
            let isConnecting = connections[index].phase == .connecting
            connections[index].end(
                isConnecting ? .unreachable(error: error.name) : end(of: error, sockets[index].tlsError), &counters,
                profile)
        }
        let phase = connections[index].phase
        if phase == .over { return closeSocket(index, at: now) }
        guard phase != .away else { return }
        if phase == .closing, !sockets[index].isShut {
            if !sockets[index].hasPending { sockets[index].shutdownWriting() }
            timers.set(index, connections[index].deadline(profile, at: now))
        }
        if sockets[index].needsRoom != sockets[index].waitsToWrite {
            sockets[index].waitsToWrite.toggle()
            if !isNew, let number = sockets[index].number {
                events.change(
                    number, key: sockets[index].key(index), reading: true, writing: sockets[index].waitsToWrite)
            }
        }
    }

    private func end(of error: SystemError, _ tls: TLSError?) -> LoadConnectionEnd {
        if let tls { return .tls(error: tls.text) }
        return error.isReset ? .reset : .broken(error: error.name)
    }

    /// Closes the socket of connection `index`, and decides whether and when it is opened again.
    mutating func closeSocket(_ index: Int, at now: Nanoseconds) {
        if connections[index].mustAnswerClose() {
            buffer.clear()
            buffer.add(Close(.normal).frame)
            _ = try? sockets[index].send(buffer.bytes)
        }
        sockets[index].close()
        timers.remove(index)
        let ending = connections[index].ending ?? .finished
        counters.connectionEnded(ending)
        let isFirst = !connections[index].isReturning && !connections[index].wasOpen
        connections[index].socketClosed(at: now)
        if isFirst, !options.isShort {
            failedAtFirst += 1
            lastFailure = ending
        }
        if counters.everConnected == 0, !isBusy(ending) { return fail(with: ending) }
        if case .finishing = stage { return }
        let isServers = !ending.isOwn && !options.isShort
        if options.isSilent || connections[index].isUnwanted || (isServers && !options.reconnects) {
            retired += 1
            return
        }
        if ending == .cut || (options.isShort && ending == .closed(.normal)) {
            connections[index].attempts = 0
            guard options.isShort else { return connect(index, due: now, at: now) }
            // The event loop opens it: here each connection would begin inside the end of the one before.
            if load.isOpenLoop { idle.append(index) } else { toReopen.append(index) }
            return
        }
        timers.set(index, now + connections[index].backoff(&random))
    }

    func isBusy(_ ending: LoadConnectionEnd) -> Bool {
        switch ending {
        case .refused(.busy), .refused(.shuttingDown), .finished: true
        default: false
        }
    }

    private mutating func readSignals() {
        while signals.next() != nil { interrupt() }
    }

    /// Ends the measurement early; a second time ends the run.
    mutating func interrupt() {
        if isInterrupted { stage = .over }
        isInterrupted = true
        if case .over = stage { return }
        stopMeasuring(at: .now, within: .seconds(1))
    }
}
