import Arguments
import Posix

/// The way to the background (daemon(7)): the command that was typed waits for the daemon's word, and leaves with it.
///
/// Two forks: the first leaves the process group of the shell, so that a session can be begun, and the second leaves the
/// head of that session behind, who alone could get a terminal again.
final class Daemon {
    private var pipe: Descriptor?

    private init(_ pipe: consuming Descriptor) { self.pipe = consume pipe }

    /// Returns in the daemon alone; the command that was typed leaves with the status that the daemon tells.
    static func start() throws(SystemError) -> Daemon {
        let pipe = try Pipe()
        if case .parent = try forkProcess() { leave(hearing: pipe.onlyReading()) }
        let daemon = Daemon(pipe.onlyWriting())
        do throws(SystemError) {
            try startSession()
            if case .parent = try forkProcess() { exitProcess(ExitStatus.ok.rawValue) }
        } catch {
            daemon.fail(.osError, "cannot go to the background: \(error.text) (\(error.call))")
        }
        return daemon
    }

    /// The command that was typed: what is wrong has been said on standard error by the daemon.
    private static func leave(hearing daemon: borrowing Descriptor) -> Never {
        // The daemon alone has the other end, so its death ends the stream.
        guard let status = try? daemon.read(most: 1).first else {
            server.fail(.software, "the daemon ended before it listened")
        }
        exitProcess(Int32(status))
    }

    /// Ends the daemon before it has begun to serve.
    func fail(_ status: ExitStatus, _ text: String) -> Never {
        complain(text)
        try? pipe?.write([UInt8(status.rawValue)])
        exitProcess(status.rawValue)
    }

    /// The daemon serves: it lets go of the streams, and of the command that was typed. False where that has been ended
    /// meanwhile: nobody wants this server then.
    func isReady() throws(SystemError) -> Bool {
        try Descriptor.discardStandardStreams()
        defer { pipe = nil }
        return (try? pipe?.write([0])) != nil
    }
}
