import Basics

/// What others have said to a connection, for its handler: publications that it looks at first, and gaps.
///
/// It is bounded: a publication for which there is no room is lost, and makes a gap.
final class HandlerNews {
    enum NewsItem: Sendable {
        case publication(Publication)
        case gap(MessageGap)
    }

    private static let most = 1000
    private static let mostBytes = 262_144
    /// What one takes beside its bytes.
    private static let cost = 128

    @exclusivity(unchecked) private var items: [NewsItem] = []
    @exclusivity(unchecked) private var head = 0
    /// What they take of memory, in bytes.
    @exclusivity(unchecked) private(set) var bytes = 0
    /// Whether the handler had news last, and what the client sends is its next.
    @exclusivity(unchecked) var wasLast = false

    var isEmpty: Bool { head == items.count }

    /// Adds a publication; false where there is no room.
    func add(_ publication: Publication) -> Bool {
        // One that is longer gets in when no other waits.
        let fits = isEmpty || bytes + publication.bytes.count <= HandlerNews.mostBytes
        guard fits, items.count - head < HandlerNews.most else { return false }
        append(.publication(publication), publication.bytes.count)
        return true
    }

    /// Adds a gap, or makes one longer behind which nothing of its topic has come.
    func add(_ gap: MessageGap) {
        for index in items.indices[head...].reversed() {
            switch items[index] {
            case .gap(let other) where other.topic == gap.topic:
                items[index] = .gap(MessageGap(topic: gap.topic, count: HandlerNews.sum(other.count, gap.count)))
                return
            case .publication(let publication) where publication.topic == gap.topic: return append(.gap(gap), 0)
            default: continue
            }
        }
        append(.gap(gap), 0)
    }

    private static func sum(_ one: Int?, _ other: Int?) -> Int? {
        guard let one, let other else { return nil }
        return one + other
    }

    private func append(_ item: NewsItem, _ length: Int) {
        items.append(item)
        bytes += length + HandlerNews.cost
    }

    /// Takes out the first.
    func removeFirst() -> NewsItem? {
        guard !isEmpty else { return nil }
        let item = items[head]
        head += 1
        bytes -= HandlerNews.cost
        if case .publication(let publication) = item { bytes -= publication.bytes.count }
        if head == items.count {
            items = []
            head = 0
        } else if head > 64, head > items.count / 2 {
            items.removeFirst(head)
            head = 0
        }
        return item
    }
}
