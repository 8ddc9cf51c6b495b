import Framing

/// How a server listens, what it offers its clients, and what it logs; each has the default of the `server` command.
public struct ServerOptions: Sendable {
    /// A numeric IPv4 or IPv6 address, `localhost`, `::` or `*` for all of both, or `unix:` and a path.
    public var host = "127.0.0.1"
    /// The port to listen on: 0 lets the system choose. A Unix socket has none.
    public var port: UInt16 = 7400
    /// More addresses to listen at, such as `127.0.0.1:7400`, `[::]:7400` or `unix:/path`.
    public var listen: [ListenAddress] = []
    /// Whether the server listens at `host` and `port` where `listen` has addresses. It does so where it has none.
    public var listensAtHost = true
    /// Proxies that connect for clients. Where there is a range, every connection to a TCP socket comes from these ranges and
    /// begins with a header of the PROXY protocol, which names the client; where there is `unix`, so does every connection to
    /// a Unix socket. An address of `listen` may have proxies of its own. Never give addresses that clients have.
    public var proxyFrom: [ProxySource] = []
    /// Whether the name of a client certificate stands for a token, where a proxy has verified it. With `tokenFile` a client
    /// brings either; without it every client needs such a name.
    public var tokenFromCN = false
    /// T: a client that is silent for this time is dropped; at least 100 ms (Protocol.md, section 6).
    public var timeout = Duration.seconds(30)
    /// H: the longest ping_every that a client gets; at least 20 ms (section 6). Routers and load balancers forget a
    /// connection that is idle for 5 minutes or more.
    public var heartbeat = Duration.milliseconds(Limits.defaultHeartbeat)
    /// The time from accept to a whole HELLO (section 5.8).
    public var handshakeTimeout = Duration.seconds(10)
    /// The longest payload in one frame, in bytes; at least 256.
    public var maxFrame = Limits.defaultMaxFrame
    /// The longest message, in bytes. Unless it is set, it is 1 MiB, or `maxQueued` where that is set and less.
    public var maxMessage: UInt32 {
        get { ownMaxMessage ?? min(Limits.defaultMaxMessage, ownMaxQueued ?? .max) }
        set { ownMaxMessage = newValue }
    }
    private var ownMaxMessage: UInt32?
    /// The most unanswered requests on one connection.
    public var maxInFlight = Limits.defaultMaxInFlight
    /// The most bytes of unanswered requests on one connection; at least `maxMessage`. Unless it is set, it is 4 MiB, or
    /// `maxMessage` where that is more. It also bounds the messages that wait for the handler or for the client: each way so
    /// many bytes, and where the client knows credit, 1 MiB of those for the handler (Protocol.md, section 3.8).
    public var maxQueued: UInt32 {
        get { ownMaxQueued ?? max(Limits.defaultMaxQueued, ownMaxMessage ?? 0) }
        set { ownMaxQueued = newValue }
    }
    private var ownMaxQueued: UInt32?
    /// The most bytes that all connections hold together, at least twice `maxMessage`; nil is no limit. Requests beyond it
    /// are refused, of those connections first that hold most.
    public var memoryBudget: UInt64?
    /// How long a handler with a thread of its own may work on one request; nil is no limit. Then the request fails
    /// with HANDLER_FAILED, and the connection is closed if the handler has not returned a second later.
    public var handlerTimeout: Duration?
    /// How old a connection becomes; nil is no limit. Its client is then sent away (GOAWAY) and comes back, to a process
    /// with the options and the code of today. Each connection leaves up to a tenth of this earlier, at random.
    public var maxAge: Duration?
    /// How long a connection may be without a request, a response and a message; nil is no limit. Heartbeats do not
    /// count. Its client is then sent away as with `maxAge`.
    public var maxIdle: Duration?
    /// The most connections at a time; more are refused with CLOSE(BUSY).
    public var maxConnections = 10_000
    /// The most connections of one source; nil is no limit. Clients of a Unix socket have no source.
    public var maxPerSource: Int?
    /// How many leading bits of an address make a source.
    public var sourcePrefix = SourcePrefix()
    /// The most connections in a second, at least 1; nil is no limit. After a pause this many may come at once.
    public var maxRate: Int?
    /// The most connections before their HELLO; nil is no limit.
    public var maxHandshakes: HandshakeLimit?
    /// Addresses without penalties. Another source is refused for a while when its handshakes fail again and again. By
    /// default this machine is exempt, where a proxy may speak for all clients.
    public var exempt = [AddressRange.loopbackV4, .loopbackV6]
    /// The path of a file of tokens, of which a client must bring one (Protocol.md, section 4.12); nil lets every
    /// client connect. A line is a token, or a token and its name. The file is read again when it has changed.
    public var tokenFile: String?
    /// Ranges that clients may come from; none is everywhere. Clients from elsewhere are refused with
    /// CLOSE(UNAUTHORIZED) before a process is forked. Clients of a Unix socket have no address, and are not judged by
    /// it.
    public var allow: [AddressRange] = []
    /// Ranges whose clients are refused in the same way; it wins over `allow`.
    public var deny: [AddressRange] = []
    /// The user that the server becomes once it listens, by name or number; nil changes nothing. The server must be
    /// started as root then, and this user must be able to read what is used later, such as the token file.
    public var user: String?
    /// The group that the server becomes, and no other; nil is the user's own.
    public var group: String?
    /// The most bytes of the address space of one connection's process (RLIMIT_AS in setrlimit(2)); nil is no limit.
    /// The `server` command takes 8 MiB of it itself. A process that goes over it ends its own connection alone.
    public var maxMemory: UInt64?
    /// The most processor time of one connection in all its life, rounded up to whole seconds (RLIMIT_CPU); nil is no
    /// limit.
    public var maxCPU: Duration?
    /// The most descriptors of one connection's process, which needs a few itself (RLIMIT_NOFILE); nil is no limit.
    public var maxFiles: UInt64?
    /// How many processes are forked ahead, to wait for connections; nil forks each when its client has come.
    public var pool: PoolSize?
    /// How many connections a process of the pool serves, one after another. More than one needs a handler that allows
    /// it (`Handler.mayBeReused`), and no `maxCPU`.
    public var poolReuse = 1
    /// How many connections a process serves at a time, in one event loop. More than one needs a handler that allows it
    /// (`Handler.mayShare`), and neither `poolReuse` nor `maxCPU`.
    public var connectionsPerProcess = 1
    /// The most threads of a process with several connections, on which handlers run that do not answer at once. A thread is
    /// started when a call waits and none is idle.
    public var handlerThreads = 64
    /// Whether connections can reach one another: a router process runs beside the parent, and each long connection is
    /// registered there as it opens.
    public var topics = false
    /// The most topics that one connection subscribes to.
    public var maxTopics = 1000
    /// The path of a Unix socket where back-ends publish, send and ask, in the protocol itself; it needs `topics`. This user
    /// and its group may connect. Nil opens none.
    public var publishSocket: String?
    /// How many connections may wait to be accepted (listen(2)).
    public var backlog: Int32 = 4096
    /// Over how long a shutdown sends its clients away, one by one in random order; what is left then is closed. Each
    /// client may return after the drain, at an instant of its own. Zero ends all at once (Protocol.md, 7.4).
    public var drain = Duration.zero
    /// How long a shutdown waits for children after `drain`, before it kills them. A child gives up what it has not
    /// answered and handled a little earlier, and uses the last fifth, 1.5 s at most, for its end. Where a client ends its
    /// connection, the handler gets the messages that came before for as long, and has a second more to return.
    public var grace = Duration.seconds(10)
    /// The path of the control socket, for `server ctl`: this user and root alone may use it. Nil opens none.
    public var control: String?
    /// An address and a port, such as `127.0.0.1:9100`, where Prometheus finds metrics; nil serves none.
    public var metrics: String?
    /// Whether the title of a connection's process, which `ps` shows, says its peer and state. It costs 4 KiB for each.
    public var showsTitles = true
    /// The path of a file for the parent's process number, locked while the parent runs and removed at its end; nil:
    /// none.
    public var pidfile: String?
    /// A descriptor to which one line is written once the server listens, with its address; it is closed then.
    public var readyDescriptor: Int32?
    /// Where the log goes.
    public var log = LogDestination.standardError
    /// What is logged.
    public var logLevel = LogLevel.info
    /// The form of the lines of the log.
    public var logFormat = LogFormat.text
    /// How many warnings of one reason are logged in five seconds before the rest is summed up; 0 logs all of them.
    public var logFlood = 20

