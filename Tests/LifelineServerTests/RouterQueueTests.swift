import struct RawWire.Seeded
import Testing

@testable import LifelineServer

/// A queue with the memory of its router, and the process that reads from it.
struct QueueConversation {
    var queue: RouterQueue
    var memory: RouterMemory
    private var reader = RecordReader<RouterDelivery>(most: 1 << 24)
    private var scratch: [UInt8] = []

    init(bytes: Int = 1 << 20, records: Int = 1000, total: Int = 64 << 20) {
        queue = RouterQueue(RouterLimits(maxMessage: 1 << 20, queueBytes: bytes, queueRecords: records))
        memory = RouterMemory(limit: total)
    }

    /// Adds a message to a topic, or to none, and returns how many are lost.
    @discardableResult
    mutating func publish(_ text: String, to topic: String?, connections: UInt64 = 1) -> UInt64 {
        let bytes = Array(text.utf8)[...]
        let name = topic.map { TopicName(checked: Array($0.utf8)) }
        let record: RoutedRecord
        if let name {
            record = RoutedRecord(.publication(name, from: 1, except: 0, bytes), .message(name))
        } else {
            record = RoutedRecord(.broadcast(from: 1, bytes), .message(nil))
        }
        return queue.append(message: record, connections: connections, &memory)
    }

    mutating func reply(_ call: UInt64) {
        queue.append(sure: RoutedRecord(.reply(call: call, .done(0)), .sure), &memory)
    }

    /// Takes up to `most` bytes, as the kernel does, and returns how many there were.
    mutating func write(most: Int = .max) -> [UInt8] {
        let unsent = Array(queue.unsent(&scratch, &memory).prefix(most))
        if !unsent.isEmpty { queue.wrote(unsent.count, &memory) }
        return unsent
    }

    /// All that waits, or what the kernel takes in `writes` writes of up to `most` bytes, as short texts.
    mutating func read(writes: Int = .max, most: Int = .max) throws -> [String] {
        var texts: [String] = []
        var left = writes
        while left > 0, !queue.isEmpty {
            left -= 1
            reader.append(write(most: most))
            while let delivery = try reader.next() { texts.append(short(delivery)) }
        }
        return texts
    }

    private func short(_ delivery: RouterDelivery) -> String {
        switch delivery {
        case .publication(let topic, _, _, let bytes): "\(topic.text):\(String(decoding: bytes, as: UTF8.self))"
        case .broadcast(_, let bytes): "all:\(String(decoding: bytes, as: UTF8.self))"
        case .message(let to, _, let bytes): "\(to):\(String(decoding: bytes, as: UTF8.self))"
        case .gap(let topic, let count): "gap \(topic?.text ?? "-") \(count)"
        case .reply(let call, _): "reply \(call)"
        default: "\(delivery)"
        }
    }
}

@Suite("What waits in the router for a process")
struct RouterQueueTests {
    @Test(
        "Records come out in the order in which they came, however little the kernel takes",
        arguments: [1, 5, 64, .max])
    func order(most: Int) throws {
        var conversation = QueueConversation()
        var expected: [String] = []
        for number in 0..<50 {
            conversation.publish("\(number)", to: number % 3 == 0 ? nil : "t\(number % 3)")
            conversation.reply(UInt64(number))
            expected += [number % 3 == 0 ? "all:\(number)" : "t\(number % 3):\(number)", "reply \(number)"]
        }
        #expect(try conversation.read(most: most) == expected)
        #expect(conversation.memory.bytes == 0)
    }

    @Test("A full queue drops the oldest message, and a gap stands in its place")
    func gaps() throws {
        var conversation = QueueConversation(records: 3)
        conversation.reply(1)
        #expect(conversation.publish("1", to: "a", connections: 7) == 0)
        conversation.reply(2)
        #expect(conversation.publish("1", to: "b") == 0)
        #expect(conversation.publish("2", to: "a") == 0)
        #expect(conversation.publish("3", to: "a", connections: 2) == 7)
        #expect(try conversation.read() == ["reply 1", "gap a 1", "reply 2", "b:1", "a:2", "a:3"])
        #expect(conversation.memory.bytes == 0)
    }

    @Test("One gap counts all that a topic has lost up to its next message")
    func countedGaps() throws {
        var conversation = QueueConversation(records: 2)
        for number in 1...10 {
            conversation.publish("\(number)", to: "a")
            if number % 2 == 0 { conversation.publish("\(number)", to: nil) }
        }
        conversation.reply(1)
        #expect(try conversation.read() == ["gap a 9", "gap - 4", "a:10", "all:10", "reply 1"])
        // The next gap begins anew.
        for number in 1...3 { conversation.publish("\(number)", to: "a") }
        #expect(try conversation.read() == ["gap a 1", "a:2", "a:3"])
        #expect(conversation.memory.bytes == 0)
    }

