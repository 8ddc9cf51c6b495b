/// A server's connection under any bytes, at any instants, with any writes and late answers.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzServerDecisions(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    ServerRun.fuzz(start, count)
}

extension ServerConnection: Living {}

private struct ServerRun: Run {
    var connection: ServerConnection
    var now = Instant(sinceStart: .seconds(1))
    var judge = Judge(from: .server, isShort: false)
    var peer = Peer(.client, maxMessage: 200, isShort: false)
    var pending: [UInt32] = []
    var given: Set<UInt32> = []
    var fed = 0
    var spoken = 0
    var hasEnded = false
    /// A connection that was ended forgets answers.
    var mayForget = false
    /// The requests of which parts of the response were sent.
    var begun: Set<UInt32> = []
    /// Whether the handler has something and has not returned from it; it gets the next only then.
    var isBusy = false
    /// What the message costs that the handler has.
    var messageCost: Int?
    /// What the server asks of its client, and has no outcome.
    var asked: Set<UInt64> = []
    var nextToken: UInt64 = 1
    let terms: Terms
    let answersAtOnce: Bool
    /// How many bytes an answer has for each that the script says: enough for the send window where there is one.
    let scale: Int
    let heapBefore: Int

    init(_ setting: UInt8) {
        answersAtOnce = setting & 1 == 0
        let isBounded = setting & 16 != 0
        scale = isBounded ? 32 : 4
        // Requests of the server, and credit, in both directions.
        let goesBothWays = setting & 64 != 0
        terms = Terms(
            timeout: 1000, maxFrame: 256, maxMessage: 200, maxInFlight: 3, maxQueued: isBounded ? 20_000 : 400,
            credit: goesBothWays ? 300 : nil)
        heapBefore = heapBytes()
        peer.agreement = { [terms] greeting in
            guard case .hello(let hello) = greeting else { return FrameDecoder.Agreement() }
            return negotiate(hello, with: terms, connection: 1).agreement(with: hello)
        }
        connection = ServerConnection(
            id: 1, terms: terms, handshakeTimeout: .seconds(2), acceptedAt: now,
            handlerTimeout: setting & 32 == 0 ? nil : .milliseconds(300))
        if setting & 2 != 0 {
            var hello = Preface.bytes
            Hello(
                short: setting & 4 != 0, deadAfter: 1000, maxFrame: isBounded ? 4096 : 256,
                maxMessage: setting & 8 == 0 ? isBounded ? 8000 : 1000 : 10,
                options: goesBothWays
                    ? Options(credit: 500, answers: AnswerTerms(maxInFlight: 2, maxQueued: 600)) : Options(),
                minor: isBounded || goesBothWays ? 1 : 0
            ).append(to: &hello)
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
        case 11: wish(script.byte(), &script)
        case 12:
            guard !pending.isEmpty else { return handlerReturns() }
            let id = pending[Int(script.byte()) % pending.count]
            let length = Int(script.byte())
            if begun.contains(id) { send(length / 2, of: id, isLast: length % 2 == 1) } else { answer(id, length) }
        case 13:
            guard !pending.isEmpty else { break }
            let id = pending.remove(at: Int(script.byte()) % pending.count)
            connection.fail(id, Failure(.handlerFailed, "no"))
            handlerReturns()
        case 14:
            let message = Array(repeating: UInt8(0x62), count: Int(script.byte()) * scale / 4)
            // Several of one turn have no PING among them but those that the outbox waits for.
            for _ in 0..<(scale / 4) where connection.send(message[...], at: now) { spoken += message.count + 64 }
        case 15 where script.byte() == 0: connection.broke("gone")
        default: answer(UInt32(script.byte()), 1)  // Nobody asked, or this was answered already.
        }
        serve()
    }

    /// What an operator, the server or a handler that has begun wants.
    private mutating func wish(_ which: UInt8, _ script: inout Script) {
        let goAway = GoAway(.shuttingDown, "bye", spread: 2000)
        switch which {
        case ..<64: connection.terminate(goAway, retryAfter: 700, at: now)
        case ..<80:
            connection.kick(at: now)
            require(connection.isClosing, "a client that was kicked is kept")
        case ..<96: connection.quit(goAway, retryAfter: 700, at: now)
        case ..<112: connection.sendAway(goAway)
        case ..<128: connection.stop(CloseCause(.handlerFailed, "no more"))
        case ..<160:
            guard let id = pending.last else { break }
            send(Int(script.byte()) / 2, of: id, isLast: false)
        case ..<208:
            let (length, time) = (Int(script.byte()) * 3, Int(script.byte()) * 8)
            spoken += length + 256
            asked.insert(nextToken)
            connection.ask(
                nextToken, Array(repeating: 0x64, count: length)[...], until: now + .milliseconds(time), at: now)
            nextToken += 1
        case ..<224: connection.giveUp(UInt64(script.byte() % 16), at: now)
        case ..<232:
            guard let cost = messageCost.take() else { break }
            connection.messageDiscarded(cost: cost)
        case ..<244:
            // What others say goes past the handler, or through it.
            let bytes = Array(repeating: UInt8(0x65), count: Int(script.byte()))
            spoken += bytes.count + 512
            connection.deliver(
                Publication(topic: which % 3 == 0 ? nil : "topic", bytes: bytes[...], publisher: 9),
                to: [.nothing, .gaps, .all][Int(which % 3)], at: now)
        default: answer(UInt32(script.byte()), 1)
        }
    }

