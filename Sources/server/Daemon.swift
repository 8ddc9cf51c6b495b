import Arguments
import Inheritance
import Posix

/// The way to the background (daemon(7)): the command that was typed waits for the daemon, and leaves with its status.
///
/// It forks twice. The first child leaves the process group of the shell and begins a session. The second child is not
/// the leader of that session, so it can never get a terminal again.
final class Daemon {
    private var pipe: Descriptor?

    private init(_ pipe: consuming Descriptor) { self.pipe = consume pipe }

    /// Returns in the daemon alone. The command that was typed leaves with the status that the daemon sends.
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

    /// Ends the command that was typed. The daemon has said on standard error what is wrong.
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

    /// Lets go of the standard streams and of the command that was typed, because the daemon serves now. Returns false
    /// where that command was ended meanwhile: the operator does not want this server then.
    func isReady() throws(SystemError) -> Bool {
        try Descriptor.discardStandardStreams()
        // What was started from a descriptor, such as a file of tokens, is read by now.
        ProcessStart.closeDescriptors()
        defer { pipe = nil }
        return (try? pipe?.write([0])) != nil
    }
}
