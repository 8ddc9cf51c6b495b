import Arguments
import LifelineServer
import Posix

/// How the server's process lives on its machine: in the background or not, in which directory, with which umask.
struct DaemonSettings {
    /// Where a daemon works: the root directory is never unmounted.
    static let daemonDirectory = "/"
    /// The umask of a daemon.
    static let daemonMask: UInt32 = 0o022

    var isDaemon = false
    /// Where the process works; nil for where it was started, or `daemonDirectory`.
    var directory: String?
    /// nil for what was inherited, or `daemonMask`.
    var creationMask: UInt32?

    /// Where the process goes to; nil where it stays.
    var newDirectory: String? { directory ?? (isDaemon ? DaemonSettings.daemonDirectory : nil) }

    /// `027`.
    @Sendable static func octal(_ mask: UInt32) -> String { "0" + String(mask, radix: 8) }

    /// Throws where the flags of a daemon contradict others, or the way in which it was started.
    func check(_ options: ServerOptions) throws(UsageError) {
        guard isDaemon else { return }
        guard options.log != .standardError else {
            throw UsageError("--daemon needs --log FILE or --log syslog: a daemon's standard error goes to /dev/null")
        }
        if options.logDescriptor != nil {
            throw UsageError(
                "--daemon needs --log FILE or --log syslog: \(options.log) is a descriptor of the command, and a daemon keeps none"
            )
        }
        guard environmentVariable("LISTEN_PID") != "\(processID)" else {
            throw UsageError(
                "--daemon cannot take over a socket (LISTEN_FDS): leave --daemon out, the supervisor has a background")
        }
    }

    /// Sets the umask, and goes to the directory.
    func enter() throws(SystemError) {
        if let mask = creationMask ?? (isDaemon ? DaemonSettings.daemonMask : nil) { setFileCreationMask(mask) }
        if let newDirectory { try changeDirectory(to: newDirectory) }
    }
}
