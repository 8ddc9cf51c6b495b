/// Why a message did not leave, or a topic was not subscribed to.
public enum TopicError: Error, Hashable, Sendable {
    /// The server was started without `ServerOptions.topics`.
    case noTopics
    /// The connection is SHORT, or a back-end's: nobody can reach it, so it has no topics.
    case notReachable
    /// The topic's name breaks the rules; with a sentence that says which.
    case badTopic(String)
    /// The message is longer than `most` bytes (`ServerOptions.maxMessage`).
    case tooLarge(most: Int)
    /// The connection has as many topics as it may have, `most`.
    case tooManyTopics(most: Int)
    /// The handler answers at once, and cannot wait for the router in the event loop. It may wait on a thread of
    /// `Connection.inBackground`.
    case handlerAnswersAtOnce
    /// The router has not answered, or has no room: it is busy, or is started anew. What was asked may have been done or not.
    case unavailable(String)
}

extension TopicError: CustomStringConvertible {
    /// The error for people.
    public var description: String {
        switch self {
        case .noTopics: "the server has no topics: start it with --topics"
        case .notReachable: "a SHORT connection has no topics: others reach long ones alone"
        case .badTopic(let text): text
        case .tooLarge(let most): "a message to others has at most \(most) bytes"
        case .tooManyTopics(let most): "a connection has at most \(most) topics"
        case .handlerAnswersAtOnce: "a handler that answers at once cannot wait for the router"
        case .unavailable(let text): text
        }
    }
}