    /// The defaults.
    public init() {}

    /// The part of the options that a child goes by.
    var connectionSettings: ConnectionSettings {
        ConnectionSettings(
            terms: terms, grace: grace, handlerTimeout: handlerTimeout, maxAge: maxAge, maxIdle: maxIdle,
            takesProvedNames: tokenFromCN)
    }

    /// The most that messages of one connection may cost that wait for the handler, where the client knows credit. More
    /// would fill faster paths; this is 1 MiB in each round trip, and each connection may take that much memory.
    private static let mostCredit: UInt32 = 1 << 20

    var terms: Terms {
        Terms(
            timeout: UInt32(clamping: Int(timeout / .milliseconds(1))),
            heartbeat: UInt32(clamping: Int(heartbeat / .milliseconds(1))), maxFrame: maxFrame, maxMessage: maxMessage,
            maxInFlight: maxInFlight, maxQueued: maxQueued,
            credit: UInt64(min(max(maxQueued, 1), ServerOptions.mostCredit)))
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
    /// Appended to the file at this path, which is opened anew at SIGUSR1. /dev/stderr, /dev/fd/7 and their like are the
    /// descriptors themselves.
    case file(String)
    /// Lines to the daemon of syslog(3) that listens at this path, as a rule /dev/log, as datagrams or as a stream.
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
