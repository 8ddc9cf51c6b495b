import Posix

/// The file that names the parent, locked while the parent runs. The lock decides whether a server runs; the number is
/// a hint for people and scripts.
struct Pidfile: ~Copyable {
    /// No number and no white space behind it is as long as this.
    private static let longest = 32

    private let file: LockedFile
    var number: Int32 { file.descriptorNumber }

    /// Locks the file at `path` and writes this process's number; throws which process has it, or what is wrong with
    /// it.
    init(at path: String) throws(StartError) {
        let file = try Pidfile.lock(path)
        var isPidfile = false
        do throws(SystemError) {
            isPidfile = Pidfile.mayReplace(try file.contents(most: Pidfile.longest))
            if isPidfile { try file.replace(with: Array("\(processID)\n".utf8)) }
        } catch {
            // What a full disk has left of it names no server.
            if isPidfile { file.remove() }
            throw Pidfile.failed(path, error)
        }
        guard isPidfile else {
            throw StartError(
                .badOptions,
                "--pidfile '\(path)' holds something else than a process number, and is left as it is: "
                    + "name another file, or remove this one")
        }
        self.file = file
    }

    /// Of a child, which may have a copy, the file is not removed.
    deinit { file.remove() }

    private static func lock(_ path: String) throws(StartError) -> LockedFile {
        do throws(LockedFile.LockError) {
            return try LockedFile(at: path)
        } catch {
            switch error {
            case .held(let pid):
                let who = pid.map { "pid \($0)" } ?? "its pid is not known here"
                throw StartError(
                    .cannotOpen, "server is already running (\(who)): it holds the lock of \(path)", cause: .held)
            case .noFile:
                throw StartError(
                    .badOptions, "--pidfile '\(path)' is no regular file: name one that may be written")
            case .system(let error):
                throw failed(path, error)
            }
        }
    }

    private static func failed(_ path: String, _ error: SystemError) -> StartError {
        StartError(.cannotOpen, "cannot write the pidfile \(path): \(error.text) (\(error.call))", cause: error)
    }

    /// Whether a file with these first bytes is a pidfile, or empty: any other may be precious.
    static func mayReplace(_ bytes: [UInt8]) -> Bool {
        let number = bytes.prefix { (0x30...0x39).contains($0) }
        let rest = bytes.dropFirst(number.count)
        return bytes.count < longest && rest.allSatisfy { [0x0A, 0x0D, 0x20, 0x09].contains($0) }
    }
}
