import Posix

/// What stands before a message for syslogd: priority, local time, name and process, as syslog(3) writes them.
struct SyslogHeader {
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    /// LOG_DAEMON, shifted.
    private static let facility = 3 << 3

    let text: String

    init(_ level: LogLevel, of process: ProcessID, at time: WallTime) {
        let severity =
            switch level {
            case .error: 3
            case .warning: 4
            case .info: 6
            case .debug: 7
            }
        func padded(_ number: Int32, _ fill: String) -> String { number < 10 ? "\(fill)\(number)" : "\(number)" }
        let clock = [time.hour, time.minute, time.second].map { padded($0, "0") }.joined(separator: ":")
        let name = CommandLine.arguments.first?.split(separator: "/").last ?? "server"
        text =
            "<\(SyslogHeader.facility | severity)>\(SyslogHeader.months[Int(time.month) - 1]) "
            + "\(padded(time.day, " ")) \(clock) \(name)[\(process)]: "
    }
}
