import Basics
import Framing
import Posix
import Synchronization

/// Makes the connection of a handler: who said HELLO, whom the token stands for, and the mailbox for what is sent.
typealias ConnectionMaker = (Hello, String?, HandlerMailbox) -> Connection

/// The connection that a handler serves: who is there, and the way to speak unasked.
///
/// It may be used in any thread of the child, and be kept longer than the connection lives.
public final class Connection: Sendable {
    /// The server's number of it, as in the log.
    public let id: UInt64
    /// Where it comes from, like `192.0.2.7:51234`.
    public var peer: String { address.description }
    private let address: SocketAddress
    /// What the client calls itself, at most 64 bytes; not to be trusted.
    public let name: String?
    /// What the client proves itself with, at most 256 bytes; compare it in constant time.
    public let token: [UInt8]?
    /// Whom the token stands for in `ServerOptions.tokenFile`: as sure as the token is secret; nil where the file has no
    /// name for it, or there is no file.
    public let tokenName: String?
    private let mailbox: HandlerMailbox

    init(id: UInt64, address: SocketAddress, options: Options, tokenName: String?, mailbox: HandlerMailbox) {
        self.id = id
        self.address = address
        name = options.name
        token = options.token
        self.tokenName = tokenName
        self.mailbox = mailbox
    }

    /// Sends a one-way message (Protocol.md, section 4.7).
    ///
    /// False where it cannot be sent: it is longer than the client accepts, max_queued bytes wait already because the
    /// client does not read, the connection is SHORT, or it is ending.
    @discardableResult
    public func send(_ message: [UInt8]) -> Bool { mailbox.send(message[...]) }

    /// Sends the UTF-8 of `text` as a one-way message, as `send(_:)` of bytes does.
    @discardableResult
    public func send(_ text: String) -> Bool { send(Array(text.utf8)) }

    /// Whether something can still be sent and answered; false from the moment at which the end is known.
    public var isOpen: Bool { mailbox.isOpen }

    /// Sleeps for `duration`; false, at once, when the connection ends.
    public func wait(for duration: Duration) -> Bool { mailbox.waitWhileOpen(until: .now + duration) }

    /// Runs `body` in a thread of its own beside the handler, to speak unasked for example. It ends with the process;
    /// it should return soon when `isOpen` is false. False where the system has no thread to give (pthread_create(3)).
    @discardableResult
    public func inBackground(_ body: @escaping @Sendable () -> Void) -> Bool {
        living.add(1, ordering: .relaxed)
        do {
            try startThread(named: "background") {
                withCrashStack(body)
                living.subtract(1, ordering: .releasing)
            }
            return true
        } catch {
            living.subtract(1, ordering: .relaxed)
            return false
        }
    }

    /// How many threads of `inBackground` there are in this process.
    static var threads: Int { living.load(ordering: .acquiring) }
}

private let living = Atomic<Int>(0)
