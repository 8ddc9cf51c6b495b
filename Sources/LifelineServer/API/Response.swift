import Framing
import Posix

/// The answer to a request (Protocol.md, section 4.6).
public struct Response {
    enum Body {
        case bytes(ArraySlice<UInt8>)
        case parts((Parts) throws(Failure) -> Void)
    }

    let body: Body

    /// A response of `bytes`.
    public init(_ bytes: [UInt8]) { self.init(bytes[...]) }

    /// A response that shares memory with `bytes`, so that a request's own bytes go back without a copy.
    public init(_ bytes: ArraySlice<UInt8>) { body = .bytes(bytes) }

    /// A response of the UTF-8 of `text`.
    public init(_ text: String) { self.init(Array(text.utf8)) }

    /// A response that `write` sends part by part. The client receives one message. The server calls `write` next, where
    /// the handler runs.
    ///
    /// If `write` throws, the response ends in its middle, and the client receives the failure alone. The parts of a
    /// handler that answers at once are collected and sent together.
    public init(parts write: @escaping (Parts) throws(Failure) -> Void) { body = .parts(write) }
}

/// Sends a response part by part.
public final class Parts {
    private enum Destination {
        case mailbox(HandlerMailbox, Request)
        case memory(longest: Int)
    }

    private let destination: Destination
    private var collected: [UInt8] = []

    init(to mailbox: HandlerMailbox, for request: Request) { destination = .mailbox(mailbox, request) }
    init(collecting longest: Int) { destination = .memory(longest: longest) }

    /// Sends `bytes` next, however few. Returns as soon as they are queued, and waits while 64 KiB of the response wait for
    /// a client that reads slowly.
    ///
    /// Throws CANCELLED when the response is not wanted any more, and MESSAGE_TOO_LARGE where a handler that answers at
    /// once produces more than the client accepts. A handler lets both errors through.
    public func send(_ bytes: ArraySlice<UInt8>) throws(Failure) {
        guard !bytes.isEmpty else { return }
        switch destination {
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

    /// The output that ends the response to `request` once all of it is sent: the last part, or the whole response.
    func last(of request: Request) -> HandlerOutput {
        switch destination {
        case .mailbox: .part(request.id, [], isLast: true)
        case .memory: .response(request.id, collected[...])
        }
    }

    /// Sends `bytes` as `send(_:)` of a slice does.
    public func send(_ bytes: [UInt8]) throws(Failure) { try send(bytes[...]) }

    /// Sends the UTF-8 of `text` as `send(_:)` of a slice does.
    public func send(_ text: String) throws(Failure) { try send(Array(text.utf8)) }
}
