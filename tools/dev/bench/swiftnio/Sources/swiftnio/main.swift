import Glibc
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix

/// swiftnio [--port N] [--timeout MS] [--handshake-timeout MS] [--quiet]: what is measured against Lifeline's server.
/// It prints "listening on 127.0.0.1:PORT"; SIGTERM ends it as it ends every program.
struct Settings: Sendable {
    var port = 0
    /// T, in milliseconds.
    var timeout: UInt32 = 30000
    var handshakeTimeout = TimeAmount.seconds(10)
    var logs = true

    init(_ arguments: [String]) {
        var rest = arguments.dropFirst()
        func number(_ flag: String) -> Int64 {
            guard let text = rest.popFirst(), let value = Int64(text), value >= 0 else {
                log("\(flag) needs a whole number")
                exit(64)
            }
            return value
        }
        while let flag = rest.popFirst() {
            switch flag {
            case "--port": port = Int(number(flag))
            case "--timeout": timeout = UInt32(max(number(flag), 100))
            case "--handshake-timeout": handshakeTimeout = .milliseconds(number(flag))
            case "--quiet": logs = false
            default:
                log("swiftnio: \(flag) is no flag: see the first lines of main.swift")
                exit(64)
            }
        }
    }
}

/// A line on standard error, in one write.
func log(_ text: String) {
    var time = timespec()
    var date = tm()
    clock_gettime(CLOCK_REALTIME, &time)
    gmtime_r(&time.tv_sec, &date)
    func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
    let stamp =
        "\(date.tm_year + 1900)-\(two(date.tm_mon + 1))-\(two(date.tm_mday))T"
        + "\(two(date.tm_hour)):\(two(date.tm_min)):\(two(date.tm_sec)).\(time.tv_nsec / 1_000_000)Z"
    var line = stamp + " " + text + "\n"
    line.withUTF8 { _ = write(2, $0.baseAddress, $0.count) }
}

let settings = Settings(CommandLine.arguments)
let group = MultiThreadedEventLoopGroup(numberOfThreads: System.coreCount)
// Counted where connections are accepted, which is one thread.
let accepted = NIOLockedValueBox<UInt64>(0)
let server = try await ServerBootstrap(group: group)
    .serverChannelOption(.backlog, value: 4096)
    .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
    .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
            let number = accepted.withLockedValue {
                $0 += 1
                return $0
            }
            try channel.pipeline.syncOperations.addHandlers(
                ByteToMessageHandler(FrameDecoder()), Conversation(settings: settings, number: number))
        }
    }
    .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
    .childChannelOption(.allowRemoteHalfClosure, value: true)
    .childChannelOption(.maxMessagesPerRead, value: 16)
    .childChannelOption(.writeBufferWaterMark, value: .init(low: 1 << 20, high: Int(Limits.maxQueued)))
    .bind(host: "127.0.0.1", port: settings.port)
    .get()
print("listening on 127.0.0.1:\(server.localAddress!.port!)")
fflush(nil)
try await server.closeFuture.get()
