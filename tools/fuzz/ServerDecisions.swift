/// A server's connection under any bytes, at any instants, with any writes and late answers.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzServerDecisions(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    var script = Script(start, count)
    var run = ServerRun(script.byte())
    while !script.isOver, !run.isOver { run.step(&script) }
    run.finish()
    return 0
}

private struct ServerRun {
    var connection: ServerConnection
    var now = Instant(sinceStart: .seconds(1))
    var judge: Judge?
    var pending: [UInt32] = []
    var given: Set<UInt32> = []
    var fed = 0
    var spoken = 0
    var hasEnded = false
    let answersAtOnce: Bool
    let before: Int

    init(_ setting: UInt8) {
        answersAtOnce = setting & 1 == 0
        let terms = Terms(timeout: 1000, maxFrame: 256, maxMessage: 200, maxInFlight: 3, maxQueued: 400)
        before = heapBytes()
        connection = ServerConnection(id: 1, terms: terms, handshakeTimeout: .seconds(2), acceptedAt: now)
        if setting & 2 != 0 {
            var hello = Preface.bytes
            Hello(short: setting & 4 != 0, deadAfter: 1000, maxFrame: 256, maxMessage: setting & 8 == 0 ? 1000 : 10)
                .append(to: &hello)
            receive(hello)
        }
    }

    var isOver: Bool { connection.departure?.isOver ?? false }

    mutating func step(_ script: inout Script) {
        let operation = script.byte() % 16
        connection.woke(at: now)
        switch operation {
        case 0...3: receive(frame(&script))
        case 4: receive(script.take(Int(script.byte())))
        case 5: advance(.milliseconds(Int(script.byte()) * 4))
        case 6: if let deadline = connection.deadline, deadline > now { advance(deadline - now) }
        case 7: write(Int(script.byte()))
        case 8: write(.max)
        case 9: connection.wrote(0, at: now)
        case 10:
            guard !hasEnded else { break }
            hasEnded = true
            connection.endOfStream(at: now)
        case 11 where script.byte() < 64:
            connection.terminate(GoAway(.shuttingDown, "bye", spread: 2000), at: now)
        case 12:
            guard !pending.isEmpty else { break }
            answer(pending.remove(at: Int(script.byte()) % pending.count), Int(script.byte()))
        case 13:
            guard !pending.isEmpty else { break }
            connection.fail(pending.remove(at: Int(script.byte()) % pending.count), Failure(.handlerFailed, "no"))
        case 14:
            let message = Array(repeating: UInt8(0x62), count: Int(script.byte()) * 4)
            if connection.send(message[...]) { spoken += message.count + 64 }
        case 15 where script.byte() == 0: connection.broke("gone")
        default: answer(UInt32(script.byte()), 1)  // Nobody asked, or this was answered already.
        }
        connection.judge(at: now)
        settle()
        let held = heapBytes() - before
        require(held <= 32 * (fed + spoken) + 65536, "\(held) bytes are held for \(fed)")
    }

    private mutating func advance(_ time: Duration) {
        now = now + time
        connection.woke(at: now)
        connection.judge(at: now)
    }

    /// What is due is done once: a deadline that stays in the past would make the loop spin.
    private mutating func settle() {
        var turns = 0
        while !isOver, let deadline = connection.deadline, deadline <= now {
            turns += 1
            require(turns < 4, "the loop spins")
            connection.woke(at: now)
            connection.judge(at: now)
            if connection.outbox.isEmpty { connection.wrote(0, at: now) }
        }
    }

    private mutating func receive(_ bytes: [UInt8]) {
        guard !hasEnded, !isOver, !bytes.isEmpty else { return }
        fed += bytes.count
        connection.received(bytes.count, at: now)
        while let event = connection.next(in: bytes, at: now) {
            guard case .request(let request) = event else { continue }
            require(given.insert(request.id).inserted, "request \(request.id) came twice")
            if answersAtOnce { answer(request.id, request.bytes.count) } else { pending.append(request.id) }
        }
    }

    private mutating func answer(_ id: UInt32, _ length: Int) {
        pending.removeAll { $0 == id }
        spoken += length * 4 + 64
        connection.answer(id, Array(repeating: 0x61, count: length * 4)[...])
    }

    private mutating func write(_ most: Int) {
        guard !isOver else { return }
        let bytes = Array(connection.outbox.unsent.prefix(most))
        if judge == nil, !bytes.isEmpty { judge = Judge(from: .server, isShort: connection.hello?.short ?? false) }
        judge?.read(bytes)
        connection.wrote(bytes.count, at: now)
    }

    /// Answers and writes all; unless the connection was ended, each request has its ending then.
    mutating func finish() {
        while let id = pending.first { answer(id, 3) }
        while !isOver, !connection.outbox.isEmpty { write(.max) }
        if connection.departure == nil {
            require(given.isSubset(of: judge?.endings ?? []), "a request has no ending")
        } else {
            settle()
            // Whatever was, the end comes by itself.
            for _ in 0..<4 where !isOver {
                advance(.seconds(3600))
                write(.max)
            }
            require(isOver, "the connection does not end")
        }
    }
}
