import Basics
import Testing

@testable import LifelineServer

@Suite("Topics: what a process knows of its own connections")
struct LocalTopicTests {
    private let room = TopicName(checked: text("room"))

    private func member(_ connection: UInt64) -> Member {
        Member(connection: connection, name: nil, tokenName: nil, peer: "127.0.0.1:1")
    }

    private func topics(_ connections: ClosedRange<UInt64>) -> LocalTopics {
        var topics = LocalTopics()
        for connection in connections { topics.register(member(connection), place: Int(connection)) }
        return topics
    }

    @Test("A connection subscribes once to a topic, up to the most, and only while it is registered")
    func subscribes() {
        var topics = topics(1...2)
        #expect(topics.subscribe(1, to: room, most: 1) == .new)
        #expect(topics.subscribe(1, to: room, most: 1) == .existing)
        #expect(topics.subscribe(1, to: TopicName(checked: text("hall")), most: 1) == .tooMany)
        #expect(topics.subscribe(3, to: room, most: 1) == .unknownConnection)
        #expect(topics.subscribe(2, to: room, most: 1) == .new)
        #expect(topics.subscribers == [room: [1, 2]])
    }

    @Test("What ends leaves nothing: neither the topic of the last subscriber nor those of a connection that is over")
    func ends() {
        var topics = topics(1...2)
        for connection: UInt64 in 1...2 { _ = topics.subscribe(connection, to: room, most: 9) }
        #expect(topics.unsubscribe(1, from: room) && !topics.unsubscribe(1, from: room))
        #expect(topics.subscribers == [room: [2]] && topics.members[1]?.topics == [])
        #expect(topics.unregister(2) && !topics.unregister(2))
        #expect(topics.subscribers.isEmpty && topics.unregister(1) && topics.members.isEmpty)
    }

    @Test("A delivery to many is handed out in slices, but for one connection, and keeps its place before the next")
    func slices() {
        var deliveries = LocalDeliveries()
        let everyone = Set<UInt64>(1...10)
        deliveries.add(.end("first"), to: everyone, except: 3)
        deliveries.add(.end("second"), to: everyone)
        deliveries.add(.end("none"), to: [])
        var seen: [String: [UInt64]] = [:]
        var order: [String] = []
        while !deliveries.isEmpty {
            let slice = deliveries.takeSlice(4)
            #expect(slice.count <= 4)
            for case (let connection, .end(let text)) in slice {
                seen[text, default: []].append(connection)
                order.append(text)
            }
        }
        #expect(seen["first"]?.sorted() == [1, 2, 4, 5, 6, 7, 8, 9, 10] && seen["second"]?.sorted() == Array(1...10))
        #expect(order == Array(repeating: "first", count: 9) + Array(repeating: "second", count: 10))
    }

    @Test("No more is read once 64 deliveries to many wait")
    func bounded() {
        var deliveries = LocalDeliveries()
        for _ in 0..<63 { deliveries.add(.end(""), to: [1, 2]) }
        #expect(deliveries.hasRoom)
        deliveries.add(.end(""), to: [1, 2])
        #expect(!deliveries.hasRoom)
        _ = deliveries.takeSlice(2)
        #expect(deliveries.hasRoom)
    }

    @Test(
        "A router is forked after 50 ms, twice as long each time up to 2 s, and at once again when one has lived for 10 s"
    )
    func pauses() {
        var pause = RouterPause()
        #expect(pause.isOver(at: at(0)))
        var now = at(0)
        var pauses: [Double] = []
        for _ in 0..<8 {
            pause.began(at: now)
            pause.ended(at: now)
            guard let until = pause.until else { continue }
            pauses.append((until - now) / .milliseconds(1))
            #expect(!pause.isOver(at: now) && pause.isOver(at: until))
            now = until
        }
        #expect(pauses == [50, 100, 200, 400, 800, 1600, 2000, 2000])
        pause.began(at: now)
        now = now + .seconds(10)
        pause.ended(at: now)
        #expect(pause.until == now + .milliseconds(50))
    }
}
