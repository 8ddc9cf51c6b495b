/// Something that a process has found at its start, and what it has done about it.
public struct StartRemark: Equatable, Sendable {
    /// What it is about: `signals`, `RLIMIT_NOFILE`, `environment`.
    public let subject: String
    /// What was found, and what became of it.
    public let text: String
    /// Whether the operator should change something.
    public let isWarning: Bool

    /// A remark on `subject`.
    public init(_ subject: String, _ text: String, isWarning: Bool = false) {
        self.subject = subject
        self.text = text
        self.isWarning = isWarning
    }
}

extension StartRemark {
    /// `SIGCHLD and SIGTERM were`, `SIGCHLD was`.
    private static func subject(of names: [String]) -> String {
        guard names.count > 1, let last = names.last else { return "\(names.first ?? "") was" }
        return names.dropLast().joined(separator: ", ") + " and \(last) were"
    }

    private static func are(_ names: [String]) -> String { names.count == 1 ? "is" : "are" }

    /// Remarks on the dispositions of signals.
    static func signals(restored: [String], kept: [String]) -> [StartRemark] {
        var remarks: [StartRemark] = []
        if !restored.isEmpty {
            remarks.append(
                StartRemark("signals", "\(subject(of: restored)) ignored at the start, and \(are(restored)) no longer"))
        }
        if !kept.isEmpty {
            remarks.append(
                StartRemark(
                    "signals", "\(subject(of: kept)) ignored at the start, and \(kept.count == 1 ? "stays" : "stay") so"
                ))
        }
        return remarks
    }

    /// A remark on signals that were blocked.
    static func blocked(_ names: [String]) -> StartRemark {
        StartRemark("signals", "\(subject(of: names)) blocked at the start, and \(are(names)) no longer")
    }

    /// A remark on a soft limit that was raised or lowered.
    static func limit(_ name: String, from old: UInt64?, to new: UInt64) -> StartRemark {
        StartRemark(name, "was \(old.map { "\($0)" } ?? "unlimited"), and is \(new); programs get what it was")
    }

    /// A remark on a limit of processor time, in seconds.
    static func processorTime(_ seconds: UInt64) -> StartRemark {
        StartRemark(
            "RLIMIT_CPU",
            "the server ends in order after \(seconds) s of processor time: start it without (ulimit -t unlimited), and "
                + "bind connections with --max-cpu", isWarning: true)
    }

    /// A remark on a limit of the size of files.
    static func fileSize(_ bytes: UInt64) -> StartRemark {
        StartRemark(
            "RLIMIT_FSIZE",
            "no file gets longer than \(bytes) bytes: lines of the log behind that are lost, and counted",
            isWarning: true)
    }

    /// Why a process cannot start within a limit.
    static func refusal(_ name: String, is limit: UInt64, least: UInt64, ulimit: String) -> String {
        "\(name) is \(limit), and this command needs \(least) or more: raise it (\(ulimit))"
    }
}