    mutating func judgeAll() {
        connection.enforceDeadlines(at: now)
        serve()
    }

    mutating func receive(_ bytes: [UInt8]) {
        guard !hasEnded, !connection.isOver, !bytes.isEmpty else { return }
        fed += bytes.count
        hears(bytes)
        connection.received(bytes.count, at: now)
        while let event = connection.next(in: bytes, at: now) { take(event) }
        serve()
    }

    /// Gives the handler what waits for it.
    private mutating func serve() {
        while let event = connection.next(at: now) { take(event) }
    }

    private mutating func take(_ event: ServerConnection.Event) {
        if case .cancelled(let id) = event {
            require(given.contains(id), "the handler does not know \(id), which was cancelled")
            return
        }
        if case .asked(let token, _) = event {
            return require(asked.remove(token) != nil, "a second outcome of \(token), or one that nobody waits for")
        }
        require(!isBusy, "the handler has not returned")
        isBusy = true
        switch event {
        case .opened(let hello):
            judge = Judge(from: .server, isShort: hello.short)
            let welcome = negotiate(hello, with: terms, connection: 1)
            let agreement = welcome.agreement(with: hello)
            let most = agreement.answers ? hello.options.answers.map { Int(clamping: $0.maxInFlight) } : nil
            judge.agree(agreement, limit: peer.limit, mostAsked: most)
        case .request(let id, let bytes):
            require(given.insert(id).inserted, "request \(id) came twice")
            require(!connection.isClosing, "request \(id) comes behind CLOSE")
            pending.append(id)
            if answersAtOnce { answer(id, bytes.count) }
            return
        case .message(let bytes): messageCost = Credit.cost(of: bytes.count)
        case .news(.publication(let publication)):
            connection.forward(publication.bytes, topic: publication.topic, to: .all, at: now)
        case .news(.gap(let gap)): require(gap.count ?? 1 > 0, "a gap of nothing")
        case .cancelled, .asked: break
        }
        if answersAtOnce { handlerReturns() }
    }

    private mutating func handlerReturns() {
        guard isBusy else { return }
        isBusy = false
        if let cost = messageCost.take() {
            judge.handled += 1
            connection.messageHandled(cost: cost)
        }
        connection.handlerReturned()
    }

    private mutating func answer(_ id: UInt32, _ length: Int) {
        guard !begun.contains(id) else { return send(length, of: id, isLast: true) }
        spoken += length * scale + 64
        connection.answer(id, Array(repeating: 0x61, count: length * scale)[...])
        finish(id)
    }

    /// A handler waits until there is room for a part.
    private mutating func send(_ length: Int, of id: UInt32, isLast: Bool) {
        guard isLast || connection.room(for: id) > 0 else { return }
        begun.insert(id)
        spoken += length * scale + 64
        connection.answer(id, part: Array(repeating: 0x63, count: length * scale)[...], isLast: isLast, at: now)
        if isLast { finish(id) }
    }

    private mutating func finish(_ id: UInt32) {
        guard let index = pending.firstIndex(of: id) else { return }
        pending.remove(at: index)
        handlerReturns()
    }

    /// Each request is answered.
    mutating func prepareEnd() {
        mayForget = connection.isClosing
        repeat {
            if let id = pending.first { answer(id, 3) } else { handlerReturns() }
            serve()
        } while isBusy || !pending.isEmpty
    }

    func checkEnd(isRead: Bool) {
        require(connection.isStuck || connection.hasDispatchedAll, "the handler does not get all that has come")
        require((given.max() ?? 0) <= judge.lastID ?? .max, "CLOSE takes a request back that the handler has seen")
        require(asked.isEmpty, "\(asked.count) requests of the server have no outcome")
        require(!isRead || mayForget || given.isSubset(of: judge.endings), "a request has no ending")
    }
}
