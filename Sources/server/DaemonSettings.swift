import Arguments
import LifelineServer
import Posix

/// How the server lives on its machine, as far as its process goes.
struct DaemonSettings {
    var isDaemon = false
    /// Where the process moves to; nil for a daemon is the root, which no one will want to unmount.
    var directory: String?
    /// nil leaves what was inherited; for a daemon it is 022.
    var creationMask: UInt32?

    var leavesDirectory: Bool { isDaemon || directory != nil }
}

extension ServerSettings {
    /// Where syslogd listens.
    private static let syslog = "/dev/log"

    static let serviceFlags: [Flag<ServerSettings>] = [
        Flag("--log", "FILE", "append the log to FILE, or send it to syslog (or syslog:SOCKET)\n(standard error)") {
            settings, text throws(UsageError) in
            settings.options.log = try destination(text)
        },
        Flag("--log-flood", "N", "warnings of one reason in 5 s before they are summed up,\n0 logs each (20)") {
            settings, text throws(UsageError) in
            settings.options.logFlood = try Value.integer(text, in: 0...1_000_000)
        },
        Flag("--daemon", "go to the background once it listens; needs --log") { $0.service.isDaemon = true },
        Flag("--chdir", "DIR", "work in DIR (with --daemon /)") { $0.service.directory = $1 },
        Flag("--umask", "MODE", "permissions that new files do not get, octal (with --daemon 022)") {
            settings, text throws(UsageError) in
            guard let mask = UInt32(text, radix: 8), mask <= 0o777 else {
                throw UsageError("'\(text)' is not a umask: expected octal digits from 0 to 777, such as 027")
            }
            settings.service.creationMask = mask
        },
        Flag("--pidfile", "FILE", "hold FILE locked with the process number in it;\na second server is refused") {
            settings, text throws(UsageError) in
            guard !text.isEmpty else { throw UsageError("'' is not the path of a file") }
            settings.options.pidfile = text
        },
        Flag("--ready-fd", "N", "write \"listening on HOST:PORT\" to descriptor N too, and close it") {
            settings, text throws(UsageError) in
            settings.options.readyDescriptor = try Value.integer(text, in: 3...1_000_000)
        },
    ]

    private static func destination(_ text: String) throws(UsageError) -> LogDestination {
        if text == "syslog" { return .syslog(syslog) }
        if text.hasPrefix("syslog:"), text != "syslog:" { return .syslog(String(text.dropFirst("syslog:".count))) }
        guard !text.isEmpty, text != "syslog:" else {
            throw UsageError("'\(text)' is not the path of a file, nor syslog or syslog:SOCKET")
        }
        return .file(text)
    }

    func checkService() throws(UsageError) {
        guard service.isDaemon else { return }
        guard options.log != .standardError else {
            throw UsageError("--daemon needs --log FILE or --log syslog: a daemon's standard error goes to /dev/null")
        }
        guard environmentVariable("LISTEN_PID") != "\(processID)" else {
            throw UsageError(
                "--daemon cannot take over a socket (LISTEN_FDS): leave --daemon out, the supervisor has a background")
        }
    }

    /// Goes where the process shall work.
    func enterDirectory() throws(SystemError) {
        if let mask = service.creationMask ?? (service.isDaemon ? 0o022 : nil) { setFileCreationMask(mask) }
        if service.leavesDirectory { try changeDirectory(to: service.directory ?? "/") }
    }

    /// Relative paths mean what they meant in the directory `start`, where the command was typed.
    mutating func resolvePaths(in start: String) {
        func resolved(_ path: String) -> String { absolute(path, in: start) }
        options.pidfile = options.pidfile.map(resolved)
        options.tokenFile = options.tokenFile.map(resolved)
        options.control = options.control.map(resolved)
        if options.host.hasPrefix("unix:"), options.host != "unix:" {
            options.host = "unix:" + resolved(String(options.host.dropFirst("unix:".count)))
        }
        switch options.log {
        case .file(let path): options.log = .file(resolved(path))
        case .syslog(let path): options.log = .syslog(resolved(path))
        case .standardError: break
        }
    }
}
