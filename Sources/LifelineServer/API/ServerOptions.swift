import Framing

/// How a server listens, what it offers its clients, and what it logs; each has the default of the `server` command.
public struct ServerOptions: Sendable {
    /// A numeric IPv4 or IPv6 address, `::` for all of both, or `unix:` and a path.
    public var host = "127.0.0.1"
    /// 0 lets the system choose; without meaning for a Unix socket.
    public var port: UInt16 = 7400
    /// T: a client that is silent for so long is dropped; at least 100 ms (Protocol.md, section 6).
    public var timeout = Duration.seconds(30)
    /// The time from accept to a whole HELLO (section 5.8).
    public var handshakeTimeout = Duration.seconds(10)
    /// The longest payload in one frame, in bytes; at least 256.
    public var maxFrame = Limits.defaultMaxFrame
    /// The longest message, in bytes.
    public var maxMessage = Limits.defaultMaxMessage
    /// The most unanswered requests on one connection.
    public var maxInFlight = Limits.defaultMaxInFlight
    /// The most bytes of them; at least `maxMessage`.
    public var maxQueued = Limits.defaultMaxQueued
    /// How long one request may take a handler that has a thread of its own; then it fails with HANDLER_FAILED, and a
    /// handler that has not come back a second later costs its connection. Nil for as long as it takes.
    public var handlerTimeout: Duration?
    /// Connections beyond so many are refused with CLOSE(BUSY).
    public var maxConnections = 10_000
    /// Of one source so many; clients of a Unix socket have none.
    public var maxPerSource: Int?
    /// What is one source.
    public var sourcePrefix = SourcePrefix()
    /// Connections in a second, at least 1; after a pause as many may come at once.
    public var maxRate: Int?
    /// Connections that are before their HELLO.
    public var maxHandshakes: HandshakeLimit?
    /// A source of which handshakes fail again and again is refused for a while, unless it is here: by default this
    /// machine, where a proxy may stand for everybody.
    public var exempt = [AddressRange.loopbackV4, .loopbackV6]
    /// A file of tokens, one of which a client must bring: each a line, with or without the name of whom it stands for
    /// behind it; it is read again when it has changed. Nil: everybody may connect (section 4.12).
    public var tokenFile: String?
    /// With at least one range here, clients from elsewhere are refused with CLOSE(UNAUTHORIZED) before a process is
    /// made for them; clients of a Unix socket are not judged by addresses.
    public var allow: [AddressRange] = []
    /// Clients from these ranges are refused in the same way, though `allow` may have them.
    public var deny: [AddressRange] = []
    /// The user that the server becomes once it listens, by name or number; it must be started as root then. What it
    /// uses later, such as the token file, must be readable to this user.
    public var user: String?
    /// The group that it becomes, and no other; nil: the user's own.
    public var group: String?
    /// The most memory of the process of one connection: bytes of its address space, of which the `server` command
    /// takes 8 MiB itself (RLIMIT_AS in setrlimit(2)). What goes over it ends that connection alone.
    public var maxMemory: UInt64?
    /// The most processor time of one connection in all its life, in whole seconds, rounded up (RLIMIT_CPU).
    public var maxCPU: Duration?
    /// The most descriptors of the process of one connection; it needs a few itself (RLIMIT_NOFILE).
    public var maxFiles: UInt64?
    /// How many children are forked ahead, to wait for connections; nil: each is forked when its client has come.
    public var pool: PoolSize?
    /// How many connections a child of the pool serves, one after another; more than one need a handler that says that
    /// this may be (`Handler.mayBeReused`), and no `maxCPU`.
    public var poolReuse = 1
    /// How many connections may wait to be accepted (listen(2)).
    public var backlog: Int32 = 4096
    /// Over how long a shutdown sends its clients away, one by one in an order of chance; what is left then is closed.
    /// Each is told to come back when all have gone, at an instant of its own. Zero: all at once (Protocol.md, 7.4).
    public var drain = Duration.zero
    /// How long a shutdown waits, after `drain`, for children that still work before it kills them, and a child for its
    /// handler when its connection is over.
    public var grace = Duration.seconds(10)
    /// A path where an operator asks and orders, with `server ctl`: a Unix socket for this user and root alone. Nil: none.
    public var control: String?
    /// An address and a port, such as `127.0.0.1:9100`, where Prometheus finds metrics; nil: nowhere.
    public var metrics: String?
    /// Whether the title of a connection's process, which `ps` shows, says its peer and state: 4 KiB of memory for each.
    public var showsTitles = true
    /// A file for the parent's process number, locked for as long as it lives; removed at its end.
    public var pidfile: String?
    /// A descriptor that is told in one line where the server listens once it does, and is then closed.
    public var readyDescriptor: Int32?
    /// Where the log goes.
    public var log = LogDestination.standardError
    /// What is logged.
    public var logLevel = LogLevel.info
    /// The form of the lines of the log.
    public var logFormat = LogFormat.text
    /// So many warnings of one reason are logged in five seconds before they are summed up; 0 logs all of them.
    public var logFlood = 20

    /// The defaults.
    public init() {}

    /// What a child goes by.
    var connectionSettings: ConnectionSettings {
        ConnectionSettings(terms: terms, grace: grace, handlerTimeout: handlerTimeout)
    }

    var terms: Terms {
        Terms(
            timeout: UInt32(clamping: Int(timeout / .milliseconds(1))), maxFrame: maxFrame, maxMessage: maxMessage,
            maxInFlight: maxInFlight, maxQueued: maxQueued)
    }
}

/// What is logged: everything at this level and above it.
public enum LogLevel: String, CaseIterable, Comparable, Sendable {
    case error, warning, info, debug

    /// By how much is logged: error is the least.
    public static func < (left: LogLevel, right: LogLevel) -> Bool { left.rank < right.rank }
    private var rank: Int {
        switch self {
        case .error: 0
        case .warning: 1
        case .info: 2
        case .debug: 3
        }
    }
}

/// The form of a line of the log.
public enum LogFormat: String, CaseIterable, Sendable {
    case text, json
}

/// Where the lines of the log go.
public enum LogDestination: Equatable, Sendable {
    case standardError
    /// Appended to the file at this path, which is opened anew at SIGUSR1.
    case file(String)
    /// Datagrams to the daemon of syslog(3) that listens at this path, as a rule /dev/log.
    case syslog(String)
}

extension LogDestination: CustomStringConvertible {
    /// For people.
    public var description: String {
        switch self {
        case .standardError: "on standard error"
        case .file(let path): path
        case .syslog(let path): "syslog:\(path)"
        }
    }
}
