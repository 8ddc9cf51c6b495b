/// What is encoded is decoded as the same.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzRoundTrip(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    var script = Script(start, count)
    var sent: [Found] = []
    var outbox = Outbox()
    let side: Side = script.byte() & 1 == 0 ? .client : .server
    if side == .client {
        let hello = Hello(
            pingEvery: script.word(), deadAfter: script.word(), maxFrame: max(256, script.word()),
            maxMessage: script.word(),
            options: Options(token: script.take(Int(script.byte())), name: script.text(20), agent: script.text(40)))
        sent.append(.frame(.hello(hello)))
        outbox.greet(hello)
        outbox.setMaxFrame(256)
    } else {
        let deadAfter = max(100, script.word())
        let welcome = Welcome(
            pingEvery: max(20, min(deadAfter / 2, script.word())), deadAfter: deadAfter,
            maxFrame: max(256, script.word()), maxMessage: script.word(), maxInFlight: max(1, script.word()),
            maxQueued: script.word(), connection: UInt64(script.word()), options: Options(agent: script.text(60)))
        sent.append(.frame(.welcome(welcome)))
        outbox.greet(welcome, maxFrame: 256)
    }
    var stream: [UInt8] = []
    func flush() {
        while !outbox.isEmpty {
            stream += outbox.unsent
            outbox.wrote(outbox.unsent.count)
        }
    }
    flush()
    var id: UInt32 = 0
    while !script.isOver {
        switch script.byte() % 8 {
        case 0:
            let nonce = UInt64(script.word()) << 32 | UInt64(script.word())
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
        case 4...6:
            id += 1
            let message = Array(repeating: script.byte(), count: Int(script.byte()) * 5)
            let type: FrameType = side == .client ? .request : .response
            outbox.send(type, id: id, message[...], cost: message.count)
            sent.append(.message(type, id: id, message))
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
    sent.append(.frame(.close(close)))
    require(outbox.count == 0 && outbox.cost == 0, "something counts though all is sent")

    var decoder = FrameDecoder(from: side, maxFrame: 256, maxMessage: 1 << 20)
    var assembler = MessageAssembler()
    var offset = 0
    var got: [Found] = []
    do throws(Violation) {
        while let frame = try decoder.next(in: stream.span, at: &offset) {
            guard case .part(let part) = frame else {
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
