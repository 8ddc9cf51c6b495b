import struct RawWire.Seeded
import Testing

@testable import Framing

/// What went into an outbox and what came out of it, decoded as the peer would.
private struct Model {
    var outbox = Outbox()
    let sender: Side
    private var decoder: FrameDecoder
    private var assembler = MessageAssembler()
    private(set) var came: [Found] = []
    /// What must come, in order; PINGs, PONGs, CANCELs and GOAWAYs have an order of their own.
    private(set) var queued: [(found: Found, cost: Int, hasID: Bool)] = []
    private(set) var overtaking: [Found] = []
    private(set) var lastPong: UInt64 = 0
    private var nextID: UInt32 = 1
    private var nextNonce: UInt64 = 1

    init(from sender: Side) {
        self.sender = sender
        decoder = FrameDecoder(from: sender, maxFrame: 16384, maxMessage: 1 << 20)
        if sender == .server {
            outbox.greet(negotiate(Hello(), with: Terms(), connection: 1), maxFrame: 16384)
        } else {
            outbox.greet(Hello())
            outbox.setMaxFrame(16384)
        }
    }

    mutating func step(_ random: inout Seeded) throws {
        switch Int.random(in: 0..<12, using: &random) {
        case 0, 1, 2:
            let most = [0, 10, 300, 16384, 16385, 60_000].randomElement(using: &random)!
            let bytes = filled(Int.random(in: 0...most, using: &random), Int(nextID))
            let type: FrameType = Bool.random(using: &random) ? .message : sender == .server ? .response : .request
            let id = type == .message ? 0 : nextID
            nextID += 1
            outbox.send(type, id: id, bytes[...], cost: bytes.count)
            queued.append((.message(type, id: id, bytes), bytes.count, id != 0))
        case 3 where sender == .server:
            outbox.fail(nextID, Failure(.refused, "\(nextID)"))
            queued.append((.frame(.failure(id: nextID, Failure(.refused, "\(nextID)"))), 0, true))
            nextID += 1
        case 3:
            guard let waiting = queued.dropFirst(ended).randomElement(using: &random)?.found,
                case .message(.request, let id, _) = waiting, outbox.withdraw(id)
            else { return }
            queued.removeAll { $0.found == waiting }
        case 4:
            outbox.ping(nextNonce)
            overtaking.append(.frame(.ping(nonce: nextNonce)))
            nextNonce += 1
        case 5:
            lastPong += 1
            outbox.answer(with: Pong(nonce: lastPong))
        default:
            let most = [1, 20, 3000, 20_000, 100_000].randomElement(using: &random)!
            try take(Int.random(in: 0...most, using: &random))
        }
    }

    /// The kernel takes up to `most` bytes, and the peer reads them.
    mutating func take(_ most: Int) throws {
        let piece = Array(outbox.unsent.prefix(most))
        outbox.wrote(piece.count)
        var offset = 0
        while let frame = try decoder.next(in: piece.span, at: &offset) {
            if case .part(let part) = frame {
                if let bytes = assembler.add(part, of: piece) {
                    came.append(.message(part.type, id: part.id, Array(bytes)))
                }
            } else {
                came.append(.frame(frame))
            }
        }
    }

    /// How many of what was queued have come whole.
    var ended: Int { came.count { Model.isQueued($0) } }

    static func isQueued(_ found: Found) -> Bool {
        switch found {
        case .message, .frame(.failure): true
        default: false
        }
    }

    /// What the outbox counts is what has not come.
    func checkCounts() {
        let pending = queued.dropFirst(ended)
        #expect(outbox.count == pending.count { $0.hasID })
        #expect(outbox.cost == pending.reduce(0) { $0 + $1.cost })
    }

    func checkOrder() {
        let arrived = came.filter { Model.isQueued($0) }
        #expect(arrived == queued.prefix(ended).map(\.found), "in order, each once")
    }
}

@Suite("What goes into an outbox comes out of it")
struct OutboxModelTests {
    @Test("Random operations, ended by CLOSE: everything arrives, in order", arguments: [Side.server, .client])
    func everything(sender: Side) throws {
        for seed: UInt64 in 0..<25 {
            var random = Seeded(seed)
            var model = Model(from: sender)
            for _ in 0..<60 {
                try model.step(&random)
                model.checkCounts()
            }
            let lastPong = model.lastPong
            // The PONG that is owed is not promised behind a CLOSE.
            while !model.outbox.isEmpty { try model.take(.max) }
            model.outbox.close(Close(.normal))
            while !model.outbox.isEmpty { try model.take(500) }
            model.checkCounts()
            model.checkOrder()
            #expect(model.ended == model.queued.count)
            #expect(model.came.last == .frame(.close(Close(.normal))))
            let pings = model.came.filter { if case .frame(.ping) = $0 { true } else { false } }
            #expect(pings == model.overtaking)
            let pongs = model.came.compactMap { if case .frame(.pong(let pong)) = $0 { pong.nonce } else { nil } }
            #expect(pongs == pongs.sorted() && Set(pongs).count == pongs.count)
            #expect((pongs.last ?? 0) == lastPong)
        }
    }

    @Test("Random operations, ended by a drop: whole frames in order, then CLOSE", arguments: [Side.server, .client])
    func dropped(sender: Side) throws {
        for seed: UInt64 in 100..<140 {
            var random = Seeded(seed)
            var model = Model(from: sender)
            for _ in 0..<40 { try model.step(&random) }
            let before = model.outbox.unsent.count
            model.outbox.cutOff(Close(.silent))
            #expect(model.outbox.unsent.count <= before + 24 + 8)
            while !model.outbox.isEmpty { try model.take(777) }
            #expect(model.came.last == .frame(.close(Close(.silent))))
            #expect(model.outbox.count == 0 && model.outbox.cost == 0)
            let arrived = model.came.filter { Model.isQueued($0) }
            #expect(arrived == model.queued.prefix(arrived.count).map(\.found))
        }
    }
}
