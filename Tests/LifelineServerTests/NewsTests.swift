import Basics
import Framing
import Testing

@testable import LifelineServer

@Suite("Topics: what others say to a connection")
struct NewsTests {
    private func publication(_ string: String, topic: String? = "room") -> Publication {
        Publication(topic: topic, bytes: text(string)[...], publisher: 9)
    }

    @Test("The client gets a publication as a message at once, whatever the handler does")
    func direct() {
        var conversation = Conversation.opened(echoes: false)
        conversation.receive(request(1, "slow"))
        conversation.connection.deliver(publication("hello"), to: .gaps, at: conversation.now)
        conversation.settle()
        #expect(conversation.said() == ["MESSAGE hello"])
        #expect(conversation.connection.counts.lost == 0)
    }

    @Test(
        "A client without room loses a publication; the handler hears of it once it has returned, once for each topic")
    func lost() {
        let terms = Terms(maxMessage: 100, maxQueued: 100)
        var conversation = Conversation.opened(terms, echoes: false)
        conversation.takes = false
        conversation.receive(request(1, "slow"))
        for index in 0..<30 {
            conversation.connection.deliver(
                publication("0123456789", topic: index < 20 ? "room" : nil), to: .gaps, at: conversation.now)
        }
        let lost = conversation.connection.counts.lost
        // 100 bytes are four messages of 10, each of which costs 22, and one that may begin.
        #expect(lost == 25)
        #expect(conversation.seen == [.opened, .request(1, "slow")])
        conversation.answer(1, "done")
        #expect(
            conversation.seen.suffix(2) == [
                .gap(MessageGap(topic: "room", count: 15)), .gap(MessageGap(topic: nil, count: 10)),
            ])
    }

    @Test("Where nobody hears of gaps, as with a program, none waits")
    func unheard() {
        var conversation = Conversation.opened(Terms(maxMessage: 100, maxQueued: 100))
        conversation.takes = false
        for _ in 0..<30 {
            conversation.connection.deliver(publication("0123456789"), to: .nothing, at: conversation.now)
        }
        #expect(conversation.connection.counts.lost == 25 && conversation.connection.news == nil)
    }

    @Test("A handler that looks first has publications in turn with what its client asks")
    func seen() {
        var conversation = Conversation.opened(echoes: false)
        conversation.receive(request(1, "a"), request(2, "b"), message("c"))
        for string in ["x", "y"] {
            conversation.connection.deliver(publication(string), to: .all, at: conversation.now)
        }
        conversation.answer(1, "")
        conversation.answer(2, "")
        conversation.settle()
        #expect(
            conversation.seen == [
                .opened, .request(1, "a"), .publication("x"), .request(2, "b"), .publication("y"), .message("c"),
            ])
    }

    @Test("What waits for the handler is bounded by number and by bytes, and held by the connection")
    func bounds() {
        let news = HandlerNews()
        for index in 0..<1000 { #expect(news.add(publication("\(index)"))) }
        #expect(!news.add(publication("one more")))
        while news.removeFirst() != nil {}
        #expect(news.bytes == 0 && news.isEmpty)
        let long = Publication(topic: nil, bytes: zeros(100_000)[...], publisher: 1)
        #expect(news.add(long) && news.add(long) && !news.add(long))
        #expect(news.bytes >= 200_000)
    }

    @Test("A gap stands between what came before it and what came after; gaps of a topic side by side are one")
    func gaps() {
        let news = HandlerNews()
        _ = news.add(publication("1"))
        news.add(MessageGap(topic: "room", count: 2))
        news.add(MessageGap(topic: "hall", count: 1))
        news.add(MessageGap(topic: "room", count: 3))
        _ = news.add(publication("2"))
        news.add(MessageGap(topic: "room", count: 1))
        news.add(MessageGap(topic: "room", count: nil))
        var seen: [String] = []
        while let item = news.removeFirst() {
            switch item {
            case .publication(let publication): seen.append(publication.text)
            case .gap(let gap): seen.append("\(gap.topic ?? "-"):\(gap.count.map(String.init) ?? "?")")
            }
        }
        #expect(seen == ["1", "room:5", "hall:1", "2", "room:?"])
    }

    @Test("A connection that is closing gets nothing more, and nothing is counted as lost")
    func closing() {
        var conversation = Conversation.opened()
        conversation.connection.kick("enough", at: conversation.now)
        conversation.settle()
        #expect(conversation.said().contains { $0.hasPrefix("CLOSE") })
        conversation.connection.deliver(publication("late"), to: .all, at: conversation.now)
        #expect(conversation.connection.counts.lost == 0 && conversation.connection.news == nil)
    }
}
