/// A client's connection under any bytes, at any instants, with any writes and any wishes of the program.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzClientDecisions(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    ClientRun.fuzz(start, count)
}

extension ClientConnection: Living {}

private struct ClientRun: Run {
    var connection: ClientConnection
    var now = Instant(sinceStart: .seconds(1))
    var judge: Judge
    var peer: Peer
    var waiting: Set<UInt32> = []
    /// The requests of the server that the program has and has not answered.
    var toAnswer: [UInt32] = []
    var hasLeft = false
    var endings = 0
    var fed = 0
    var spoken = 0
    let leavesAtEnd: Bool
    /// How many bytes a message has for each that the script says: enough for the send window where there is one.
    let scale: Int
    let heapBefore: Int

    init(_ setting: UInt8) {
        let isShort = setting & 1 != 0
        let random = Double(setting >> 4) / 16
        leavesAtEnd = setting & 64 == 0
        let isBounded = setting & 8 != 0
        scale = isBounded ? 32 : 4
        judge = Judge(from: .client, isShort: isShort)
        peer = Peer(.server, maxMessage: 400, isShort: isShort)
        heapBefore = heapBytes()
        let answers = setting & 32 != 0 && !isShort ? AnswerTerms(maxInFlight: 2, maxQueued: 500) : nil
        let hello = Hello(
            short: isShort, deadAfter: 1000, maxFrame: 256, maxMessage: 400, options: Options(answers: answers))
        peer.agreement = { greeting in
            guard case .welcome(let welcome) = greeting else { return FrameDecoder.Agreement() }
            return welcome.agreement(with: hello)
        }
        connection = ClientConnection(
            hello, connectedAt: now, handshakeTimeout: .seconds(2), random: { random })
        if setting & 8 != 0 { connection.watchTransfers() }
        if setting & 2 != 0 {
            var bytes = Preface.bytes
            Welcome(
                pingEvery: 300, deadAfter: 1000, maxFrame: isBounded ? 4096 : 256, maxMessage: isBounded ? 8000 : 1000,
                maxInFlight: 4, maxQueued: (setting & 4 == 0 ? 2000 : 100) * UInt32(scale / 4), connection: 7,
                minor: isBounded || answers != nil ? 1 : 0
            ).append(to: &bytes)
            receive(bytes)
        }
    }

    mutating func step(_ operation: UInt8, _ script: inout Script) {
        switch operation {
        case 0...2: receive(frame(&script))
        case 3: receive(script.take(Int(script.byte())))
        case 4: advance(.milliseconds(Int(script.byte()) * 4))
        case 5: sleep()
        case 6: write(Int(script.byte()))
        case 7: write(.max)
        case 8: connection.wrote(0, at: now)
        case 9:
            let choice = script.byte()
            if choice < 64 { take(connection.streamEnded()) } else { answer(choice) }
        case 10:
            let choice = script.byte()
            if choice < 32 { take(connection.streamBroke("gone")) } else { answer(choice) }
        case 11:
            hasLeft = hasLeft || endings == 0
            connection.close(at: now)
        case 12, 13:
            let length = Int(script.byte()) * scale
            guard connection.takesRequests, connection.hasRoom(for: length),
                connection.welcome != nil || connection.hello.short
            else { break }
            spoken += length + 128
            let id = connection.request(Array(repeating: 0x61, count: length))
            require(waiting.insert(id).inserted, "the id \(id) was used before")
        case 14:
            let id = UInt32(script.byte() % 16)
            if connection.cancel(id, at: now) { require(waiting.remove(id) != nil, "\(id) was not there") }
        case 15:
            let length = Int(script.byte() % 100) * scale / 4
            guard connection.welcome != nil, !connection.hello.short, endings == 0, !hasLeft else { break }
            for _ in 0..<(scale / 4) {
                spoken += length + 128
                _ = connection.send(Array(repeating: 0x62, count: length), at: now)
            }
        default: break
        }
    }

    /// The program answers one of the server's requests, or one that has its ending, or that nobody has sent.
    private mutating func answer(_ choice: UInt8) {
        let id = toAnswer.isEmpty ? UInt32(choice % 8) : toAnswer.remove(at: Int(choice) % toAnswer.count)
        let length = Int(choice % 16) * scale
        spoken += length + 128
        let bytes = Array(repeating: UInt8(0x63), count: length)
        connection.answer(id, with: choice % 3 == 0 ? .failure(Failure(.handlerFailed, "no")) : .success(bytes))
    }

    mutating func judgeAll() {
        var events = 0
        while let event = connection.enforceDeadlines(at: now) {
            take(event)
            events += 1
            require(events < 8, "enforceDeadlines has no end")
        }
    }

    mutating func receive(_ bytes: [UInt8]) {
        fed += bytes.count
        hears(bytes)
        connection.heard(at: now)
        var offset = 0
        while let event = connection.next(in: bytes, upTo: bytes.count, at: &offset, now: now) { take(event) }
    }

    private mutating func take(_ event: ClientConnection.Event?) {
        switch event {
        case .welcomed(let welcome): judge.agree(welcome.agreement(with: connection.hello), limit: peer.limit)
        case .requested:
            while let request = connection.answers?.next() { toAnswer.append(request.id) }
        case .cancelled(let id): toAnswer.removeAll { $0 == id }
        case .response(let id, _), .failure(let id, _):
            require(waiting.remove(id) != nil, "a second ending of \(id), or one that nobody waits for")
        case .ended:
            endings += 1
            require(endings == 1 && !hasLeft, "it ended twice")
        case .transfer(let progress):
            require(
                progress.bytes >= 0 && progress.bytes <= progress.total ?? .max && progress.elapsed >= .zero,
                "\(progress)")
        default: break
        }
    }

    /// A server that says no more is left, or dropped.
    mutating func prepareEnd() {
        while !toAnswer.isEmpty { answer(7) }
        guard leavesAtEnd, endings == 0 else { return }
        connection.close(at: now)
        hasLeft = true
    }

    func checkEnd(isRead: Bool) {
        require(endings == 1 || hasLeft, "nobody was told of the end")
        require(waiting.count == connection.unansweredCount, "requests were forgotten")
    }
}
