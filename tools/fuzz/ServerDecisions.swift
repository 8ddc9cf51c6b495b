/// A server's connection under any bytes, at any instants, with any writes and late answers.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzServerDecisions(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    ServerRun.fuzz(start, count)
}

extension ServerConnection: Living {
    var isOver: Bool { departure?.isOver ?? false }
}

private struct ServerRun: Run {
    var connection: ServerConnection
    var now = Instant(sinceStart: .seconds(1))
    var judge = Judge(from: .server, isShort: false)
    var pending: [UInt32] = []
    var given: Set<UInt32> = []
    var fed = 0
    var spoken = 0
    var hasEnded = false
    /// A connection that was ended forgets answers.
    var mayForget = false
    let answersAtOnce: Bool
    let heapBefore: Int

    init(_ setting: UInt8) {
        answersAtOnce = setting & 1 == 0
        let terms = Terms(timeout: 1000, maxFrame: 256, maxMessage: 200, maxInFlight: 3, maxQueued: 400)
        heapBefore = heapBytes()
        connection = ServerConnection(id: 1, terms: terms, handshakeTimeout: .seconds(2), acceptedAt: now)
        if setting & 2 != 0 {
            var hello = Preface.bytes
            Hello(short: setting & 4 != 0, deadAfter: 1000, maxFrame: 256, maxMessage: setting & 8 == 0 ? 1000 : 10)
                .append(to: &hello)
            receive(hello)
        }
    }

    mutating func step(_ operation: UInt8, _ script: inout Script) {
        switch operation {
        case 0...3: receive(frame(&script))
        case 4: receive(script.take(Int(script.byte())))
        case 5: advance(.milliseconds(Int(script.byte()) * 4))
        case 6: sleep()
        case 7: write(Int(script.byte()))
        case 8: write(.max)
        case 9: connection.wrote(0, at: now)
        case 10:
            guard !hasEnded else { break }
            hasEnded = true
            connection.endOfStream(at: now)
        case 11 where script.byte() < 64:
            connection.terminate(GoAway(.shuttingDown, "bye", spread: 2000), retryAfter: 700, at: now)
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
    }

    mutating func judgeAll() { connection.judge(at: now) }

    private mutating func receive(_ bytes: [UInt8]) {
        guard !hasEnded, !connection.isOver, !bytes.isEmpty else { return }
        fed += bytes.count
        connection.received(bytes.count, at: now)
        while let event = connection.next(in: bytes, at: now) {
            if case .opened(let hello) = event { judge = Judge(from: .server, isShort: hello.short) }
            guard case .request(let id, let bytes) = event else { continue }
            require(given.insert(id).inserted, "request \(id) came twice")
            if answersAtOnce { answer(id, bytes.count) } else { pending.append(id) }
        }
    }

    private mutating func answer(_ id: UInt32, _ length: Int) {
        pending.removeAll { $0 == id }
        spoken += length * 4 + 64
        connection.answer(id, Array(repeating: 0x61, count: length * 4)[...])
    }

    /// Each request is answered.
    mutating func prepareEnd() {
        mayForget = connection.departure != nil
        while let id = pending.first { answer(id, 3) }
    }

    func checkEnd(isRead: Bool) {
        require(!isRead || mayForget || given.isSubset(of: judge.endings), "a request has no ending")
    }
}
