import Framing
import Posix

/// The answer to a request (Protocol.md, section 4.6).
public struct Response {
    enum Body {
        case bytes(ArraySlice<UInt8>)
        case parts((Parts) throws(Failure) -> Void)
    }

    let body: Body

    /// Sends `bytes`.
    public init(_ bytes: [UInt8]) { self.init(bytes[...]) }

    /// Shares memory with `bytes`: a request's own bytes are sent back without a copy.
    public init(_ bytes: ArraySlice<UInt8>) { body = .bytes(bytes) }

    /// The UTF-8 of `text`.
    public init(_ text: String) { self.init(Array(text.utf8)) }

    /// Sends what `write` produces, as it produces it, as one message. It is called next, where the handler runs.
    ///
    /// A failure that it throws ends the response in its middle, and the client is told of the failure alone. Of a
    /// handler that answers at once the parts are collected and sent together.
    public init(parts write: @escaping (Parts) throws(Failure) -> Void) { body = .parts(write) }
}

/// The way out for a response that is sent in parts.
public final class Parts {
    private enum Way {
        case mailbox(HandlerMailbox, Request)
        case memory(longest: Int)
    }

    private let way: Way
    private var collected: [UInt8] = []

    init(to mailbox: HandlerMailbox, for request: Request) { way = .mailbox(mailbox, request) }
    init(collecting longest: Int) { way = .memory(longest: longest) }

    /// Sends `bytes` next, however few. It returns as soon as they are queued, and waits while 64 KiB are because the
    /// client reads slowly: what waits for a client never grows with the response.
    ///
    /// Throws CANCELLED when nobody waits for the response any more, and MESSAGE_TOO_LARGE where a handler that answers
    /// at once produces more than the client accepts; a handler lets both through.
    public func send(_ bytes: ArraySlice<UInt8>) throws(Failure) {
        guard !bytes.isEmpty else { return }
        switch way {
        case .mailbox(let mailbox, let request):
            guard mailbox.send(part: bytes, of: request.id, unless: { request.isCancelled }) else {
                throw Failure(.cancelled)
            }
        case .memory(let longest):
            guard collected.count + bytes.count <= longest else {
                throw Failure(.messageTooLarge, "the response has more than \(longest) bytes")
            }
            collected += bytes
        }
    }

    /// What ends the response of `request` when all of it has been sent: its last part, or the whole of it.
    func last(of request: Request) -> HandlerOutput {
        switch way {
        case .mailbox: .part(request.id, [], isLast: true)
        case .memory: .response(request.id, collected[...])
        }
    }

    /// Sends `bytes`, as `send(_:)` of a slice does.
    public func send(_ bytes: [UInt8]) throws(Failure) { try send(bytes[...]) }

    /// Sends the UTF-8 of `text`, as `send(_:)` of a slice does.
    public func send(_ text: String) throws(Failure) { try send(Array(text.utf8)) }
}
