import Framing
import Posix

extension Generator {
    mutating func connect(_ index: Int, due: Nanoseconds, at now: Nanoseconds) {
        conversations[index].connect(due: due, random: chance.share(), at: now)
        if options.isShort { load.budget -= 1 }
        let source = sources.isEmpty ? nil : sources[nextSource]
        nextSource = nextSource + 1 < sources.count ? nextSource + 1 : 0
        do throws(SystemError) {
            lines[index].open(try .connecting(to: address, from: source))
            flush(index, at: now, isNew: true)
            guard let number = lines[index].socket?.number else { return }
            try events.add(
                number, key: lines[index].key(index), reading: true, writing: lines[index].waitsToWrite)
            wheel.set(index, conversations[index].deadline(script, at: now))
        } catch {
            if error.isBacklogFull {
                // A Unix socket does not wait for room.
                if options.isShort { load.budget += 1 }
                conversations[index].postpone()
                return wheel.set(index, now + .milliseconds(1))
            }
            conversations[index].end(.unreachable(error: error.name), &tally, script)
            finish(index, at: now)
        }
    }

    mutating func ready(_ event: ReadyEvent) {
        if event.key == Generator.signalKey { return interrupted() }
        let index = Int(truncatingIfNeeded: event.key & 0xFFFF_FFFF)
        guard lines[index].generation == UInt32(truncatingIfNeeded: event.key >> 32) else { return }
        if conversations[index].phase == .connecting, event.isWritable {
            do throws(SystemError) {
                try lines[index].socket?.checkConnected()
                conversations[index].connected()
            } catch {
                conversations[index].end(.unreachable(error: error.name), &tally, script)
                return finish(index, at: .now)
            }
        }
        guard event.isReadable else { return flush(index, at: .now) }
        do throws(SystemError) {
            let result = try lines[index].socket?.receive(into: input) ?? .wouldBlock
            let now = Nanoseconds.now
            switch result {
            case .bytes(let count):
                let before = conversations[index].phase
                conversations[index].receive(
                    UnsafeRawBufferPointer(rebasing: input[..<count]), script, &tally, at: now)
                if conversations[index].phase != before { turned(index, at: now) }
            case .end: conversations[index].streamEnded(&tally, script)
            case .wouldBlock: break
            }
            flush(index, at: now)
        } catch {
            conversations[index].end(error.isReset ? .reset : .broken(error: error.name), &tally, script)
            finish(index, at: .now)
        }
    }

    /// The connection has come to another phase by what it read.
    mutating func turned(_ index: Int, at now: Nanoseconds) {
        wheel.set(index, conversations[index].deadline(script, at: now))
        guard conversations[index].phase == .open else { return }
        if options.size > Int(conversations[index].maxMessage) {
            error = LoadError(
                kind: .options,
                text:
                    "the server takes messages of at most \(conversations[index].maxMessage) bytes; take a --size of that"
            )
        }
        if Int(conversations[index].maxInFlight) < options.inFlight { hadTooFew = conversations[index].maxInFlight }
        if case .finishing = stage, !options.isShort { conversations[index].leave() }
    }

    mutating func woke(_ index: Int, at now: Nanoseconds) {
        if conversations[index].phase == .away {
            if case .finishing = stage { return }
            guard !options.isShort || load.isOn else { return }
            return connect(index, due: now, at: now)
        }
        conversations[index].woke(
            script, &tally, asked: wheel.deadline(of: index), random: chance.share(), at: now)
        wheel.set(index, conversations[index].deadline(script, at: now))
        flush(index, at: now)
    }

    /// Writes what there is to write, as far as the kernel takes it, and closes what is over.
    mutating func flush(_ index: Int, at now: Nanoseconds, isNew: Bool = false) {
        do throws(SystemError) {
            while conversations[index].phase != .over, conversations[index].phase != .away {
                if lines[index].hasPending {
                    if conversations[index].phase == .connecting, !isNew { break }
                    let result = try lines[index].sendPending()
                    let count = if case .bytes(let count) = result { count } else { 0 }
                    conversations[index].sent(count, waits: lines[index].hasPending, at: now)
                    if lines[index].hasPending { break }
                    continue
                }
                buffer.clear()
                conversations[index].fill(&buffer, &load, script, &tally, at: now)
                guard buffer.count > 0 else { break }
                let result = try lines[index].socket?.send(buffer.bytes) ?? .wouldBlock
                let count = if case .bytes(let count) = result { count } else { 0 }
                let waits = count < buffer.count
                if waits { lines[index].keep(UnsafeRawBufferPointer(rebasing: buffer.bytes[count...])) }
                conversations[index].sent(count, waits: waits, at: now)
                if waits { break }
            }
        } catch {
            let isConnecting = conversations[index].phase == .connecting
            conversations[index].end(
                isConnecting ? .unreachable(error: error.name) : error.isReset ? .reset : .broken(error: error.name),
                &tally, script)
        }
        let phase = conversations[index].phase
        if phase == .over { return finish(index, at: now) }
        guard phase != .away else { return }
        if phase == .closing, !lines[index].hasPending, !lines[index].isShut {
            lines[index].socket?.shutdownWriting()
            lines[index].isShut = true
            wheel.set(index, conversations[index].deadline(script, at: now))
        }
        if lines[index].hasPending != lines[index].waitsToWrite {
            lines[index].waitsToWrite.toggle()
            if !isNew, let number = lines[index].socket?.number {
                events.change(
                    number, key: lines[index].key(index), reading: true, writing: lines[index].waitsToWrite)
            }
        }
    }

    /// The connection is over: closes its socket, and decides whether and when it comes back.
    mutating func finish(_ index: Int, at now: Nanoseconds) {
        if conversations[index].takeFarewell() { _ = try? lines[index].socket?.send(Close(.normal).frame[...]) }
        lines[index].socket = nil
        lines[index].generation &+= 1
        wheel.remove(index)
        let ending = conversations[index].ending ?? .finished
        tally.end(ending)
        let isFirst = !conversations[index].isReturning && !conversations[index].wasOpen
        conversations[index].closed(at: now)
        if isFirst, !options.isShort {
            failedAtFirst += 1
            lastFailure = ending
        }
        if tally.everConnected == 0, !isBusy(ending) { return fail(with: ending) }
        if case .finishing = stage { return }
        let isServers = !ending.isOwn && !options.isShort
        if options.isSilent || conversations[index].isUnwanted || (isServers && !options.comesBack) {
            gone += 1
            return
        }
        if ending == .cut || (options.isShort && ending == .closed(.normal)) {
            conversations[index].attempts = 0
            guard options.isShort else { return connect(index, due: now, at: now) }
            // Not from here: each would begin inside the end of the one before.
            if load.isOpenLoop { idle.append(index) } else { again.append(index) }
            return
        }
        wheel.set(index, now + conversations[index].pause(&chance))
    }

    func isBusy(_ ending: LoadConnectionEnd) -> Bool {
        switch ending {
        case .refused(.busy), .refused(.shuttingDown), .finished: true
        default: false
        }
    }

    mutating func interrupted() {
        while signals.next() != nil {
            if isInterrupted { stage = .over }
            isInterrupted = true
        }
        if case .over = stage { return }
        finish(at: .now, within: .seconds(1))
    }
}
