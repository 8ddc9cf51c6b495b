import Framing
import Basics

// What other connections and back-ends say to this one. A connection that nobody says anything to has `news` nil.
extension ServerConnection {
    /// A message of others has come. The handler looks at it first where `handlerSees` is true; else the client gets it now, or
    /// never: one that has no room loses it.
    mutating func deliver(_ publication: Publication, to hearing: NewsHearing, at now: Instant) {
        guard !isClosing else { return }
        guard hearing == .all else { return forward(publication.bytes, topic: publication.topic, to: hearing, at: now) }
        if !makeNews().add(publication) { lost(topic: publication.topic, hearing) }
    }

    /// Sends the client a message of others, if it has room.
    mutating func forward(_ bytes: ArraySlice<UInt8>, topic: String?, to hearing: NewsHearing, at now: Instant) {
        guard !isClosing, !send(bytes, at: now) else { return }
        lost(topic: topic, hearing)
    }

    private mutating func lost(topic: String?, _ hearing: NewsHearing) {
        counts.lost += 1
        missed(MessageGap(topic: topic, count: 1), hearing)
    }

    /// Messages of others were lost.
    mutating func missed(_ gap: MessageGap, _ hearing: NewsHearing) {
        if hearing != .nothing, !isClosing { makeNews().add(gap) }
    }

    private mutating func makeNews() -> HandlerNews {
        if let news { return news }
        let made = HandlerNews()
        news = made
        return made
    }

    /// The next of the news, once the handler has returned from the last event. The client's own messages and requests come
    /// in turn with them.
    mutating func nextNews() -> Event? {
        guard let news, !news.isEmpty, !isHandlerBusy, !isClosing else { return nil }
        guard !news.wasLast || requests.hasDispatchedAll else {
            news.wasLast = false
            return nil
        }
        news.wasLast = true
        return news.removeFirst().map {
            requests.dispatchNews()
            return .news($0)
        }
    }
}

/// What of the news a connection's runner brings to its handler.
enum NewsHearing {
    /// A program: nothing.
    case nothing
    /// What was lost.
    case gaps
    /// Publications before the client gets them, and what was lost.
    case all
}
