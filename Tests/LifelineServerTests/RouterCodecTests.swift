import Framing
import struct RawWire.Seeded
import Testing

@testable import LifelineServer

@Suite("Records between processes and the router")
struct RouterCodecTests {
    static let topic = TopicName(checked: Array("röom/1".utf8))
    static let longTopic = TopicName(checked: Array(repeating: 0x61, count: TopicName.longest))
    static let bytes = Array("hello".utf8)[...]
    static let recipients: [Recipient] = [.connection(.max), .name("änne"), .token(""), .all]
    static let alice = Member(connection: 7, name: "alice", tokenName: "a", peer: "[::1]:7")
    static let outcomes: [RelayedOutcome] = [
        .answer([]), .answer(bytes), .failed(Failure(.busy, "später", retryAfter: 5)),
        .failed(Failure(Code(rawValue: 9999))), .notSent("no"), .refused(""), .unknown("?"),
    ]

    static let commands: [RouterCommand] =
        [
            .register(alice), .register(Member(connection: 0, name: nil, tokenName: nil, peer: "")), .unregister(3),
            .subscribe(call: 1, connection: 2, topic), .unsubscribe(call: .max, connection: 0, longTopic),
            .publish(call: 1, from: 2, topic, includesSelf: true, bytes),
            .publish(call: 0, from: 2, longTopic, includesSelf: false, []), .giveUp(call: 4),
            .members(call: 5, topic), .members(call: 5, nil), .topics(call: 6),
        ]
        + recipients.flatMap { recipient -> [RouterCommand] in
            [
                .send(call: 1, from: 2, recipient, bytes), .request(call: 3, recipient, timeout: 4, bytes),
                .count(call: 5, recipient), .disconnect(call: 6, recipient, "geh"),
                .enroll(call: 7, recipient, topic, isOn: true), .enroll(call: 7, recipient, topic, isOn: false),
            ]
        } + outcomes.map { .answered(ask: 9, $0) }

    static let deliveries: [RouterDelivery] =
        [
            .publication(topic, from: 1, except: 0, bytes), .publication(longTopic, from: 1, except: 1, []),
            .message(to: [1, .max], from: 2, bytes), .message(to: [], from: 2, []), .broadcast(from: 3, bytes),
            .gap(topic, 3), .gap(nil, 1), .ask(1, connection: 2, timeout: 3, bytes), .giveUp(ask: 1, connection: 2),
            .end([1, 2, 3], "bye"), .enroll([4], topic, isOn: true), .enroll([], topic, isOn: false),
        ]
        + [
            RouterReply.done(3), .members([]), .members([alice, alice]), .topics([]),
            .topics([TopicCount(topic: topic, subscribers: 4)]), .unavailable("full"),
        ].map { .reply(call: 11, $0) } + outcomes.map { .reply(call: 12, .outcome($0)) }

    /// All records of `bytes`, given in pieces of up to `step` bytes.
    private func read<Record: RouterRecord>(
        _ bytes: [UInt8], step: Int, as type: Record.Type = Record.self
    ) throws(RecordFault) -> [Record] {
        var reader = RecordReader<Record>(most: 1 << 16)
        var records: [Record] = []
        var index = 0
        while index < bytes.count {
            let end = min(index + step, bytes.count)
            reader.append(bytes[index..<end])
            while let record = try reader.next() { records.append(record) }
            index = end
        }
        return records
    }

    @Test("Each record comes back as it was, however its bytes are cut", arguments: [1, 3, 7, 100_000])
    func roundTrips(step: Int) throws {
        #expect(try read(Self.commands.flatMap { $0.encoded() }, step: step) == Self.commands)
        #expect(try read(Self.deliveries.flatMap { $0.encoded() }, step: step) == Self.deliveries)
    }

    @Test("A record takes the memory that was reserved for it, and no more")
    func room() {
        for record in Self.commands.map({ $0.encoded() }) + Self.deliveries.map({ $0.encoded() }) {
            // An array has a little more room than was asked for, and twice as much after it has grown.
            #expect(record.capacity <= record.count + 32)
        }
    }

    @Test("A record that ends too early or too late is a fault")
    func truncated() {
        for record in Self.commands {
            let body = record.encoded()[4...]
            for count in 1..<body.count {
                // What is left of a payload is a payload, so some of these are records. None may trap.
                _ = try? read(
                    [0, 0, UInt8(count >> 8), UInt8(count & 0xFF)] + body.prefix(count), step: 9, as: RouterCommand.self
                )
            }
        }
        #expect(throws: RecordFault.self) { try read([0, 0, 0, 2, 2, 0], step: 9, as: RouterCommand.self) }
        #expect(throws: RecordFault("a record has 1 bytes behind its last field")) {
            try read([0, 0, 0, 10, 2, 0, 0, 0, 0, 0, 0, 0, 1, 9], step: 99, as: RouterCommand.self)
        }
        #expect(throws: RecordFault("no command has the kind 99")) {
            try read([0, 0, 0, 1, 99], step: 9, as: RouterCommand.self)
        }
        #expect(throws: RecordFault("a record has no bytes, and its kind takes one")) {
            try read([0, 0, 0, 0], step: 9, as: RouterDelivery.self)
        }
    }

    @Test("The length of a record, and of a list in it, is judged before it is believed")
    func lengths() throws {
        var reader = RecordReader<RouterDelivery>(most: 100)
        reader.append([0, 0, 0, 101])
        #expect(throws: RecordFault("a record of 101 bytes has begun, and at most 100 are possible")) {
            try reader.next()
        }
        #expect(throws: RecordFault.self) {
            try read([0, 0, 0, 5, 2, 0xFF, 0xFF, 0xFF, 0xFF], step: 9, as: RouterDelivery.self)
        }
    }

    @Test("A record is not there before its last byte, and a reader that has given all back holds nothing")
    func waiting() throws {
        var reader = RecordReader<RouterCommand>(most: 100)
        let record = RouterCommand.unregister(5).encoded()
        for byte in record.dropLast() {
            reader.append([byte])
            #expect(try reader.next() == nil)
        }
        #expect(reader.count == record.count - 1)
        reader.append(record.suffix(1))
        #expect(try reader.next() == .unregister(5))
        #expect(try reader.next() == nil)
        #expect(reader.count == 0)
    }

    @Test("No bytes make a reader trap", arguments: Array(UInt64(0)..<8))
    func garbage(block: UInt64) {
        for seed in (block * 200)..<(block * 200 + 200) {
            var random = Seeded(seed)
            var bytes: [UInt8] = []
            for _ in 0..<20 {
                // Records with a few wrong bytes, and records of nothing but noise with a length that is right.
                var record =
                    Bool.random(using: &random)
                    ? Self.commands.randomElement(using: &random)!.encoded()
                    : Self.deliveries.randomElement(using: &random)!.encoded()
                for _ in 0..<Int.random(in: 0...3, using: &random) {
                    record[Int.random(in: 4..<record.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
                }
                if Int.random(in: 0..<4, using: &random) == 0 {
                    for index in 5..<record.count { record[index] = UInt8.random(in: 0...8, using: &random) }
                }
                bytes += record
            }
            _ = try? read(bytes, step: Int.random(in: 1...200, using: &random), as: RouterCommand.self)
            _ = try? read(bytes, step: Int.random(in: 1...200, using: &random), as: RouterDelivery.self)
        }
    }
}
