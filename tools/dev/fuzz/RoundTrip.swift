/// What is encoded is decoded as the same, behind a send window too, whatever its round trips.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzRoundTrip(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    var script = Script(start, count)
    var sent: [Found] = []
    var outbox = Outbox()
    let setting = script.byte()
    let side: Side = setting & 1 == 0 ? .client : .server
    if side == .client {
        let hello = Hello(
            pingEvery: script.word(), deadAfter: script.word(), maxFrame: max(256, script.word()),
            maxMessage: script.word(),
            options: Options(
                token: script.take(Int(script.byte())), name: script.text(20), agent: script.text(40),
                credit: setting & 32 == 0 ? nil : UInt64(script.word()) << 20,
                answers: setting & 64 == 0
                    ? nil : AnswerTerms(maxInFlight: max(1, script.word()), maxQueued: script.word())))
        sent.append(.frame(.hello(hello)))
        outbox.greet(hello)
        outbox.setMaxFrame(256)
    } else {
        let deadAfter = max(100, script.word())
        let welcome = Welcome(
            pingEvery: max(20, min(deadAfter / 2, script.word())), deadAfter: deadAfter,
            maxFrame: max(256, script.word()), maxMessage: script.word(), maxInFlight: max(1, script.word()),
            maxQueued: script.word(), connection: UInt64(script.word()),
            options: Options(
                agent: script.text(60), credit: setting & 32 == 0 ? nil : UInt64(script.word()) << 20))
        sent.append(.frame(.welcome(welcome)))
        outbox.greet(welcome, maxFrame: 256)
    }
    var stream: [UInt8] = []
    /// The last PING of the script, or of the window, whose PINGs have odd nonces.
    var nonce: UInt64 = 0
    var proved: UInt64 = 0
    var now = Instant(sinceStart: .zero)
    func flush() {
        while true {
            while outbox.wantsPing {
                nonce += nonce & 1 == 0 ? 1 : 2
                outbox.ping(nonce)
            }
            guard outbox.isEmpty else {
                stream += outbox.unsent
                outbox.wrote(outbox.unsent.count)
                continue
            }
            guard outbox.isHeldBack else { return }
            require(nonce > proved, "what waits for a PONG has no PING before it")
            proved = nonce
            let trip = setting & 4 == 0 ? Duration.microseconds(Int(script.word() >> 8)) : .milliseconds(1)
            now = now + trip
            require(
                outbox.proved(nonce, roundTrip: setting & 8 == 0 ? trip : nil, at: now), "a PONG opens no window")
            require((2048...(1 << 30)).contains(outbox.window.limit), "a window of \(outbox.window.limit) bytes")
        }
    }
    flush()
    if setting & 2 != 0 {
        let trip = setting & 16 == 0 ? nil : Duration.microseconds(Int(script.word() >> 8))
        outbox.startWindow(deadAfter: 100 + script.word() >> 12, roundTrip: trip)
    }
    var id: UInt32 = 0
    var credit = Credit(limit: 0, handled: 0)
    while !script.isOver {
        switch script.byte() % 8 {
        case 0:
            nonce = (nonce & ~1) + 2 * UInt64(script.word()) + 2
            outbox.ping(nonce)
            sent.append(.frame(.ping(nonce: nonce)))
        case 1:
            let pong = Pong(
                nonce: UInt64(script.word()), queued: script.word(), inFlight: script.word(), longest: script.word())
            outbox.answer(with: pong)
            sent.append(.frame(.pong(pong)))
        case 2 where side == .server:
            let failure = Failure(
                Code(rawValue: UInt16(script.byte())), script.text(80), retryAfter: script.word())
            id += 1
            outbox.fail(id, failure)
            sent.append(.frame(.failure(id: id, failure)))
        case 2:
            guard id > 0 else { continue }
            outbox.cancel(id)
            sent.append(.frame(.cancel(id: id)))
        case 3 where side == .server:
            let goAway = GoAway(
                Code(rawValue: UInt16(script.byte())), script.text(80), retryAfter: script.word(), spread: script.word()
            )
            outbox.goAway(goAway)
            sent.append(.frame(.goAway(goAway)))
        case 3:
            credit = Credit(
                limit: credit.limit + UInt64(script.word()) << 20, handled: credit.handled + UInt64(script.byte()))
            outbox.grant(credit)
            sent.append(.frame(.credit(credit)))
        case 4...6:
            id += 1
            let message = Array(repeating: script.byte(), count: Int(script.byte()) * (setting & 2 == 0 ? 5 : 32))
            let type: FrameType = side == .client ? .request : .response
            outbox.send(type, id: id, message[...], cost: message.count)
            sent.append(.message(type, id: id, message))
        case 7 where script.byte() < 16: outbox.stopWindow()
        default:
            let message = script.take(Int(script.byte()))
            outbox.send(.message, message[...], cost: message.count)
            sent.append(.message(.message, id: 0, message))
        }
        flush()
    }
    let close = Close(.busy, "the end", lastID: side == .client ? 0 : id, retryAfter: 7)
    outbox.close(close)
    flush()
    require(outbox.isDone && outbox.endsWithClose, "something waits though all is answered")
    sent.append(.frame(.close(close)))
    require(outbox.count == 0 && outbox.cost == 0, "something counts though all is sent")

    var decoder = FrameDecoder(from: side, maxFrame: 256, maxMessage: 1 << 20)
    decoder.agreement.credit = true
    var assembler = MessageAssembler()
    var offset = 0
    var got: [Found] = []
    do throws(Violation) {
        while let frame = try decoder.next(in: stream.span, at: &offset) {
            guard case .part(let part) = frame else {
                if case .ping(let nonce) = frame, nonce & 1 == 1 { continue }
                got.append(.frame(frame))
                continue
            }
            if let message = assembler.add(part, of: stream) {
                got.append(.message(part.type, id: part.id, Array(message)))
            }
        }
    } catch {
        fatalError("\(error)")
    }
    require(got == sent, "not the same")
    return 0
}