    @Test("A message that is begun is written to its end, and no gap comes before it")
    func begun() throws {
        var conversation = QueueConversation(bytes: 100, records: 1)
        conversation.publish(String(repeating: "x", count: 40_000), to: "a")
        _ = try conversation.read(writes: 1, most: 10_000)
        for number in 1...3 { conversation.publish("\(number)", to: "a") }
        let texts = try conversation.read()
        #expect(texts.map { $0.prefix(8) } == ["a:xxxxxx", "gap a 2", "a:3"])
        #expect(texts[0].count == 40_002)
        #expect(conversation.memory.bytes == 0)
    }

    @Test("The bytes of messages are bounded, and a message that is longer than the queue gets in alone")
    func bytes() throws {
        var conversation = QueueConversation(bytes: 1000)
        for _ in 0..<100 { conversation.publish(String(repeating: "y", count: 300), to: "a") }
        #expect(conversation.memory.bytes < 1500)
        conversation.publish(String(repeating: "z", count: 2000), to: "b")
        conversation.reply(3)
        #expect(try conversation.read().map { $0.prefix(8) } == ["gap a 10", "b:zzzzzz", "reply 3"])
    }

    @Test("Where the router has little room left, each queue is a quarter as long")
    func scarce() throws {
        var conversation = QueueConversation(bytes: 4000, total: 3000)
        for _ in 0..<20 { conversation.publish(String(repeating: "y", count: 180), to: "a") }
        #expect((700...1200).contains(conversation.memory.bytes))
        conversation.queue.removeAll(&conversation.memory)
        #expect(conversation.memory.bytes == 0)
        #expect(conversation.queue.isEmpty)
    }

    @Test("Replies are never dropped; a process that takes not even them is broken")
    func sure() throws {
        var conversation = QueueConversation(records: 1)
        for call in 1...UInt64(RouterLimits.mostSure) {
            conversation.reply(call)
            if call % 100 == 0 { conversation.publish("\(call)", to: "a") }
        }
        #expect(!conversation.queue.isBroken)
        conversation.reply(0)
        #expect(conversation.queue.isBroken)
        let texts = try conversation.read()
        #expect(texts.count == RouterLimits.mostSure + 3)
        #expect(texts[100] == "gap a 99")
        #expect(!conversation.queue.isBroken)
    }

    @Test("Many queues have a record once, and messages to several connections their payload once")
    func sharedMemory() {
        let limits = RouterLimits(maxMessage: 1 << 20)
        var memory = RouterMemory(limit: 1 << 30)
        var queues = (0..<100).map { _ in RouterQueue(limits) }
        let bytes = [UInt8](repeating: 1, count: 10_000)[...]
        let (record, payload) = (RoutedRecord(.broadcast(from: 1, bytes), .message(nil)), RoutedPayload(bytes))
        for index in queues.indices {
            _ = queues[index].append(message: record, connections: 1, &memory)
            let message = RoutedRecord(to: [UInt64(index)], from: 1, payload)
            _ = queues[index].append(message: message, connections: 1, &memory)
        }
        #expect(memory.bytes < 20_100 + 100 * 100)
        for index in queues.indices { queues[index].removeAll(&memory) }
        #expect(memory.bytes == 0)
    }

    @Test("Random traffic: order for each topic, and messages and gaps add up", arguments: Array(UInt64(0)..<20))
    func random(seed: UInt64) throws {
        var random = Seeded(seed)
        var conversation = QueueConversation(
            bytes: Int.random(in: 50...3000, using: &random), records: Int.random(in: 1...20, using: &random))
        var published: [String: Int] = [:]
        var seen: [String: Int] = [:]
        var lost: UInt64 = 0
        var gaps: UInt64 = 0
        func check(_ texts: [String]) {
            for text in texts where !text.hasPrefix("reply") {
                if text.hasPrefix("gap") {
                    let parts = text.split(separator: " ")
                    seen[String(parts[1]), default: 0] += Int(parts[2])!
                    gaps += UInt64(parts[2])!
                } else {
                    // A message stands where it and all that were lost before it put it.
                    let parts = text.split(separator: ":")
                    let topic = parts[0] == "all" ? "-" : String(parts[0])
                    seen[topic, default: 0] += 1
                    #expect(Int(parts[1].prefix { $0 != "x" }) == seen[topic])
                }
            }
        }
        for _ in 0..<500 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0: conversation.reply(1)
            case 1:
                check(
                    try conversation.read(
                        writes: Int.random(in: 1...3, using: &random), most: Int.random(in: 1...500, using: &random)))
            default:
                let topic = ["a", "b", "c", nil].randomElement(using: &random)!
                published[topic ?? "-", default: 0] += 1
                let text =
                    "\(published[topic ?? "-"]!)"
                    + String(repeating: "x", count: Int.random(in: 0...200, using: &random))
                lost += conversation.publish(text, to: topic)
            }
        }
        check(try conversation.read(most: 33))
        #expect(seen == published)
        #expect(gaps == lost)
        #expect(conversation.memory.bytes == 0)
    }
}
